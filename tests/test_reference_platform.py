"""The reference platform, asked by a plain client: what it checks, how it pages, how it fails on purpose."""

import ast
import json
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from lti_rosters.reference import platform as reference_platform
from lti_rosters.reference.platform import (
    BLACKBOARD,
    CANVAS,
    D2L,
    MANNERS,
    MEDIA_TYPE,
    MOODLE,
    OPEN_EDX,
    OPENOLAT,
    SAKAI,
    SCHOOLOGY,
    SCOPE,
    TAO,
    Course,
    Exchange,
    Manner,
    ReferencePlatform,
    Reply,
    member,
)
from patience import PATIENCE

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CONTEXT = "http://purl.imsglobal.org/vocab/lis/v2/membership"
AGS_SCOPE = "https://purl.imsglobal.org/spec/lti-ags/scope/score"


def name_of(manner: Manner) -> str:
    """The name of a manner, for test ids."""
    return manner.name


every_manner = pytest.mark.parametrize("manner", MANNERS, ids=name_of)


class Tool:
    """The tool's side: one key pair, assertions that can be spoilt, and plain requests."""

    def __init__(self) -> None:
        """Make a key pair."""
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.http = httpx.Client(timeout=PATIENCE)

    def jwk(self, kid: str = "k1") -> dict[str, Any]:
        """The public key as published."""
        numbers = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {**numbers, "kid": kid}

    def assertion(
        self,
        platform: ReferencePlatform,
        *,
        key: Any = None,
        kid: str = "k1",
        alg: str = "RS256",
        **changes: Any,
    ) -> str:
        """A good assertion but for *changes*; a claim set to None is left out."""
        now = int(platform.now())
        claims = {"iss": "100", "sub": "100", "aud": platform.audience, "iat": now - 5, "exp": now + 60}
        claims |= {"jti": uuid.uuid4().hex, **changes}
        given = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(given, key or self.key, alg, headers={"kid": kid})

    def ask(self, platform: ReferencePlatform, assertion: str | None = None, **form: str) -> httpx.Response:
        """Ask for a token."""
        fields = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION,
            "client_assertion": assertion or self.assertion(platform),
            "scope": SCOPE,
        }
        return self.http.post(platform.token_url, data=fields | form)

    def token(self, platform: ReferencePlatform) -> str:
        """A good token."""
        return str(self.ask(platform).json()["access_token"])

    def get(
        self, url: str, token: str | None, accept: str = MEDIA_TYPE, scheme: str = "Bearer"
    ) -> httpx.Response:
        """Ask for a URL with a token."""
        headers = {"Accept": accept} | ({"Authorization": f"{scheme} {token}"} if token else {})
        return self.http.get(url, headers=headers)

    def roster(self, platform: ReferencePlatform, query: str = "", key: str = "c1") -> httpx.Response:
        """The first page of a course, with a good token."""
        return self.get(platform.memberships_url(key) + query, self.token(platform))

    def pages(self, platform: ReferencePlatform, query: str = "", key: str = "c1") -> list[list[str]]:
        """The user ids of every page, up to the one without a next link."""
        token, url, found = self.token(platform), platform.memberships_url(key) + query, []
        while url:
            response = self.get(url, token)
            members = response.json()["members"] if response.content else []
            found.append([str(each["user_id"]) for each in members])
            url = response.links.get("next", {}).get("url", "")
        return found


@pytest.fixture(scope="module")
def tool() -> Iterator[Tool]:
    """One tool for all tests: its key takes a while."""
    tool = Tool()
    yield tool
    tool.http.close()


@pytest.fixture
def opened(tool: Tool) -> Iterator[Callable[..., ReferencePlatform]]:
    """Open platforms that know the tool and offer `c1` with so many learners; closed when the test ends."""
    with ExitStack() as stack:

        def open_one(manner: Manner = CANVAS, learners: int = 0, **settings: Any) -> ReferencePlatform:
            platform = ReferencePlatform(manner, tool_keys=lambda: [tool.jwk()], **settings)
            platform.add(Course("c1", label="BIO", title="Biology", members=people(learners)))
            return stack.enter_context(platform)

        yield open_one


def people(count: int, role: str = f"{CONTEXT}#Learner") -> list[dict[str, Any]]:
    """So many members with one role."""
    return [member(f"u{number}", [role]) for number in range(count)]


# The token endpoint


@every_manner
def test_a_good_assertion_is_given_a_token(tool: Tool, opened: Any, manner: Manner) -> None:
    """Every manner grants the roster scope for 3,600 s, in a content type and token type of its own."""
    response = tool.ask(opened(manner))

    content = response.json()
    assert (response.status_code, content["expires_in"], content["scope"]) == (200, 3600, SCOPE)
    assert (manner.token_type, manner.token_content_type) == (
        content["token_type"],
        response.headers["content-type"],
    )


@pytest.mark.parametrize(
    ("manner", "status", "error"),
    [
        (CANVAS, 400, "invalid_request"),
        (MOODLE, 400, "Signature verification failed"),
        (SAKAI, 400, "invalid_client"),
        (D2L, 400, "invalid_client"),
        (TAO, 401, "invalid_client"),
    ],
    ids=lambda value: value.name if isinstance(value, Manner) else None,
)
def test_a_foreign_signature_is_refused(
    tool: Tool, opened: Any, manner: Manner, status: int, error: str
) -> None:
    """An assertion signed by another key under our kid gets no token, and each manner says so its way."""
    foreign_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    platform = opened(manner)

    response = tool.ask(platform, tool.assertion(platform, key=foreign_key))

    assert (status, error, 0) == (response.status_code, response.json()["error"], platform.tokens_issued)


def test_openolat_refuses_with_nothing(tool: Tool, opened: Any) -> None:
    """OpenOlat answers a bad assertion with status 200 and an empty body."""
    platform = opened(OPENOLAT)

    response = tool.ask(platform, tool.assertion(platform, sub="nobody"))

    assert (response.status_code, response.content) == (200, b"")


