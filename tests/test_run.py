"""`lti-rosters run` in this process: every option, every exit status, and what a run leaves behind."""

import sys
import threading
import time
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pytest

from commands import active_learners, carried_out, files
from lti_rosters import lti_rosters
from lti_rosters.reference.platform import MOODLE, Course, Exchange, Reply
from lti_rosters.rosters.sync import Sync
from lti_rosters.runs.destination import tidy
from lti_rosters.runs.lock import alone
from lti_rosters.runs.run import Order, Watcher, run
from lti_rosters.tables import batches
from school import School, crowd

HTML = Reply(200, [("Content-Type", "text/html")], b"<!doctype html><title>Sign in</title>")


def throttle(exchange: Exchange) -> Reply:
    """Too many requests, and a wait that nobody has time for."""
    del exchange
    return Reply(429, [("Retry-After", "9999")], b"slow down")


def down(exchange: Exchange) -> Reply:
    """A server that is out of order."""
    del exchange
    return Reply(500, [], b"")


def refuse(exchange: Exchange) -> Reply:
    """A platform that wants no token of ours."""
    del exchange
    return Reply(401, [], b"")


def sign_in(exchange: Exchange) -> Reply:
    """A page for people."""
    del exchange
    return HTML


def gone(exchange: Exchange) -> Reply:
    """A course without a roster."""
    del exchange
    return Reply(404, [], b"")


# What a run reads, and how it ends


def test_a_run_loads_and_builds(school: School) -> None:
    """Two courses are loaded, the models count their learners, and the exit status is 0."""
    school.add("c1", ["ann", "ben"])
    school.add("c2", [])

    told = carried_out(school, with_models=True)

    assert (told["exit_status"], told["totals"]["complete"], told["totals"]["members"]) == (0, 2, 2)
    counts = active_learners(school.database)
    assert counts == {("canvas", "c1"): (2, "fresh"), ("canvas", "c2"): (0, "fresh")}
    assert {"active_learners", "courses"} <= {model["name"] for model in told["models"]}


def test_a_second_run_says_that_nothing_changed(school: School) -> None:
    """What is unchanged is counted as such, and only `roster_syncs` grows."""
    school.add("c1", ["ann", "ben"])
    carried_out(school)
    before = school.everything(but=["roster_syncs"])

    told = carried_out(school)

    assert (told["totals"]["unchanged"], told["totals"]["complete"]) == (1, 0)
    assert school.everything(but=["roster_syncs"]) == before
    assert school.sql("SELECT COUNT(*) FROM roster_syncs") == [(2,)]


@pytest.mark.parametrize(
    ("script", "error_type", "status"),
    [(refuse, "refused", 5), (down, "unreachable", 6), (throttle, "throttled", 7), (sign_in, "malformed", 8)],
)
def test_the_cause_is_the_exit_status_where_nothing_was_read(
    school: School, script: Any, error_type: str, status: int
) -> None:
    """Refused 5, unreachable 6, throttled 7, unusable 8."""
    school.add("c1", ["ann"], script=script)

    told = carried_out(school, is_dry=True)

    assert (told["failures"][0]["error_type"], told["exit_status"]) == (error_type, status)


def test_the_first_cause_of_the_order_wins(school: School) -> None:
    """With an unusable and a refused course and nothing read, the exit status is 5."""
    school.add("c1", script=sign_in)
    school.add("c2", script=refuse)

    assert carried_out(school, is_dry=True)["exit_status"] == 5


def test_something_read_and_something_failed_is_partial(school: School) -> None:
    """One course of two fails: 3, and the other is loaded."""
    school.add("c1", ["ann"], script=sign_in)
    school.add("c2", ["ben"])

    told = carried_out(school)

    assert (told["exit_status"], school.members("c2")) == (3, {"ben"})


def test_unavailable_courses_are_no_failure(school: School) -> None:
    """Only courses without a roster: 0, each of them listed."""
    school.add("c1", script=gone)

    told = carried_out(school)

    assert (told["exit_status"], told["failures"][0]["outcome"]) == (0, "unavailable")


def test_a_failing_registration_leaves_the_others(school: School) -> None:
    """A registration with a wrong client id fails alone."""
    school.add("c1", ["ann"])
    other = school.open("moodle", MOODLE, client_id="nobody")
    other.add(Course("m1", members=crowd(2)))

    told = carried_out(school)

    assert told["exit_status"] == 3
    assert [(name, each["complete"], each["failed"]) for name, each in told["registrations"].items()] == [
        ("canvas", 1, 0),
        ("moodle", 0, 1),
    ]


