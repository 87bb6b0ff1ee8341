"""`lti-rosters check` of an account of LTIAAS: one fault at a time on a fake one, and what is said of it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from replies import Page, pages

from commands import desk, document, valid
from fake_ltiaas import FakeLtiaas, refused
from lti_rosters.checks.check import Order, check
from lti_rosters.keys.signing import SigningKey, public_jwk
from lti_rosters.reference.platform import CANVAS, OPEN_EDX, Course, Manner, ReferencePlatform, Reply, member
from lti_rosters.settings.registration import Options, Registration
from lti_rosters.settings.settings import Settings
from school import School
from test_check import PEOPLE, SCREEN, SECRETS, facts, findings, shown, states

STEPS = ["settings", "api_key", "keys", "service", "roster", "link", "clock", "manners"]
KEYS = ("api-key-of-acme", "SERV-", "LTIK-", "wrong-key")
HTML = Reply(200, [("Content-Type", "text/html")], b"<!DOCTYPE html><title>Ada Larkspur signs in</title>")
CODE = "INVALID_LTIK_AUTH_AUTHORIZATION_HEADER"


@dataclass
class Clinic:
    """An account with two courses, and the registration with it; both may be made worse."""

    account: FakeLtiaas
    registration: Registration
    checked: dict[str, Any] = field(default_factory=dict)

    def rows(self, *rows: Any) -> None:
        """Let these be the catalogue."""
        self.registration = replace(self.registration, contexts=list(rows))

    def options(self, **options: Any) -> None:
        """Change options of the registration."""
        self.registration = replace(self.registration, options=replace(self.registration.options, **options))

    def answer(self, reply: Reply, *keys: str) -> None:
        """Answer what is asked with *keys* (all, unless told) with *reply*."""
        for key in keys or ("SERV-c1", "SERV-c2"):
            self.account.faults[key] = reply

    def check(self, *others: Registration) -> dict[str, Any]:
        """Check, and return the document, which must keep to the schema."""
        self.checked = valid(check(Order(), settings=Settings("keep", (self.registration, *others))))
        return self.checked


@contextmanager
def clinic(key: SigningKey, manner: Manner = CANVAS) -> Iterator[Clinic]:
    """Open one."""
    with (
        ReferencePlatform(manner, tool_keys=[public_jwk(key)]) as lms,
        FakeLtiaas(lms, key) as account,
    ):
        for name in ("c1", "c2"):
            lms.add(Course(name, key=name, title="Botany", members=list(PEOPLE)))
        registration = Registration(
            name="school",
            provider="ltiaas",
            base_url=account.origin,
            api_key=account.api_key,
            options=Options(),
            contexts=[{"service_key": "SERV-c1"}, {"service_key": "SERV-c2"}],
        )
        yield Clinic(account, registration)


@pytest.fixture
def at(tool_key: SigningKey) -> Iterator[Clinic]:
    """An account with which all is well."""
    with clinic(tool_key) as made:
        yield made


def test_a_good_account_passes_every_step(at: Clinic) -> None:
    """Exit 0, every step gone through in order, for one request; no key pair is asked for."""
    told = at.check()

    assert list(states(told)) == STEPS
    assert set(states(told).values()) == {"ok"}
    assert (told["exit_status"], len(at.account.requests)) == (0, 1)
    assert facts(told, "api_key") == {"accepted": ["SERVICE-AUTH-V1"]}
    assert facts(told, "manners")["page_members"] == 2


def test_every_way_that_the_catalogue_has_is_tried(at: Clinic) -> None:
    """A service key, a ltik, the API key alone: one course each; what will not last is a warning."""
    at.rows(
        {"service_key": "SERV-c1"},
        {"ltik": "LTIK-c2"},
        {"memberships_url": at.account.memberships_url("c2"), "context_id": "c3"},
    )

    told = at.check()

    assert facts(told, "api_key") == {"accepted": ["SERVICE-AUTH-V1", "LTIK-AUTH-V2", "Bearer"]}
    assert (states(told)["keys"], told["exit_status"], len(at.account.requests)) == ("warning", 0, 3)
    said = [each["what"] for each in findings(told, "keys")]
    assert ["24 hours" in said[0], "unverified" in said[1]] == [True, True]


def asked(at: Clinic) -> list[str]:
    """The service keys that were sent, in order."""
    return [(request.header("Authorization") or "").rpartition(":")[2] for request in at.account.requests]


def test_keys_are_tried_to_the_end_of_an_old_catalogue(at: Clinic) -> None:
    """The first three are stale, so the last, which may be the newest, comes next: it proves the API key."""
    at.rows(*({"service_key": f"SERV-old{number}"} for number in range(40)), {"service_key": "SERV-c1"})

    told = at.check()

    assert asked(at) == ["SERV-old0", "SERV-old1", "SERV-old2", "SERV-c1"]
    assert (states(told)["api_key"], states(told)["keys"], states(told)["roster"]) == ("ok", "failed", "ok")


def test_stale_keys_are_tried_ten_times_over_the_catalogue(at: Clinic) -> None:
    """Where none is good: from the end to the beginning, each once."""
    at.rows(*({"service_key": f"SERV-{number}"} for number in range(73)))

    told = at.check()

    assert asked(at) == [f"SERV-{number}" for number in (0, 1, 2, 72, 62, 52, 42, 32, 22, 12)]
    assert (states(told)["api_key"], told["exit_status"]) == ("failed", 5)
    assert len(shown(told).splitlines()) <= SCREEN


@pytest.mark.parametrize(
    "reply",
    [Reply(404), refused(401, "UNREGISTERED_OR_INACTIVE_PLATFORM"), refused(403, "no", externalUrl="/x")],
)
def test_what_says_nothing_of_keys_is_asked_for_three_times(at: Clinic, reply: Reply) -> None:
    """Another course would hear the same."""
    keys = [f"SERV-{number}" for number in range(12)]
    at.rows(*({"service_key": key} for key in keys))
    at.answer(reply, *keys)

    at.check()

    assert asked(at) == keys[:3]


Change = Callable[[Clinic], object]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: how it is made, which step shows it, the exit status, and what must be said."""

    name: str
    step: str
    status: int
    says: tuple[str, ...]
    change: Change
    state: str = "failed"
    manner: Manner = CANVAS
    never: tuple[str, ...] = ()  # what no step may say

    def __str__(self) -> str:
        """The name, for test ids."""
        return self.name