@every_manner
def test_the_audience_is_checked_where_the_platform_does(tool: Tool, opened: Any, manner: Manner) -> None:
    """A wrong audience fails, but with Moodle, Open edX and OpenOlat, which do not look at it."""
    platform = opened(manner)

    tool.ask(platform, tool.assertion(platform, aud=platform.audience + "/"))

    assert platform.tokens_issued == (manner in (MOODLE, OPEN_EDX, OPENOLAT))


def test_the_audience_can_be_set(tool: Tool, opened: Any) -> None:
    """A platform told its audience accepts that one and no longer its token URL."""
    platform = opened(CANVAS, audience="https://agreed.example")

    granted = tool.ask(platform, tool.assertion(platform, aud="https://agreed.example"))
    refused = tool.ask(platform, tool.assertion(platform, aud=platform.token_url))

    assert (granted.status_code, refused.status_code) == (200, 400)


def test_d2l_breaks_on_two_audiences(tool: Tool, opened: Any) -> None:
    """A list of audiences makes D2L answer 500; Canvas takes it."""
    answers = []
    for manner in (D2L, CANVAS):
        platform = opened(manner)
        both = tool.assertion(platform, aud=[platform.audience, "https://other.example"])
        answers.append(tool.ask(platform, both).status_code)

    assert answers == [500, 200]


@every_manner
def test_an_expired_assertion_is_refused(tool: Tool, opened: Any, manner: Manner) -> None:
    """No manner accepts an assertion that expired ten minutes ago."""
    platform = opened(manner)
    now = int(time.time())

    tool.ask(platform, tool.assertion(platform, iat=now - 700, exp=now - 600))

    assert platform.tokens_issued == 0


@pytest.mark.parametrize(("manner", "issued"), [(MOODLE, 0), (CANVAS, 1), (SAKAI, 1), (TAO, 0)], ids=str)
def test_a_clock_ahead_is_tolerated_by_some(tool: Tool, opened: Any, manner: Manner, issued: int) -> None:
    """An assertion 8 s from the future: Moodle has no leeway, TAO one second, Canvas 30, Sakai 60."""
    platform = opened(manner)

    tool.ask(platform, tool.assertion(platform, iat=int(time.time()) + 8))

    assert platform.tokens_issued == issued


def test_moodle_says_that_the_clock_is_ahead(tool: Tool, opened: Any) -> None:
    """Moodle's free text for an `iat` from the future is the recorded one, with the moment in it."""
    platform = opened(MOODLE)

    response = tool.ask(platform, tool.assertion(platform, iat=1_900_000_000, exp=1_900_000_060))

    expected = "Cannot handle token with iat prior to 2030-03-17T17:46:40+0000"
    assert expected == response.json()["error"]


@pytest.mark.parametrize(("manner", "issued"), [(SAKAI, 1), (CANVAS, 2), (MOODLE, 2)], ids=str)
def test_a_replay_is_refused_where_the_platform_does(
    tool: Tool, opened: Any, manner: Manner, issued: int
) -> None:
    """The same assertion twice: Sakai refuses the second, Canvas and Moodle do not remember."""
    platform = opened(manner)
    assertion = tool.assertion(platform)

    tool.ask(platform, assertion)
    tool.ask(platform, assertion)

    assert platform.tokens_issued == issued


def test_an_unknown_kid_breaks_moodles_json(tool: Tool, opened: Any) -> None:
    """Moodle's answer to an unknown kid has unescaped quotes, as recorded: no JSON."""
    platform = opened(MOODLE)

    response = tool.ask(platform, tool.assertion(platform, kid="k9"))

    assert response.content == b'{\n  "error" : ""kid" invalid, unable to lookup correct key"\n}'


def test_keys_are_looked_up_at_each_request(tool: Tool) -> None:
    """A key published after the platform began is found under its kid; one withdrawn is not."""
    keys = [tool.jwk("old")]
    with ReferencePlatform(CANVAS, tool_keys=lambda: keys) as platform:
        statuses = [tool.ask(platform, tool.assertion(platform, kid="new")).status_code]
        keys[:] = [tool.jwk("new")]
        statuses += [
            tool.ask(platform, tool.assertion(platform, kid=kid)).status_code for kid in ("new", "old")
        ]

    assert statuses == [400, 200, 400]


def test_another_algorithm_is_refused(tool: Tool, opened: Any) -> None:
    """An HS256 assertion is refused, whatever it was signed with."""
    platform = opened(MOODLE)

    response = tool.ask(platform, tool.assertion(platform, key="x" * 32, alg="HS256"))

    assert (response.status_code, response.json()["error"]) == (400, "Incorrect key for this algorithm")


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "exp", "iat", "jti"])
def test_canvas_asks_for_every_claim(tool: Tool, opened: Any, claim: str) -> None:
    """Canvas refuses an assertion that lacks any of the six claims."""
    platform = opened(CANVAS)

    response = tool.ask(platform, tool.assertion(platform, **{claim: None}))

    assert (response.status_code, platform.tokens_issued) == (400, 0)


def test_the_issuer_is_the_client(tool: Tool, opened: Any) -> None:
    """The tool's URL as issuer is refused, but by Moodle, which does not look at it."""
    platforms = [opened(manner) for manner in (CANVAS, MOODLE)]

    for platform in platforms:
        tool.ask(platform, tool.assertion(platform, iss="https://tool.example"))

    assert [platform.tokens_issued for platform in platforms] == [0, 1]


def test_canvas_wants_a_fresh_assertion(tool: Tool, opened: Any) -> None:
    """Canvas refuses an assertion made more than five minutes ago, though it has not expired."""
    platform = opened(CANVAS)

    response = tool.ask(platform, tool.assertion(platform, iat=int(time.time()) - 400))

    assert response.json()["error_description"] == "the 'iat' is too old"


def test_a_broken_public_key_verifies_nothing(tool: Tool) -> None:
    """A published key that is none refuses every assertion, as a bad signature does."""
    with ReferencePlatform(MOODLE, tool_keys=[{"kty": "RSA", "kid": "k1"}]) as platform:
        response = tool.ask(platform)

    assert response.json()["error"] == "Signature verification failed"


