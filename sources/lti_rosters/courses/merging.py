"""Launches merged into the rows of a catalogue's file: which are new, which have another address, which stay."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ..catalogue.editing import EditedFile
from ..catalogue.entries import ContextEntry
from ..catalogue.launches import claims_of
from ..catalogue.ltiaas import token_of

ADDED, CHANGED, KNOWN, SKIPPED = "added", "changed", "known", "skipped"


class Change(NamedTuple):
    """What became of one row: *what* is `added`, `changed`, `known` or `skipped`; *course* is never an address.

    *is_bad*: it could not be read as what is imported.
    """

    where: str
    what: str
    course: str
    why: str
    is_bad: bool = False


@dataclass(slots=True)
class Merging:
    """The rows of the catalogue's *file*, found by course and by address."""

    file: EditedFile
    provider: str
    rows: list[ContextEntry | None]
    by_id: dict[str, list[int]] = field(default_factory=dict)
    by_address: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number in range(len(self.rows)):
            self._note(number)

    def _note(self, number: int) -> None:
        row = self.rows[number]
        if row is not None and row.context_id:
            self.by_id.setdefault(row.context_id, []).append(number)
        if row is not None and row.address:
            self.by_address.setdefault(row.address, []).append(number)

    def merge(self, launch: ContextEntry) -> Change:
        """Add *launch*, or give the rows of its course its address, whatever link of it they are for."""
        numbers = self.by_id.get(launch.context_id or "", ())
        newest = self._newest(launch, numbers)
        if newest is not None and (newest.launched_at or 0.0) > (launch.launched_at or 0.0):
            return Change(launch.where, SKIPPED, name_of(launch), "the catalogue has a newer launch")
        plain = [number for number in numbers if (row := self.rows[number]) and not row.is_launch]
        is_there = any(self._address(number) == launch.address for number in plain)
        moved = [] if is_there else plain
        if not moved and (newest.address == launch.address if newest else plain):
            return Change(launch.where, KNOWN, name_of(launch), "the catalogue has it")
        if newest is None and not plain:
            if self.by_address.get(launch.address or ""):
                return Change(launch.where, KNOWN, name_of(launch), "the catalogue has its address")
            self._append(launch)
            return Change(launch.where, ADDED, name_of(launch), "")
        self._move(moved, launch)
        if newest is not None and newest.address != launch.address:
            self._append(launch)  # the newest of a course's launches is in force: the others stay as they are
        return Change(launch.where, CHANGED, name_of(launch), "this launch has another address")

    def _address(self, number: int) -> str | None:
        row = self.rows[number]
        return row.address if row else None

    def _newest(self, launch: ContextEntry, numbers: Sequence[int]) -> ContextEntry | None:
        """The launch in force among the rows of a course; ties: the last, as a catalogue is read."""
        newest = None
        for row in (self.rows[number] for number in numbers):
            if row is None or not row.is_launch or not row.address:
                continue
            if deployment_of(row) == deployment_of(launch) and (
                newest is None or (newest.launched_at or 0.0) <= (row.launched_at or 0.0)
            ):
                newest = row
        return newest

    def _move(self, numbers: Sequence[int], launch: ContextEntry) -> None:
        column = "service_key" if self.provider == "ltiaas" else "memberships_url"
        for number in numbers:
            self.file.change(number, column, self._row(launch))
            if (row := self.rows[number]) is not None:
                self.rows[number] = replace(
                    row, memberships_url=launch.memberships_url, service_key=launch.service_key
                )

    def _append(self, launch: ContextEntry) -> None:
        claims = token_of if self.provider == "ltiaas" else claims_of
        self.file.append(claims(launch) if self.file.is_json else self._row(launch))
        self.rows.append(launch)
        self._note(len(self.rows) - 1)

    def _row(self, launch: ContextEntry) -> dict[str, str]:
        named = {
            "memberships_url" if self.provider == "nrps" else "service_key": launch.address,
            "context_id": launch.context_id,
            "label": launch.label,
            "title": launch.title,
        }
        return {name: value for name, value in named.items() if value}


def deployment_of(launch: ContextEntry) -> str | None:
    """Return which deployment of the tool *launch* is of, if it tells."""
    return launch.sender.deployment_id if launch.sender else None


def name_of(course: ContextEntry) -> str:
    """Return what a person knows *course* by; never an address, which may carry a secret."""
    return course.context_id or course.title or course.label or "a course without an id"