def wrong_key(at: Clinic) -> None:
    """Use another account's API key."""
    at.registration = replace(at.registration, api_key="wrong-key")


def elsewhere(at: Clinic) -> None:
    """Name an address where LTIAAS is not."""
    at.registration = replace(at.registration, base_url=at.account.origin + "/v0")


def unreachable(at: Clinic) -> None:
    """Name a port that nobody listens on."""
    at.registration = replace(at.registration, base_url="http://127.0.0.1:9")


def gone(at: Clinic) -> None:
    """Let the LMS offer neither course any more."""
    for course in at.account.courses.values():
        course.script = lambda _: Reply(404)


def withheld(at: Clinic) -> None:
    """Store ID tokens whose flag says no."""
    services = {"serviceKey": "SERV-c1", "namesAndRoles": {"available": False}}
    at.rows({"launch": {"context": {"id": "c1"}}, "services": services})


def of_all(script: Any) -> Change:
    """Let both courses at the LMS answer so."""

    def change(at: Clinic) -> None:
        for course in at.account.courses.values():
            course.script = script

    return change


ACCUSING = ("api_key is wrong", "stale", "API key or")  # of a key that was accepted
FAULTS = (
    Fault("wrong API key", "api_key", 5, (CODE, "api_key is wrong", "may be stale"), wrong_key),
    Fault(
        "every service key is stale",
        "api_key",
        5,
        ("The service key may be stale",),
        lambda at: at.rows({"service_key": "SERV-old"}, {"service_key": "SERV-older"}),
    ),
    Fault(
        "a ltik that is over",
        "api_key",
        5,
        ("A ltik holds for 24 hours",),
        lambda at: at.rows({"ltik": "LTIK-old"}),
    ),
    Fault(
        "the API key alone is not taken",
        "api_key",
        5,
        ("unverified: use a service key",),
        lambda at: (
            at.rows({"memberships_url": at.account.memberships_url("c1")}),
            at.answer(refused(401, CODE), ""),
        ),
    ),
    Fault(
        "one service key is stale",
        "keys",
        3,
        ("Others were accepted, so api_key is right", "store that of a newer launch"),
        lambda at: at.rows({"service_key": "SERV-old"}, {"service_key": "SERV-c1"}),
    ),
    Fault(
        "ltiks are over, service keys are not",
        "keys",
        3,
        ("A ltik holds for 24 hours",),
        lambda at: at.rows({"service_key": "SERV-c1"}, {"ltik": "LTIK-old"}),
    ),
    Fault(
        "the LMS is not active",
        "api_key",
        5,
        ("UNREGISTERED_OR_INACTIVE_PLATFORM", "Activate it in the LTIAAS portal"),
        lambda at: at.answer(refused(401, "UNREGISTERED_OR_INACTIVE_PLATFORM")),
    ),
    Fault(
        "the service is not active",
        "service",
        5,
        ("INACTIVE_SERVICE", "Activate it"),
        lambda at: at.answer(refused(403, "INACTIVE_SERVICE")),
    ),
    Fault(
        "no roster for any launch",
        "service",
        8,
        ("SERVICE_NOT_AVAILABLE_FOR_CONTEXT", "launch it again"),
        lambda at: at.answer(refused(400, "SERVICE_NOT_AVAILABLE_FOR_CONTEXT")),
    ),
    Fault(
        "no roster for one launch",
        "service",
        0,
        ("SERVICE_NOT_AVAILABLE_FOR_CONTEXT",),
        lambda at: at.answer(refused(400, "SERVICE_NOT_AVAILABLE_FOR_CONTEXT"), "SERV-c1"),
        "warning",
    ),
    Fault("flags that say no", "service", 0, ("no ID token of the catalogue offers",), withheld, "warning"),
    Fault(
        "the LMS refuses LTIAAS",
        "service",
        5,
        ("the LMS refuses LTIAAS the roster (403)", "in the LMS's registration of the tool"),
        of_all(lambda _: Reply(403)),
        never=ACCUSING,
    ),
    Fault(
        "the LMS refuses LTIAAS one course",
        "service",
        0,
        ("the LMS refuses LTIAAS the roster (401)",),
        lambda at: setattr(at.account.courses["c1"], "script", lambda _: Reply(401)),
        "warning",
        never=ACCUSING,
    ),
    Fault("the LMS has neither course", "service", 8, ("the LMS behind LTIAAS",), gone),
    Fault("another address", "service", 8, ("Is base_url your account's address",), elsewhere),
    Fault("out of reach", "api_key", 6, ("cannot be reached",), unreachable),
    Fault("down", "api_key", 6, ("answered 503",), lambda at: at.answer(Reply(503))),
    Fault(
        "hanging",
        "api_key",
        6,
        ("sent no byte for 0.2 s",),
        lambda at: (at.answer(Reply(200, [], b"", delay=30)), at.options(timeout=0.2)),
    ),
    Fault(
        "throttled",
        "api_key",
        7,
        ("throttles us",),
        lambda at: at.answer(Reply(429, [("Retry-After", "60")])),
    ),
    Fault("a page for a roster", "roster", 8, ("an HTML page with status 200",), lambda at: at.answer(HTML)),
    Fault(
        "no members",
        "roster",
        8,
        ("has no members",),
        lambda at: at.answer(Reply(200, [], b'{"id": "x"}')),
    ),
    Fault(
        "a next that is none",
        "roster",
        8,
        ("next is not a URL",),
        lambda at: at.answer(Reply(200, [], b'{"members": [], "next": 7}')),
    ),
    Fault("empty", "roster", 0, ("the roster is empty",), of_all(pages([])), "warning"),
    Fault(
        "next page is the page",
        "link",
        3,
        ("the same page again", "repeated_next"),
        lambda at: (
            at.rows({"memberships_url": at.account.memberships_url("c1")}),
            of_all(pages(Page(["ann"], links=['<>; rel="next"'])))(at),
        ),
    ),
    Fault("clock ahead", "clock", 0, ("s ahead of", "NTP"), lambda at: late(at), "warning"),
    Fault(
        "a role filter that the LMS ignores",
        "manners",
        0,
        ("does not apply the role filter",),
        lambda at: at.options(role="http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"),
        "warning",
        OPEN_EDX,
    ),
    Fault(
        "a key that was broken by copying",
        "api_key",
        4,
        ("holds characters that none has", "Copy it again"),
        lambda at: at.rows({"service_key": "SERV-c1\nSERV-c2"}),
    ),
    Fault(
        "two keys of one course",
        "settings",
        0,
        ("contexts, entry 2: two rows of one course with different keys",),
        lambda at: at.rows(*({"service_key": f"SERV-c{n}", "context_id": "c1"} for n in (1, 2))),
        "warning",
    ),
    Fault(
        "a row that cannot be read",
        "settings",
        3,
        ("a row of the catalogue cannot be read",),
        lambda at: at.rows({"service_key": "SERV-c1"}, {"title": "Botany"}),
    ),
)