def test_an_unknown_client_is_told_so(tool: Tool, opened: Any) -> None:
    """Canvas answers another client with 401, `invalid_client` and its challenge; Moodle with 400."""
    answers = []
    for manner in (CANVAS, MOODLE):
        platform = opened(manner)
        response = tool.ask(platform, tool.assertion(platform, iss="7", sub="7"))
        answers.append(
            (response.status_code, response.json()["error"], response.headers.get("www-authenticate"))
        )

    assert answers == [(401, "invalid_client", "Canvas OAuth 2.0"), (400, "invalid_client", None)]


def test_sakai_bounds_the_lifetime(tool: Tool, opened: Any) -> None:
    """Sakai refuses an assertion that lives for more than ten minutes."""
    platform = opened(SAKAI)

    response = tool.ask(platform, tool.assertion(platform, exp=int(time.time()) + 3600))

    assert response.status_code == 400


def test_a_time_that_is_text_is_refused(tool: Tool, opened: Any) -> None:
    """NumericDate is a number: an `iat` sent as text is refused."""
    platform = opened(CANVAS)
    # PyJWT will not make such an assertion; the claims are signed as they stand.
    claims = {"iss": "100", "sub": "100", "aud": platform.audience, "exp": int(time.time()) + 60, "jti": "j"}
    payload = json.dumps({**claims, "iat": "now"}).encode()
    assertion = jwt.PyJWS().encode(payload, tool.key, "RS256", headers={"kid": "k1"})

    response = tool.ask(platform, assertion)

    assert response.json()["error_description"] == "the 'iat' is not a number"


@pytest.mark.parametrize(
    ("manner", "status", "scope"),
    [(CANVAS, 400, None), (SAKAI, 400, None), (MOODLE, 200, SCOPE), (OPEN_EDX, 200, SCOPE)],
    ids=str,
)
def test_a_scope_too_many(tool: Tool, opened: Any, manner: Manner, status: int, scope: str | None) -> None:
    """One of two scopes not permitted: Canvas and Sakai refuse all, Moodle and Open edX grant the rest."""
    response = tool.ask(opened(manner), scope=f"{SCOPE} {AGS_SCOPE}")

    assert (status, scope) == (response.status_code, response.json().get("scope"))


def test_open_edx_grants_nothing_gladly(tool: Tool, opened: Any) -> None:
    """With the service off Open edX answers 200 with an empty scope, Moodle `invalid_scope`."""
    answers = []
    for manner in (OPEN_EDX, MOODLE):
        platform = opened(manner)
        platform.scopes = set()
        answers.append(tool.ask(platform).json())

    assert (answers[0]["scope"], answers[1]["error"]) == ("", "invalid_scope")


def test_a_token_request_is_a_form(tool: Tool, opened: Any) -> None:
    """A JSON body, a GET and another grant are refused with the codes of RFC 6749."""
    platform = opened(MOODLE)

    json_body = tool.http.post(platform.token_url, json={"grant_type": "client_credentials"})
    by_get = tool.http.get(platform.token_url)
    other_grant = tool.ask(platform, grant_type="password")

    errors = [response.json()["error"] for response in (json_body, by_get, other_grant)]
    assert errors == ["invalid_request", "invalid_request", "unsupported_grant_type"]


def test_a_token_request_names_a_scope_and_brings_an_assertion(tool: Tool, opened: Any) -> None:
    """Without scope, or with another type of assertion, the request is invalid."""
    platform = opened(MOODLE)

    errors = [
        tool.ask(platform, **form).json()["error"] for form in ({"scope": ""}, {"client_assertion_type": "x"})
    ]

    assert errors == ["invalid_request", "invalid_request"]


def test_text_that_is_no_jwt_is_refused(tool: Tool, opened: Any) -> None:
    """An assertion that is no JWT at all gets an answer, not a crash."""
    response = tool.ask(opened(D2L), "not.a-jwt")

    assert response.status_code == 400


# The door of the roster


@pytest.mark.parametrize(
    ("manner", "status"),
    [(CANVAS, 401), (MOODLE, 401), (SAKAI, 403), (OPEN_EDX, 403), (OPENOLAT, 403), (TAO, 401)],
)
@pytest.mark.parametrize("token", [None, "garbage"])
def test_no_roster_without_a_token(
    tool: Tool, opened: Any, manner: Manner, status: int, token: str | None
) -> None:
    """Without a token, or with garbage, each manner answers its 401 or 403 and no member."""
    platform = opened(manner, learners=1)

    response = tool.get(platform.memberships_url("c1"), token)

    assert status == response.status_code
    assert b"u0" not in response.content


def test_refusals_have_the_form_of_the_platform(tool: Tool, opened: Any) -> None:
    """A bad token is told in Canvas's, Moodle's, Sakai's and Open edX's own JSON, in TAO's plain text."""
    bodies = {}
    for manner in (CANVAS, MOODLE, SAKAI, OPEN_EDX, TAO):
        platform = opened(manner)
        bodies[manner.name] = tool.get(platform.memberships_url("c1"), "bad").text

    assert json.loads(bodies["canvas"])["errors"]["type"] == "unauthorized"
    assert sorted(json.loads(bodies["moodle"])) == ["reason", "request", "status"]
    assert json.loads(bodies["sakai"]) == {"error": "signature_error"}
    assert sorted(json.loads(bodies["open_edx"])) == ["detail"]
    assert bodies["tao"] == "Invalid access token"


@every_manner
def test_the_scheme_is_bearer_to_the_letter(tool: Tool, opened: Any, manner: Manner) -> None:
    """A good token under `bearer` in lower case is refused, as Moodle does."""
    platform = opened(manner)

    response = tool.get(platform.memberships_url("c1"), tool.token(platform), scheme="bearer")

    assert response.status_code == manner.auth_status


def test_a_token_ends_when_it_said(tool: Tool, opened: Any) -> None:
    """A token of one second is accepted now and refused when the platform's clock is past it."""
    platform = opened(CANVAS, token_lifetime=1)
    token, url = tool.token(platform), platform.memberships_url("c1")

    before = tool.get(url, token)
    platform.skew = 2
    after = tool.get(url, token)

    assert (
        before.status_code,
        after.status_code,
        after.json()["errors"]["message"],
    ) == (200, 401, "Access token expired")


