"""`kill -9` of a real `lti-rosters run` at seeded random moments of each stage; then one run mends it.

What a run is at work on is seen from outside, by the files of its working directory.
"""

import random
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from commands import Desk, active_learners, carried_out, desk
from lti_rosters.reference.platform import member
from patience import PATIENCE
from school import School

MOMENT = 0.002  # seconds between two looks
LEARNER, ASSISTANT = (
    "Learner",
    "http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant",
)
OWN = {  # columns that differ between two runs which read the same
    "memberships": {"sync_id", "synced_at", "_dlt_load_id"},
    "membership_roles": {"sync_id", "_dlt_load_id"},
    "contexts": {"first_seen_at", "_dlt_load_id"},
    "roles": {"_dlt_load_id"},
    "registrations": {"_dlt_load_id"},
}

Look = Callable[[Path], set[object]]


def some(pattern: str) -> Look:
    """A look that finds the paths of *pattern* below the working directory."""

    def look(working: Path) -> set[object]:
        try:
            return set(working.glob(pattern))
        except FileNotFoundError:  # the run took a folder away under our eyes
            return set()

    return look


def logged(working: Path) -> set[object]:
    """How much dbt has written into its log."""
    log = working / "dbt/logs/dbt.log"
    return {log.stat().st_size} if log.exists() else set()


# Where something new shows that a stage has begun, and the longest time after it (seconds) until the kill.
STAGES: dict[str, tuple[Look, float]] = {
    "start": (lambda _: {object()}, 0.8),
    "extract": (some("lti_rosters/normalize/[!.e]*/*/new_jobs/*"), 0.15),
    "normalize": (some("lti_rosters/normalize/extracted/*/new_jobs/*"), 0.1),
    "load": (some("lti_rosters/load/normalized/*/new_jobs/*"), 0.3),
    "started": (some("lti_rosters/load/normalized/*/started_jobs/*"), 0.3),
    "models": (logged, 3.0),
    "completed": (some("lti_rosters/load/normalized/*/completed_jobs/*"), 0.2),
}


