"""Catalogues in which entries are hard to tell apart, and platforms that answer nobody for long."""

import json
from pathlib import Path
from typing import Any

import pytest

from commands import carried_out
from lti_rosters.catalogue.launches import CONTEXT_CLAIM, NRPS_CLAIM
from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import MOODLE, Course, Exchange, Reply, member
from lti_rosters.rosters.harvest import MOST_AT_ONCE, _share
from lti_rosters.rosters.planning import Plan
from lti_rosters.rosters.reader import GIVEN_UP
from lti_rosters.settings.registration import Options, Registration
from school import School


def body(*user_ids: str, context: object = None) -> bytes:
    """A container of *user_ids*; without a context by default."""
    container = {"id": "x", "members": [member(user_id) for user_id in user_ids]}
    return json.dumps(container | ({"context": context} if context else {})).encode()


def test_courses_told_apart_by_a_secret_looking_parameter_stay_apart(school: School) -> None:
    """URLs that differ only in what is not stored are two courses, on every night."""

    def roster(exchange: Exchange) -> Reply:
        return Reply(200, [], body("ann") if "BIO" in str(exchange.query) else body("ben", "eve"))

    school.platform.routes["/roster"] = roster
    base = f"{school.platform.origin}/roster?code="
    school.catalogue["canvas"] = [
        {"memberships_url": f"{base}BIO1", "context_id": "a", "title": "Biology"},
        {"memberships_url": f"{base}CHE2", "context_id": "b", "title": "Chemistry"},
    ]
    school.run()

    run = school.run()

    assert run.outcomes == {"a": "unchanged", "b": "unchanged"}
    assert run.errors == {}
    assert school.sql("SELECT context_id, title, delisted_at FROM contexts ORDER BY 1") == [
        ("a", "Biology", None),
        ("b", "Chemistry", None),
    ]


def test_failed_entry_changes_nothing_of_a_course_that_another_entry_read(school: School) -> None:
    """A dead URL under the id of a course that was read is a double of it, and leaves its row alone."""
    school.add("c0", ["ann"], title="Botany")
    school.catalogue["canvas"] = [
        school.platform.memberships_url("c0"),
        {"memberships_url": f"{school.platform.origin}/dead", "context_id": "c0"},
    ]

    for _ in range(2):
        run = school.run()

        assert sorted(str(sync.error_type) for sync in run.syncs) == ["None", "duplicate_context"]
        assert school.sql("SELECT context_id, title FROM contexts") == [("c0", "Botany")]


def test_words_that_no_warehouse_stores_lose_no_other_course(school: School) -> None:
    """A lone surrogate in the title or id of a course that cannot be read: the rest is loaded."""
    school.add("c1", ["ann"])
    away = f"{school.platform.origin}/away"
    school.catalogue["canvas"] = [
        *school.urls(),
        {"memberships_url": f"{away}1", "context_id": "a\ud800", "title": "t\0"},
        {"memberships_url": f"{away}2", "context_id": "b", "title": "\udfff"},
    ]

    run = school.run()

    assert run.outcomes == {"c1": "complete", "a\ufffd": "unavailable", "b": "unavailable"}
    assert school.members("c1") == {"ann"}
    assert school.sql("SELECT title FROM contexts WHERE context_id = 'b'") == [("\ufffd",)]


def endless() -> Any:
    """A function that gives itself: what nobody foresaw of a catalogue."""
    return endless


@pytest.mark.parametrize(
    ("catalogue", "told"),
    [
        ({"query": "select memberships_url from launches", "url": "missing.duckdb"}, "there is no database"),
        ({"template": "https://lms.example/{id}", "ids": "missing.txt"}, "no file missing.txt"),
        (endless, "RecursionError"),
    ],
)
def test_a_catalogue_that_fails_fails_its_registration_alone(
    catalogue: Any, told: str, tool_key: SigningKey, tmp_path: Path
) -> None:
    """The other registration is loaded, and why this one is not is told."""
    with School(tmp_path / "school", tool_key) as school:
        school.open("canvas").add(Course("c1", members=[member("ann")]))
        school.open("moodle").add(Course("c1", members=[member("ben")]))
        school.catalogue["moodle"] = catalogue
        plans: list[Plan] = []

        school.run(on_plan=plans.extend)

        assert [str(plan.failure) for plan in plans if plan.failure and told in str(plan.failure)] != []
        assert school.sql("SELECT registration, user_id FROM memberships") == [("canvas", "ann")]


@pytest.mark.parametrize(("registrations", "status"), [(["canvas", "moodle"], 3), (["moodle"], 4)])
def test_the_exit_status_of_a_query_that_fails(
    registrations: list[str], status: int, tool_key: SigningKey, tmp_path: Path
) -> None:
    """3 where another registration is read, 4 where there is none (design §6)."""
    with School(tmp_path / "school", tool_key) as school:
        for name in registrations:
            school.open(name).add(Course("c1", members=[member("ann")]))
        school.catalogue["moodle"] = {"query": "select 1 as memberships_url", "url": "missing.duckdb"}

        told = carried_out(school)

    assert told["exit_status"] == status
    assert "there is no database" in str(told["failures"])