def test_revoked_tokens_are_worth_nothing(tool: Tool, opened: Any) -> None:
    """`revoke` ends one token, `revoke_all` all of them; a new one works."""
    platform = opened(CANVAS)
    first, second = tool.token(platform), tool.token(platform)
    url = platform.memberships_url("c1")

    platform.revoke(first)
    statuses = [tool.get(url, token).status_code for token in (first, second)]
    platform.revoke_all()
    statuses += [tool.get(url, token).status_code for token in (second, tool.token(platform))]

    assert statuses == [401, 200, 401, 200]


def test_a_token_of_another_platform_is_refused(tool: Tool, opened: Any) -> None:
    """Tokens are worth something only where they were given out."""
    here, there = opened(CANVAS), opened(CANVAS)

    response = tool.get(here.memberships_url("c1"), tool.token(there))

    assert response.status_code == 401


def test_a_service_switched_off_refuses_tokens_already_out(tool: Tool, opened: Any) -> None:
    """A token granted before the scope was withdrawn no longer opens the roster."""
    platform = opened(MOODLE)
    token = tool.token(platform)

    platform.scopes.clear()

    assert tool.get(platform.memberships_url("c1"), token).status_code == 401


def test_sakai_says_400_to_a_token_without_the_scope(tool: Tool, opened: Any) -> None:
    """Sakai answers 403 to a bad token but 400 to a good one without the scope."""
    platform = opened(SAKAI)
    token = tool.token(platform)

    platform.scopes = {AGS_SCOPE}

    assert tool.get(platform.memberships_url("c1"), token).status_code == 400


def test_the_lifetime_of_the_next_token_can_be_set(tool: Tool, opened: Any) -> None:
    """`token_lifetime` is what the next token says and lives."""
    platform = opened(CANVAS)
    platform.token_lifetime = platform.token_lifetime / 60

    assert tool.ask(platform).json()["expires_in"] == 60


@every_manner
def test_accept_must_be_exact_where_the_platform_insists(tool: Tool, opened: Any, manner: Manner) -> None:
    """Another type, or one with parameters: 400 (Moodle, OpenOlat), 406 (Open edX, TAO), else served."""
    platform = opened(manner)
    token = tool.token(platform)

    statuses = {
        tool.get(platform.memberships_url("c1"), token, accept).status_code
        for accept in ("application/json", f"{MEDIA_TYPE}; charset=utf-8")
    }

    assert statuses == {{"moodle": 400, "openolat": 400, "open_edx": 406, "tao": 406}.get(manner.name, 200)}


def test_moodle_puts_its_reason_into_the_status_line(tool: Tool, opened: Any) -> None:
    """Moodle says in the status line that no handler was found."""
    platform = opened(MOODLE)

    response = tool.get(platform.memberships_url("c1"), tool.token(platform), "application/json")

    expected = "No handler found for /CourseSection/c1/bindings/1/memberships application/json"
    assert expected == response.reason_phrase


def test_other_methods_are_refused(tool: Tool, opened: Any) -> None:
    """NRPS is GET only: HEAD and POST get 400 from Moodle, 405 from others."""
    moodle, canvas = opened(MOODLE), opened(CANVAS)

    statuses = [
        tool.http.head(moodle.memberships_url("c1")).status_code,
        tool.http.post(canvas.memberships_url("c1")).status_code,
    ]

    assert statuses == [400, 405]


@every_manner
def test_an_unknown_course_is_not_found(tool: Tool, opened: Any, manner: Manner) -> None:
    """404 for a course that is not there; OpenOlat has one URL for all."""
    platform = opened(manner)

    response = tool.roster(platform, key="nowhere")

    assert response.status_code == (200 if manner is OPENOLAT else 404)


def test_openolat_cannot_tell_two_courses_apart(tool: Tool, opened: Any) -> None:
    """With a second course OpenOlat answers 200 and nothing."""
    platform = opened(OPENOLAT, learners=1)
    platform.add(Course("c2"))

    response = tool.roster(platform)

    assert (response.status_code, response.content) == (200, b"")


# Pages


@every_manner
@pytest.mark.parametrize("query", ["", "?limit=7"])
def test_following_next_gives_everybody_once(tool: Tool, opened: Any, manner: Manner, query: str) -> None:
    """The pages of 123 members, joined, are these 123 in their order, whatever the page size."""
    platform = opened(manner, learners=123)

    pages = tool.pages(platform, query)

    assert [f"u{number}" for number in range(123)] == [user_id for page in pages for user_id in page]


@pytest.mark.parametrize(
    ("manner", "query", "sizes"),
    [
        (CANVAS, "", [50, 50, 5]),
        (CANVAS, "?limit=100", [50, 50, 5]),
        (CANVAS, "?limit=60", [50, 50, 5]),
        (MOODLE, "", [105]),
        (MOODLE, "?limit=35", [35, 35, 35]),
        (MOODLE, "?limit=0", [105]),
        (MOODLE, "?limit=abc", [105]),
        (SAKAI, "?limit=100", [100, 5]),
        (SCHOOLOGY, "", [100, 5]),
        (OPEN_EDX, "?limit=53", [53, 52]),
        (D2L, "?limit=10", [105]),
        (OPENOLAT, "?limit=10", [105]),
    ],
    ids=str,
)
def test_page_sizes(tool: Tool, opened: Any, manner: Manner, query: str, sizes: list[int]) -> None:
    """Page sizes as each platform makes them of 105 members; an exactly filled last page has no next."""
    platform = opened(manner, learners=105)

    assert sizes == [len(page) for page in tool.pages(platform, query)]


