"""Rosters become Arrow: rows of many courses are gathered into tables of about 50,000 rows (one yield each)."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow as pa

from .container import Member
from .roles import Held, held
from .tables import arrow_rows, arrow_schema, arrow_table

# dlt's cost is per yielded table: 100-row tables cost fifteen times as much to extract as these.
ROWS = 50_000

EMPTY: list[tuple[Any, ...]] = [()] * len(Member._fields)


Batch = Mapping[str, "pa.Table"]


class Written(NamedTuple):
    """A complete roster to be written; *rows* are members with their row hashes."""

    context_key: str
    registration: str
    context_id: str
    sync_id: str
    observed_at: datetime
    rows: Sequence[tuple[Member, str]]


class Gatherer:
    """Collects rows until a batch is due."""

    def __init__(self, load_id: str) -> None:
        self._load_id = load_id
        self._rosters: list[Written] = []
        self._rows: dict[str, list[Sequence[Any]]] = {}
        self._size = 0

    def add(self, roster: Written) -> Iterator[Batch]:
        """Add a roster; yields a batch whenever one is full."""
        self._rosters.append(roster)
        self._size += len(roster.rows)
        if self._size >= ROWS:
            yield from self.flush()

    def add_row(self, table: str, row: Sequence[Any]) -> None:
        """Add one row of a small *table*, without its load id."""
        self._rows.setdefault(table, []).append((*row, self._load_id))
        self._size += 1

    def flush(self) -> Iterator[Batch]:
        """Yield what is there, in slices of at most a batch."""
        rosters, rows = self._rosters, self._rows
        self._rosters, self._rows, self._size = [], {}, 0
        small = {table: arrow_rows(table, of_table) for table, of_table in rows.items()}
        if small:
            yield small
        if rosters:
            yield {
                name: _gathered(name, rosters, columns_of, self._load_id)
                for name, columns_of in COLUMNS_OF.items()
            }


def _gathered(
    name: str, rosters: Iterable[Written], columns_of: Callable[[Written], Iterable[Sequence[Any]]], load_id: str
) -> pa.Table:
    """The rows of many rosters as one table; *columns_of* gives those of one, the load id left out."""
    columns: list[list[Any]] = [[] for _ in arrow_schema(name).names[:-1]]
    for roster in rosters:
        for column, values in zip(columns, columns_of(roster), strict=True):
            column.extend(values)
    load_ids = pa.repeat(pa.scalar(load_id, pa.string()), len(columns[0]))
    return arrow_table(name, [*columns, load_ids])


def _memberships(roster: Written) -> Iterable[Sequence[Any]]:
    """A marker row, then the members: the marker puts an empty course in scope."""
    size = len(roster.rows) + 1
    members = [member for member, _ in roster.rows]
    user_ids, statuses, _, *texts, _ = zip(*members, strict=True) if members else EMPTY
    return (
        *_owner(roster, size),
        ("", *user_ids),
        (None, *statuses),
        (None, *(held(member.roles).primary_role for member in members)),
        *((None, *text) for text in texts),
        [roster.sync_id] * size,
        [roster.observed_at] * size,
        (None, *(row_hash for _, row_hash in roster.rows)),
    )


def _membership_roles(roster: Written) -> Iterable[Sequence[Any]]:
    triples: list[tuple[str, str, str | None]] = [("", "", None)]  # the marker
    triples += [
        (member.user_id, uri, raw) for member, _ in roster.rows for uri, raw in held(member.roles).roles
    ]
    size = len(triples)
    return (*_owner(roster, size), *zip(*triples, strict=True), [roster.sync_id] * size)


def _membership_log(roster: Written) -> Iterable[Sequence[Any]]:
    size = len(roster.rows)
    rows = [_logged(member) for member, _ in roster.rows]
    user_ids, *told = zip(*rows, strict=True) if rows else [()] * 5
    return ([roster.sync_id] * size, user_ids, *_owner(roster, size), [roster.observed_at] * size, *told)


def _logged(member: Member) -> tuple[str, str, str, str, bool]:
    has = held(member.roles)
    is_active_learner = member.status == "Active" and has.is_learner and not has.is_test_user
    return member.user_id, member.status, _roles_json(has), has.primary_role, is_active_learner


@lru_cache(maxsize=4_096)
def _roles_json(has: Held) -> str:
    return json.dumps([uri for uri, _ in has.roles], ensure_ascii=False)


def _owner(roster: Written, size: int) -> tuple[list[str], list[str], list[str]]:
    return [roster.context_key] * size, [roster.registration] * size, [roster.context_id] * size


COLUMNS_OF: dict[str, Callable[[Written], Iterable[Sequence[Any]]]] = {
    "memberships": _memberships,
    "membership_roles": _membership_roles,
    "membership_log": _membership_log,
}
