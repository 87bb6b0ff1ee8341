"""Runs, end to end: quiet, interrupted, partial, and after a load that broke off half way."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from replies import Page, body, pages, url

from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import MOODLE, Course, Exchange, Reply, member
from lti_rosters.rosters.sync import Sync
from patience import PATIENCE
from school import Run, School, crowd


def counts(school: School, *tables: str) -> list[int]:
    """How many rows each of *tables* has."""
    return [school.sql(f"SELECT count(*) FROM {table}")[0][0] for table in tables]


def two_courses(school: School) -> None:
    """Two courses of three, loaded."""
    school.add("c1", ["ann", "ben", "eve"])
    school.add("c2", ["ann", "ben", "eve"])
    school.run()


# Quiet runs


def test_unchanged_run_writes_its_syncs_and_nothing_else(school: School) -> None:
    """What is unchanged costs one row of roster_syncs a course."""
    two_courses(school)
    before = school.everything(but=["roster_syncs"])

    run = school.run()

    assert run.outcomes == {"c1": "unchanged", "c2": "unchanged"}
    assert school.everything(but=["roster_syncs"]) == before
    assert counts(school, "roster_syncs") == [4]


def test_unchanged_sync_names_the_roster_in_force(school: School) -> None:
    """roster_sync_id of an unchanged or failed sync names the one whose rows stand."""
    two_courses(school)
    school.add("c2", script=pages(body("", 404)))

    school.run()

    rows = school.sql(
        "SELECT context_id, outcome, sync_id, roster_sync_id FROM roster_syncs ORDER BY finished_at"
    )
    wrote = {context: sync for context, outcome, sync, _ in rows if outcome == "complete"}
    assert {(context, force == wrote[context]) for context, _, _, force in rows} == {
        ("c1", True),
        ("c2", True),
    }
    assert [outcome for _, outcome, sync, force in rows if sync == force] == ["complete"] * 2


def test_full_run_writes_unchanged_rosters_too(school: School) -> None:
    """`full` writes what it reads, and what stands afterwards is the same roster."""
    two_courses(school)

    run = school.run(full=True)

    assert set(run.outcomes.values()) == {"complete"}
    assert run.sync("c1").roster.departures == 0
    assert school.members("c1") == {"ann", "ben", "eve"}
    assert counts(school, "memberships", "membership_roles") == [6, 6]


def test_changed_course_alone_is_written(school: School) -> None:
    """Of two courses the one that changed is written anew, the other's rows keep their load."""
    two_courses(school)
    before = school.sql("SELECT * FROM memberships WHERE context_id = 'c2' ORDER BY ALL")
    school.add("c1", ["ann"])

    school.run()

    assert school.sql("SELECT * FROM memberships WHERE context_id = 'c2' ORDER BY ALL") == before
    assert school.members("c1") == {"ann"}


def test_no_marker_row_ever_stands(school: School) -> None:
    """The rows that put an emptied course in the scope of a merge are in no table."""
    two_courses(school)
    school.add("c1", [])

    school.run()

    assert school.members("c1") == set()
    assert school.sql("SELECT count(*) FROM memberships WHERE user_id = ''") == [(0,)]
    assert school.sql("SELECT count(*) FROM membership_roles WHERE user_id = '' OR role_uri = ''") == [(0,)]
    assert school.sql("SELECT count(*) FROM contexts WHERE context_id = ''") == [(0,)]


# Single resources