def test_canvas_links(tool: Tool, opened: Any) -> None:
    """Canvas: five relations in order, a comma without space, `limit` turned into page and per_page."""
    platform = opened(CANVAS, learners=120)
    url = platform.memberships_url("c1")

    links = [tool.roster(platform, query).headers["link"] for query in ("?limit=50", "?page=3&per_page=50")]

    rels = [["current", "next", "first", "last"], ["current", "prev", "first", "last"]]
    pages = [[1, 2, 1, 3], [3, 2, 1, 3]]
    expected = [
        ",".join(f'<{url}?page={page}&per_page=50>; rel="{rel}"' for rel, page in zip(*pair, strict=True))
        for pair in zip(rels, pages, strict=True)
    ]
    assert expected == links


def test_moodle_next_keeps_the_link_and_loses_the_role(tool: Tool, opened: Any) -> None:
    """Moodle's only link is next; it keeps `rlid` and forgets `role`, as recorded."""
    platform = opened(MOODLE, learners=3)
    platform.courses["c1"].links["6"] = None

    link = tool.roster(platform, "?role=Learner&rlid=6&limit=2").headers["link"]

    assert link == f'<{platform.memberships_url("c1")}?limit=2&from=2&rlid=6>; rel="next"'


def test_tao_sends_differences_first(tool: Tool, opened: Any) -> None:
    """TAO: differences before next, each page with another moment."""
    platform = opened(TAO, learners=5)

    links = [tool.roster(platform, f"?limit=2&offset={offset}").headers["link"] for offset in (0, 2)]

    assert all(link.index("differences") < link.index("next") for link in links)
    assert links[0].split(";")[0] != links[1].split(";")[0]


def test_blackboard_keeps_the_placement_and_may_repeat_its_last_link(tool: Tool, opened: Any) -> None:
    """A parameter of the URL stays in next; told to, the last page repeats the link that led to it."""
    platform = opened(replace(BLACKBOARD, repeats_last_next=True), learners=3)
    last = "?placement_id=_553_1&offset=2&limit=2"

    links = tool.roster(platform, last).headers["link"]

    assert links.startswith(f'<{platform.memberships_url("c1")}{last}>; rel="next", ')


def test_sakai_beyond_the_end_is_blank(tool: Tool, opened: Any) -> None:
    """An empty page of Sakai is zero bytes with status 200."""
    response = tool.roster(opened(SAKAI, learners=3), "?start=10&limit=10")

    assert (response.status_code, response.content) == (200, b"")


def test_sakai_loops_on_limit_zero(tool: Tool, opened: Any) -> None:
    """`limit=0` makes a Sakai repeat one next link for ever."""
    platform = opened(replace(SAKAI, empty_page_is_blank=False), learners=3)

    response = tool.roster(platform, "?limit=0")

    assert ([], f"{platform.memberships_url('c1')}?start=0&limit=0") == (
        response.json()["members"],
        response.links["next"]["url"],
    )


def test_an_unstable_order_changes_between_requests(tool: Tool, opened: Any) -> None:
    """Told to, a platform shuffles the roster at every request."""
    platform = opened(replace(SAKAI, stable_order=False), learners=60)

    first, second = tool.pages(platform)[0], tool.pages(platform)[0]

    assert (sorted(first), True) == (sorted(second), first != second)


def test_a_roster_changed_between_pages_shifts(tool: Tool, opened: Any) -> None:
    """Offset paging walks the live list: a member removed between two pages hides another one."""
    platform = opened(MOODLE, learners=4)
    course = platform.courses["c1"]

    def shift(exchange: Exchange) -> None:
        if exchange.page == 2:
            course.members = course.members[1:]

    course.script = shift

    assert tool.pages(platform, "?limit=2") == [["u0", "u1"], ["u3"]]


def test_the_container(tool: Tool, opened: Any) -> None:
    """The body is a membership container with the context as the platform tells it, members as given."""
    platform = opened(CANVAS)
    given = member("ü/1", ["Learner"], status=None, name="Zoë 李 \U0001f600", odd=[1, None])
    platform.add(Course("4 2/x", label="B", title="T", types=["CourseSection"], members=[given]))

    response = tool.roster(platform, key="4 2/x")

    context = {"id": "4 2/x", "label": "B", "title": "T", "type": ["CourseSection"]}
    url = platform.memberships_url("4 2/x")
    assert response.json() == {"id": url, "context": context, "members": [given]}
    assert response.headers["content-type"] == CANVAS.content_type


def test_moodle_escapes_its_json(tool: Tool, opened: Any) -> None:
    r"""Moodle's bodies are ASCII with `\/`, as PHP writes them."""
    platform = opened(MOODLE)
    platform.add(Course("c1", title="Ü/1"))

    assert rb'"title":"\u00dc\/1"' in tool.roster(platform).content


def test_a_lone_surrogate_can_be_sent(tool: Tool, opened: Any) -> None:
    """What UTF-8 cannot carry is sent escaped, in every manner."""
    platform = opened(CANVAS)
    platform.add(Course("c1", title="\ud800"))

    assert rb'"title":"\ud800"' in tool.roster(platform).content


def test_open_edx_has_a_limit_and_no_title(tool: Tool, opened: Any) -> None:
    """More than 1,000 learners: 403 for ever; below, the context is its id alone."""
    platform = opened(OPEN_EDX, learners=1001)

    refused = tool.roster(platform)
    platform.courses["c1"].members.pop()
    served = tool.roster(platform)

    assert (refused.status_code, refused.json()["error"]) == (403, "above_response_limit")
    assert served.json()["context"] == {"id": "c1"}


def test_openolat_tells_learners_only(tool: Tool, opened: Any) -> None:
    """OpenOlat lists participants, never staff."""
    platform = opened(OPENOLAT)
    platform.courses["c1"].members = [member("a", ["LEARNER"]), member("b", ["INSTRUCTOR"])]

    assert tool.pages(platform) == [["a"]]


# Filters, links, differences

STAFFED = [
    member("learner", [f"{CONTEXT}#Learner"]),
    member("assistant", [f"{CONTEXT}/Instructor#TeachingAssistant"]),
    member("teacher", [f"{CONTEXT}#Instructor"]),
    member("short", ["Learner"]),
]