def test_a_launch_of_another_platform_gets_no_token(
    school: School, tool_key: SigningKey, tmp_path: Path
) -> None:
    """A launch of another LMS among the catalogue's: its address is never asked, nor trusted with the token."""
    school.add("c1", ["ann"])
    with School(tmp_path / "other", tool_key) as other:
        other.open("moodle", MOODLE).add(Course("c2", members=[member("eve")]))
        school.catalogue["canvas"] = [
            {
                "iss": platform.issuer,
                "aud": platform.client_id,
                CONTEXT_CLAIM: {"id": course},
                NRPS_CLAIM: {"context_memberships_url": platform.memberships_url(course)},
            }
            for platform, course in ((school.platform, "c1"), (other.platform, "c2"))
        ]
        plans: list[Plan] = []

        run = school.run(on_plan=plans.extend)

        assert run.outcomes == {"c1": "complete"}
        assert "another platform" in plans[0].faults[0]
        assert other.platform.requests == []


def test_context_id_told_on_the_second_page_is_the_courses(school: School) -> None:
    """The platform's id wins wherever in the roster it first stands."""
    second = f"{school.platform.origin}/two"
    school.platform.routes["/one"] = lambda _: Reply(200, [("Link", f'<{second}>; rel="next"')], body("ann"))
    school.platform.routes["/two"] = lambda _: Reply(200, [], body("ben", context={"id": "real"}))
    school.catalogue["canvas"] = [f"{school.platform.origin}/one"]

    school.run()

    assert school.members("real") == {"ann", "ben"}
    assert school.sql("SELECT context_id FROM contexts") == [("real",)]


def test_unreadable_entries_may_be_the_missing_people(school: School) -> None:
    """Who is missing stays while as many entries cannot be read; with fewer of those, somebody did leave."""
    school.add("c1", ["ann", "ben", "cay"])
    school.run()
    course = school.platform.courses["c1"]

    course.members = [*course.members[:1], {"roles": []}, {"roles": []}]
    run = school.run()

    assert school.members("c1") == {"ann", "ben", "cay"}
    assert run.sync("c1").roster.departures == 0

    course.members = [course.members[0], {"roles": []}]
    school.run()

    assert school.members("c1") == {"ann"}


def test_unreadable_entries_do_not_switch_the_loop_guard_off(school: School) -> None:
    """Ever-new links to the same people fail, whatever else stands on their pages."""

    def page(_: Exchange) -> Reply:
        number = len(school.platform.roster_requests) + len(school.platform.requests)
        link = f'<{school.platform.origin}/round?n={number}>; rel="next"'
        members = [member("ann"), {"roles": []}]
        text = json.dumps({"context": {"id": "c"}, "members": members})
        return Reply(200, [("Link", link)], text.encode())

    school.platform.routes["/round"] = page
    school.catalogue["canvas"] = [f"{school.platform.origin}/round"]

    run = school.run()

    assert [sync.error_type for sync in run.syncs] == ["looped"]
    assert len(school.platform.requests) < 30


def test_platform_that_answers_nobody_is_left_alone(tool_key: SigningKey, tmp_path: Path) -> None:
    """After thirty courses without an answer the rest fail without a request, and the run ends."""
    with School(tmp_path / "school", tool_key) as school:
        school.open("canvas", max_attempts=1, concurrency=2)
        for number in range(GIVEN_UP + 30):
            school.add(f"c{number}", ["ann"], script=lambda _: Reply(503, [], b""))

        run = school.run()

        assert set(run.outcomes.values()) == {"failed"}
        assert len(run.syncs) == GIVEN_UP + 30
        assert len(school.platform.roster_requests) <= GIVEN_UP + 5


def test_many_registrations_share_the_threads() -> None:
    """Two hundred registrations together read no more at once than one process can hold open."""
    made = [Plan(Registration(name=f"r{number}", options=Options(concurrency=8))) for number in range(200)]

    assert sum(_share(8, made) for _ in made) <= MOST_AT_ONCE
    assert _share(8, made[:1]) == 8


def test_the_catalogues_title_is_the_courses_where_the_platform_sends_none(school: School) -> None:
    """A title that changes in the catalogue arrives, unless the platform has a word of its own."""
    school.platform.routes["/roster"] = lambda _: Reply(200, [], body("ann", context={"id": "c"}))
    entry = {"memberships_url": f"{school.platform.origin}/roster", "title": "Botany"}
    school.catalogue["canvas"] = [entry]
    school.run()

    school.catalogue["canvas"] = [entry | {"title": "Botany II"}]
    school.run()

    assert school.sql("SELECT context_id, title FROM contexts") == [("c", "Botany II")]