@pytest.fixture(scope="module")
def partial(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """A school whose course has been loaded once."""
    with School(tmp_path_factory.mktemp("partial") / "school", tool_key) as school:
        school.open("canvas")
        school.add("c1", ["ann"])
        school.run()
        yield school


@pytest.mark.parametrize(
    "selected", ["memberships", "membership_roles", "membership_log", "contexts", "roles"]
)
def test_single_resource_never_makes_a_later_full_run_wrong(partial: School, selected: str) -> None:
    """Whatever was left out of one run is made up by the next whole one; roster_syncs always load."""
    mark = member(selected, ("Instructor",))
    partial.add("c1", ["ben", "eve", mark])
    before = counts(partial, "roster_syncs")[0]
    partial.run(selected)
    assert counts(partial, "roster_syncs") == [before + 1]

    partial.run()

    learner, teacher = ("Active", ("Learner",)), ("Active", ("Instructor",))
    assert partial.roster("c1") == {"ben": learner, "eve": learner, selected: teacher}
    logged = partial.sql(
        "SELECT user_id FROM membership_log WHERE sync_id = (SELECT any_value(sync_id) FROM memberships)"
    )
    assert {user_id for (user_id,) in logged} == {"ben", "eve", selected}


def test_single_resource_in_the_first_run(school: School) -> None:
    """A warehouse that began with one table alone is whole after the next full run."""
    school.add("c1", ["ann", "ben"])
    school.run("memberships")

    school.run()

    assert school.roster("c1") == {"ann": ("Active", ("Learner",)), "ben": ("Active", ("Learner",))}
    assert counts(school, "contexts", "registrations", "membership_log") == [1, 1, 2]


@pytest.mark.parametrize(
    "selected", [("memberships", "membership_log"), ("membership_roles", "membership_log")]
)
def test_two_resources_in_the_first_run(school: School, selected: tuple[str, ...]) -> None:
    """A log that tells a roster as loaded does not hide that one of its tables was left out."""
    school.add("c1", ["ann", member("ben", ())])
    school.run(*selected)

    school.run()

    assert school.roster("c1") == {"ann": ("Active", ("Learner",)), "ben": ("Active", ())}
    assert school.run().outcomes == {"c1": "unchanged"}


# A load that broke off half way

ANN = "context_id = ? AND user_id = 'ann'"
EVE = "SELECT * REPLACE ('eve' AS user_id) FROM"
DAMAGE = {
    "a membership is gone": f"DELETE FROM memberships WHERE {ANN}",
    "memberships of a course are gone": "DELETE FROM memberships WHERE context_id = ?",
    "roles of a course are gone": "DELETE FROM membership_roles WHERE context_id = ?",
    "the roles of one member are gone": f"DELETE FROM membership_roles WHERE {ANN}",
    "memberships are another sync's": "UPDATE memberships SET sync_id = 'x' WHERE context_id = ?",
    "some memberships are another sync's": f"UPDATE memberships SET sync_id = 'x' WHERE {ANN}",
    "roles are another sync's": "UPDATE membership_roles SET sync_id = 'x' WHERE context_id = ?",
    "somebody is there who should not be": f"INSERT INTO memberships {EVE} memberships WHERE {ANN}",
    "somebody else holds a role": f"INSERT INTO membership_roles {EVE} membership_roles WHERE {ANN}",
    "the log lacks a row": f"DELETE FROM membership_log WHERE {ANN}",
    "the log lacks everybody": "DELETE FROM membership_log WHERE context_id = ?",
    "the sync is gone": "DELETE FROM roster_syncs WHERE context_id = ?",
}


@pytest.fixture(scope="module")
def damaged(
    tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[School, Run, Run]]:
    """A course for each damage, loaded, damaged by hand, and run twice more; yields those two runs."""
    with School(tmp_path_factory.mktemp("damaged") / "school", tool_key) as school:
        school.open("canvas")
        for number in range(len(DAMAGE)):
            school.add(f"d{number}", ["ann", "ben"])
        school.add("sound", ["ann", "ben"])
        school.run()
        for number, statement in enumerate(DAMAGE.values()):
            school.sql(statement, f"d{number}")
        yield school, school.run(), school.run()


@pytest.mark.parametrize("number", range(len(DAMAGE)), ids=list(DAMAGE))
def test_half_written_destination_heals_at_the_next_run(
    damaged: tuple[School, Run, Run], number: int
) -> None:
    """Jobs of a load commit one by one: whatever a crash left, the next run mends."""
    school, healing, quiet = damaged
    course = f"d{number}"

    assert school.roster(course) == {"ann": ("Active", ("Learner",)), "ben": ("Active", ("Learner",))}
    of_course = "SELECT sync_id FROM memberships WHERE context_id = ?"
    logged = f"SELECT count(*) FROM membership_log WHERE sync_id IN ({of_course})"
    assert school.sql(logged, course) == [(2,)]
    assert (healing.outcomes[course], quiet.outcomes[course]) == ("complete", "unchanged")


def test_what_is_whole_is_not_written_again(damaged: tuple[School, Run, Run]) -> None:
    """A course beside the damaged ones is unchanged."""
    _, healing, _ = damaged

    assert healing.outcomes["sound"] == "unchanged"


def test_load_that_was_never_noted_is_loaded_again(school: School) -> None:
    """Rows of a load that is not in _dlt_loads do not count: the next run writes them anew."""
    school.add("c1", ["ann", "ben"])
    school.run()
    school.sql("DELETE FROM _dlt_loads")

    run = school.run()

    assert run.outcomes == {"c1": "complete"}
    assert school.members("c1") == {"ann", "ben"}


def test_lost_load_of_a_smaller_roster_heals(school: School) -> None:
    """A newer roster half written by a load that was never noted: the next run reads the present one anew."""
    school.add("c1", ["ann", "ben", "eve"])
    school.run()
    school.add("c1", ["ann"])
    lost = school.run().load_ids
    school.sql("DELETE FROM _dlt_loads WHERE load_id = ?", lost[0])
    school.add("c1", ["ann", "ben", "eve"])

    run = school.run()

    assert run.outcomes == {"c1": "complete"}
    assert school.members("c1") == {"ann", "ben", "eve"}


def test_lost_load_does_not_count_as_in_force(school: School) -> None:
    """A failed sync after a load that was never noted names the last committed roster, not the lost one."""
    school.add("c1", ["ann", "ben"])
    first = school.run().sync("c1").sync_id
    school.add("c1", ["ann"])
    lost = school.run().load_ids
    school.sql("DELETE FROM _dlt_loads WHERE load_id = ?", lost[0])
    school.add("c1", script=pages(body("", 404)))

    assert school.run().sync("c1").roster_sync_id == first


# Interrupts


class Stopper:
    """Sets `stop` once so many rosters are in."""

    def __init__(self, after: int) -> None:
        self.stop = threading.Event()
        self._left = after

    def __call__(self, _: Sync) -> None:
        """Count a sync."""
        self._left -= 1
        if self._left <= 0:
            self.stop.set()


NOTICED = 0.6  # seconds after which the run has surely noticed that it is to stop


def blocked(until: threading.Event) -> Callable[[Exchange], Reply | None]:
    """A course that answers only a while after *until* is set."""

    def script(exchange: Exchange) -> Reply | None:
        until.wait(PATIENCE)
        return replace(exchange.serve(), delay=NOTICED)

    return script


def test_interrupt_loads_what_is_complete_and_leaves_the_rest(school: School) -> None:
    """Ctrl-C: a finished course is loaded, an unfinished one has no row and keeps its roster."""
    two_courses(school)
    stopper = Stopper(after=1)
    school.add("c1", ["ann"])
    school.add("c2", ["zoe"], script=blocked(stopper.stop))

    run = school.run(stop=stopper.stop, on_sync=stopper)

    assert run.outcomes == {"c1": "complete"}
    assert (school.members("c1"), school.members("c2")) == ({"ann"}, {"ann", "ben", "eve"})
    assert school.sql("SELECT count(*) FROM roster_syncs WHERE context_id = 'c2'") == [(1,)]


def test_run_after_an_interrupt_makes_up_for_it(school: School) -> None:
    """What an interrupt left unread is read by the next run, and nobody was delisted meanwhile."""
    two_courses(school)
    stopper = Stopper(after=1)
    school.add("c2", ["zoe"], script=blocked(stopper.stop))
    school.run(stop=stopper.stop, on_sync=stopper)
    school.add("c2", ["zoe"])

    run = school.run()

    assert run.outcomes["c2"] == "complete"
    assert school.members("c2") == {"zoe"}
    assert school.sql("SELECT count(*) FROM contexts WHERE delisted_at IS NOT NULL") == [(0,)]


def test_interrupt_before_anything_is_read(school: School) -> None:
    """A stop that is set from the start asks nothing and writes no sync."""
    two_courses(school)
    before = school.everything()
    school.platform.forget()
    stop = threading.Event()
    stop.set()

    run = school.run(stop=stop)

    assert run.syncs == []
    assert school.everything() == before


def test_interrupt_in_the_middle_of_a_roster(school: School) -> None:
    """A stop between two pages leaves the course without a row."""
    two_courses(school)
    stop = threading.Event()

    def second(exchange: Exchange) -> Reply:
        stop.set()
        return replace(Page(["ben"]).reply(exchange, url(exchange, "page=3")), delay=NOTICED)

    del school.platform.courses["c1"]
    school.add("c2", script=pages(["ann"], second, ["ben"]))

    run = school.run(stop=stop)

    assert run.syncs == []
    assert school.members("c2") == {"ann", "ben", "eve"}


def test_fail_fast_stops_at_the_first_failure(school: School) -> None:
    """With fail_fast a broken course ends the run: what is complete is loaded, the rest is as before."""
    for number in range(30):
        school.add(f"c{number}", ["ann"])
    school.add("c0", script=pages(body("", 404), body("", 404)))
    school.run()
    school.platform.courses["c0"].script = pages(["ann"], body("", 410))
    for number in range(1, 30):
        school.platform.courses[f"c{number}"].members = [member("zoe")]

    run = school.run(fail_fast=True, concurrency=1)

    assert run.syncs[0].outcome == "failed"
    assert len(run.syncs) < 30
    written = {sync.facts.context_id for sync in run.syncs if sync.outcome == "complete"}
    assert all(school.members(f"c{n}") == ({"zoe"} if f"c{n}" in written else {"ann"}) for n in range(1, 30))


def test_without_fail_fast_everything_is_read(school: School) -> None:
    """A failure stays one failure: every other course is read."""
    for number in range(12):
        school.add(f"c{number}", ["ann"], script=pages(body("", 500)) if number % 3 == 0 else None)

    run = school.run()

    assert sorted(run.outcomes.values()) == ["complete"] * 8 + ["failed"] * 4


def test_unavailable_course_does_not_stop_a_fail_fast_run(school: School) -> None:
    """A course that is not offered is no failure."""
    school.add("c1", script=pages(body("", 404)))
    school.add("c2", ["ann"])

    run = school.run(fail_fast=True, concurrency=1)

    assert run.outcomes["c2"] == "complete"


# Registrations


def test_registration_whose_token_is_refused_fails_alone(school: School) -> None:
    """One registration's courses fail, each with a row; another's are loaded."""
    other = school.open("moodle", MOODLE)
    other.add(Course("m1", members=[member("ann")]))
    two_courses(school)
    school.platform.token_script = lambda _: body({"error": "invalid_client"}, 401)
    other.courses["m1"].members = [member("ann"), member("ben")]

    run = school.run()

    assert run.outcomes == {"c1": "failed", "c2": "failed", "m1": "complete"}
    assert set(run.errors.values()) == {"refused"}
    assert school.members("c1") == {"ann", "ben", "eve"}
    assert school.members("m1", "moodle") == {"ann", "ben"}


def test_registration_with_a_fault_in_its_settings_fails_alone(school: School) -> None:
    """A registration without a usable key writes one failed row per context, and the others load."""
    other = school.open("moodle", MOODLE, private_key="no-such-file.pem")
    other.add(Course("m1", members=[member("ann")]))
    other.add(Course("m2", members=[member("ann")]))
    school.add("c1", ["ann"])

    run = school.run()

    assert sorted(sync.outcome for sync in run.syncs) == ["complete", "failed", "failed"]
    assert set(run.errors.values()) == {"configuration"}
    assert other.requests == []
    assert school.members("c1") == {"ann"}


def test_many_courses_over_many_threads_are_all_loaded(school: School) -> None:
    """Sixty courses read eight at a time: every one of them is in the tables, whole."""
    for number in range(60):
        school.add(f"c{number}", crowd(number + 1))

    school.run()

    rows: list[Any] = school.sql("SELECT context_id, count(*) FROM memberships GROUP BY ALL")
    assert dict(rows) == {f"c{number}": number + 1 for number in range(60)}