@pytest.mark.parametrize(
    ("manner", "role", "found"),
    [
        (CANVAS, f"{CONTEXT}#Instructor", ["assistant", "teacher"]),
        (CANVAS, "Learner", []),
        (CANVAS, "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Student", []),
        (SAKAI, "Learner", ["learner", "short"]),
        (SAKAI, f"{CONTEXT}#Learner", ["learner", "short"]),
        (TAO, f"{CONTEXT}#Instructor", ["teacher"]),
        (BLACKBOARD, f"{CONTEXT}/Instructor#TeachingAssistant", ["assistant"]),
        (OPEN_EDX, f"{CONTEXT}#Learner", ["learner", "assistant", "teacher", "short"]),
    ],
    ids=str,
)
def test_the_role_filter(tool: Tool, opened: Any, manner: Manner, role: str, found: list[str]) -> None:
    """Who a role filter lets through, by platform."""
    platform = opened(manner)
    platform.courses["c1"].members = STAFFED

    response = tool.get(
        str(httpx.URL(platform.memberships_url("c1"), params={"role": role})), tool.token(platform)
    )

    assert found == [each["user_id"] for each in response.json()["members"]]


@pytest.mark.parametrize(
    ("role", "found"),
    [
        ("Learner", ["learner", "admin"]),
        ("Instructor", ["teacher"]),
        ("Mentor", ["learner", "teacher", "admin"]),
    ],
)
def test_moodles_role_filter(tool: Tool, opened: Any, role: str, found: list[str]) -> None:
    """Moodle counts a site administrator among the learners, and an unknown role lets everybody through."""
    platform = opened(MOODLE)
    site_admin = "http://purl.imsglobal.org/vocab/lis/v2/person#Administrator"
    platform.courses["c1"].members = [
        member("learner", ["Learner"]),
        member("teacher", ["Instructor"]),
        member("admin", ["Instructor", site_admin]),
    ]

    assert tool.pages(platform, f"?role={role}") == [found]


@pytest.mark.parametrize(
    ("manner", "kind"), [(MOODLE, list), (CANVAS, list), (TAO, list), (BLACKBOARD, dict)], ids=str
)
def test_a_resource_link_has_its_own_roster(tool: Tool, opened: Any, manner: Manner, kind: type) -> None:
    """`rlid` gives those who reach the link, each with a message: a list, with Blackboard an object."""
    platform = opened(manner, learners=3)
    platform.courses["c1"].links["6"] = {"u1"}

    members = tool.roster(platform, "?rlid=6").json()["members"]

    assert [("u1", kind)] == [(each["user_id"], type(each["message"])) for each in members]


def test_moodles_message_differs_each_time(tool: Tool, opened: Any) -> None:
    """The launch id in Moodle's message is another one in every answer."""
    platform = opened(MOODLE, learners=1)
    platform.courses["c1"].links["6"] = None

    first, second = (tool.roster(platform, "?rlid=6").content for _ in range(2))

    assert first != second


@pytest.mark.parametrize(("manner", "status"), [(MOODLE, 404), (CANVAS, 400), (TAO, 404), (SCHOOLOGY, 400)])
def test_an_unknown_resource_link_is_refused(tool: Tool, opened: Any, manner: Manner, status: int) -> None:
    """A link that is not there: 404 or 400; Schoology refuses every one."""
    assert tool.roster(opened(manner), "?rlid=99").status_code == status


def test_a_link_of_another_course_breaks_moodle(tool: Tool, opened: Any) -> None:
    """Moodle answers with a status line that is none."""
    platform = opened(MOODLE)
    platform.add(Course("c2", links={"3": None}))

    with pytest.raises(httpx.RemoteProtocolError):
        tool.roster(platform, "?rlid=3")


def test_canvas_takes_the_context_for_a_link(tool: Tool, opened: Any) -> None:
    """The course's own id as `rlid` gives Canvas's whole roster with messages."""
    members = tool.roster(opened(CANVAS, learners=2), "?rlid=c1").json()["members"]

    assert ["message" in each for each in members] == [True, True]


def test_differences_tell_what_changed_since(tool: Tool, opened: Any) -> None:
    """TAO's differences: who joined, changed or left since that very answer, and nobody else."""
    platform = opened(TAO, learners=4)
    course = platform.courses["c1"]
    url = tool.roster(platform).links["differences"]["url"]

    unchanged = tool.get(url, tool.token(platform)).json()["members"]
    course.members[1]["status"] = "Inactive"
    course.members = [*course.members[1:], member("new")]
    changed = tool.get(url, tool.token(platform)).json()["members"]

    assert unchanged == []
    assert [(each["user_id"], each["status"]) for each in changed] == [
        ("u0", "Deleted"),
        ("u1", "Inactive"),
        ("new", "Active"),
    ]


def test_differences_need_not_tell_who_left(tool: Tool, opened: Any) -> None:
    """A platform may leave departures out of its differences."""
    platform = opened(replace(TAO, reports_deleted=False), learners=2)
    url = tool.roster(platform).links["differences"]["url"]

    platform.courses["c1"].members = []

    assert tool.get(url, tool.token(platform)).json()["members"] == []


def test_differences_are_paged(tool: Tool, opened: Any) -> None:
    """The next link of a differences answer keeps the moment and leads to the rest."""
    platform = opened(TAO, learners=1)
    url = tool.roster(platform, "?limit=2").links["differences"]["url"]
    platform.courses["c1"].members = people(6)
    query = "?" + url.partition("?")[2]

    assert [len(page) for page in tool.pages(platform, query)] == [2, 2, 1]


def test_an_unknown_moment_is_refused(tool: Tool, opened: Any) -> None:
    """A differences URL that the platform never gave out is a 404."""
    assert tool.roster(opened(TAO), "?since=5").status_code == 404


# Faults on purpose


def test_a_body_cut_short(tool: Tool, opened: Any) -> None:
    """`cut_after` promises the whole body and closes after so many bytes."""
    platform = opened(CANVAS, learners=9)
    platform.courses["c1"].script = lambda exchange: replace(exchange.serve(), cut_after=50)

    with pytest.raises(httpx.RemoteProtocolError, match="received 50 bytes"):
        tool.roster(platform)


