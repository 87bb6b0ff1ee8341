"""Scenarios: what a course sends night after night, and what the tables must hold after each.

All scenarios of a module are played in the same runs, each as a course of its own: that a fault of one
touches no other is shown by every comparison.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import CANVAS, Course, Manner
from lti_rosters.rosters.fingerprint import context_key
from school import School, people, short

LEARNER = {"status": "Active", "roles": ("Learner",)}
Roster = Mapping[str, Mapping[str, Any]]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Night:
    """One run. *sends* are members or a script; *roster* what stands afterwards: user id to columns.

    *sync* and *context* are columns of the rows of `roster_syncs` and `contexts`, as far as they matter.
    """

    sends: Any
    outcome: str
    error_type: str | None
    roster: Roster
    sync: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One course over some nights; *name* begins with the numbers of the edge cases it shows."""

    name: str
    nights: Sequence[Night]
    manner: Manner = CANVAS
    options: Mapping[str, Any] = field(default_factory=dict)
    context_id: str | None = None  # where it is not the course's own
    query: str = ""  # of its memberships URL
    catalogue: Mapping[str, Any] = field(default_factory=dict)  # further columns of its row there

    def __str__(self) -> str:
        """The name, for test ids."""
        return self.name


@dataclass(frozen=True, slots=True)
class Held:
    """What the tables hold of one course after one night; *sync* is None where no row was written."""

    sync: Row | None
    context: Row | None
    roster: dict[str, Row]


def complete(sends: Any, roster: Any = None, *, context: Any = None, **sync: Any) -> Night:
    """A night after which *roster* stands: by default those sent, all of them active learners."""
    return Night(sends, "complete", None, _roster(sends if roster is None else roster), sync, context or {})


def unchanged(sends: Any, roster: Any = None, *, context: Any = None, **sync: Any) -> Night:
    """A night that brings the roster in force once more."""
    return Night(sends, "unchanged", None, _roster(sends if roster is None else roster), sync, context or {})


def failed(sends: Any, error_type: str, roster: Any, *, outcome: str = "failed", **sync: Any) -> Night:
    """A night whose reading comes to nothing: *roster*, the last complete one, stands."""
    return Night(sends, outcome, error_type, _roster(roster), sync)


def breaks(name: str, error_type: str, sends: Any, *, outcome: str = "failed", **rest: Any) -> Scenario:
    """Three people, a fault that changes nothing, then the three and one more."""
    before = rest.pop("before", people(["ann", "ben", "eve"]))
    after = rest.pop("after", [*before, *people(["zoe"])])
    sync = rest.pop("sync", {})
    nights = (
        complete(before),
        failed(sends, error_type, before, outcome=outcome, **sync),
        complete(after, departures=0),
    )
    return Scenario(name, nights, **rest)


def reads(
    name: str, sends: Any, roster: Any = None, *, context: Any = None, sync: Any = None, **rest: Any
) -> Scenario:
    """Something odd that is read as *roster* both nights; the second time it is known to be unchanged."""
    sync = sync or {}
    nights = (
        complete(sends, roster, context=context, **sync),
        unchanged(sends, roster, context=context, **sync),
    )
    return Scenario(name, nights, **rest)


def person(*roles: str, status: str = "Active", **columns: Any) -> Row:
    """A row of the roster: *roles* without their common beginning; *columns* as far as they matter."""
    return {"status": status, "roles": tuple(sorted(roles)), **columns}


def _roster(given: Any) -> Roster:
    if isinstance(given, Mapping):
        return given
    assert isinstance(given, Collection), "a script tells no roster: name who must stand"
    return {each["user_id"]: LEARNER for each in people(given)}