# Options


def test_dry_run_writes_nothing(school: School) -> None:
    """The database is the same byte for byte, and the only working file is the lock."""
    course = school.add("c1", ["ann", "ben"])
    carried_out(school)
    bytes_before, files_before = school.database.read_bytes(), files(school.directory)
    course.members = crowd(3)

    told = carried_out(school, is_dry=True, with_models=True)

    assert (told["exit_status"], told["is_dry"], told["load_ids"], told["models"]) == (0, True, [], [])
    assert (told["totals"]["arrivals"], told["totals"]["departures"]) == (3, 2)
    assert school.database.read_bytes() == bytes_before
    assert files(school.directory) == files_before


def test_dry_run_at_first_contact_creates_no_database(school: School) -> None:
    """Where nothing was loaded yet, nothing but the lock is there afterwards."""
    school.add("c1", ["ann"])

    told = carried_out(school, is_dry=True)

    assert told["totals"]["complete"] == 1
    assert files(school.directory) == {"tool.pem", ".lti_rosters/run.lock"}


def test_limit_reads_so_many_courses(school: School) -> None:
    """Two of three; the third is not delisted."""
    for number in range(3):
        school.add(f"c{number}", ["ann"])
    carried_out(school)

    told = carried_out(school, limit=2)

    assert told["totals"]["contexts"] == 2
    assert school.sql("SELECT COUNT(*) FROM contexts WHERE delisted_at IS NOT NULL") == [(0,)]


def test_context_reads_that_course(school: School) -> None:
    """Named by the platform's id, once it was read."""
    school.add("c1", ["ann"])
    school.add("c2", ["ben"])
    carried_out(school)

    told = carried_out(school, context_ids=["c2"], is_full=True)

    assert (told["totals"]["contexts"], told["totals"]["complete"]) == (1, 1)


@pytest.mark.parametrize("is_dry", [True, False])
def test_each_context_that_is_not_there_is_told(school: School, is_dry: bool) -> None:
    """Beside one that is there, and whatever --limit leaves of those: exit 4, each named, nothing read."""
    school.add("c1", ["ann"])
    school.add("c2", ["ben"])
    carried_out(school)
    school.platform.forget()

    told = carried_out(school, context_ids=["c1", "typo", "c2", "C1"], limit=1, is_dry=is_dry)

    assert (told["exit_status"], told["error"]["where"], school.platform.requests) == (4, "--context", [])
    assert told["error"]["what"] == "no course of the catalogue has the context_id typo, C1."


def test_every_context_that_is_there_is_read(school: School) -> None:
    """Several ids that the catalogue has are no fault, also where --limit leaves one of them."""
    school.add("c1", ["ann"])
    school.add("c2", ["ben"])
    carried_out(school)

    assert carried_out(school, context_ids=["c1", "c2"])["totals"]["contexts"] == 2
    assert carried_out(school, context_ids=["c1", "c2"], limit=1)["totals"]["contexts"] == 1


@pytest.mark.parametrize("is_dry", [True, False])
def test_courses_that_the_catalogue_dropped_are_counted(school: School, is_dry: bool) -> None:
    """Two of three are delisted: counted for their registration and in all, without a warning."""
    for number in range(3):
        school.add(f"c{number}", ["ann"])
    carried_out(school)
    del school.platform.courses["c1"], school.platform.courses["c2"]

    told = carried_out(school, is_dry=is_dry)

    assert (told["registrations"]["canvas"]["delisted"], told["totals"]["delisted"]) == (2, 2)
    assert (told["exit_status"], told["warnings"]) == (0, [])


def test_a_catalogue_that_is_empty_now_is_warned_of(school: School, tmp_path: Path) -> None:
    """It had a course: that one is delisted, and the run says that its catalogue is empty."""
    school.add("c1", ["ann"])
    carried_out(school)
    (tmp_path / "courses.csv").write_text("memberships_url\n", encoding="utf-8")
    school.options["canvas"]["contexts"] = str(tmp_path / "courses.csv")

    with school.settings():
        told = run(Order(directory=school.directory, with_models=False))

    assert told["totals"]["delisted"] == 1
    assert told["warnings"] == ["The catalogue of canvas is empty; every course that it had is delisted (1)."]


# The models alone


def test_the_models_are_built_alone(school: School) -> None:
    """Of what an earlier run loaded; no platform is asked, nothing is loaded."""
    school.add("c1", ["ann", "ben"])
    carried_out(school)
    school.platform.forget()

    told = carried_out(school, is_models_only=True, command="models")

    assert (told["command"], told["exit_status"], told["load_ids"]) == ("models", 0, [])
    assert active_learners(school.database) == {("canvas", "c1"): (2, "fresh")}
    assert school.platform.requests == []


