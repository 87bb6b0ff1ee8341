"""For any roster, cut into any pages, with any faults: the tables hold the roster, or the one before it.

Every example is a real server, real pages and two real loads into DuckDB. `ROSTERS_HOLD_EXAMPLES` asks for
more examples than the few of an ordinary test run.
"""

import gzip
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import Course, Exchange, Reply
from lti_rosters.roles import held
from scenarios.replies import Page, body, url
from school import School, people

EXAMPLES = int(os.environ.get("ROSTERS_HOLD_EXAMPLES", "6"))
COURSES = {
    "min_size": 3,
    "max_size": 8,
}  # in one example, read side by side: a load costs as much as hundreds of pages
PATIENT = {"max_attempts": 2}  # survives one fault of a request, and no two in a row
ROLES = (
    "Learner",
    "Instructor",
    "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner",
    "http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant",
    "https://vocab.example/roles#Wizard",
)

# Rosters

ids = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=8)
names = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
members = st.fixed_dictionaries(
    {
        "user_id": ids,
        "roles": st.lists(st.sampled_from(ROLES), max_size=3),
        "status": st.sampled_from(["Active", "Inactive", "Suspended"]),
        "name": names,
    }
)
rosters = st.lists(members, max_size=25, unique_by=lambda each: str(each["user_id"]))


@dataclass(frozen=True)
class Cut:
    """How a roster is cut into pages: the places of the cuts, and whether empty pages lie between."""

    places: tuple[float, ...] = ()

    def pages(self, roster: Sequence[Any]) -> list[Sequence[Any]]:
        """The pages, at least one; two cuts at one place make an empty page."""
        ends = [0, *sorted(int(place * len(roster)) for place in self.places), len(roster)]
        return [roster[start:end] for start, end in pairwise(ends)]


cuts = st.builds(Cut, st.lists(st.floats(0, 1), max_size=5).map(tuple))

# Faults: what a request is answered with in place of its page

