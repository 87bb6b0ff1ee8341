"""The role filter, end to end: whatever a platform makes of it, the rows are right and nobody leaves falsely.

E65 to E67, E90. Every platform is asked for six nights, with and without filters, about the same people.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from replies import Page, Script, body

from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import (
    CANVAS,
    MOODLE,
    OPEN_EDX,
    SAKAI,
    TAO,
    Course,
    Exchange,
    Manner,
    member,
)
from lti_rosters.rosters.filtering import is_due
from lti_rosters.rosters.fingerprint import context_key
from school import Run, School, crowd

SITE_ADMINISTRATOR = "http://purl.imsglobal.org/vocab/lis/v2/person#Administrator"
MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership"
ANN, BEN = member("ann"), member("ben")
TOM = member("tom", ["Instructor"])
ADA = member("ada", ["Instructor", SITE_ADMINISTRATOR])  # Moodle counts her among the learners
TIM = member("tim", [f"{MEMBERSHIP}/Instructor#TeachingAssistant"])  # whom an exact match does not find
IVY = member("ivy", ["Instructor", SITE_ADMINISTRATOR])


def when_filtered(reply: Callable[[Exchange], Any]) -> Script:
    """Answer a request with a role by *reply*, any other as the platform does."""

    def script(exchange: Exchange) -> Any:
        refused = exchange.serve()
        return reply(exchange) if "role" in exchange.query and refused.status == 200 else refused

    return script


def sent(chosen: Callable[[list[Any]], list[Any]]) -> Script:
    """Answer a request with a role by whom *chosen* leaves of the course's members."""

    def reply(exchange: Exchange) -> Any:
        assert exchange.course is not None
        return Page(chosen(exchange.course.members)).reply(exchange, None)

    return when_filtered(reply)


# what a platform makes of the filter -> its manner, options and script
KINDS: dict[str, tuple[Manner, dict[str, Any], Script | None]] = {
    "applies": (CANVAS, {}, None),
    "applies_short": (MOODLE, {}, None),  # Instructor without site administrators, Learner with them
    "ignores": (OPEN_EDX, {}, None),
    "loses": (MOODLE, {"page_size": 2}, None),  # on the next link
    "loses_and_moves": (SAKAI, {"page_size": 2}, None),
    "exact": (TAO, {}, None),  # without sub-roles
    "nobody": (CANVAS, {}, sent(lambda _: [])),
    "others": (CANVAS, {}, sent(lambda members: [each for each in members if each not in (ADA, TOM)])),
    "narrowed": (
        CANVAS,
        {},
        sent(lambda members: [{**each, "roles": each["roles"][:1]} for each in members]),
    ),
    "refuses": (CANVAS, {}, when_filtered(lambda _: body("no such parameter", 400))),
}
# filter, who is in the course, who must be on the roster, how many have left
NIGHTS: Sequence[tuple[str | None, list[Any], set[str], int]] = [
    ("instructor", [ANN, BEN, TOM, ADA, TIM], {"tom", "ada", "tim"}, 0),
    ("Instructor", [ANN, BEN, TOM, ADA, TIM], {"tom", "ada", "tim"}, 0),
    (f"{MEMBERSHIP}#Instructor", [ANN, BEN, ADA, TIM, IVY], {"ada", "tim", "ivy"}, 1),
    ("learner", [ANN, BEN, ADA, TIM, IVY], {"ann", "ben", "ada", "tim", "ivy"}, 0),
    ("learner", [BEN, ADA, TIM, IVY], {"ben", "ada", "tim", "ivy"}, 1),
    (None, [BEN, TIM, IVY], {"ben", "tim", "ivy"}, 1),
]


@pytest.fixture(scope="module")
def played(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Run, Any]]]:
    """Each night's run, and the roster of every registration after it."""
    nights = []
    with School(tmp_path_factory.mktemp("filters"), tool_key) as school:
        for name, (manner, options, _) in KINDS.items():
            school.open(name, manner, **options)
        for role, members, *_ in NIGHTS:
            for name, (*_, script) in KINDS.items():
                school.platforms[name].add(Course("c1", members=members, script=script))
            run = school.run(role=role)
            nights.append((run, {name: school.members("c1", name) for name in KINDS}))
        yield nights


@pytest.mark.parametrize("night", range(len(NIGHTS)))
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_right_under_every_filter(played: list[tuple[Run, Any]], kind: str, night: int) -> None:
    """After each night exactly those are on the roster who must be, and as many have left as have."""
    run, rosters = played[night]
    (sync,) = [each for each in run.syncs if each.facts.registration == kind]
    _, _, roster, departures = NIGHTS[night]

    assert sync.outcome == ("unchanged" if night == 1 else "complete"), sync.error
    assert sync.roster is not None
    assert (rosters[kind], sync.roster.departures) == (roster, departures)


@pytest.mark.parametrize(("kind", "readings"), [("applies", 1), ("ignores", 1), ("loses", 1), ("nobody", 2)])
def test_a_quiet_night_costs_the_filtered_reading(
    played: list[tuple[Run, Any]], kind: str, readings: int
) -> None:
    """Where the filtered answer is what was there, it is enough; where it is not, the whole one is read."""
    if kind == "loses":
        readings = 2  # Moodle's Instructor leaves out Ada
    (sync,) = [each for each in played[1][0].syncs if each.facts.registration == kind]

    assert sync.roster is not None
    assert sync.roster.readings == readings