def late(at: Clinic) -> None:
    """Answer with a Date of long ago."""
    body = json.dumps({"context": {"id": "c1"}, "members": [member("u1")]}).encode()
    at.answer(Reply(200, [("Date", "Wed, 01 Jan 2025 00:00:00 GMT")], body))


@pytest.fixture(scope="module", params=FAULTS, ids=str)
def faulty(request: pytest.FixtureRequest, tool_key: SigningKey) -> tuple[Fault, Clinic]:
    """One fault, checked."""
    fault: Fault = request.param
    with clinic(tool_key, fault.manner) as at:
        fault.change(at)
        at.check()
    return fault, at


def test_the_step_that_fails_is_named(faulty: tuple[Fault, Clinic]) -> None:
    """In its state, and no other fails; what needs it is not tried."""
    fault, at = faulty
    told = states(at.checked)

    assert list(told) == STEPS
    assert told[fault.step] == fault.state
    assert {step for step, state in told.items() if state == "failed"} == (
        {fault.step} if fault.state == "failed" else set()
    )
    if fault.step in ("api_key", "service") and fault.state == "failed":
        assert {told["roster"], told["link"], told["manners"]} == {"not_tried"}


def test_the_exit_status_is_that_of_the_cause(faulty: tuple[Fault, Clinic]) -> None:
    """Design §6: the cause where nothing was read, 3 where a page was, 0 for what is to be looked at only."""
    fault, at = faulty

    assert at.checked["exit_status"] == fault.status


