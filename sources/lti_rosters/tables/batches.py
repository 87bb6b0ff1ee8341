"""Rosters become Arrow: rows of many courses gathered into tables of about 50,000 rows, one yield each."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import compute as pc

from ..providers.container import Member
from ..roles import Held, held
from .columns import arrow_rows, arrow_table

# dlt's cost is per yielded table: 100-row tables cost fifteen times as much to extract as these.
ROWS = 50_000
# Members that become columns at once: while the processor still has them at hand, and long before a batch is full.
HANDFUL = 2_000

LINKS = "resource_link_memberships"

# Texts that are written of a member: without roles and message, with the hash.
OF_A_MEMBER = len(Member._fields) - 1
MARKER = ""  # in place of a user_id, which is never null: null is no key


Batch = Mapping[str, "pa.Table"]


@contextmanager
def plain_memory() -> Iterator[None]:
    """Have Arrow take its memory as Python does inside the block.

    The pool that it brings keeps what is given back: 200 MB of a load of 400,000 members.
    """
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)


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
        self._rosters = _Rosters()
        self._rows: dict[str, list[Sequence[Any]]] = {}
        self._size = 0

    def add(self, roster: Written) -> Iterator[Batch]:
        """Add a roster; yields a batch whenever one is full."""
        self._rosters.add(roster)
        self._size += len(roster.rows)
        if self._size >= ROWS:
            yield from self.flush()

    def add_row(self, table: str, row: Sequence[Any]) -> None:
        """Add one row of a small *table*, without its load id."""
        self._rows.setdefault(table, []).append((*row, self._load_id))
        self._size += 1

    def add_link(self, roster: Written, resource_link_id: str) -> Iterator[Batch]:
        """Add the roster of a resource link, and its marker row: it puts an empty one in scope."""
        owner = (roster.context_key, roster.registration, roster.context_id, resource_link_id)
        for member, _ in roster.rows:
            roles = _roles_json(held(member.roles))
            self.add_row(LINKS, (*owner, member.user_id, member.status, roles, member.message))
        self.remove_link(*owner)
        if self._size >= ROWS:
            yield from self.flush()

    def remove_link(
        self, context_key: str, registration: str, context_id: str, resource_link_id: str
    ) -> None:
        """Add the marker row of a link: alone, it takes the link's rows away and puts none in their place."""
        owner = (context_key, registration, context_id, resource_link_id)
        self.add_row(LINKS, (*owner, "", None, None, None))

    def flush(self) -> Iterator[Batch]:
        """Yield what is there: rows of the small tables, then those of the members."""
        rosters, rows = self._rosters, self._rows
        self._rosters, self._rows, self._size = _Rosters(), {}, 0
        small = {table: arrow_rows(table, of_table) for table, of_table in rows.items()}
        if small:
            yield small
        if rosters:
            batch = _gathered(rosters.columns(), self._load_id)
            del rosters  # what it holds beside the batch is not needed while that is written
            yield batch


class _Columns(NamedTuple):
    """Rosters and their members, side by side."""

    rosters: Sequence[Written]  # without their rows
    owners: pa.Array  # for each member the number of its roster
    people: pa.ChunkedArray
    states: pa.ChunkedArray
    texts: Sequence[pa.ChunkedArray]  # what `memberships` has between role and sync
    hashes: pa.ChunkedArray
    amounts: Sequence[Held]  # what the few different lists of roles come to
    numbers: pa.Array  # for each member the number of its list


class _Rosters:
    """Collects rosters as columns: a member is let go of as soon as Arrow has what is written of it."""

    def __init__(self) -> None:
        self._written: list[Written] = []
        self._sizes: list[int] = []
        self._loose: list[tuple[Member, str]] = []
        self._chunks: list[list[pa.Array]] = [[] for _ in range(OF_A_MEMBER)]
        self._lists: dict[tuple[str, ...], int] = {}
        self._numbers: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._written)

    def add(self, roster: Written) -> None:
        """Add *roster* behind the others."""
        self._written.append(roster._replace(rows=()))
        self._sizes.append(len(roster.rows))
        self._loose += roster.rows
        while len(self._loose) >= HANDFUL:
            self._pack()

    def columns(self) -> _Columns:
        """What was collected."""
        if self._loose:
            self._pack()
        people, states, *texts, hashes = (pa.chunked_array(each, pa.string()) for each in self._chunks)
        return _Columns(
            self._written,
            _owners(self._sizes),
            people,
            states,
            texts,
            hashes,
            [held(roles) for roles in self._lists],
            pa.array(self._numbers, pa.int32()),
        )

    def _pack(self) -> None:
        """Make columns of a handful of members."""
        loose, self._loose = self._loose[:HANDFUL], self._loose[HANDFUL:]
        user_ids, statuses, role_lists, *texts, _ = zip(*(member for member, _ in loose), strict=True)
        number = self._lists.setdefault
        self._numbers += [number(roles, len(self._lists)) for roles in role_lists]
        columns = (user_ids, statuses, *texts, [row_hash for _, row_hash in loose])
        for chunks, column in zip(self._chunks, columns, strict=True):
            made = pa.array(column, pa.string())
            chunks += made.chunks if isinstance(made, pa.ChunkedArray) else [made]  # that is one beyond 2 GB