@dataclass
class Term:
    """A school whose courses change between one run and the next, as *chance* has it."""

    school: School
    chance: random.Random
    number: int = 0
    courses: list[str] = field(default_factory=list)

    def open(self, courses: int = 8) -> None:
        """Fill the catalogue; the last course is empty."""
        for number in range(courses):
            self.courses.append(f"c{number}")
            self.school.add(
                f"c{number}", [self._newcomer() for _ in range(10 if number < courses - 1 else 0)]
            )

    def change(self) -> None:
        """People join, leave and change roles in half of the courses; now and then a course is emptied."""
        for key in self.chance.sample(self.courses, len(self.courses) // 2):
            course = self.school.platform.courses[key]
            stay = [each for each in course.members if self.chance.random() < 0.8]
            turned = [{**each, "roles": [ASSISTANT]} if self.chance.random() < 0.1 else each for each in stay]
            course.members = [*turned, *(self._newcomer() for _ in range(self.chance.randint(0, 3)))]
            if self.chance.random() < 0.1:
                course.members = []

    def truth(self) -> dict[str, set[str]]:
        """Who is on each roster at the platform now."""
        return {
            key: {each["user_id"] for each in self.school.platform.courses[key].members}
            for key in self.courses
        }

    def loaded(self) -> dict[str, set[str]]:
        """Who is on each roster in the warehouse; nobody twice."""
        return {key: self.school.members(key) for key in self.courses}

    def _newcomer(self) -> dict[str, Any]:
        self.number += 1
        return member(f"p{self.number}", roles=[LEARNER])


@pytest.fixture
def term(school: School, request: pytest.FixtureRequest) -> Term:
    """A term whose chances are seeded by the test's own name."""
    term = Term(school, random.Random(request.node.name))
    school.platform.latency = 0.002
    term.open()
    return term


def killed(desk: Desk, look: Look, delay: float, *arguments: str) -> bool:
    """Start a run and kill it *delay* seconds after *look* finds something new; False if it had ended."""
    working = desk.directory / ".lti_rosters"
    before = look(working)
    run = desk.start("run", "--progress", "none", *arguments)
    try:
        end = time.monotonic() + PATIENCE
        while run.poll() is None and look(working) <= before:
            assert time.monotonic() < end, "the stage never came"
            time.sleep(MOMENT)
        time.sleep(delay)
    finally:
        run.kill()
        _, err = run.communicate()
    assert run.returncode in (0, -signal.SIGKILL), err
    return run.returncode == -signal.SIGKILL


def pending(school: School) -> set[str]:
    """The packages that are whole and not loaded yet, by load id."""
    working = school.directory / ".lti_rosters/lti_rosters"
    found = [*working.glob("normalize/extracted/*"), *working.glob("load/normalized/*")]
    return {path.name for path in found if path.is_dir()}


def killed_often(term: Term, stage: str, times: int) -> set[str]:
    """Kill *times* runs in a row at *stage*, with changes in between; return the packages that were left."""
    look, longest = STAGES[stage]
    left: set[str] = set()
    with desk(term.school) as at:
        kills = 0
        for _ in range(times * 3):
            term.change()
            without = () if stage == "models" else ("--no-models",)
            kills += killed(at, look, term.chance.uniform(0, longest), *without)
            left |= pending(term.school)
            if kills == times:
                return left
    pytest.fail(f"only {kills} of {times} runs could be killed in time")


def assert_whole(term: Term) -> None:
    """What is loaded is the truth, nobody twice; each complete sync is wholly in the log."""
    school = term.school
    assert term.loaded() == term.truth()
    assert (
        school.sql(
            "SELECT sync_id, member_count, people FROM roster_syncs JOIN (SELECT sync_id, COUNT(*) AS rows,"
            " COUNT(DISTINCT user_id) AS people FROM membership_log GROUP BY ALL) USING (sync_id)"
            " WHERE rows <> people OR people <> member_count OR outcome <> 'complete'"
        )
        == []
    )
    assert (
        school.sql(
            "SELECT sync_id FROM roster_syncs ANTI JOIN membership_log USING (sync_id)"
            " WHERE outcome = 'complete' AND member_count > 0"
        )
        == []
    )
    assert school.sql("SELECT sync_id FROM roster_syncs GROUP BY ALL HAVING COUNT(*) > 1") == []
    assert school.sql("SELECT sync_id FROM membership_log ANTI JOIN roster_syncs USING (sync_id)") == []


def plain(school: School) -> dict[str, list[tuple[Any, ...]]]:
    """Every table that holds the current truth, without what differs from run to run."""
    found = {}
    for table, own in OWN.items():
        names = [row[0] for row in school.sql(f"SELECT column_name FROM (DESCRIBE {table})")]
        columns = ", ".join(name for name in names if name not in own)
        found[table] = school.sql(f"SELECT {columns} FROM {table} ORDER BY ALL")
    return found


def undisturbed(term: Term, directory: Path) -> School:
    """A school of the same platforms that was never killed, after its first run."""
    school = term.school
    directory.mkdir()
    (directory / "tool.pem").write_bytes((school.directory / "tool.pem").read_bytes())
    calm = School(directory, school.key, dict(school.platforms), dict(school.options), dict(school.catalogue))
    carried_out(calm)
    return calm


def members_data(school: School, names: Iterable[str]) -> list[Path]:
    """Files of the working directory that hold any of *names*."""
    files = [path for path in (school.directory / ".lti_rosters").rglob("*") if path.is_file()]
    wanted = [name.encode() for name in names]
    return [path for path in files if any(name in path.read_bytes() for name in wanted)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "times"),
    [("start", 9), ("extract", 9), ("normalize", 8), ("load", 9), ("started", 9), ("completed", 8)],
)
def test_one_run_makes_everything_whole_after_kills(
    term: Term, tmp_path: Path, stage: str, times: int
) -> None:
    """Killed again and again at one stage: one normal run gives the tables of an undisturbed one.

    What a killed run had read to its end is loaded first, and no rows stay in the working directory.
    """
    carried_out(term.school)

    left = killed_often(term, stage, times)
    told = carried_out(term.school)

    assert (told["exit_status"], told["error"]) == (0, None)
    assert_whole(term)
    assert plain(term.school) == plain(undisturbed(term, tmp_path / "calm"))
    committed = {load_id for (load_id,) in term.school.sql("SELECT load_id FROM _dlt_loads WHERE status = 0")}
    assert left <= committed
    assert list((term.school.directory / ".lti_rosters").rglob("*.parquet")) == []


@pytest.mark.slow
def test_one_run_builds_the_models_whole_after_kills(term: Term, tmp_path: Path) -> None:
    """Killed while they are built, at first and later: one normal run gives those of an undisturbed one."""
    killed_often(term, "models", 5)

    told = carried_out(term.school, with_models=True)

    assert (told["exit_status"], told["error"]) == (0, None)
    assert_whole(term)
    calm = undisturbed(term, tmp_path / "calm")
    carried_out(calm, with_models=True)
    assert active_learners(term.school.database) == active_learners(calm.database)
    assert term.school.sql(HISTORY) == term.school.sql(LOGGED)


# Who is on a roster by the history, and by the log of the last complete reading of each course.
HISTORY = "SELECT context_key, user_id FROM lti.membership_history WHERE valid_to IS NULL ORDER BY ALL"
LOGGED = """
    SELECT context_key, user_id FROM membership_log WHERE sync_id IN (
        SELECT ARG_MAX(sync_id, finished_at) FROM roster_syncs WHERE outcome = 'complete' GROUP BY context_key
    ) ORDER BY ALL
"""
