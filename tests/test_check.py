"""`lti-rosters check`: one fault at a time on a real platform, and what is said of it."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from commands import desk, document, valid
from door import registered
from lti_rosters.checks.check import PROVIDERS, Order, check
from lti_rosters.checks.platforms import HINTS, PRODUCTS, hint, product_of
from lti_rosters.checks.text import print_check
from lti_rosters.keys.files import write_new
from lti_rosters.keys.jwks import key_set
from lti_rosters.keys.rotation import publish
from lti_rosters.keys.signing import SigningKey, new_key, private_pem, public_jwk
from lti_rosters.reference.platform import (
    CANVAS,
    D2L,
    MOODLE,
    OPEN_EDX,
    OPENOLAT,
    SAKAI,
    TAO,
    Course,
    Exchange,
    Manner,
    ReferencePlatform,
    Reply,
    member,
)
from lti_rosters.settings.registration import Registration
from lti_rosters.settings.settings import Settings, read_settings
from patience import PATIENCE
from school import School

STEPS = ["settings", "key", "jwks", "token", "scope", "roster", "link", "clock", "manners"]
PEOPLE = [member("u-ada", name="Ada Larkspur", email="ada@lab.example"), member("u-tom", ("Instructor",))]
SECRETS = ("Ada", "Larkspur", "u-ada", "u-tom", "lab.example", "eyJ", "PRIVATE KEY-")
JSON = [("Content-Type", "application/json")]
JWKS = "/jwks.json"
SCREEN = 24  # lines of 80 columns


@pytest.fixture(scope="module")
def other_key() -> SigningKey:
    """A key that is not the tool's."""
    return new_key()


@dataclass
class Clinic:
    """A platform with one course, and the registration of the tool there; both may be made worse."""

    key: SigningKey
    platform: ReferencePlatform
    registration: Registration
    checked: dict[str, Any] = field(default_factory=dict)

    @property
    def course(self) -> Course:
        """The one course."""
        return self.platform.courses["c1"]

    def set(self, **fields: Any) -> None:
        """Change fields of the registration."""
        self.registration = replace(self.registration, **fields)

    def options(self, **options: Any) -> None:
        """Change options of the registration."""
        self.set(options=replace(self.registration.options, **options))

    def publish(self, body: bytes | Reply) -> None:
        """Serve *body* as our JWKS, and tell the registration where."""
        reply = body if isinstance(body, Reply) else Reply(200, JSON, body)
        self.platform.routes[JWKS] = lambda _: reply
        self.set(jwks_url=self.platform.origin + JWKS)

    def check(self, *others: Registration, **order: Any) -> dict[str, Any]:
        """Check, and return the document, which must keep to the schema."""
        settings = Settings("keep", (self.registration, *others))
        self.checked = valid(check(Order(**order), settings=settings))
        return self.checked


@contextmanager
def clinic(key: SigningKey, manner: Manner = CANVAS, **options: Any) -> Iterator[Clinic]:
    """Open one."""
    with ReferencePlatform(manner, tool_keys=[public_jwk(key)]) as platform:
        platform.add(Course("c1", key="c1", title="Botany", members=list(PEOPLE)))
        registration = registered(platform, key, **options)
        yield Clinic(key, platform, replace(registration, contexts=[platform.memberships_url("c1")]))


@pytest.fixture
def at(tool_key: SigningKey) -> Iterator[Clinic]:
    """A Canvas-like platform on which all is well."""
    with clinic(tool_key) as made:
        yield made


def states(told: dict[str, Any], name: str = "school") -> dict[str, str]:
    """The state of every step of a registration."""
    return {step["step"]: step["state"] for step in told["checks"][name]["steps"]}


def findings(told: dict[str, Any], step: str, name: str = "school") -> list[dict[str, Any]]:
    """What a step found."""
    (found,) = [each for each in told["checks"][name]["steps"] if each["step"] == step]
    return list(found["findings"])


def facts(told: dict[str, Any], step: str, name: str = "school") -> dict[str, Any]:
    """The facts of a step."""
    (found,) = [each for each in told["checks"][name]["steps"] if each["step"] == step]
    return dict(found["facts"])


def shown(told: dict[str, Any], width: int = 80) -> str:
    """What people see of it, and on stderr."""
    out = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    print_check(told, out, out)
    return out.export_text()


# All is well