Fault = Callable[[Reply], Reply]
PASSING: dict[str, Fault] = {
    **{
        f"status {status}": lambda _, status=status: body("busy", status)
        for status in (408, 425, 429, 500, 502, 503, 504)
    },
    "reset": lambda _: Reply(reset=True),
    "nothing at all": lambda _: Reply(raw=b""),
    "cut": lambda page: replace(page, cut_after=len(page.body) // 2),
    "cut in a chunk": lambda page: replace(page, chunked=True, cut_after=len(page.body) // 2),
    "cut before the first byte": lambda page: replace(page, cut_after=0),
    "cut inside gzip": lambda page: _zipped(page, cut=9),
    "throttled as Canvas does": lambda _: body("403 Forbidden (Rate Limit Exceeded)\n", 403),
    "told to wait no time": lambda _: body("", 503, Retry_After="0"),
}
HARMLESS: dict[str, Fault] = {
    "gzip": lambda page: _zipped(page, cut=0),
    "chunked": lambda page: replace(page, chunked=True),
    "a byte-order mark": lambda page: replace(page, body=b"\xef\xbb\xbf" + page.body),
    "another content type": lambda page: _with(page, "Content-Type", "text/html"),
}
FATAL: dict[str, Fault] = {
    **{
        f"status {status}": lambda _, status=status: body("no", status)
        for status in (400, 403, 404, 410, 413, 451)
    },
    "a login page": lambda _: body("<html><title>Log in</title></html>", Content_Type="text/html"),
    "half a container": lambda page: replace(page, body=page.body[: len(page.body) // 2]),
    "no members": lambda _: body({"context": {}}),
    "members that are no list": lambda _: body({"members": "ann"}),
    "two bodies in one": lambda page: replace(page, body=page.body * 2),
    "another host": lambda page: _with(page, "Link", '<https://elsewhere.example/p2>; rel="next"'),
    "two next links": lambda page: _with(page, "Link", '<?page=7>; rel="next", <?page=8>; rel="next"'),
    "a link to itself": lambda page: _with(page, "Link", '<?page=1>; rel="next"'),
    "a broken link": lambda page: _with(page, "Link", '<?page=2; rel="next"'),
    "a coding nobody asked for": lambda page: _with(page, "Content-Encoding", "br"),
    "a wait beyond all bounds": lambda _: body("", 503, Retry_After="999999"),
    "a redirect elsewhere": lambda _: body("", 302, Location="https://elsewhere.example/"),
}


def _with(page: Reply, name: str, value: str) -> Reply:
    kept = [header for header in page.headers if header[0] != name]
    return replace(page, headers=[*kept, (name, value)])


def _zipped(page: Reply, *, cut: int) -> Reply:
    content = gzip.compress(page.body)
    return _with(replace(page, body=content[: len(content) - cut]), "Content-Encoding", "gzip")


@dataclass
class Night:
    """What a course sends: a roster in pages; by page the fault that happens once, and a fatal one."""

    roster: list[Any]
    cut: Cut
    faults: dict[int, str]
    fatal: tuple[int, str] | None = None

    def script(self) -> Callable[[Exchange], Reply | None]:
        """A script for one night: each of its faults happens once, the fatal one always."""
        left = dict(self.faults)
        sent = self.cut.pages(self.roster)

        def answer(exchange: Exchange) -> Reply | None:
            refused = exchange.serve()
            if refused.status in (401, 403):
                return refused
            number = int(exchange.query.get("page", "1"))
            following = url(exchange, f"page={number + 1}") if number < len(sent) else None
            page = Page(people(sent[number - 1])).reply(exchange, following)
            if self.fatal is not None and number == self.fatal[0] % len(sent) + 1:
                return FATAL[self.fatal[1]](page)
            fault = left.pop(number, None)
            return page if fault is None else {**PASSING, **HARMLESS}[fault](page)

        return answer


faults = st.dictionaries(st.integers(1, 4), st.sampled_from(sorted({**PASSING, **HARMLESS})), max_size=3)
nights = st.builds(Night, rosters, cuts, faults)
fatal = st.tuples(st.integers(0, 5), st.sampled_from(sorted(FATAL)))
broken_nights = st.builds(Night, rosters, cuts, faults, fatal)
wholes = st.lists(st.tuples(nights, nights), **COURSES)
halves = st.lists(st.tuples(nights, broken_nights, st.booleans()), **COURSES)

bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink]
    if EXAMPLES > 50
    else [Phase.explicit, Phase.generate],
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
    derandomize=EXAMPLES <= 50,
)


@pytest.fixture(scope="module")
def shared(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """One school for all examples: each adds courses of its own to a warehouse that fills up."""
    with School(Path(tmp_path_factory.mktemp("hold")) / "school", tool_key) as school:
        school.open("canvas", **PATIENT)
        yield school


class Example:
    """Courses that no other example has, in the school shared by all."""

    made = 0

    def __init__(self, school: School, count: int) -> None:
        Example.made += 1
        self.school = school
        self.keys = [f"e{Example.made}-{number}" for number in range(count)]
        school.platform.courses.clear()
        school.platform.forget()
        school.platform.token_script = None
        for key in self.keys:
            school.platform.add(Course(key))

    def play(self, nights_: Sequence[Night]) -> dict[str, str]:
        """Run one night; returns outcomes by course."""
        for key, night in zip(self.keys, nights_, strict=True):
            self.school.platform.courses[key].script = night.script()
        outcomes = self.school.run().outcomes
        self._members = self.school.sql("SELECT context_id, user_id, status, name FROM memberships")
        self._roles = self.school.sql("SELECT context_id, user_id, role_uri FROM membership_roles")
        return outcomes

    def stands(self, key: str) -> dict[str, Any]:
        """What the tables held after the last night: user id to status, name and canonical roles."""
        rows = [row for course, *row in self._members if course == key]
        roles = [row for course, *row in self._roles if course == key]
        assert len({user_id for user_id, *_ in rows}) == len(rows)
        assert {user_id for user_id, _ in roles} <= {user_id for user_id, *_ in rows}
        return {
            user_id: (status, name, sorted(uri for holder, uri in roles if holder == user_id))
            for user_id, status, name in rows
        }


def wanted(roster: Sequence[Any]) -> dict[str, Any]:
    """The roster as the tables must hold it."""
    return {
        each["user_id"]: (
            each["status"],
            each["name"] or None,
            sorted(uri for uri, _ in held(tuple(each["roles"])).roles),
        )
        for each in roster
    }


@bounded
@given(wholes, st.none() | st.sampled_from(sorted(PASSING)))
def test_tables_equal_any_roster_whose_faults_pass(
    shared: School, courses: list[tuple[Night, Night]], token_fault: str | None
) -> None:
    """Any roster, any pages, any faults that a second attempt survives: the tables equal the roster."""
    example = Example(shared, len(courses))
    if token_fault is not None:
        shared.platform.token_script = [lambda exchange: PASSING[token_fault](exchange.serve())]

    for night in (0, 1):
        outcomes = example.play([course[night] for course in courses])

        assert set(outcomes.values()) <= {"complete", "unchanged"}, outcomes
        for key, course in zip(example.keys, courses, strict=True):
            assert example.stands(key) == wanted(course[night].roster)


@bounded
@given(halves)
def test_tables_equal_the_roster_before_a_fault_that_does_not_pass(
    shared: School, courses: list[tuple[Night, Night, bool]]
) -> None:
    """Any fault that no repeat survives: the roster before stands, the courses beside it are read."""
    example = Example(shared, len(courses))
    example.play([first for first, *_ in courses])

    second = [broken if breaks else replace(broken, fatal=None) for _, broken, breaks in courses]
    outcomes = example.play(second)

    for key, (first, broken, breaks) in zip(example.keys, courses, strict=True):
        assert (outcomes[key] in ("failed", "unavailable", "too_large")) == breaks, (
            key,
            broken.fatal,
            outcomes,
        )
        assert example.stands(key) == wanted(first.roster if breaks else broken.roster)
