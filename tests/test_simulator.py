"""A short term of the simulator, and its judge: what is wrong in the tables must not escape it."""

import copy
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lti_rosters.keys.signing import SigningKey
from simulator.judge import VIOLATIONS, Judge
from simulator.manners import KINDS
from simulator.term import Term, Weather

NIGHTS, COURSES, SEED = 10, 12, 4


@pytest.fixture(scope="module")
def played(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Term:
    """A term in which much goes wrong."""
    weather = Weather(outage=0.04, fault=0.35, kill=0.2)
    directory = tmp_path_factory.mktemp("term") / "school"
    term = Term(directory, tool_key, NIGHTS, COURSES, SEED, weather=weather, is_built_twice=False)
    with term:
        term.play()
    return term


@pytest.mark.slow
def test_tables_equal_the_truth_after_every_night(played: Term) -> None:
    """Nobody leaves who did not, nobody stays who left, nothing is there twice, whatever breaks meanwhile."""
    assert not played.judge.violations, f"seed {SEED}:\n" + "\n".join(map(str, played.judge.violations))


@pytest.mark.slow
def test_much_goes_wrong_in_the_term(played: Term) -> None:
    """The comparison is worth something: people leave, lists move, platforms fail, runs are killed."""
    kills = sum(count for name, count in played.figures.items() if name.startswith("killed"))

    assert played.judge.figures["departures seen"] > 20
    assert len(played.faults) > 10
    assert kills > 0
    assert played.judge.figures["days compared"] > NIGHTS * COURSES // 2


@pytest.mark.slow
def test_wrong_day_is_found(played: Term) -> None:
    """The judge compares every day of `active_learners_daily`."""
    judge = copy.copy(played.judge)
    judge.violations = []
    key, nights = max(judge.days.items(), key=lambda each: len(each[1]))
    judge.days = {**judge.days, key: {**nights, max(nights): nights[max(nights)] | {"somebody else"}}}

    judge.look_at_daily(played.day_of)

    assert [(each.kind, each.course) for each in judge.violations] == [("wrong daily", key)]


# What is done to the tables before the judge looks; each kind of violation has one that shows it.
TAMPERED = {
    "false departure": "DELETE FROM memberships WHERE user_id = (SELECT MIN(user_id) FROM memberships)",
    "missed departure": """
        INSERT INTO memberships SELECT * REPLACE ('{left}' AS user_id) FROM memberships
        WHERE context_key = '{course}' LIMIT 1
    """,
    "duplicate": "INSERT INTO memberships SELECT * FROM memberships LIMIT 1",
    "member missing": "DELETE FROM memberships",
    "stranger": "INSERT INTO memberships SELECT * REPLACE ('nobody' AS user_id) FROM memberships LIMIT 1",
    "wrong value": "UPDATE memberships SET status = 'Suspended by hand'",
    "roster lost": "DELETE FROM memberships",
    "needless write": "UPDATE roster_syncs SET outcome = 'complete' WHERE outcome = 'unchanged'",
    "wrong outcome": "UPDATE roster_syncs SET outcome = 'failed'",
    "wrong log": "DELETE FROM membership_log",
    "wrong figure": "UPDATE roster_syncs SET member_count = member_count + 1",
    "wrong catalogue": "UPDATE contexts SET title = 'another'",
}


@dataclass(frozen=True, slots=True)
class Second:
    """The second night of a calm term, loaded and not yet looked at."""

    term: Term
    judge: Judge
    database: Path

    def looked(self, tampering: str) -> set[str]:
        """The kinds of violation that the judge finds after *tampering*."""
        shutil.copy(self.database, self.term.school.database)
        judge = copy.copy(self.judge)
        judge.violations, judge.held, judge._seen = [], copy.deepcopy(self.judge.held), set(self.judge._seen)
        left, course = self._somebody_who_left()
        self.term.school.sql(tampering.format(left=left, course=course))
        judge.look(1, self.term.evenings, is_after_crash=False)
        return {violation.kind for violation in judge.violations}

    def _somebody_who_left(self) -> tuple[str, str]:
        for evening, _ in self.term.evenings:
            key = self.judge.key_of[evening.truth.registration, evening.truth.context_id]
            gone = set(self.judge.held[key].roster or {}) - set(evening.truth.roster)
            if gone and evening.truth.roster:
                return min(gone), key
        raise AssertionError("nobody left: choose another seed")


@pytest.fixture(scope="module")
def second(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Second]:
    """Two nights without a fault."""
    directory = tmp_path_factory.mktemp("second")
    calm = Weather(outage=0, fault=0, kill=0)
    term = Term(directory / "school", tool_key, 2, 8, SEED, weather=calm, kinds=KINDS[:2])
    kept: list[Judge] = []

    def keep(night: int) -> None:
        if night == 1:
            kept.append(copy.copy(term.judge))
            kept[0].held, kept[0]._seen = copy.deepcopy(term.judge.held), set(term.judge._seen)
            shutil.copy(term.school.database, directory / "kept.duckdb")

    term.on_loaded = keep
    with term:
        term.night(0)
        for _ in range(3):  # so that much has changed by the second night
            term.campus.turn()
        term.night(1)
        yield Second(term, kept[0], directory / "kept.duckdb")


def test_tables_that_are_right_are_right(second: Second) -> None:
    """The judge finds nothing where nothing is wrong."""
    assert second.looked("SELECT 1") == set()


@pytest.mark.parametrize("kind", TAMPERED)
def test_tampering_is_found(second: Second, kind: str) -> None:
    """What is wrong in the tables is told under its name."""
    assert kind in second.looked(TAMPERED[kind])


def test_every_kind_of_violation_has_its_test() -> None:
    """No comparison of the judge is never seen to fail."""
    assert {*TAMPERED, "wrong daily"} == set(VIOLATIONS)