def test_a_good_platform_passes_every_step(at: Clinic) -> None:
    """Exit 0, every step gone through in order, each with what it saw."""
    at.publish(json.dumps(key_set([at.key])).encode())

    told = at.check()

    assert list(states(told)) == STEPS
    assert {step for step, state in states(told).items() if state != "ok"} == {"jwks"}  # on loopback
    assert (told["exit_status"], told["failures"], told["command"]) == (0, [], "check")
    assert facts(told, "key") == {"bits": 2048, "algorithm": "RS256", "kid": at.key.kid}


def test_one_token_and_one_page_are_asked_for(at: Clinic) -> None:
    """However many courses and pages there are: a check costs a platform two requests."""
    at.course.members = [member(f"u{n}") for n in range(120)]
    at.platform.add(Course("c2", key="c2"))
    at.set(contexts=[at.platform.memberships_url("c1"), at.platform.memberships_url("c2")])

    told = at.check()

    assert (len(at.platform.token_requests), len(at.platform.roster_requests)) == (1, 1)
    assert (facts(told, "manners")["has_next"], told["totals"]["requests"]) == (True, 2)


def test_the_key_set_is_read_without_a_token(at: Clinic) -> None:
    """As an LMS reads it: no Authorization goes there."""
    at.publish(json.dumps(key_set([at.key])).encode())

    at.check()

    (asked,) = [each for each in at.platform.requests if each.path == JWKS]
    assert "authorization" not in asked.headers