def test_what_is_said_names_cause_and_remedy(faulty: tuple[Fault, Clinic]) -> None:
    """In the document, and in the text on one screen of 80 columns."""
    fault, at = faulty
    found = " ".join(" ".join((each["what"], each["remedy"])) for each in findings(at.checked, fault.step))
    text = shown(at.checked)

    assert [words for words in fault.says if words not in found] == []
    assert [words for words in fault.says if words not in " ".join(text.split())] == []
    assert [words for words in fault.never if words in json.dumps(at.checked)] == []
    assert len(text.splitlines()) <= SCREEN


def test_nothing_secret_is_shown(faulty: tuple[Fault, Clinic]) -> None:
    """No member, API key, service key or ltik, in the document or in the text."""
    _, at = faulty
    told = json.dumps(at.checked, ensure_ascii=False) + shown(at.checked)

    assert [secret for secret in (*SECRETS, *KEYS) if secret in told] == []


def test_an_account_and_a_platform_side_by_side(at: Clinic, tool_key: SigningKey) -> None:
    """A table for each with its steps' whole names; a broken account leaves the platform as it is, exit 3."""
    from test_check import clinic as of_platform

    wrong_key(at)
    with of_platform(tool_key) as platform:
        told = at.check(
            replace(platform.registration, name="canvas"),
            replace(platform.registration, name="the-canvas-of-the-faculty-of-mathematics"),
        )

    lines = shown(told).splitlines()
    assert (states(told)["api_key"], states(told, "canvas")["roster"]) == ("failed", "ok")
    assert told["exit_status"] == 3
    assert max(map(len, lines)) <= 80
    headers = [line.split()[1:] for line in lines if line.startswith("registration")]
    of_both = ["roster", "link", "clock"]
    assert headers == [
        ["settings", "API", "key", "keys", "service", *of_both],
        ["settings", "key", "JWKS", "token", "scope", *of_both],
    ]
    assert [line[:12] for line in lines[3:5]] == ["canvas      ", "the-canvas-o"]


def test_the_command_shows_no_key(school: School, tool_key: SigningKey) -> None:
    """A process of its own with --debug: stdout and stderr, for a good account and a refused one."""
    lms = school.platforms.pop("canvas")
    lms.add(Course("c1", members=list(PEOPLE)))
    with FakeLtiaas(lms, tool_key) as account:
        school.register("hub", account, **account.options)  # type: ignore[arg-type]
        school.catalogue["hub"] = [{"service_key": "SERV-c1"}, {"service_key": "SERV-old"}]
        with desk(school) as there:
            good = there.call("--debug", "check", "--json")
            account.api_key = "changed"
            bad = there.call("--debug", "check")

    assert (good.status, document(good.out)["exit_status"], bad.status) == (0, 0, 5)
    said = good.out + good.err + bad.out + bad.err
    assert [secret for secret in (*SECRETS, *KEYS) if secret in said] == []