class Played:
    """Scenarios after their nights: `held(scenario, night)` is what the tables held then."""

    def __init__(self, school: School, scenarios: Sequence[Scenario]) -> None:
        self.school = school
        self.scenarios = scenarios
        self._held: dict[tuple[str, int], Held] = {}
        self._registrations: dict[str, str] = {}
        self._keys: dict[str, str] = {}

    def held(self, scenario: Scenario, night: int) -> Held:
        """What the tables held of *scenario* after *night*, the first is 0."""
        return self._held[scenario.name, night]

    def play(self) -> None:
        """Run night after night, noting what the tables hold after each."""
        for number, scenario in enumerate(self.scenarios):
            self._enrol(f"c{number}", scenario)
        for night in range(max(len(scenario.nights) for scenario in self.scenarios)):
            for scenario in self.scenarios:
                self._set(scenario, night)
            before = (
                {row[0] for row in self.school.sql("SELECT sync_id FROM roster_syncs")} if night else set()
            )
            self.school.run()
            self._note(night, before)

    def _enrol(self, key: str, scenario: Scenario) -> None:
        school = self.school
        options = {"max_attempts": 2, **scenario.options}
        name = next(
            (
                name
                for name in school.platforms
                if school.options[name] == options and school.platforms[name].manner == scenario.manner
            ),
            None,
        )
        if name is None:
            name = f"{scenario.manner.name}_{len(school.platforms)}"
            school.open(name, scenario.manner, **options)
        platform = school.platforms[name]
        platform.add(Course(key))
        row = {"memberships_url": platform.memberships_url(key) + scenario.query, **scenario.catalogue}
        school.catalogue.setdefault(name, []).append(row)
        self._registrations[scenario.name] = name
        self._keys[scenario.name] = key

    def _set(self, scenario: Scenario, night: int) -> None:
        sends = scenario.nights[min(night, len(scenario.nights) - 1)].sends
        course = self.school.platforms[self._registrations[scenario.name]].courses[self._keys[scenario.name]]
        course.members, course.script = ([], sends) if callable(sends) else (people(sends), None)

    def _note(self, night: int, before: set[str]) -> None:
        syncs = [row for row in self._rows("roster_syncs") if row["sync_id"] not in before]
        contexts, members = self._rows("contexts"), self._rows("memberships")
        roles = self._rows("membership_roles")
        for scenario in self.scenarios:
            registration, key = self._registrations[scenario.name], self._keys[scenario.name]
            course = context_key(registration, scenario.context_id or key)

            def of(rows: list[Row], course: str = course) -> list[Row]:
                return [row for row in rows if row["context_key"] == course]

            url = self.school.platforms[registration].memberships_url(key)
            asked = [
                row
                for row in syncs
                if row["registration"] == registration and (row["memberships_url"] or "").split("?")[0] == url
            ]
            assert len(asked) == 1, f"{scenario}: {len(asked)} attempts are noted, not one"
            self._held[scenario.name, night] = Held(
                asked[0], next(iter(of(contexts)), None), _with_roles(of(members), of(roles))
            )

    def _rows(self, table: str) -> list[Row]:
        columns = [name for (name, *_) in self.school.sql(f"DESCRIBE {table}")]
        return [dict(zip(columns, row, strict=True)) for row in self.school.sql(f"SELECT * FROM {table}")]


def _with_roles(members: list[Row], roles: list[Row]) -> dict[str, Row]:
    roster = {row["user_id"]: {**row, "roles": ()} for row in members}
    assert len(roster) == len(members), "somebody is on the roster twice"
    for row in roles:
        held = roster[row["user_id"]]
        held["roles"] = tuple(sorted((*held["roles"], short(row["role_uri"]))))
    return roster


def check(played: Played, scenario: Scenario) -> None:
    """Compare the tables after every night with what they must be."""
    for number, night in enumerate(scenario.nights):
        held = played.held(scenario, number)
        told = f"{scenario}, night {number + 1}"
        assert held.sync is not None
        verdict = (held.sync["outcome"], held.sync["error_type"])
        assert verdict == (night.outcome, night.error_type), f"{told}: {held.sync['error']}"
        assert set(held.roster) == set(night.roster), told
        for user_id, expected in night.roster.items():
            assert {name: held.roster[user_id][name] for name in expected} == dict(expected), (
                f"{told}: {user_id}"
            )
        assert {name: held.sync[name] for name in night.sync} == dict(night.sync), told
        if night.context:
            assert held.context is not None, told
            assert {name: held.context[name] for name in night.context} == dict(night.context), told


@contextmanager
def nights(directory: Path, key: SigningKey, scenarios: Sequence[Scenario]) -> Iterator[Played]:
    """Play *scenarios* in one school."""
    assert len({scenario.name for scenario in scenarios}) == len(scenarios), "two scenarios have one name"
    with School(directory, key) as school:
        played = Played(school, scenarios)
        played.play()
        yield played