def _gathered(columns: _Columns, load_id: str) -> Batch:
    """The tables of many rosters; nothing in here works row by row.

    Behind the members of `memberships` and `membership_roles` stands a marker row for each roster: it puts an empty
    course in scope.
    """
    return {
        "memberships": _memberships(columns, load_id),
        "membership_roles": _membership_roles(columns, load_id),
        "membership_log": _membership_log(columns, load_id),
    }


def _memberships(columns: _Columns, load_id: str) -> pa.Table:
    """The members, then the marker rows."""
    rosters = columns.rosters
    owner = _Owner(rosters, _marked(columns.owners, rosters), load_id)
    people = _with_rows(columns.people, _markers(rosters))
    nothing = pa.nulls(len(rosters), pa.string())
    states, *texts, hashes = (
        _with_rows(each, nothing) for each in (columns.states, *columns.texts, columns.hashes)
    )
    return arrow_table(
        "memberships",
        [
            *owner.course,
            people,
            states,
            _few([each.primary_role for each in columns.amounts], _with_nulls(columns.numbers, rosters)),
            *texts,
            owner.sync_id,
            owner.observed_at,
            hashes,
            owner.load_id,
        ],
    )


def _membership_roles(columns: _Columns, load_id: str) -> pa.Table:
    """A row for each role of each member, then the marker rows."""
    rosters = columns.rosters
    roles = [role for each in columns.amounts for role in each.roles]
    ends = list(accumulate((len(each.roles) for each in columns.amounts), initial=0))
    of_lists = pa.array([list(range(*ends_of)) for ends_of in pairwise(ends)], pa.list_(pa.int32()))
    places = of_lists.take(columns.numbers)
    members, chosen = pc.list_parent_indices(places), places.flatten()
    owner = _Owner(rosters, _marked(columns.owners.take(members), rosters), load_id)
    last = pa.repeat(pa.scalar(len(roles), pa.int32()), len(rosters))  # "" too: null is no key
    return arrow_table(
        "membership_roles",
        [
            *owner.course,
            _with_rows(columns.people.take(members), _markers(rosters)),
            _few([*(uri for uri, _ in roles), ""], pa.concat_arrays([chosen, last])),
            _few([raw for _, raw in roles], _with_nulls(chosen, rosters)),
            owner.sync_id,
            owner.load_id,
        ],
    )


def _membership_log(columns: _Columns, load_id: str) -> pa.Table:
    """A row for each member, and none for a roster without."""
    amounts, numbers, states = columns.amounts, columns.numbers, columns.states
    learners = pa.array([each.is_learner and not each.is_test_user for each in amounts], pa.bool_())
    owner = _Owner(columns.rosters, columns.owners, load_id)
    return arrow_table(
        "membership_log",
        [
            owner.sync_id,
            columns.people,
            *owner.course,
            owner.observed_at,
            states,
            _few([_roles_json(each) for each in amounts], numbers),
            _few([each.primary_role for each in amounts], numbers),
            pc.and_(pc.equal(states, "Active"), learners.take(numbers)),
            owner.load_id,
        ],
    )


class _Owner:
    """The columns that say whose a row is, for rows that belong to *rosters* by the numbers in *owners*."""

    def __init__(self, rosters: Sequence[Written], owners: pa.Array, load_id: str) -> None:
        keys, registrations, context_ids, syncs, moments, _ = zip(*rosters, strict=True)
        self.course = [_few(each, owners) for each in (keys, registrations, context_ids)]
        self.sync_id = _few(syncs, owners)
        self.observed_at = pa.array(moments, pa.timestamp("us", "UTC")).take(owners)
        self.load_id = _few([load_id] * len(rosters), owners)


def _few(values: Sequence[str], numbers: pa.Array) -> pa.Array:
    """The text of *values* that each of *numbers* names (null: none): kept once, and its number for every row."""
    return pa.array(values, pa.string()).dictionary_encode().take(numbers)


def _owners(sizes: Sequence[int]) -> pa.Array:
    """For each row the number of the roster that it belongs to, where the rosters have *sizes* rows."""
    ends = list(accumulate(sizes))
    kept = [place for place, size in enumerate(sizes) if size]  # a run of no length is none
    runs = pa.RunEndEncodedArray.from_arrays(
        pa.array([ends[place] for place in kept], pa.int32()), pa.array(kept, pa.int32())
    )
    return pc.run_end_decode(runs)


def _marked(owners: pa.Array, rosters: Sequence[Written]) -> pa.Array:
    """*owners*, and one row more for each roster: its marker."""
    return pa.concat_arrays([owners, pa.array(range(len(rosters)), pa.int32())])


def _markers(rosters: Sequence[Written]) -> pa.Array:
    return pa.repeat(pa.scalar(MARKER, pa.string()), len(rosters))


def _with_rows(column: pa.ChunkedArray, rows: pa.Array) -> pa.ChunkedArray:
    """*column*, and *rows* behind it; in chunks, as a column beyond 2 GB has to be."""
    return pa.chunked_array([*column.chunks, rows])


def _with_nulls(numbers: pa.Array, rosters: Sequence[Written]) -> pa.Array:
    """*numbers*, and for each marker row none."""
    return pa.concat_arrays([numbers, pa.nulls(len(rosters), numbers.type)])


def _roles_json(has: Held) -> str:
    return json.dumps([uri for uri, _ in has.roles], ensure_ascii=False)