def test_a_chunked_body_cut_short(tool: Tool, opened: Any) -> None:
    """A chunked body that is cut has no last chunk."""
    platform = opened(CANVAS, learners=50)
    platform.courses["c1"].script = [Reply(200, [], b"x" * 5000, chunked=True, cut_after=3000)]

    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        tool.roster(platform)


def test_a_chunked_body(tool: Tool, opened: Any) -> None:
    """`chunked` sends the same body without a length."""
    platform = opened(CANVAS, learners=50)
    platform.courses["c1"].script = lambda exchange: replace(exchange.serve(), chunked=True)

    response = tool.roster(platform)

    assert (
        len(response.json()["members"]),
        response.headers["transfer-encoding"],
        response.headers.get("content-length"),
    ) == (50, "chunked", None)


@pytest.mark.parametrize(
    "reply", [Reply(reset=True), Reply(body=b"x" * 99, cut_after=10, reset=True)], ids=str
)
def test_a_reset(tool: Tool, opened: Any, reply: Reply) -> None:
    """`reset` breaks the connection hard, before the answer or after some bytes of it."""
    platform = opened(CANVAS)
    platform.courses["c1"].script = [reply]

    with pytest.raises(httpx.ReadError, match="reset"):
        tool.roster(platform)


def test_a_raw_answer(tool: Tool, opened: Any) -> None:
    """`raw` is sent to the byte, then the connection closes."""
    platform = opened(CANVAS)
    platform.courses["c1"].script = [Reply(raw=b"HTTP/1.0 299 Odd\r\nX-A: b\r\n\r\nbody to the end")]

    response = tool.roster(platform)

    assert (response.status_code, response.headers["x-a"], response.text) == (299, "b", "body to the end")


def test_headers_are_sent_as_given(opened: Any) -> None:
    """A reply's own Date, Content-Length and unknown status stand; nothing is added beside them."""
    platform = opened(CANVAS)
    headers = [("Date", "today"), ("Content-Length", "2"), ("X-A", "ü"), ("X-A", "2")]
    platform.routes["/"] = lambda _: Reply(299, headers, b"ok")

    response = httpx.get(platform.origin)

    assert (response.status_code, response.reason_phrase, response.content) == (299, "", b"ok")
    assert [name.lower().encode() for name, _ in headers] == [
        name.lower() for name, _ in response.headers.raw
    ]


def test_a_client_that_talks_nonsense_is_let_go(tool: Tool, opened: Any) -> None:
    """Empty lines are skipped, a line that is no request closes its connection, and others are served on."""
    platform = opened(CANVAS)
    port = int(platform.origin.rpartition(":")[2])

    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"\r\nGET / HTTP/1.1\r\n\r\nnonsense\r\n")
        received = b"".join(iter(lambda: connection.recv(65_536), b""))

    assert received.startswith(b"HTTP/1.1 404 ")
    assert tool.ask(platform).status_code == 200


def test_a_delay_and_a_drip(tool: Tool, opened: Any) -> None:
    """`delay` waits before the answer and `drip` between the bytes of its body."""
    platform = opened(CANVAS)
    platform.courses["c1"].script = [Reply(200, [], b"12345", delay=0.05, drip=0.01)]
    token, begin = tool.token(platform), time.monotonic()

    response = tool.get(platform.memberships_url("c1"), token)

    assert (response.content, time.monotonic() - begin >= 0.1) == (b"12345", True)


def test_closing_does_not_wait_for_slow_answers(tool: Tool) -> None:
    """A platform closes at once, though an answer is long delayed and another one drips."""
    with ReferencePlatform(CANVAS, tool_keys=[tool.jwk()]) as platform:
        platform.routes["/slow"] = lambda _: Reply(delay=2 * PATIENCE)
        platform.routes["/drip"] = lambda _: Reply(body=b"x" * 99, drip=2 * PATIENCE)
        pool = ThreadPoolExecutor(2)
        asked = [pool.submit(httpx.get, platform.origin + path, timeout=None) for path in ("/slow", "/drip")]
        while platform.in_flight < 2:
            time.sleep(0.01)
        begin = time.monotonic()

    assert time.monotonic() - begin < PATIENCE
    assert all(isinstance(each.exception(timeout=PATIENCE), httpx.TransportError) for each in asked)


def test_a_list_of_replies_is_used_up(tool: Tool, opened: Any) -> None:
    """A script that is a list answers one request with each entry; None and what comes after is served."""
    platform = opened(CANVAS, learners=1)
    platform.courses["c1"].script = [Reply(503), None, lambda _: Reply(418)]

    statuses = [tool.roster(platform).status_code for _ in range(4)]

    assert statuses == [503, 200, 418, 200]


def test_a_script_sees_page_and_attempt(tool: Tool, opened: Any) -> None:
    """A script can fail the second page on its first attempt alone."""
    platform = opened(CANVAS, learners=60)
    seen = []

    def script(exchange: Exchange) -> Reply | None:
        seen.append((exchange.page, exchange.attempt))
        return Reply(500) if (exchange.page, exchange.attempt) == (2, 1) else None

    platform.courses["c1"].script = script
    token, url = tool.token(platform), platform.memberships_url("c1")
    statuses = [tool.get(url + query, token).status_code for query in ("", "?page=2", "?page=2")]

    assert statuses == [200, 500, 200]
    assert seen == [(1, 1), (2, 1), (2, 2)]


def test_the_token_endpoint_can_be_scripted(tool: Tool, opened: Any) -> None:
    """A token script answers first, and may alter the answer that would have been."""
    platform = opened(CANVAS)

    def without_scope(exchange: Exchange) -> Reply:
        served = exchange.serve()
        content = json.loads(served.body) | {"scope": "", "expires_in": "3600"}
        return replace(served, body=json.dumps(content).encode())

    platform.token_script = [Reply(502), without_scope]

    assert tool.ask(platform).status_code == 502
    assert tool.ask(platform).json()["expires_in"] == "3600"


def test_further_paths_can_be_served(tool: Tool, opened: Any) -> None:
    """A route answers under its path; any other path is 404."""
    platform = opened(CANVAS)
    platform.routes["/moved"] = lambda _: Reply(302, [("Location", "/there")])

    statuses = [tool.http.get(platform.origin + path).status_code for path in ("/moved", "/there")]

    assert statuses == [302, 404]


