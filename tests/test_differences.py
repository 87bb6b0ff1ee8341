"""Differences (NRPS §2.4.3): used where allowed, applied to the roster in force, never trusted for ever."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lti_rosters.keys import SigningKey
from lti_rosters.reference_platform import TAO, Exchange, Reply, member
from school import School

LEARNER = "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"
MENTOR = "http://purl.imsglobal.org/vocab/lis/v2/membership#Mentor"


@pytest.fixture
def tao(tool_key: SigningKey, tmp_path: Path) -> Iterator[School]:
    """A school whose platform offers differences, two members a page."""
    with School(tmp_path / "school", tool_key) as school:
        school.open("tao", replace(TAO, page_size=2), use_differences=True, max_attempts=1)
        school.add("c1", ["ann", "ben", "cay", "dan", "eve"])
        yield school


def sync_row(school: School) -> tuple[object, ...]:
    """Mode, outcome, departures and requests of the newest sync."""
    query = "SELECT mode, outcome, departures FROM roster_syncs ORDER BY finished_at DESC LIMIT 1"
    return school.sql(query)[0]


def test_changes_are_applied_to_the_roster_in_force(tao: School) -> None:
    """E80, E81: who is added, changed or deleted is, everybody else stays as they were."""
    tao.run()
    course = tao.platform.courses["c1"]
    kept = [each for each in course.members if each["user_id"] not in ("ann", "ben")]
    course.members = [*kept, member("ben", [MENTOR]), member("fay", [LEARNER])]

    tao.run()

    assert sync_row(tao) == ("differences", "complete", 1)
    assert tao.members("c1") == {"ben", "cay", "dan", "eve", "fay"}
    assert tao.roster("c1")["ben"][1] == ("Mentor",)


def test_every_changed_roster_is_logged_whole(tao: School) -> None:
    """The history holds everybody on the roster, not only who changed."""
    tao.run()
    tao.platform.courses["c1"].members.append(member("fay", [LEARNER]))

    tao.run()

    counts = tao.sql("SELECT COUNT(*) FROM membership_log GROUP BY sync_id ORDER BY 1")
    assert counts == [(5,), (6,)]


def test_no_change_is_unchanged(tao: School) -> None:
    """E83: an empty answer changes nothing and costs one request."""
    tao.run()

    run = tao.run()

    assert sync_row(tao)[:2] == ("differences", "unchanged")
    assert run.sync("c1").effort.requests == 2  # a token and a page


def test_link_of_the_first_page_is_kept(tao: School) -> None:
    """E80: what changes while later pages are read is found by the next differences."""

    def while_walking(exchange: Exchange) -> Reply | None:
        if exchange.page == 2:
            exchange.course.members.insert(0, member("aaa", [LEARNER]))
            exchange.course.script = None
        return None

    tao.platform.courses["c1"].script = while_walking
    tao.run()

    tao.run()

    assert sync_row(tao)[0] == "differences"
    assert "aaa" in tao.members("c1")


def test_departure_between_two_readings_is_told_the_next_night(tao: School) -> None:
    """Who was seen by the first of two readings alone stays; those differences tell that they left."""
    tao.run()
    tao.sql("UPDATE roster_syncs SET finished_at = finished_at - INTERVAL 8 DAY")  # a full reading is due
    course = tao.platform.courses["c1"]
    course.members = course.members[:-1]  # eve has left, which a second reading has to confirm

    def while_walking(exchange: Exchange) -> Reply | None:
        if exchange.page == 2:
            exchange.course.members = exchange.course.members[1:]  # ann was on the first page
            exchange.course.script = None
        return None

    course.script = while_walking
    tao.run()
    assert sync_row(tao)[0] == "full"
    assert "ann" in tao.members("c1")

    tao.run()

    assert sync_row(tao)[0] == "differences"
    assert tao.members("c1") == {"ben", "cay", "dan"}


def test_differences_that_move_while_they_are_read_are_not_used(tao: School) -> None:
    """What slips from one page of them to another is never told again: the roster is read in full."""
    tao.run()
    course = tao.platform.courses["c1"]
    changed = [member(each, [MENTOR]) for each in ("ann", "ben", "cay", "dan")]
    course.members = [*changed, member("eve")]

    def while_walking(exchange: Exchange) -> Reply | None:
        if exchange.page == 2:  # ann is as she was: the others move up, cay past the reader
            exchange.course.members[0] = member("ann")
            exchange.course.script = None
        return None

    course.script = while_walking
    tao.run()

    assert sync_row(tao)[0] == "full"
    assert {user_id: roles for user_id, (_, roles) in tao.roster("c1").items()} == {
        "ann": ("Learner",),
        "ben": ("Mentor",),
        "cay": ("Mentor",),
        "dan": ("Mentor",),
        "eve": ("Learner",),
    }


@pytest.mark.parametrize(
    "broken",
    [
        Reply(404, [], b"gone"),
        Reply(400, [], b"no"),
        Reply(200, [("Content-Type", "text/html")], b"<html>"),
        Reply(200, [], b'{"context": {"id": "c1"}, "members": [{"roles": []}]}'),
    ],
    ids=["404", "400", "html", "unreadable entry"],
)
def test_unusable_answer_falls_back_to_a_full_reading(tao: School, broken: Reply) -> None:
    """E85: differences that cannot be used cost a full reading, never a change."""
    tao.run()
    course = tao.platform.courses["c1"]
    course.members = course.members[1:]
    course.script = lambda exchange: broken if "since" in exchange.query else None

    tao.run()

    assert sync_row(tao) == ("full", "complete", 1)
    assert tao.members("c1") == {"ben", "cay", "dan", "eve"}


def test_full_reading_reconciles(tao: School) -> None:
    """E87: after full_every days the roster is read in full, so that an unreported departure is found."""
    tao.run()
    tao.sql("UPDATE roster_syncs SET finished_at = finished_at - INTERVAL 8 DAY")

    tao.run()

    assert sync_row(tao)[0] == "full"


def test_link_is_advanced_only_with_a_committed_load(tao: School) -> None:
    """A link that came with a load that was never committed is not used."""
    tao.run()
    course = tao.platform.courses["c1"]
    course.members.append(member("fay", [LEARNER]))
    tao.run()
    tao.sql("DELETE FROM _dlt_loads WHERE load_id = (SELECT MAX(_dlt_load_id) FROM roster_syncs); ")

    tao.run()

    assert sync_row(tao)[:2] == ("full", "complete")
    assert tao.members("c1") == {"ann", "ben", "cay", "dan", "eve", "fay"}


def test_not_used_unless_allowed(tao: School) -> None:
    """Platforms need not list who left, so differences are off by default."""
    del tao.options["tao"]["use_differences"]
    tao.run()

    tao.run()

    assert sync_row(tao)[0] == "full"


def test_filter_changed_between_runs_reads_in_full(tao: School) -> None:
    """Differences are those of a roster read under the same filter."""
    tao.run()
    tao.options["tao"]["role"] = "learner"

    tao.run()

    assert sync_row(tao)[0] == "full"
