"""Bad input, end to end: one screen that says what, where and what to do; the exit status; nothing lost.

Every case runs the real command over data that were loaded before.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from commands import SCREEN, Called, Desk, active_learners, carried_out, desk
from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import ReferencePlatform, Reply, member
from school import PREFIX, School

CANVAS = f"{PREFIX}REGISTRATIONS__CANVAS__"
SETTINGS_OR_TRIES = ("registrations", "roster_syncs")  # what a failing run may write
COURSES = 14  # more than a screen would hold, were each told for itself
LABEL = "PRIVATE KEY"
DAMAGED = f"-----BEGIN {LABEL}-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END {LABEL}-----\n"
PEOPLE = [member("u-ada", name="Ada Larkspur", email="ada@lab.example"), member("u-tom", name="Tom O'Quill")]
HTML = Reply(200, [("Content-Type", "text/html")], b"<!DOCTYPE html><title>Ada Larkspur signs in</title>")
NO_MEMBERS = Reply(
    200, [("Content-Type", "application/json")], b'{"id": "https://x.example", "context": {"id": "c0"}}'
)


def nothing(platform: ReferencePlatform) -> None:
    """Leave the platform as it is."""
    del platform


def no_scope(platform: ReferencePlatform) -> None:
    """Permit nothing to the tool."""
    platform.scopes = set()


def html_for_tokens(platform: ReferencePlatform) -> None:
    """Answer the token request with a page for people."""
    platform.token_script = lambda _: HTML


def answering(reply: Reply) -> Callable[[ReferencePlatform], None]:
    """Answer every roster with *reply*."""

    def change(platform: ReferencePlatform) -> None:
        for course in platform.courses.values():
            course.script = lambda _: reply

    return change


@dataclass(frozen=True, slots=True)
class Bad:
    """One fault: what is changed for it, the status it ends with, and what the message must name."""

    name: str
    status: int
    says: tuple[str, ...]  # what, where, what to do
    environment: dict[str, str] = field(default_factory=dict)
    change: Callable[[ReferencePlatform], None] = nothing

    def __str__(self) -> str:
        """The name, for test ids."""
        return self.name


BAD = (
    Bad(
        "missing_key",
        4,
        ("canvas, 14 courses", "private_key is missing", "Set private_key under", f"{CANVAS}PRIVATE_KEY"),
        {f"{PREFIX}PRIVATE_KEY": ""},
    ),
    Bad(
        "key_file_not_there",
        4,
        ("canvas, 14 courses", "There is no file nokey.pem", "in .dlt/secrets.toml", f"{PREFIX}PRIVATE_KEY"),
        {f"{PREFIX}PRIVATE_KEY": "nokey.pem"},
    ),
    Bad(
        "unreadable_key",
        4,
        ("canvas, 14 courses", "cut off or damaged", "Copy it again"),
        {f"{PREFIX}PRIVATE_KEY": DAMAGED},
    ),
    Bad(
        "wrong_client_id",
        5,
        ("canvas, 14 courses", "refused our assertion", "invalid_client", "client_id nobody is not known"),
        {f"{CANVAS}CLIENT_ID": "nobody"},
    ),
    Bad(
        "refused_scope",
        5,
        ("canvas, 14 courses", "scope", "Turn on Names and Role Provisioning"),
        change=no_scope,
    ),
    Bad(
        "unreachable_host",
        6,
        ("canvas, 14 courses", "lms.invalid cannot be reached", "Check the URL, the network and the proxy"),
        {f"{CANVAS}TOKEN_URL": "https://lms.invalid/token"},
    ),
    Bad(
        "nobody_listens",
        6,
        ("canvas, 14 courses", "127.0.0.1 cannot be reached", "the next run tries again"),
        {f"{CANVAS}TOKEN_URL": "http://127.0.0.1:9/token"},
    ),
    Bad(
        "html_for_a_token",
        5,
        ("canvas, 14 courses", "token endpoint answered 200 without a token", "Is token_url right?"),
        change=html_for_tokens,
    ),
    Bad(
        "html_for_a_roster",
        8,
        ("canvas, 14 courses", "an HTML page with status 200", "Check that the memberships URL"),
        change=answering(HTML),
    ),
    Bad("no_members", 8, ("canvas, 14 courses", "no members", "not a roster"), change=answering(NO_MEMBERS)),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a bad run showed, and what the tables held before and after it."""

    called: Called
    before: dict[str, Any]
    after: dict[str, Any]

    @property
    def said(self) -> str:
        """All that was printed, as one line."""
        return " ".join((self.called.out + " " + self.called.err).split())


