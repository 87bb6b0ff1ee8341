"""Tokens: asked for once, read tolerantly, renewed when due or refused, never for ever (E102 to E126)."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from door import Hurry, at_once, connected, effort, json_reply, opened, registered
from lti_rosters.errors import (
    Interrupted,
    LtiRostersError,
    NotFoundError,
    RefusedError,
    RosterTimeoutError,
    ScopeError,
    ThrottledError,
    TooLargeError,
    UnreachableError,
)
from lti_rosters.keys.signing import SigningKey
from lti_rosters.providers import nrps
from lti_rosters.providers.auth import DEFAULT_LIFE, DEPLOYMENT_CLAIM, SCOPE, Tokens, assertion, read_token
from lti_rosters.reference.platform import (
    BLACKBOARD,
    CANVAS,
    MANNERS,
    MOODLE,
    OPEN_EDX,
    OPENOLAT,
    SAKAI,
    Course,
    Manner,
    ReferencePlatform,
    Reply,
    member,
)
from lti_rosters.settings.registration import Registration
from lti_rosters.web.answer import Answer
from lti_rosters.web.fields import Fields
from patience import PATIENCE

GRANT = {"access_token": "tok-1", "token_type": "Bearer", "expires_in": 3600, "scope": SCOPE}
DEFAULT = object()


def granted(**changes: Any) -> bytes:
    """A grant as JSON; a field set to DEFAULT is left out."""
    fields = {**GRANT, **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not DEFAULT}).encode()


def answered(body: bytes, status: int = 200, **headers: str) -> Answer:
    """An answer of a token endpoint."""
    return Answer(
        status,
        Fields((name.encode(), value.encode()) for name, value in headers.items()),
        body,
        "https://school.example/token",
    )


def registration(**changes: Any) -> Registration:
    """A registration for tests that ask nobody."""
    fields = {"name": "school", "client_id": "100", "token_url": "https://school.example/token"}
    return Registration(**{**fields, "audience": fields["token_url"], **changes})


def life(body: bytes) -> float:
    """For how many seconds the token of *body* is used."""
    return read_token(answered(body), registration(), asked_at=0.0, now=0.0).expires_at


def roster(connection: nrps.Connection, platform: ReferencePlatform, key: str = "c1") -> list[str]:
    """Read a roster; its user ids."""
    sheets = nrps.pages(connection, platform.memberships_url(key), effort(7200))
    return [each.user_id for sheet in sheets for each in sheet.page.members]


def with_courses(platform: ReferencePlatform, *keys: str, people: int = 1) -> None:
    """Add courses with that many members each."""
    for key in keys:
        platform.add(Course(key, members=[member(f"{key}-{n}") for n in range(people)]))


# The assertion


def claims_of(token: str) -> dict[str, Any]:
    """The claims of an assertion, unverified."""
    return jwt.decode(token, options={"verify_signature": False})


def test_assertion_claims(tool_key: SigningKey) -> None:
    """iss and sub the client, aud one text, iat backdated, five minutes to live, a kid (E114, E117, E123)."""
    made = assertion(registration(key=tool_key), now=1_000_000.9)
    claims = claims_of(made)

    assert jwt.get_unverified_header(made) == {"alg": "RS256", "typ": "JWT", "kid": tool_key.kid}
    assert len(claims.pop("jti")) >= 32
    assert claims == {
        "iss": "100",
        "sub": "100",
        "aud": "https://school.example/token",
        "iat": 999_990,
        "exp": 1_000_290,
    }


def test_every_assertion_has_its_own_jti(tool_key: SigningKey) -> None:
    """No two assertions share a jti (E116)."""
    own = registration(key=tool_key)

    assert len({claims_of(assertion(own, now=0))["jti"] for _ in range(20)}) == 20


def test_deployment_and_extra_claims(tool_key: SigningKey) -> None:
    """A deployment, further claims and another iss are sent where set; nothing else is overruled (E126)."""
    own = registration(key=tool_key, deployment_id="7", extra_claims={"iss": "x", "sub": "y", "role": "z"})
    claims = claims_of(assertion(own, now=0))

    assert (claims["iss"], claims["sub"], claims["role"], claims[DEPLOYMENT_CLAIM]) == ("x", "100", "z", "7")


@pytest.mark.parametrize("manner", MANNERS, ids=lambda manner: manner.name)
def test_every_platform_grants_and_serves(manner: Manner, tool_key: SigningKey) -> None:
    """Our assertion and our request are what each kind of platform accepts (E112, E119, E124, E125)."""
    with opened(tool_key, manner) as platform:
        with_courses(platform, "c1")
        with connected(registered(platform, tool_key)) as connection:
            assert roster(connection, platform) == ["c1-0"]

    assert len(platform.token_requests) == len(platform.roster_requests) == 1


def test_retried_token_requests_bear_a_new_jti(tool_key: SigningKey) -> None:
    """A platform that refuses replays grants at the third attempt (E116, E134)."""
    with opened(tool_key, SAKAI) as platform, connected(registered(platform, tool_key)) as connection:
        platform.token_script = [Reply(503), Reply(reset=True)]
        connection.tokens.token(effort())
        forms = [parse_qs(request.body.decode()) for request in platform.token_requests]

    assert len({claims_of(form["client_assertion"][0])["jti"] for form in forms}) == 3
    assert {tuple(form["scope"]) for form in forms} == {(SCOPE,)}


def test_wrong_audience_is_no_fault_of_ours_where_nobody_checks(tool_key: SigningKey) -> None:
    """E113: Moodle grants whatever the audience is; who checks it refuses, and the remedy says so."""
    with opened(tool_key, MOODLE) as platform:
        own = replace(registered(platform, tool_key), audience="https://elsewhere.example")
        with connected(own) as connection:
            assert connection.tokens.token(effort()).value
    with opened(tool_key, CANVAS) as platform:
        own = replace(registered(platform, tool_key), audience="https://elsewhere.example")
        error = refused(platform, own)

    assert "the audience https://elsewhere.example is not the one it expects" in error.remedy


# The answer


@pytest.mark.parametrize(
    ("expires_in", "expected"),
    [
        (3600, 3570.0),
        ("3600", 3570.0),
        (DEFAULT, DEFAULT_LIFE - 30),
        (None, DEFAULT_LIFE - 30),
        ("soon", DEFAULT_LIFE - 30),
        ("", DEFAULT_LIFE - 30),
        ([3600], DEFAULT_LIFE - 30),
        (True, DEFAULT_LIFE - 30),
        (False, DEFAULT_LIFE - 30),
        (float("nan"), DEFAULT_LIFE - 30),
        ("nan", DEFAULT_LIFE - 30),
        (float("inf"), 86_370.0),
        ("Infinity", 86_370.0),
        (10**400, 86_370.0),
        (-(10**400), 0.0),
        (59.5, 53.55),
        (10, 9.0),
        (0, 0.0),
        ("0", 0.0),
        (-5, 0.0),
        (float("-inf"), 0.0),
    ],
    ids=lambda value: "default" if value is DEFAULT else repr(value)[:12],
)
def test_expires_in(expires_in: object, expected: float) -> None:
    """A number or a text; missing or nonsense is an hour, nothing and less is over at once (E118)."""
    assert life(granted(expires_in=expires_in)) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER", " bearer ", "", None, DEFAULT, 7])
def test_token_type_in_any_form(kind: object) -> None:
    """token_type is read in any case, and may be missing (E118, E119)."""
    assert life(granted(token_type=kind)) > 0


def test_other_token_type_is_refused() -> None:
    """A token that is no bearer token cannot be used."""
    with pytest.raises(RefusedError):
        life(granted(token_type="mac"))


@pytest.mark.parametrize("scope", [SCOPE, f"a {SCOPE} b", f"a,{SCOPE}", [SCOPE], ["a", SCOPE], None, DEFAULT])
def test_scope_that_holds_ours(scope: object) -> None:
    """A scope that is missing is the one asked for; a text or a list must hold ours (E107, E108)."""
    assert life(granted(scope=scope)) > 0


@pytest.mark.parametrize(
    "scope", ["", " ", "a b", SCOPE + "x", SCOPE.upper(), [], ["a"], [[SCOPE]], {}, 0, False]
)
def test_scope_that_lacks_ours(scope: object) -> None:
    """A token without the membership scope is a scope error, though granted with 200 (E107)."""
    with pytest.raises(ScopeError, match="Names and Role"):
        life(granted(scope=scope))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"tok"',
        b"{}",
        b"<!DOCTYPE html><html></html>",
        b'{"access_token": ',
        b"[" * 5000,
        b"\xff\xfe",
        granted(access_token=""),
        granted(access_token=None),
        granted(access_token=["t"]),
        granted(access_token="a b"),
        granted(access_token="a\r\nX: y"),
        granted(access_token="käse"),
    ],
)
def test_answers_without_a_token(body: bytes) -> None:
    """200 with nothing that can be a token is refused, and never a bug (E110)."""
    with pytest.raises(RefusedError, match="without a token"):
        life(body)


@pytest.mark.parametrize("status", [200, 201])
def test_grants_under_a_byte_order_mark(status: int) -> None:
    """A byte-order mark before the JSON, and 201, are overlooked."""
    answer = answered(b"\xef\xbb\xbf" + granted(), status, **{"content-type": "text/html"})

    assert read_token(answer, registration(), asked_at=0, now=0).value == "tok-1"


@given(st.binary(max_size=200), st.sampled_from([200, 400, 401, 403, 418, 302]))
def test_no_answer_breaks_the_reading(body: bytes, status: int) -> None:
    """Whatever a token endpoint answers is a token or an error of ours."""
    with pytest.raises(RefusedError):
        read_token(answered(body, status), registration(), asked_at=0, now=0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys([*GRANT, "error", "error_description"], JSON)))
def test_no_grant_breaks_the_reading(fields: dict[str, Any]) -> None:
    """Whatever JSON stands in the fields of a grant is a token or an error of ours."""
    body = json.dumps({**GRANT, **fields}).encode()
    try:
        token = read_token(answered(body), registration(), asked_at=0, now=0)
    except RefusedError:
        return
    assert 0 <= token.expires_at <= 86_400


# Refusals


def refused(platform: ReferencePlatform, own: Registration) -> LtiRostersError:
    """The error that the token request ends in."""
    with connected(own) as connection, pytest.raises(LtiRostersError) as raised:
        connection.tokens.token(effort())
    assert platform.token_requests
    return raised.value


@pytest.mark.parametrize("manner", MANNERS, ids=lambda manner: manner.name)
def test_unknown_key_is_refused(manner: Manner, tool_key: SigningKey) -> None:
    """In every form of platforms, Moodle's broken JSON and OpenOlat's empty 200 too (E109, E110, E121, E141)."""
    with ReferencePlatform(manner, tool_keys=[]) as platform:
        error = refused(platform, registered(platform, tool_key))

    assert type(error) is RefusedError
    assert len(platform.token_requests) == 1
    if manner is MOODLE:
        assert '"kid" invalid, unable to lookup correct key' in str(error)
    if manner is not OPENOLAT:
        assert "kid" in error.remedy


@pytest.mark.parametrize("manner", [CANVAS, SAKAI, MOODLE, BLACKBOARD], ids=lambda manner: manner.name)
def test_missing_permission_is_a_scope_error(manner: Manner, tool_key: SigningKey) -> None:
    """invalid_scope says that the service is off for the tool, once and without a retry (E107, E108)."""
    with opened(tool_key, manner) as platform:
        platform.scopes = set()
        error = refused(platform, registered(platform, tool_key))

    assert isinstance(error, RefusedError)
    assert len(platform.token_requests) == 1


def test_scope_taken_away_in_silence(tool_key: SigningKey) -> None:
    """Open edX grants a token with an empty scope: that is a scope error (E107)."""
    with opened(tool_key, OPEN_EDX) as platform:
        platform.scopes = set()
        error = refused(platform, registered(platform, tool_key))

    assert type(error) is ScopeError


@pytest.mark.parametrize("form", ['{"error": "invalid_client", "error_description": "ask %s"}', "ask %s"])
def test_mail_addresses_in_a_refusal_are_not_shown(form: str, tool_key: SigningKey) -> None:
    """What the token endpoint says is told, without whom it names."""
    with opened(tool_key, CANVAS) as platform:
        platform.token_script = lambda _: Reply(400, [], (form % "z.fitz+lms@lab.example").encode())
        error = refused(platform, registered(platform, tool_key))

    assert "ask" in str(error)
    assert "fitz" not in str(error)


@pytest.mark.parametrize(("skew", "side"), [(-400.0, "ahead of"), (400.0, "behind")])
def test_clock_skew_is_told(skew: float, side: str, tool_key: SigningKey) -> None:
    """Where the clocks differ the refusal says by how much, and which way (E117)."""
    with opened(tool_key, CANVAS) as platform:
        platform.skew = skew
        error = refused(platform, registered(platform, tool_key))

    assert f"s {side} the platform's" in str(error)


@pytest.mark.parametrize("skew", [-20.0, -9.0, 9.0, 20.0])
def test_small_skew_is_tolerated(skew: float, tool_key: SigningKey) -> None:
    """Clocks that differ by some seconds do no harm on a platform with 30 s leeway (E117)."""
    with opened(tool_key, CANVAS) as platform:
        platform.skew = skew
        with connected(registered(platform, tool_key)) as connection:
            assert connection.tokens.token(effort()).value


def test_moodle_without_leeway(tool_key: SigningKey) -> None:
    """A platform whose clock is some seconds behind and that allows nothing still grants (E117)."""
    with opened(tool_key, MOODLE) as platform:
        platform.skew = -8.0
        with connected(registered(platform, tool_key)) as connection:
            assert connection.tokens.token(effort()).value


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(404, body=b"nothing"), RefusedError),
        (Reply(302, [("Location", "/login")]), RefusedError),
        (Reply(200), RefusedError),
        (Reply(500), UnreachableError),
        (Reply(503, [("Retry-After", "400")]), UnreachableError),
        (Reply(429, [("Retry-After", "400")]), ThrottledError),
        (Reply(reset=True), UnreachableError),
    ],
    ids=["404", "302", "empty 200", "500", "maintenance", "throttled", "reset"],
)
def test_failure_is_asked_once(reply: Reply, error: type[LtiRostersError], tool_key: SigningKey) -> None:
    """A registration that gets no token asks once, not once per course, and fails each alike (E121, E134)."""
    with opened(tool_key, CANVAS) as platform:
        platform.token_script = lambda _: reply
        with_courses(platform, "c1")
        with connected(registered(platform, tool_key), max_attempts=2) as connection:
            errors = at_once(8, lambda _: roster(connection, platform))
            asked = len(platform.token_requests)
            errors += [failure_of(connection, platform) for _ in range(3)]

    assert {type(each) for each in errors} == {error}
    assert len({str(each) for each in errors}) == 1
    assert len({id(each) for each in errors}) == len(errors)
    assert asked == len(platform.token_requests) <= 2
    assert platform.roster_requests == []


def failure_of(connection: nrps.Connection, platform: ReferencePlatform, key: str = "c1") -> Exception:
    """The error that one roster ends in."""
    with pytest.raises(LtiRostersError) as raised:
        roster(connection, platform, key)
    return raised.value


@pytest.mark.parametrize("reply", [Reply(503), Reply(429), Reply(reset=True)], ids=["503", "429", "reset"])
def test_passing_failure_lapses(reply: Reply, tool_key: SigningKey) -> None:
    """A blip of the token endpoint costs the courses of a minute, not the rest of the run (E134)."""
    hurry = Hurry()
    with opened(tool_key, CANVAS) as platform:
        platform.token_script = [reply, reply]
        with_courses(platform, "c1")
        with connected(registered(platform, tool_key), stop=hurry, max_attempts=1) as connection:
            for asked in (1, 2):
                for _ in range(5):
                    failure_of(connection, platform)
                assert len(platform.token_requests) == asked
                hurry.wait(61)
            assert roster(connection, platform) == ["c1-0"]


@pytest.mark.parametrize("code", ["invalid_client", "invalid_scope"])
def test_refusal_does_not_lapse(code: str, tool_key: SigningKey) -> None:
    """A platform that refuses our assertion is asked once in a run, however long that takes (E121)."""
    hurry = Hurry()
    with opened(tool_key, CANVAS) as platform:
        platform.token_script = lambda _: json_reply(json.dumps({"error": code}).encode(), 400)
        with_courses(platform, "c1")
        with connected(registered(platform, tool_key), stop=hurry) as connection:
            for _ in range(3):
                assert isinstance(failure_of(connection, platform), RefusedError)
                hurry.wait(3600)

    assert len(platform.token_requests) == 1


@pytest.mark.parametrize("error", [Interrupted, RosterTimeoutError])
def test_wait_for_the_token_of_another_thread_ends(error: type[Exception], tool_key: SigningKey) -> None:
    """Who waits while another thread asks notices a stop of the run and the end of its own time."""
    stop, answer = threading.Event(), threading.Event()
    with opened(tool_key, CANVAS) as platform:
        asked = threading.Event()

        def slow(exchange: Any) -> Reply:
            asked.set()
            answer.wait(PATIENCE)
            return exchange.serve()

        platform.token_script = slow
        with connected(registered(platform, tool_key), stop=stop, timeout=2 * PATIENCE) as connection:
            first = threading.Thread(
                target=lambda: failure_or(lambda: connection.tokens.token(effort(2 * PATIENCE)))
            )
            first.start()
            assert asked.wait(PATIENCE)
            if error is Interrupted:
                stop.set()
            with pytest.raises(error):
                connection.tokens.token(effort(0.1))
            answer.set()
            first.join(PATIENCE)


def failure_or(act: Callable[[], object]) -> object:
    """What *act* returns, or the exception that it ends in."""
    try:
        return act()
    except Exception as error:
        return error


# One token for all


def test_many_workers_ask_for_one_token(tool_key: SigningKey) -> None:
    """Sixteen threads that begin together share one token request (E120, E130)."""
    with opened(tool_key, CANVAS) as platform:
        platform.latency = 0.02
        with_courses(platform, "c1")
        with connected(registered(platform, tool_key), stop=threading.Event()) as connection:
            assert at_once(16, lambda _: roster(connection, platform)) == [["c1-0"]] * 16

    assert platform.tokens_issued == 1


def test_two_registrations_do_not_share(tool_key: SigningKey) -> None:
    """Two registrations at one token URL each have a token of their own (E120)."""
    with opened(tool_key, CANVAS) as platform:
        own = registered(platform, tool_key)
        with connected(own) as first, connected(own) as second:
            assert first.tokens.token(effort()) != second.tokens.token(effort())


def test_token_is_renewed_when_due(tool_key: SigningKey) -> None:
    """Half a minute before its end a token is renewed, amid the pages if need be (E102)."""
    hurry = Hurry()
    with (
        opened(tool_key, CANVAS, token_lifetime=3600) as platform,
        connected(registered(platform, tool_key), stop=hurry) as connection,
    ):
        first = connection.tokens.token(effort())
        hurry.wait(3560)
        assert connection.tokens.token(effort()) is first
        hurry.wait(15)
        assert connection.tokens.token(effort()) is not first


def test_token_of_no_life_is_used_once(tool_key: SigningKey) -> None:
    """expires_in 0: the token serves its request and no other (E118)."""
    with opened(tool_key, CANVAS) as platform:
        platform.token_script = lambda exchange: _with_expiry(exchange.serve(), 0)
        with_courses(platform, "c1", people=120)
        with connected(registered(platform, tool_key)) as connection:
            assert len(roster(connection, platform)) == 120

    assert platform.tokens_issued == len(platform.roster_requests) == 3


def _with_expiry(reply: Reply, seconds: int) -> Reply:
    fields = json.loads(reply.body)
    return json_reply(json.dumps({**fields, "expires_in": seconds}).encode())


# Refused tokens


@pytest.mark.parametrize("manner", [CANVAS, SAKAI, MOODLE, OPEN_EDX], ids=lambda manner: manner.name)
def test_revoked_token_amid_a_roster(manner: Manner, tool_key: SigningKey) -> None:
    """401 or 403 on a later page: one new token, the same page again, nobody lost (E103, E105)."""
    with opened(tool_key, manner) as platform:
        with_courses(platform, "c1", people=120)
        with connected(registered(platform, tool_key)) as connection:
            url = platform.memberships_url("c1") + "?limit=50"
            found: list[str] = []
            for number, sheet in enumerate(nrps.pages(connection, url, effort())):
                found += [each.user_id for each in sheet.page.members]
                if number == 0:
                    platform.revoke_all()

    assert len(set(found)) == 120
    assert platform.tokens_issued == 2


def test_revoked_token_under_many_threads(tool_key: SigningKey) -> None:
    """All rosters under way when the token is revoked are read, with one more token for all (E103)."""
    keys = [f"c{n}" for n in range(40)]
    with opened(tool_key, CANVAS) as platform:
        with_courses(platform, *keys)
        platform.courses["c20"].script = lambda _: (
            platform.revoke_all() if platform.tokens_issued == 1 else None
        )
        with connected(registered(platform, tool_key), stop=threading.Event()) as connection:
            ends = at_once(8, lambda n: [roster(connection, platform, key) for key in keys[n::8]])

    assert ends == [[[f"{key}-0"] for key in keys[n::8]] for n in range(8)]
    assert platform.tokens_issued == 2


def test_refusal_that_overtakes_an_answer(tool_key: SigningKey) -> None:
    """A token that served others after this request was made, and was then revoked, is renewed (E103)."""
    with opened(tool_key, CANVAS) as platform:
        with_courses(platform, "slow", "quick")
        with connected(registered(platform, tool_key)) as connection:

            def overtake(exchange: Any) -> Reply | None:
                if exchange.attempt > 1:
                    return None
                assert roster(connection, platform, "quick") == ["quick-0"]
                platform.revoke_all()
                return None

            platform.courses["slow"].script = overtake
            assert roster(connection, platform, "slow") == ["slow-0"]


def test_token_that_expires_while_told_to_wait(tool_key: SigningKey) -> None:
    """A token that runs out during a Retry-After is renewed after it (E102, E127)."""
    hurry = Hurry()
    with opened(tool_key, CANVAS) as platform:

        def busy(exchange: Any) -> Reply | None:
            if exchange.attempt > 1:
                return None
            platform.revoke_all()
            return Reply(503, [("Retry-After", "50")])

        with_courses(platform, "c1")
        platform.courses["c1"].script = busy
        with connected(registered(platform, tool_key), stop=hurry) as connection:
            assert roster(connection, platform) == ["c1-0"]

    assert hurry.waits == [50.0]


def closed(reply: Reply) -> Callable[[Any], Reply]:
    """A course that is not for us."""
    return lambda _: reply


@pytest.mark.parametrize("status", [401, 403])
def test_second_refusal_ends_the_roster(status: int, tool_key: SigningKey) -> None:
    """A course that refuses the new token as well is refused after two requests (E103, E104, E106).

    The remedy names the usual traps: the service is off, another host than the token's (E115), a web server
    that strips Authorization (E141).
    """
    with opened(tool_key, CANVAS) as platform:
        with_courses(platform, "c1")
        platform.courses["c1"].script = closed(Reply(status))
        with connected(registered(platform, tool_key)) as connection, pytest.raises(RefusedError) as raised:
            roster(connection, platform)

    assert len(platform.roster_requests) == platform.tokens_issued == 2
    for trap in ("the roster service is off", "host is not the token's", "strips Authorization"):
        assert trap in str(raised.value)


def test_closed_courses_do_not_renew_for_ever(tool_key: SigningKey) -> None:
    """Among open courses, 30 closed ones cost three tokens more, not 30; open ones are read (E105, E136)."""
    with opened(tool_key, SAKAI) as platform:
        with_courses(platform, "open", "closed")
        platform.courses["closed"].script = closed(json_reply(b'{"error": "no"}', 403))
        with connected(registered(platform, tool_key)) as connection:
            for _ in range(30):
                with pytest.raises(RefusedError):
                    roster(connection, platform, "closed")
                assert roster(connection, platform, "open") == ["open-0"]

    assert platform.tokens_issued == 4


def test_service_that_is_off_does_not_renew_for_ever(tool_key: SigningKey) -> None:
    """Where every course is refused, tokens are asked for three times, then once a minute (E104, E106)."""
    hurry = Hurry()
    with opened(tool_key, CANVAS) as platform:
        with_courses(platform, "c1")
        platform.courses["c1"].script = closed(Reply(401))
        with connected(registered(platform, tool_key), stop=hurry) as connection:
            for _ in range(20):
                assert type(failure_of(connection, platform)) is RefusedError
            assert platform.tokens_issued == 4
            hurry.wait(61)
            for _ in range(20):
                assert type(failure_of(connection, platform)) is RefusedError

    assert platform.tokens_issued == 5


def test_revoked_token_among_closed_courses(tool_key: SigningKey) -> None:
    """Though closed courses made refusals suspect, a token that is revoked is renewed soon (E103)."""
    with opened(tool_key, SAKAI) as platform:
        with_courses(platform, "open", "closed")
        platform.courses["closed"].script = closed(json_reply(b"{}", 403))
        with connected(registered(platform, tool_key)) as connection:
            for _ in range(6):
                assert type(failure_of(connection, platform, "closed")) is RefusedError
                roster(connection, platform, "open")
            assert platform.tokens_issued == 4
            platform.revoke_all()
            lost = 0
            for _ in range(20):
                try:
                    roster(connection, platform, "open")
                except RefusedError:
                    lost += 1

    assert lost < 10


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (json_reply(b'{"error": "above_response_limit"}', 403), TooLargeError),
        (Reply(404), NotFoundError),
        (Reply(410), NotFoundError),
    ],
    ids=["too large", "404", "410"],
)
def test_other_refusals_cost_no_token(
    reply: Reply, error: type[LtiRostersError], tool_key: SigningKey
) -> None:
    """Too large and not found are of the course alone, told at the first request (E105, E111, E133)."""
    with opened(tool_key, OPEN_EDX) as platform:
        with_courses(platform, "c1")
        platform.courses["c1"].script = closed(reply)
        with connected(registered(platform, tool_key)) as connection:
            assert type(failure_of(connection, platform)) is error

    assert len(platform.roster_requests) == platform.tokens_issued == 1


def test_stop_amid_a_token_request_is_no_failure(tool_key: SigningKey) -> None:
    """An interrupt is not remembered as the registration's failure."""
    with opened(tool_key, CANVAS) as platform, connected(registered(platform, tool_key)) as connection:
        tokens: Tokens = connection.tokens
        connection.transport.stop.set()
        with pytest.raises(Exception, match=r"^$"):
            tokens.token(effort())
        connection.transport.stop.clear()
        assert tokens.token(effort()).expires_at > time.monotonic()


def test_token_hides_itself() -> None:
    """A token's repr does not show it (E149)."""
    token = read_token(answered(granted(access_token="hush")), registration(), asked_at=0, now=0)

    assert "hush" not in repr(token)