def test_a_mistake_in_a_script_does_not_pass_unseen(tool: Tool) -> None:
    """A script that raises gives a 500 now, and raises again when the platform closes."""
    statuses = []

    def ask_twice() -> None:
        with ReferencePlatform(CANVAS, tool_keys=[tool.jwk()]) as platform:
            platform.token_script = lambda exchange: Reply(1 // (exchange.attempt - 1))
            statuses.append(tool.ask(platform).status_code)

    with pytest.raises(ZeroDivisionError):
        ask_twice()
    assert statuses == [500]


def test_gzip(tool: Tool, opened: Any) -> None:
    """Bodies are compressed when switched on, for clients that accept it."""
    platform = opened(CANVAS, learners=50)
    platform.gzip = True

    response = tool.roster(platform)
    plain = tool.http.get(platform.memberships_url("c1"), headers={"Accept-Encoding": "identity"})

    assert (response.headers["content-encoding"], len(response.json()["members"])) == ("gzip", 50)
    assert "content-encoding" not in plain.headers


def test_latency(tool: Tool, opened: Any) -> None:
    """Every answer takes the latency longer."""
    platform = opened(CANVAS)
    platform.latency = 0.05
    begin = time.monotonic()

    tool.ask(platform)

    assert time.monotonic() - begin >= 0.05


def test_maintenance(tool: Tool, opened: Any) -> None:
    """In maintenance, token and roster answer 503 with HTML and Retry-After: 300."""
    platform = opened(MOODLE)
    platform.in_maintenance = True

    answers = [tool.ask(platform), tool.get(platform.memberships_url("c1"), "x")]

    assert [(each.status_code, each.headers["retry-after"]) for each in answers] == [(503, "300")] * 2


@pytest.mark.parametrize(
    ("manner", "status", "wait"), [(CANVAS, 403, None), (BLACKBOARD, 429, "37"), (D2L, 429, "41")], ids=str
)
def test_throttling(tool: Tool, opened: Any, manner: Manner, status: int, wait: str | None) -> None:
    """The next request is refused as one too many, in the platform's words; the one after is served."""
    platform = opened(manner)
    platform.throttle_next = 1

    refused, served = tool.roster(platform), tool.roster(platform)

    assert (status, wait, 200) == (
        refused.status_code,
        refused.headers.get("retry-after"),
        served.status_code,
    )


def test_the_wait_of_a_throttle_can_be_chosen(opened: Any) -> None:
    """`throttled` is the same refusal for scripts, with a wait of one's own."""
    reply = opened(CANVAS).throttled(retry_after=2)

    assert ("Retry-After", "2") in reply.headers
    assert b"Rate Limit Exceeded" in reply.body


def test_a_clock_that_is_wrong(tool: Tool, opened: Any) -> None:
    """`skew` moves the platform's clock, and its Date header shows it."""
    platform = opened(CANVAS)
    platform.skew = 86_400 * 365

    response = tool.http.get(platform.origin)

    year = time.gmtime(time.time() + platform.skew).tm_year
    assert f" {year} " in response.headers["date"]


# Records


def test_every_request_is_recorded(tool: Tool, opened: Any) -> None:
    """Requests are kept with their kind, course, page, query and headers."""
    platform = opened(CANVAS, learners=1)
    token = tool.token(platform)
    tool.get(platform.memberships_url("c1") + "?page=2&x=%41", token)
    tool.http.get(platform.origin + "/elsewhere")

    recorded = platform.requests

    assert [each.kind for each in recorded] == ["token", "roster", "other"]
    assert ["authorization" in each.headers for each in recorded] == [False, True, False]
    roster = recorded[1]
    assert (platform.courses["c1"], 2, {"page": "2", "x": "A"}) == (roster.course, roster.page, roster.query)
    assert roster.target.endswith("?page=2&x=%41")
    assert roster.headers["authorization"] == f"Bearer {token}"
    assert recorded[0].method == "POST"
    assert recorded[0].at <= roster.at
    assert b"client_assertion=" in recorded[0].body


def test_records_can_be_sorted_and_forgotten(tool: Tool, opened: Any) -> None:
    """Token and roster requests are told apart; `forget` begins anew."""
    platform = opened(CANVAS)
    tool.roster(platform)

    counts = (len(platform.token_requests), len(platform.roster_requests))
    platform.forget()

    assert (counts, platform.requests, platform.peak) == ((1, 1), [], 0)


def test_connections_are_kept_alive(opened: Any) -> None:
    """Requests of one client come over one connection, unless it asks to close."""
    platform = opened(CANVAS)
    threads = []
    platform.routes["/"] = lambda _: threads.append(threading.get_ident())  # type: ignore[func-returns-value]

    with httpx.Client() as client:
        for _ in range(3):
            client.get(platform.origin)
        closing = client.get(platform.origin, headers={"Connection": "close"})

    assert (len(set(threads)), closing.headers["connection"]) == (1, "close")


def test_many_readers_at_once(tool: Tool, opened: Any) -> None:
    """Eight readers at once each get the whole roster, and the peak shows that they overlapped."""
    platform = opened(CANVAS, learners=120)
    platform.latency = 0.01
    token, url = tool.token(platform), platform.memberships_url("c1")

    def read(_: int) -> int:
        pages = [tool.get(f"{url}?page={page}", token).json()["members"] for page in (1, 2, 3)]
        return sum(len(page) for page in pages)

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(read, range(8)))

    assert counts == [120] * 8
    assert 2 <= platform.peak <= 8


def test_the_platform_imports_nothing_of_the_connector() -> None:
    """The reference modules import one another, the standard library and PyJWT: an independent oracle."""
    folder = Path(reference_platform.__file__).parent
    imported = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level != 1:  # 1: of this folder
                imported.add("." * node.level + (node.module or "").partition(".")[0])
            elif isinstance(node, ast.Import):
                imported |= {each.name.partition(".")[0] for each in node.names}

    assert imported - sys.stdlib_module_names == {"jwt"}