def test_what_a_filter_leaves_out_is_found_when_the_check_is_due(school: School) -> None:
    """Moodle does not show Ivy: nothing tells so until the roster is read whole, once in full_every days."""
    school.platforms.clear()
    moodle = school.open("moodle", MOODLE)
    course = moodle.add(Course("c1", members=[TOM, ANN]))
    school.run(role="instructor")
    course.members.append(IVY)
    assert school.run(role="instructor").outcomes == {"c1": "unchanged"}

    school.sql("UPDATE roster_syncs SET finished_at = finished_at - INTERVAL 8 DAY")
    run = school.run(role="instructor")

    assert school.members("c1") == {"tom", "ivy"}
    assert (run.sync("c1").roster.readings, len(moodle.roster_requests)) == (1, 4)  # type: ignore[union-attr]
    assert "role" not in moodle.roster_requests[-1].query


def test_a_full_run_asks_without_the_filter(school: School) -> None:
    """--full does not wait for the check."""
    school.add("c1", [TOM, ANN])
    school.run(role="instructor")

    school.run(role="instructor", full=True)

    assert "role" not in school.platform.roster_requests[-1].query
    assert school.members("c1") == {"tom"}


def test_each_course_has_its_own_night() -> None:
    """Night by night for a year, each course is checked every seventh, and not all on the same."""
    start = datetime(2026, 1, 1, 2, tzinfo=UTC)
    moments = [start + timedelta(days=day, minutes=day % 3) for day in range(366)]
    checked = {
        key: [day for day in range(1, 366) if is_due(key, moments[day - 1], moments[day], 7)]
        for key in (context_key("canvas", f"c{number}") for number in range(50))
    }

    assert all({b - a for a, b in pairwise(days)} <= {6, 7, 8} for days in checked.values())
    assert {days[0] for days in checked.values()} == {1, 2, 3, 4, 5, 6, 7}
    assert all(is_due(key, start, start + timedelta(days=days), 7) for key in checked for days in (7, 8, 30))


@pytest.mark.parametrize("manner", [CANVAS, OPEN_EDX], ids=lambda manner: manner.name)
def test_max_members_bounds_who_has_the_role(school: School, manner: Manner) -> None:
    """A platform that ignores the filter sends twenty learners: they are not what is bounded."""
    school.platforms.clear()
    school.open("lms", manner, max_members=3).add(Course("c1", members=[*crowd(20), TOM, ADA]))
    assert school.run(role="instructor").outcomes == {"c1": "complete"}

    assert school.run(role="learner").outcomes == {"c1": "too_large"}
    assert school.members("c1") == {"tom", "ada"}


@pytest.mark.parametrize("manner", [OPEN_EDX, TAO], ids=lambda manner: manner.name)
def test_max_members_counts_nobody_whom_the_filter_leaves_out(school: School, manner: Manner) -> None:
    """A course and a link stored whole before: the twenty learners stay, and are not what is bounded."""
    school.platforms.clear()
    lms = school.open("lms", manner, use_differences=True)
    course = lms.add(Course("c1", members=[*crowd(20), TOM, ADA], links={"r1": None}))
    school.catalogue["lms"] = [{"memberships_url": lms.memberships_url("c1"), "resource_link_id": "r1"}]
    school.run()
    school.options["lms"]["max_members"] = 3
    course.members.append(TIM)
    first = school.run(role="instructor")
    course.members.append(member("kim", [f"{MEMBERSHIP}#Instructor"]))
    second = school.run(role="instructor")

    assert (first.outcomes, first.links["r1"].outcome) == ({"c1": "complete"}, "complete")
    assert (second.outcomes, second.links["r1"].outcome) == ({"c1": "too_large"}, "too_large")
    assert len(school.members("c1")) == 23


def test_a_change_of_filter_stands_in_the_history(school: School) -> None:
    """Learner, none, Learner, Instructor: each brings a roster of its own, and none loses anybody."""
    school.add("c1", [ANN, TOM])
    for role in ("learner", None, "learner", "instructor"):
        assert school.run(role=role).outcomes == {"c1": "complete"}

    history = school.sql(
        "SELECT role_filter, string_agg(user_id, ' ' ORDER BY user_id), any_value(departures), count(DISTINCT "
        "roster_hash) FROM roster_syncs JOIN membership_log USING (sync_id) GROUP BY role_filter, finished_at "
        "ORDER BY finished_at"
    )
    learner, instructor = f"{MEMBERSHIP}#Learner", f"{MEMBERSHIP}#Instructor"
    assert [row[:3] for row in history] == [
        (learner, "ann", 0),
        (None, "ann tom", 0),
        (learner, "ann tom", 0),
        (instructor, "ann tom", 0),
    ]
    assert school.sql("SELECT count(DISTINCT roster_hash) FROM roster_syncs") == [(3,)]