@pytest.mark.parametrize(
    ("manner", "form", "media", "differences"),
    [
        (CANVAS, "full URIs", "application/vnd.ims.lti-nrps.v2.membershipcontainer+json", False),
        (SAKAI, "full URIs", "application/json", False),
        (TAO, "full URIs", "application/vnd.ims.lti-nrps.v2.membershipcontainer+json", True),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_manners_are_told(
    tool_key: SigningKey, manner: Manner, form: str, media: str, differences: bool
) -> None:
    """Size of the page, form of the roles, differences, media type, and whether names and mail come."""
    with clinic(tool_key, manner) as at:
        at.course.members = [member("u1", ("http://purl.imsglobal.org/vocab/lis/v2/membership#Learner",))]
        told = at.check()

    assert facts(told, "manners") == {
        "page_members": 1,
        "has_next": False,
        "role_form": form,
        "offers_differences": differences,
        "media_type": media,
        "sends_names": False,
        "sends_mail": False,
        "names_context": True,
    }


def test_forms_of_roles_are_told_apart(at: Clinic) -> None:
    """Short names, URNs and URIs, together where a platform mixes them."""
    at.course.members = [
        member("u1", ("Learner",)),
        member(
            "u2",
            ("urn:lti:role:ims/lis/Learner", "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"),
        ),
    ]

    assert facts(at.check(), "manners")["role_form"] == "URNs and full URIs and short names"


# One fault at a time


Change = Callable[[Clinic], object]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: how it is made, which step fails of it, the exit status, and what must be said."""

    name: str
    step: str
    status: int
    says: tuple[str, ...]
    change: Change
    manner: Manner = CANVAS
    state: str = "failed"

    def __str__(self) -> str:
        """The name, for test ids."""
        return self.name


def roster(reply: Reply) -> Change:
    """Answer the roster with *reply*."""

    def change(at: Clinic) -> None:
        at.course.script = lambda _: reply

    return change


def tokens(reply: Reply) -> Change:
    """Answer the token request with *reply*."""

    def change(at: Clinic) -> None:
        at.platform.token_script = lambda _: reply

    return change


def jwks(make: Callable[[Clinic], bytes | Reply]) -> Change:
    """Publish what *make* makes as our JWKS."""
    return lambda at: at.publish(make(at))


def ours(at: Clinic, **more: Any) -> bytes:
    """Our JWKS, its one key with *more* members."""
    return json.dumps({"keys": [{**public_jwk(at.key), **more}]}).encode()


def cut_link(at: Clinic) -> None:
    """Serve a full page whose Link header something on the way has stripped."""
    at.course.members = [member(f"u{n}") for n in range(120)]

    def script(exchange: Exchange) -> Reply:
        reply = exchange.serve()
        return replace(reply, headers=[each for each in reply.headers if each[0].lower() != "link"])

    at.course.script = script


def linked(target: str) -> Change:
    """Serve the page with a next link to *target*."""

    def change(at: Clinic) -> None:
        link = target.replace("SELF", at.platform.memberships_url("c1"))

        def script(exchange: Exchange) -> Reply:
            reply = exchange.serve()
            headers = [each for each in reply.headers if each[0].lower() != "link"]
            return replace(reply, headers=[*headers, ("Link", f'<{link}>; rel="next"')])

        at.course.script = script

    return change


def no_scope(at: Clinic) -> None:
    """Permit nothing to the tool."""
    at.platform.scopes = set()


def reduced_scope(at: Clinic) -> None:
    """Grant a token for something else."""
    token = json.dumps({"access_token": "t0", "token_type": "Bearer", "scope": "https://x.example/lineitem"})
    at.platform.token_script = lambda _: Reply(200, JSON, token.encode())


def skewed(seconds: float) -> Change:
    """Let the platform's clock be ahead by *seconds*."""

    def change(at: Clinic) -> None:
        at.platform.skew = seconds

    return change


def unreachable(at: Clinic) -> None:
    """Name a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    at.set(token_url=f"http://127.0.0.1:{port}/token")


def hanging(at: Clinic) -> None:
    """Accept the connection and say nothing."""
    at.platform.token_script = lambda _: Reply(200, JSON, b"", delay=2 * PATIENCE)
    at.options(timeout=0.2)


def hanging_jwks(at: Clinic) -> None:
    """The same for our JWKS."""
    at.publish(Reply(200, JSON, b"", delay=2 * PATIENCE))
    at.options(timeout=0.2)


def tls_to_plain(at: Clinic) -> None:
    """Speak TLS to a port that does not."""
    at.set(token_url=at.registration.token_url.replace("http://", "https://"))


V1 = json.dumps({"@context": "http://purl.imsglobal.org/ctx/lis/v2/MembershipContainer", "pageOf": {}})
HTML = Reply(200, [("Content-Type", "text/html")], b"<!DOCTYPE html><title>Ada Larkspur signs in</title>")
LOGIN = Reply(302, [("Location", "https://login.example/")])
LOGIN_HERE = Reply(200, [("Content-Type", "text/html")], b"<html>log in</html>")

FAULTS = (
    Fault(
        "wrong client id",
        "token",
        5,
        ("invalid_client", "client_id nobody is not known", "exactly the token URL of the host"),
        lambda at: at.set(client_id="nobody"),
    ),
    Fault(
        "unknown kid",
        "token",
        5,
        ("does not hold our public key with kid other",),
        lambda at: at.set(key=at.key.with_kid("other")),
    ),
    Fault(
        "unknown kid at Moodle, whose JSON is broken then",
        "token",
        5,
        ("kid other", "an unknown kid and a clock ahead"),
        lambda at: at.set(key=at.key.with_kid("other")),
        MOODLE,
    ),
    Fault(
        "wrong audience",
        "token",
        5,
        ("the 'aud' is invalid", "set audience"),
        lambda at: at.set(audience="https://elsewhere.example/token"),
    ),
    Fault(
        "the token URL as audience, at Brightspace",
        "token",
        5,
        ("https://api.brightspace.com/auth/token, which is not its token URL",),
        lambda at: at.set(audience=at.platform.token_url),
        D2L,
    ),
    Fault("clock behind", "token", 5, ("s behind the platform's: set it right",), skewed(400)),
    Fault("clock ahead", "clock", 5, ("s ahead of the platform's", "NTP"), skewed(-300)),
    Fault(
        "clock ahead by seconds, at Moodle",
        "clock",
        5,
        ("clock is 1", "one second ahead of its clock is refused"),
        skewed(-14),
        MOODLE,
    ),
    Fault(
        "scope refused",
        "scope",
        5,
        ("refuses the membership scope", "Turn on Names and Role Provisioning", "the whole request"),
        no_scope,
    ),
    Fault("scope reduced", "scope", 5, ("granted without the membership scope",), reduced_scope),
    Fault(
        "scope dropped without a word, at Open edX",
        "scope",
        5,
        ("granted without the membership scope", "without a word"),
        no_scope,
        OPEN_EDX,
    ),
    Fault(
        "HTML for a token", "token", 5, ("answered 200 without a token", "Is token_url right?"), tokens(HTML)
    ),
    Fault(
        "nothing for a token, at OpenOlat",
        "token",
        5,
        ("without a token that can be used",),
        lambda at: at.set(client_id="nobody"),
        OPENOLAT,
    ),
    Fault("a login page for a token", "token", 5, ("Is token_url right?",), tokens(LOGIN)),
    Fault("no token endpoint", "token", 5, ("Is token_url right?",), tokens(Reply(404))),
    Fault("unreachable port", "token", 6, ("127.0.0.1 cannot be reached",), unreachable),
    Fault("TLS to a plain port", "token", 6, ("cannot be reached",), tls_to_plain),
    Fault("hanging socket", "token", 6, ("sent no byte for 0.2 s",), hanging),
    Fault("the platform is down", "token", 6, ("answered 503",), tokens(Reply(503))),
    Fault("throttled token", "token", 7, ("throttles us",), tokens(Reply(429, [("Retry-After", "60")]))),
    Fault(
        "no roster",
        "roster",
        8,
        ("offers no roster here (404)", "take it from a recent launch"),
        roster(Reply(404)),
    ),
    Fault("HTML for a roster", "roster", 8, ("an HTML page with status 200",), roster(HTML)),
    Fault("login redirect", "roster", 8, ("another host, login.example", "allow_hosts"), roster(LOGIN)),
    Fault(
        "version 1 container",
        "roster",
        8,
        ("version 1 membership container",),
        roster(Reply(200, JSON, V1.encode())),
    ),
    Fault(
        "no byte for a roster, at Sakai",
        "roster",
        8,
        ("no byte at all", 'zero_bytes = "empty"'),
        roster(Reply(200)),
        SAKAI,
    ),
    Fault(
        "token refused at the roster",
        "roster",
        5,
        ("refuses our token", "token_url and the memberships URL must have the same"),
        roster(Reply(401)),
    ),
    Fault(
        "token refused, at Sakai",
        "roster",
        5,
        ("does not know or that has expired",),
        roster(Reply(403)),
        SAKAI,
    ),
    Fault("throttled roster", "roster", 7, ("throttles us",), roster(Reply(429))),
    Fault(
        "throttled as Canvas does",
        "roster",
        7,
        ("throttles us",),
        lambda at: setattr(at.platform, "throttle_next", 9),
    ),
    Fault(
        "too many learners, at Open edX",
        "roster",
        8,
        ("above_response_limit", "more than 1,000 learners"),
        lambda at: setattr(at.course, "members", [member(f"u{n}") for n in range(1001)]),
        OPEN_EDX,
    ),
    Fault(
        "next page elsewhere",
        "link",
        3,
        ("another host, evil.example. Not followed",),
        linked("https://evil.example/2"),
    ),
    Fault("next page is the page", "link", 3, ("the same page again", "repeated_next"), linked("SELF")),
    Fault("next page is no URL", "link", 3, ("the next link is no URL",), linked("https://[::1/2")),
    Fault("missing Link", "link", 0, ("just 50 members", "strips the header"), cut_link, state="warning"),
    Fault(
        "empty course",
        "roster",
        0,
        ("the roster is empty",),
        lambda at: at.course.members.clear(),
        state="warning",
    ),
    Fault(
        "empty course at Brightspace",
        "roster",
        0,
        ("the roster is empty", "have launched the tool"),
        lambda at: at.course.members.clear(),
        D2L,
        state="warning",
    ),
    Fault(
        "a clock ahead that is tolerated",
        "clock",
        0,
        ("clock is 3", "NTP"),
        skewed(-36),
        state="warning",
    ),
    Fault(
        "our key is not published",
        "jwks",
        3,
        ("is not in it. There: old",),
        jwks(lambda at: ours(at, kid="old")),
    ),
    Fault(
        "a private key in our JWKS",
        "jwks",
        3,
        ("PRIVATE members of keys are published", "shows d, p", "make new keys at once"),
        jwks(lambda at: ours(at, d="c2VjcmV0LW9mLXRoZS1rZXk", p="c2VjcmV0LW9mLXRoZS1rZXk")),
    ),
    Fault("no JWKS there", "jwks", 3, ("answers 404 instead of a JWKS",), jwks(lambda _: Reply(404))),
    Fault("a page for our JWKS", "jwks", 3, ("answers an HTML page instead",), jwks(lambda _: LOGIN_HERE)),
    Fault("a login before our JWKS", "jwks", 3, ("redirects to another host",), jwks(lambda _: LOGIN)),
    Fault("our JWKS hangs", "jwks", 3, ("no answer came within 0.2 s",), hanging_jwks),
    Fault("an endless JWKS", "jwks", 3, ("larger than 1 MB",), jwks(lambda _: b" " * 1_000_001)),
    Fault(
        "jwks_url without TLS",
        "jwks",
        3,
        ("without TLS",),
        lambda at: at.set(jwks_url="http://tool.example/jwks.json"),
    ),
    Fault(
        "a row of the catalogue that cannot be read",
        "settings",
        3,
        ("a row of the catalogue cannot be read",),
        lambda at: at.set(contexts=[*at.registration.contexts, "http://lms.example/plain"]),
    ),
    Fault(
        "an empty catalogue",
        "settings",
        0,
        ("the catalogue has no course",),
        lambda at: at.set(contexts=[]),
        state="warning",
    ),
)


@pytest.fixture(scope="module", params=FAULTS, ids=str)
def faulty(request: pytest.FixtureRequest, tool_key: SigningKey) -> tuple[Fault, Clinic]:
    """One fault, checked."""
    fault: Fault = request.param
    with clinic(tool_key, fault.manner) as at:
        at.course.members = list(PEOPLE)
        fault.change(at)
        at.check()
    return fault, at


def test_the_step_that_fails_is_named(faulty: tuple[Fault, Clinic]) -> None:
    """In its state; every step that needs it is not tried, and no other step fails."""
    fault, at = faulty
    told = states(at.checked)
    worst = {step for step, state in told.items() if state == "failed"}

    assert told[fault.step] == fault.state
    if fault.state == "failed":
        assert worst - {fault.step} <= {"token", "clock"}
    else:
        assert worst == set()
    if fault.step in ("token", "scope"):
        assert {told["roster"], told["link"], told["manners"]} == {"not_tried"}


def test_the_exit_status_is_that_of_the_cause(faulty: tuple[Fault, Clinic]) -> None:
    """Design §6: the cause where nothing was read, 3 where a page was, 0 for what is to be looked at only."""
    fault, at = faulty

    assert at.checked["exit_status"] == fault.status


def test_what_is_said_names_cause_and_remedy(faulty: tuple[Fault, Clinic]) -> None:
    """In the document, and in the text on one screen of 80 columns."""
    fault, at = faulty
    found = " ".join(
        " ".join((each["what"], each["remedy"], each["hint"])) for each in findings(at.checked, fault.step)
    )
    text = shown(at.checked)

    assert [words for words in fault.says if words not in found] == []
    assert [words for words in fault.says if words not in " ".join(text.split())] == []
    assert len(text.splitlines()) <= SCREEN


def test_nothing_secret_is_shown(faulty: tuple[Fault, Clinic]) -> None:
    """No member, token, assertion or key, in the document or in the text."""
    _, at = faulty
    told = json.dumps(at.checked, ensure_ascii=False) + shown(at.checked)
    sent = {each.headers.get("authorization", "") for each in at.platform.requests}
    forms = [each.body.decode() for each in at.platform.token_requests]
    hidden = [header.removeprefix("Bearer ") for header in sent if header]
    hidden += [
        part for form in forms for pair in form.split("&") for part in pair.split("=") if len(part) > 90
    ]
    hidden += ["c2VjcmV0LW9mLXRoZS1rZXk", *private_pem(at.key).splitlines()[1:-1]]

    assert [secret for secret in (*SECRETS, *hidden) if secret in told] == []


# More than one registration


def test_registrations_are_checked_side_by_side_and_apart(tool_key: SigningKey) -> None:
    """All of them are asked before one answers; a broken one leaves the others as they are; then exit 3."""
    all_asked = threading.Barrier(3)

    def together(exchange: Exchange) -> Reply | None:
        all_asked.wait(PATIENCE)
        return exchange.serve()

    with clinic(tool_key) as one, clinic(tool_key) as two, clinic(tool_key) as three:
        for at in (one, two, three):
            at.platform.token_script = together
        two.set(client_id="nobody", name="two")
        three.set(name="three")
        told = one.check(two.registration, three.registration)

    assert (states(told)["roster"], states(told, "three")["roster"]) == ("ok", "ok")
    assert (states(told, "two")["token"], told["exit_status"]) == ("failed", 3)
    assert [(each["registration"], each["where"]) for each in told["failures"]] == [("two", "token")]


def test_the_first_cause_of_the_order_counts(at: Clinic, tool_key: SigningKey) -> None:
    """With nothing read anywhere: 5 before 6 (design §6)."""
    unreachable(at)
    with clinic(tool_key) as other:
        other.set(client_id="nobody", name="other")
        told = at.check(other.registration)

    assert told["exit_status"] == 5


def test_the_same_fault_is_explained_once(at: Clinic) -> None:
    """For all the registrations that have it; and the table fits a screen of 80 columns."""
    at.course.script = lambda _: Reply(404)
    others = [replace(at.registration, name=f"school_of_{n}") for n in range(3)]

    text = shown(at.check(*others))

    assert text.count("offers no roster here") == 1
    assert "(and 3 more)" in text
    assert max(map(len, text.splitlines())) <= 80


def test_an_unforeseen_fault_stays_with_its_registration(at: Clinic) -> None:
    """A bug in one visit is exit 1 for it, told by its kind, and the others are checked."""
    broken = replace(at.registration, name="broken", key=object())

    told = at.check(broken)

    assert states(told)["roster"] == "ok"
    assert (states(told, "broken")["key"], told["exit_status"]) == ("failed", 3)
    assert "an unexpected AttributeError" in findings(told, "key", "broken")[0]["what"]


def test_courses_that_are_gone_do_not_hide_the_platform(at: Clinic) -> None:
    """A 404 for the first course of the catalogue is told; the next one is read."""
    gone = at.platform.memberships_url("gone")
    at.set(contexts=[gone, *at.registration.contexts])

    told = at.check()

    assert (states(told)["roster"], told["exit_status"]) == ("warning", 0)
    assert "offers no roster here" in findings(told, "roster")[0]["what"]


def test_a_registration_without_usable_settings_is_not_visited(school: School) -> None:
    """Its faults with the places to mend them; the rest not tried; the other registration is checked."""
    school.add("c1", ["ann"])
    school.options["canvas"]["contexts"] = school.urls()
    school.register("broken", school.platform, token_url="no url")
    with school.settings():
        told = valid(check(Order(), settings=read_settings()))

    assert set(states(told, "broken").values()) == {"failed", "not_tried"}
    assert (
        "SOURCES__LTI_ROSTERS__REGISTRATIONS__BROKEN__TOKEN_URL"
        in findings(told, "settings", "broken")[0]["what"]
    )
    assert (states(told, "canvas")["roster"], told["exit_status"]) == ("ok", 3)


def test_a_catalogue_that_is_not_there_leaves_key_and_token(at: Clinic) -> None:
    """The catalogue's fault is told, exit 4, and the platform is still asked for a token."""
    at.set(contexts="nocourses.csv")

    told = at.check()

    assert (states(told)["settings"], states(told)["token"], states(told)["roster"]) == (
        "failed",
        "ok",
        "not_tried",
    )
    assert (told["exit_status"], "nocourses.csv" in findings(told, "settings")[0]["what"]) == (4, True)


def test_a_provider_without_steps_of_its_own_has_those_that_all_share(
    at: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings, roster, link, clock, manners."""
    monkeypatch.delitem(PROVIDERS, "nrps")

    told = at.check()

    assert list(states(told)) == ["settings", "roster", "link", "clock", "manners"]
    assert set(states(told).values()) == {"ok"}


def test_a_stop_ends_it(at: Clinic) -> None:
    """Exit 130, what was not looked at is not tried."""
    stop = threading.Event()
    stop.set()

    told = valid(check(Order(), settings=Settings("keep", (at.registration,)), stop=stop))

    assert (told["exit_status"], states(told)["token"]) == (130, "not_tried")


def test_a_next_key_that_is_not_published_yet_is_a_warning(at: Clinic, tmp_path: Path) -> None:
    """In a rotation the JWKS must come to hold the next key too, before the switch."""
    file = tmp_path / "tool.pem"
    write_new(file, private_pem(at.key).encode())
    publish(file)
    at.set(key_path=file)
    at.publish(json.dumps(key_set([at.key])).encode())

    told = at.check()

    assert [each["severity"] for each in findings(told, "jwks")] == ["warning", "warning"]  # and loopback
    assert "is not in it" in findings(told, "jwks")[0]["what"]


def test_a_key_file_open_to_others_is_told(at: Clinic, tmp_path: Path) -> None:
    """With the command that closes it."""
    file = tmp_path / "tool.pem"
    file.write_text(private_pem(at.key))
    file.chmod(0o644)
    at.set(key_path=file)

    told = at.check()

    assert (states(told)["key"], told["exit_status"]) == ("warning", 0)
    assert findings(told, "key")[0]["remedy"] == f"chmod 600 {file}"


def test_a_role_filter_that_is_ignored_is_told(tool_key: SigningKey) -> None:
    """Open edX ignores it: a warning, since it is applied on our side again."""
    learner = "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"
    with clinic(tool_key, OPEN_EDX, role=learner) as at:
        told = at.check()

    assert (states(told)["manners"], told["exit_status"]) == ("warning", 0)
    assert "1 of 2 members" in findings(told, "manners")[0]["what"]


# Products


def test_products_are_known_by_their_registration() -> None:
    """By the token URL first: an issuer may be shared; an unknown one has no name and no hint."""
    found = {
        manner.name: product_of(
            Registration(name="x", issuer=manner.issuer, token_url=f"https://l.example{manner.token_path}")
        )
        for manner in (CANVAS, MOODLE, D2L, SAKAI, OPEN_EDX, TAO)
    }

    assert found == {
        "canvas": "Canvas",
        "moodle": "Moodle",
        "d2l": "Brightspace",
        "sakai": "Sakai",
        "open_edx": "Open edX",
        "tao": "TAO",
    }
    assert (
        product_of(Registration(name="x", issuer="https://a.example", token_url="https://a.example/t"))
        is None
    )
    assert hint(None, "token", "refused") == ""


def test_every_hint_belongs_to_a_product_and_a_step() -> None:
    """A row that nothing leads to would be dead."""
    names = {product.name for product in PRODUCTS}

    assert {product for product, _, _ in HINTS} <= names
    assert {step for _, step, _ in HINTS} <= {*STEPS}


# The command


def test_the_command_prints_a_table_and_one_document(school: School) -> None:
    """The exit status, the table, JSON that keeps to the schema; nothing of it is written anywhere."""
    school.add("c1", ["ann"])
    with desk(school) as there:
        before = sorted(path.name for path in school.directory.rglob("*"))
        text = there.call("check")
        told = there.call("check", "--json", "--registration", "canvas")
        unknown = there.call("check", "--registration", "kanvas")

        after = sorted(path.name for path in school.directory.rglob("*"))
    assert (text.status, told.status, document(told.out)["command"]) == (0, 0, "check")
    assert "1 registration checked, without a fault; nothing was loaded." in " ".join(text.out.split())
    assert (
        unknown.status,
        'No registration "kanvas"' in unknown.err,
        "Nothing was checked" in unknown.err,
    ) == (4, True, True)
    assert before == after


# The destination


def tried(directory: Path, destination: str | None = None) -> dict[str, Any]:
    """The document of a check of nothing but the destination."""
    order = Order(with_destination=True, destination=destination, directory=directory)
    return valid(check(order, settings=Settings("keep", ())))


def test_duckdb_that_is_not_there_is_tried_beside(tmp_path: Path) -> None:
    """The file of the runs is not made, and nothing is left."""
    told = tried(tmp_path)

    assert [(step["step"], step["state"]) for step in told["destination_steps"]] == [
        ("connect", "ok"),
        ("create", "ok"),
        ("drop", "ok"),
    ]
    assert (list(tmp_path.iterdir()), told["exit_status"], told["destination"]) == ([], 0, "duckdb")


def test_without_the_option_the_destination_is_not_looked_at(at: Clinic) -> None:
    """It stands nowhere in the document."""
    assert "destination_steps" not in at.check()


def test_a_destination_that_is_unknown_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    """Exit 4, what to name instead."""
    told = tried(tmp_path, "nowhere")

    assert told["exit_status"] == 4
    assert told["destination_steps"][0]["findings"][0]["error_type"] == "configuration"


def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    """No database could be made there: exit 9."""
    told = tried(tmp_path / "gone")

    assert (told["exit_status"], told["destination_steps"][0]["state"]) == (9, "failed")