@pytest.fixture(scope="module")
def loaded(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """A school whose courses were all loaded once."""
    with School(tmp_path_factory.mktemp("bad") / "school", tool_key) as school:
        school.open("canvas", max_attempts=2)
        for number in range(COURSES):
            school.add(f"c{number}", PEOPLE)
        assert carried_out(school)["exit_status"] == 0
        yield school


@pytest.fixture(scope="module", params=BAD, ids=str)
def shown(request: pytest.FixtureRequest, loaded: School) -> tuple[Bad, Shown]:
    """One bad run, its platform mended afterwards."""
    bad: Bad = request.param
    platform, scopes = loaded.platform, loaded.platform.scopes
    before = loaded.everything(but=SETTINGS_OR_TRIES)
    bad.change(platform)
    with desk(loaded) as at:
        called = at.call("run", "--no-models", **bad.environment)
    platform.scopes, platform.token_script = scopes, None
    for course in platform.courses.values():
        course.script = None
    return bad, Shown(called, before, loaded.everything(but=SETTINGS_OR_TRIES))


def test_the_exit_status_tells_the_cause(shown: tuple[Bad, Shown]) -> None:
    """That of design §6."""
    bad, run = shown

    assert run.called.status == bad.status
    assert f"Exit {bad.status}." in run.said


def test_the_message_says_what_where_and_what_to_do(shown: tuple[Bad, Shown]) -> None:
    """Once for all courses that it concerns."""
    bad, run = shown

    assert [words for words in bad.says if words not in run.said] == []
    assert run.said.count("✗") == 1


def test_the_message_is_one_screen(shown: tuple[Bad, Shown]) -> None:
    """At most 24 lines of 80 columns, and no traceback."""
    _, run = shown

    assert run.called.lines <= SCREEN
    assert "Traceback" not in run.said


def test_nothing_is_lost(shown: tuple[Bad, Shown]) -> None:
    """Nothing that was read is changed, and that is said."""
    _, run = shown

    assert run.after == run.before
    assert len(run.after["memberships"]) == COURSES * len(PEOPLE)
    assert "every roster stays as it was" in run.said


def test_nothing_secret_is_shown(shown: tuple[Bad, Shown], loaded: School) -> None:
    """No member, no token, no assertion, nothing of a key."""
    _, run = shown
    pem = (loaded.directory / "tool.pem").read_text().splitlines()
    secrets = ["Ada", "Larkspur", "u-ada", "lab.example", "eyJ", "MIIEvQIB", *pem[1:-1]]
    sent = {each.request.header("Authorization") or "" for each in loaded.platform.roster_requests}
    secrets += [header.removeprefix("Bearer ") for header in sent if header]

    assert [secret for secret in secrets if secret in run.said] == []


def test_a_bad_night_leaves_the_courses_counted_and_failing(school: School) -> None:
    """After a loaded night and a bad one, `active_learners` shows the last complete roster, state failing."""
    course = school.add("c1", PEOPLE)
    carried_out(school)
    course.script = lambda _: HTML

    told = carried_out(school, with_models=True)

    assert told["exit_status"] == 8
    assert active_learners(school.database) == {("canvas", "c1"): (2, "failing")}


# Settings


@pytest.fixture
def bare(school: School) -> Desk:
    """A directory without any settings."""
    return Desk(school.directory)


def test_no_settings_at_all_are_explained(bare: Desk) -> None:
    """Exit 4, how to begin, on one screen and on stderr."""
    called = bare.call("run")

    assert (called.status, called.out, called.lines <= SCREEN) == (4, "", True)
    assert "There is no registration. Add a table such as" in " ".join(called.err.split())


def test_all_missing_settings_are_told_at_once(bare: Desk) -> None:
    """Five of one registration, each with the file and the variable where it may stand, on one screen."""
    called = bare.call("run", **{f"{PREFIX}REGISTRATION_NAMES": "canvas"})

    said = " ".join((called.out + called.err).split())
    names = ("issuer", "client_id", "token_url", "private_key", "contexts")
    assert (called.status, called.lines <= SCREEN) == (4, True)
    assert [name for name in names if f"{name} is missing" not in said] == []
    assert [name for name in names if CANVAS + name.upper() not in said] == []


def test_a_settings_file_that_is_no_toml_is_told(bare: Desk) -> None:
    """With its name and the place in it."""
    (bare.directory / ".dlt").mkdir()
    (bare.directory / ".dlt" / "config.toml").write_text("issuer = = 1")

    called = bare.call("run")

    assert (called.status, "Traceback" in called.err) == (4, False)
    assert "config.toml is not valid TOML at line 1" in called.err


def test_a_catalogue_that_is_not_there_is_told(school: School) -> None:
    """The file that was named, exit 4, and nothing else is touched."""
    school.add("c1", ["ann"])
    carried_out(school)

    with desk(school) as at:
        called = at.call("run", "--no-models", **{f"{CANVAS}CONTEXTS": "nocourses.csv"})

    assert (called.status, "nocourses.csv" in called.out + called.err) == (4, True)
    assert school.members("c1") == {"ann"}
