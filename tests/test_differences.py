"""Differences (NRPS §2.4.3): used where allowed, applied to the roster in force, never trusted for ever."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import TAO, Exchange, Reply, member
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


def named(context_id: str, *members: dict[str, object]) -> Reply:
    """An answer that is of *context_id*."""
    body = json.dumps({"id": "x", "context": {"id": context_id}, "members": list(members)})
    return Reply(200, [], body.encode())


def answered(school: School, reply: Reply) -> None:
    """Have every request for differences of c1 answered with *reply*."""
    school.platform.courses["c1"].script = lambda exchange: reply if "since" in exchange.query else None


def test_differences_of_another_context_are_not_applied(tao: School) -> None:
    """An answer for another course leads to a full reading; neither course changes, none is delisted."""
    tao.add("c2", ["ann", "zoe"])
    tao.run()
    answered(tao, named("c2", member("zoe", status="Deleted")))

    tao.run()

    assert tao.members("c1") == {"ann", "ben", "cay", "dan", "eve"}
    assert tao.members("c2") == {"ann", "zoe"}
    assert tao.sql("SELECT COUNT(*) FROM contexts WHERE delisted_at IS NULL") == [(2,)]
    assert tao.sql("SELECT COUNT(*) FROM roster_syncs WHERE error_type IS NOT NULL") == [(0,)]


def test_mass_departure_is_confirmed_by_a_full_reading(tao: School) -> None:
    """Differences that take everybody away are not believed without the roster itself."""
    tao.run()
    gone = [member(user_id, status="Deleted") for user_id in ("ann", "ben", "cay", "dan", "eve")]
    answered(tao, named("c1", *gone))

    tao.run()

    assert sync_row(tao)[0] == "full"
    assert tao.members("c1") == {"ann", "ben", "cay", "dan", "eve"}


def test_differences_that_fail_on_the_platform_cost_a_full_reading(tao: School) -> None:
    """A platform that cannot answer for an old moment still answers for the roster."""
    tao.run()
    answered(tao, Reply(500, [], b""))

    tao.run()

    assert sync_row(tao)[:2] == ("full", "unchanged")


def test_max_members_binds_what_differences_build(tao: School) -> None:
    """A roster that grew beyond max_members by differences is too_large, as if it had been read."""
    tao.run()
    tao.options["tao"]["max_members"] = 5
    tao.platform.courses["c1"].members.append(member("fay", [LEARNER]))

    run = tao.run()

    assert run.outcomes == {"c1": "too_large"}
    assert len(tao.members("c1")) == 5


def test_deleted_for_an_unknown_user_is_ignored(tao: School) -> None:
    """E82: who was never on the roster cannot leave it."""
    tao.run()
    stranger = {"user_id": "zoe", "status": "Deleted", "roles": [LEARNER]}
    body = json.dumps({"id": "x", "context": {"id": "c1"}, "members": [stranger]}).encode()
    tao.platform.courses["c1"].script = lambda exchange: (
        Reply(200, [], body) if "since" in exchange.query else None
    )

    tao.run()

    assert sync_row(tao)[0] == "differences"
    assert tao.members("c1") == {"ann", "ben", "cay", "dan", "eve"}


def test_no_link_this_time_reads_in_full(tao: School) -> None:
    """E84: a full reading that named no differences URL is followed by another full one."""

    def without_differences(exchange: Exchange) -> Reply:
        reply = exchange.serve()
        links = [(name, value) for name, value in reply.headers if name.lower() == "link"]
        others = [(name, value) for name, value in reply.headers if name.lower() != "link"]
        kept = [each for _, value in links for each in value.split(",") if 'rel="next"' in each]
        return replace(reply, headers=[*others, *(("Link", each.strip()) for each in kept)])

    tao.platform.courses["c1"].script = without_differences
    tao.run()
    tao.run()

    assert sync_row(tao)[0] == "full"
    assert tao.members("c1") == {"ann", "ben", "cay", "dan", "eve"}


def test_paged_differences_are_read_to_their_end(tao: School) -> None:
    """E86: differences that fill several pages are followed page by page, and all of them count."""
    tao.run()
    course = tao.platform.courses["c1"]
    course.members = [member(each, [MENTOR]) for each in ("ann", "ben", "cay", "dan", "eve")]

    run = tao.run()

    assert sync_row(tao)[0] == "differences"
    assert run.sync("c1").pages_read > 2
    assert {roles for _, roles in tao.roster("c1").values()} == {("Mentor",)}


def test_differences_url_is_asked_as_it_was_given(tao: School) -> None:
    """E88: it is opaque: page_size and role, which go on a first request, are not added to it."""
    tao.options["tao"].update(page_size=3, role="learner")
    given = []

    def keep(exchange: Exchange) -> Reply:
        reply = exchange.serve()
        links = ",".join(value for name, value in reply.headers if name.lower() == "link").split(",")
        given.extend(each.partition("<")[2].partition(">")[0] for each in links if '"differences"' in each)
        return reply

    tao.platform.courses["c1"].script = keep
    tao.run()
    tao.run()

    assert sync_row(tao)[0] == "differences"
    asked = tao.platform.roster_requests[-1]
    assert given[0].endswith(asked.target)


def test_differences_of_one_roster_touch_no_other(tao: School) -> None:
    """E79: lecture and practical are two contexts: who leaves the one stays on the other."""
    tao.add("c2", ["ann", "ben"])
    tao.run()
    course = tao.platform.courses["c1"]
    course.members = [each for each in course.members if each["user_id"] != "ann"]

    tao.run()

    assert tao.members("c1") == {"ben", "cay", "dan", "eve"}
    assert tao.members("c2") == {"ann", "ben"}