def test_the_models_need_no_registration(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has the database alone can build them: without a registration in the settings."""
    school.add("c1", ["ann"])
    carried_out(school)
    monkeypatch.chdir(school.directory)

    told = run(Order(directory=school.directory, is_models_only=True, command="models"))

    assert (told["exit_status"], told["error"]) == (0, None)
    assert active_learners(school.database) == {("canvas", "c1"): (1, "fresh")}


def test_models_of_nothing_are_refused(school: School) -> None:
    """Exit 9 where nothing was loaded yet, and no database is made."""
    told = carried_out(school, is_models_only=True, command="models")

    assert (told["exit_status"], told["error"]["what"]) == (9, "No roster has been loaded yet.")
    assert not school.database.exists()


def test_a_setting_under_the_pipeline_s_name_counts(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """`LTI_ROSTERS__SOURCES__…` goes before the same setting without the prefix, as in dlt's own run."""
    school.add("c1", ["ann"])
    prefix = "LTI_ROSTERS__SOURCES__LTI_ROSTERS__REGISTRATIONS__CANVAS__"
    monkeypatch.setenv(f"{prefix}CLIENT_ID", "nobody")

    assert carried_out(school, is_dry=True)["exit_status"] == 5


@pytest.mark.parametrize("is_dry", [True, False])
def test_a_context_that_is_not_there_is_told(school: School, is_dry: bool) -> None:
    """Nothing is read, exit 4, and the next run goes as if nothing had been."""
    school.add("c1", ["ann"])
    carried_out(school)

    told = carried_out(school, context_ids=["C1"], is_dry=is_dry)
    later = carried_out(school)

    assert (told["exit_status"], told["error"]["what"]) == (
        4,
        "no course of the catalogue has the context_id C1.",
    )
    assert (later["exit_status"], later["warnings"]) == (0, [])


def test_registration_reads_that_one(school: School) -> None:
    """The other registration is not asked at all."""
    school.add("c1", ["ann"])
    other = school.open("moodle", MOODLE)
    other.add(Course("m1", members=crowd(2)))

    told = carried_out(school, registrations=["canvas"])

    assert (list(told["registrations"]), other.requests) == (["canvas"], [])


def test_an_unknown_registration_is_told_with_the_nearest(school: School) -> None:
    """Exit 4, and the name that was meant."""
    school.add("c1", ["ann"])

    told = carried_out(school, registrations=["canvass"])

    assert (told["exit_status"], told["error"]["error_type"]) == (4, "configuration")
    assert 'No registration "canvass"' in told["error"]["what"]
    assert "canvas." in told["error"]["what"]


def test_full_writes_what_is_unchanged(school: School) -> None:
    """With --full the same roster is complete once more."""
    school.add("c1", ["ann"])
    carried_out(school)

    told = carried_out(school, is_full=True)

    assert (told["totals"]["complete"], told["totals"]["unchanged"]) == (1, 0)


def test_without_models_none_is_built(school: School) -> None:
    """--no-models loads the raw tables alone."""
    school.add("c1", ["ann"])

    told = carried_out(school, with_models=False)

    assert told["models"] == []
    assert school.sql("SELECT COUNT(*) FROM duckdb_tables() WHERE schema_name = 'lti'") == [(0,)]


def test_fail_fast_stops_at_the_first_failure(school: School) -> None:
    """One at a time, the first fails: the others are not asked, and what they had stays."""
    first = school.add("c0", ["ann"])
    for number in range(1, 6):
        school.add(f"c{number}", ["ann"])
    school.options["canvas"]["concurrency"] = 1
    carried_out(school)
    first.script = sign_in
    school.platform.forget()

    told = carried_out(school, is_fail_fast=True)

    assert (told["exit_status"] in (3, 8), told["totals"]["failed"]) == (True, 1)
    assert len(school.platform.roster_requests) < 6
    assert school.sql("SELECT COUNT(*) FROM memberships") == [(6,)]


@pytest.mark.parametrize("has_clocks", [True, False])
def test_a_platform_that_is_waited_for_is_asked_as_often_at_once_as_it_may(
    school: School, monkeypatch: pytest.MonkeyPatch, *, has_clocks: bool
) -> None:
    """Each thread joins while those before it wait: for a whole second here, the first included.

    Not every system tells one thread what another took.
    """
    if not has_clocks:
        monkeypatch.delattr(time, "pthread_getcpuclockid", raising=False)
    for number in range(9):
        school.add(f"c{number}", ["ann"])
    school.options["canvas"]["concurrency"] = 6
    school.platform.latency = 1.0

    told = carried_out(school)

    assert (told["totals"]["complete"], school.platform.peak) == (9, 6)


# Interrupts and the lock


def test_an_interrupt_keeps_what_is_complete(school: School) -> None:
    """Stopped after the first of many courses: 130; what was complete is loaded, the rest writes no row."""
    for number in range(12):
        school.add(f"c{number}", ["ann"])
    school.options["canvas"]["concurrency"] = 1
    school.platform.latency = 0.05
    stop = threading.Event()

    told = carried_out(school, stop=stop, watcher=Watcher(on_sync=lambda _: stop.set()), with_models=True)

    read = told["totals"]["complete"]
    assert (told["exit_status"], 0 < read < 12, told["models"]) == (130, True, [])
    assert school.sql("SELECT COUNT(*) FROM roster_syncs") == [(read,)]
    assert school.sql("SELECT COUNT(*) FROM memberships") == [(read,)]


def test_a_second_run_waits_and_says_so(school: School) -> None:
    """While another holds the lock it waits, and goes on when that ends."""
    school.add("c1", ["ann"])
    steps: list[str] = []
    held = alone(school.directory / ".lti_rosters", is_patient=True)
    held.__enter__()

    def note(step: str) -> None:
        steps.append(step)
        if step == "wait":
            held.__exit__(None, None, None)

    told = carried_out(school, watcher=Watcher(on_step=note))

    assert (told["exit_status"], steps) == (0, ["wait", "read"])


def test_no_wait_stops_at_once(school: School) -> None:
    """Exit 10 while another run is at work; nothing is asked of the platform."""
    school.add("c1", ["ann"])

    with alone(school.directory / ".lti_rosters", is_patient=True):
        told = carried_out(school, is_patient=False)

    assert (told["exit_status"], told["error"]["error_type"], school.platform.requests) == (10, "busy", [])


def test_waiting_can_be_interrupted(school: School) -> None:
    """A run that waits for another one ends with 130 when it is asked to."""
    school.add("c1", ["ann"])
    stop = threading.Event()

    with alone(school.directory / ".lti_rosters", is_patient=True):
        told = carried_out(school, stop=stop, watcher=Watcher(on_step=lambda _: stop.set()))

    assert (told["exit_status"], told["error"], school.platform.requests) == (130, None, [])


def test_a_working_directory_that_cannot_be_made_is_told(school: School) -> None:
    """A file in its place is no bug of ours: exit 9, with what to do."""
    school.add("c1", ["ann"])
    (school.directory / ".lti_rosters").write_text("in the way")

    told = carried_out(school)

    assert (told["exit_status"], told["error"]["error_type"]) == (9, "destination")


# The destination


def leave_pending(school: School, *, normalized: bool) -> None:
    """Read everything as a run does and end before it is loaded, as a machine that loses its power."""
    with school.settings() as names, tidy():
        pipeline = dlt.pipeline(
            "lti_rosters",
            destination=dlt.destinations.duckdb(str(school.database)),
            dataset_name="lti_raw",
            pipelines_dir=str(school.directory / ".lti_rosters"),
        )
        pipeline.extract(lti_rosters(school.contexts(names)))
        if normalized:
            pipeline.normalize()
        pipeline.deactivate()


@pytest.mark.parametrize("normalized", [True, False])
def test_what_a_crashed_run_left_is_loaded_first(school: School, normalized: bool) -> None:
    """The pending package is finished, then today's roster is read and loaded too."""
    course = school.add("c1", ["ann", "ben"])
    leave_pending(school, normalized=normalized)
    course.members = crowd(1, "eve")

    told = carried_out(school)

    assert told["exit_status"] == 0
    assert told["warnings"] == ["A load that an earlier run had left unfinished was finished first."]
    assert school.members("c1") == {"eve0"}
    assert school.sql("SELECT COUNT(*) FROM roster_syncs WHERE outcome = 'complete'") == [(2,)]


def test_a_package_for_another_destination_is_refused(
    school: School, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Exit 9; the package is still there for the destination that it was meant for."""
    course = school.add("c1", ["ann"])
    carried_out(school)
    course.members = crowd(2)
    leave_pending(school, normalized=True)
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "other.duckdb"))

    refused = carried_out(school)
    monkeypatch.delenv("DESTINATION__DUCKDB__CREDENTIALS")
    later = carried_out(school)

    assert (refused["exit_status"], refused["error"]["error_type"]) == (9, "destination")
    assert "another destination" in refused["error"]["what"]
    assert not (tmp_path / "other.duckdb").exists()
    assert (later["exit_status"], len(later["warnings"]), school.members("c1")) == (0, 1, {"u0", "u1"})


def test_a_destination_that_is_broken_is_told(school: School) -> None:
    """A file that is no database: exit 9, not a word of what is in it, and it stays as it is."""
    school.add("c1", ["ann"])
    school.database.write_bytes(b"secret words that are no database at all" * 500)

    told = carried_out(school)

    assert (told["exit_status"], told["error"]["error_type"]) == (9, "destination")
    assert "secret" not in str(told)
    assert school.database.read_bytes().startswith(b"secret words")


@pytest.mark.parametrize("how", [{}, {"is_dry": True}, {"is_models_only": True}, {"with_models": True}])
@pytest.mark.parametrize("name", ["nope", "snowflake", "postgres"])
def test_a_destination_that_cannot_be_used_is_a_setting(
    school: School, name: str, how: dict[str, bool]
) -> None:
    """Unknown, not installed or without credentials, for whatever command: exit 4 before anything is asked."""
    school.add("c1", ["ann"])

    told = carried_out(school, destination=name, **how)

    assert (told["exit_status"], told["error"]["where"], school.platform.requests) == (4, "destination", [])


def test_a_missing_dbt_is_told_before_anything_is_read(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 4 with the extra's name, and no roster was asked for; without models it is not needed."""
    school.add("c1", ["ann"])
    monkeypatch.setitem(sys.modules, "dbt.adapters.duckdb", None)

    told = carried_out(school, with_models=True)

    assert (told["exit_status"], school.platform.requests) == (4, [])
    assert 'pip install "lti-rosters[duckdb]"' in told["error"]["remedy"]
    assert carried_out(school)["exit_status"] == 0


def test_package_files_are_empty_after_a_load(school: School) -> None:
    """No member's data is left in the working directory."""
    school.add(
        "c1", [{"user_id": "u1", "roles": ["Learner"], "name": "Ada Larkspur", "email": "ada@lab.example"}]
    )

    carried_out(school)

    left = [path for path in (school.directory / ".lti_rosters").rglob("*") if path.is_file()]
    assert left
    assert [path for path in left if b"Larkspur" in path.read_bytes()] == []


# Faults of our own


def test_a_bug_is_told_without_its_text(school: School) -> None:
    """An unforeseen error ends in a document with exit 1, which does not quote what the error said."""
    school.add("c1", ["ann"])

    def broken(made: Any) -> None:
        raise RuntimeError(f"Ada Larkspur {len(made)}")

    told = carried_out(school, watcher=Watcher(on_plan=broken))

    assert (told["exit_status"], told["error"]["error_type"]) == (1, "bug")
    assert "RuntimeError" in told["error"]["what"]
    assert "Larkspur" not in str(told)


def test_a_bug_outside_the_reading_is_told_too(school: School) -> None:
    """So is one before the first request."""
    school.add("c1", ["ann"])

    def broken(step: str) -> None:
        raise KeyError(step)

    told = carried_out(school, watcher=Watcher(on_step=broken))

    assert (told["exit_status"], told["error"]["error_type"]) == (1, "bug")


def test_every_sync_is_told_to_the_watcher(school: School) -> None:
    """Once each, with its outcome."""
    school.add("c1", ["ann"])
    school.add("c2", script=sign_in)
    seen: list[Sync] = []

    carried_out(school, watcher=Watcher(on_sync=seen.append), is_dry=True)

    assert sorted(sync.outcome for sync in seen) == ["complete", "failed"]


def test_a_batch_is_written_before_the_next_is_made(
    school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dlt takes rows from a source while five batches wait to be written, unless it is told not to."""
    for number in range(40):
        school.add(f"many{number}", crowd(1_000, f"m{number}-"))
    monkeypatch.setattr(batches, "ROWS", 5_000)  # as many as dlt writes at once
    as_dlt_does = school.fork(tmp_path / "fork")

    def most(of: School) -> int:
        """Bytes that Arrow held at most while rosters came in."""
        held: list[int] = []
        watcher = Watcher(on_sync=lambda _: held.append(pa.total_allocated_bytes()))
        assert carried_out(of, watcher=watcher)["exit_status"] == 0
        return max(held) - min(held)

    with monkeypatch.context() as asked:
        asked.setenv("EXTRACT__NEXT_ITEM_MODE", "round_robin")
        others = most(as_dlt_does)

    assert most(school) * 2 < others
