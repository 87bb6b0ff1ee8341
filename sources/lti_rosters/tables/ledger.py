"""What the destination holds: the roster in force of every context, as far as it was committed (design §3).

The destination is asked, not dlt's state: a state blob grows with every course and is written anew each run.
"""

import threading
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dlt.destinations.sql_client import SqlClientBase

from ..errors import LtiRostersError
from ..privacy.agreement import Held, SuppressionKey
from ..providers.container import Member
from .asking import opened, rows_of, unreadable

# A load is committed once dlt has noted it; each job of a package commits by itself before that.
COMMITTED = "_dlt_load_id IN (SELECT load_id FROM {_dlt_loads} WHERE status = 0)"

# The last two complete syncs of each course, with how many people the log has of them.
COMPLETE_SYNCS = f"""
WITH complete AS (
    SELECT
        context_key, sync_id, roster_hash, member_count, role_filter,
        ROW_NUMBER() OVER (PARTITION BY context_key ORDER BY finished_at DESC, sync_id DESC) AS place
    FROM {{roster_syncs}}
    WHERE outcome = 'complete' AND resource_link_id IS NULL AND registration IN (%s) AND {COMMITTED}
), logged AS (
    SELECT
        sync_id,
        COUNT(DISTINCT user_id) AS people,
        COUNT(DISTINCT CASE WHEN roles <> '[]' THEN user_id END) AS holders
    FROM {{membership_log}}
    WHERE sync_id IN (SELECT sync_id FROM complete WHERE place <= 2)
    GROUP BY sync_id
)
SELECT
    complete.context_key, complete.sync_id, complete.roster_hash, complete.member_count,
    COALESCE(logged.holders, 0), complete.place
FROM complete LEFT JOIN logged ON logged.sync_id = complete.sync_id
WHERE complete.place <= 2 AND COALESCE(logged.people, 0) = complete.member_count
ORDER BY complete.context_key, complete.place
"""  # noqa: S608 - names only

# The last reading of each course, and when it was last read in full.
LAST_READINGS = f"""
SELECT context_key, differences_url, role_filter, full_at FROM (
    SELECT
        context_key, differences_url, role_filter,
        MAX(CASE WHEN mode = 'full' THEN finished_at END) OVER (PARTITION BY context_key) AS full_at,
        ROW_NUMBER() OVER (PARTITION BY context_key ORDER BY finished_at DESC, sync_id DESC) AS place
    FROM {{roster_syncs}}
    WHERE outcome IN ('complete', 'unchanged') AND error_type IS NULL AND resource_link_id IS NULL
        AND registration IN (%s) AND {COMMITTED}
) AS readings
WHERE place = 1
"""  # noqa: S608 - names only

# Which syncs wrote the rows that stand in a table; one for each course unless a load broke off half way.
STANDING = """
SELECT context_key, MIN(sync_id), MAX(sync_id), COUNT(DISTINCT user_id)
FROM {table} WHERE registration IN (%s) GROUP BY context_key
"""

CONTEXTS = """
SELECT context_key, registration, context_id, label, title, types, memberships_url, first_seen_at, delisted_at
FROM {contexts} WHERE registration IN (%s)
"""

PEOPLE = "SELECT context_key, user_id FROM {memberships} WHERE registration IN (%s) ORDER BY context_key"

MEMBERS = """
SELECT user_id, status, name, given_name, family_name, middle_name, email, picture, lis_person_sourcedid,
    lti11_legacy_user_id, extra
FROM {memberships} WHERE context_key = %s
"""

RAW_ROLES = "SELECT user_id, raw_role FROM {membership_roles} WHERE context_key = %s"

ROLES = "SELECT role_uri, vocabulary, principal_role, sub_role, is_core, is_deprecated, canonical_uri FROM {roles}"

REGISTRATIONS = """
SELECT registration, provider, issuer, client_id, deployment_id, identity, identity_key_id, identity_key_check
FROM {registrations}
"""

LINK_ROW = "SELECT 1 FROM {resource_link_memberships} WHERE registration IN (%s) LIMIT 1"

SUPPRESSIONS = "SELECT registration, person_mac, key_id, key_check FROM {suppressions}"


@dataclass(slots=True)
class ContextFacts:
    """A row of `contexts`, as it stands or as it is to be."""

    context_key: str
    registration: str
    context_id: str
    label: str | None
    title: str | None
    types: str | None
    memberships_url: str | None
    first_seen_at: datetime
    delisted_at: datetime | None = None


@dataclass(slots=True)
class InForce:
    """The roster in force of one context: *roster_hash* is None where it has to be written again."""

    sync_id: str
    roster_hash: str | None
    member_count: int
    role_holders: int  # members with a role, of whatever kind


@dataclass(frozen=True, slots=True)
class LastReading:
    """Where the last reading of a course said that its differences are, if anywhere, and what it was itself."""

    differences_url: str | None
    role_filter: str | None
    full_at: datetime | None


@dataclass(slots=True)
class Ledger:
    """What is committed about the registrations of a run; read once before it, people and members on demand."""

    client: SqlClientBase[Any] | None = None
    registrations: tuple[str, ...] = ()
    in_force: dict[str, InForce] = field(default_factory=dict)
    contexts: dict[str, ContextFacts] = field(default_factory=dict)
    last_readings: dict[str, LastReading] = field(default_factory=dict)
    roles: frozenset[tuple[Any, ...]] = frozenset()
    registration_rows: frozenset[tuple[Any, ...]] = frozenset()
    holds_links: bool = False  # whether a resource link of the registrations has a row
    suppressed: dict[str, set[str]] = field(default_factory=dict)  # MACs of people erased, by registration
    suppression_keys: set[SuppressionKey] = field(default_factory=set)
    _people: "dict[str, array[int]] | None" = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def held(self) -> list[Held]:
        """How the members of every registration of the destination are stored, those of other runs included."""
        return [Held(row[0], *row[5:]) for row in self.registration_rows]

    def people(self, context_key: str) -> frozenset[int]:
        """`hash()` of the user id of everybody on the roster in force.

        All courses are fetched with one query at the first call, and kept as eight bytes a person.
        """
        with self._lock:
            if self._people is None:
                self._people = self._fetch_people()
        return frozenset(self._people.get(context_key, ()))

    def know_nobody(self) -> None:
        """Note that nobody stands on any roster: then nobody has to be fetched."""
        self._people = {}

    def members(self, context_key: str) -> list[Member]:
        """Everybody on the roster in force with every field; one query a course, for the rare need of them."""
        with self._lock:
            roles: dict[str, list[str]] = {}
            for user_id, raw_role in self._fetch(RAW_ROLES, (context_key,)):
                roles.setdefault(user_id, []).append(raw_role)
            rows = list(self._fetch(MEMBERS, (context_key,)))
        return [_member(row, roles.get(row[0], ())) for row in rows]

    def ask(self, query: str, parameters: Sequence[str]) -> list[tuple[Any, ...]]:
        """The rows of *query* (see `asking.rows_of`); none without a destination. Raises DestinationError."""
        with self._lock:
            return list(self._fetch(query, parameters))

    def _fetch_people(self) -> "dict[str, array[int]]":
        people: dict[str, array[int]] = {}
        for context_key, user_id in self._fetch(PEOPLE, self.registrations):
            people.setdefault(context_key, array("q")).append(hash(user_id))
        return people

    def _fetch(self, query: str, parameters: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        if self.client is None:
            return
        try:
            with opened(self.client) as client:
                yield from rows_of(client, query, parameters)
        except LtiRostersError:
            raise
        except Exception as error:
            raise unreadable(error) from error


def read_ledger(
    client: SqlClientBase[Any] | None, registrations: Sequence[str], *, looked_back: Sequence[str] = ()
) -> Ledger:
    """Read what *client*'s dataset holds of *registrations*; an empty ledger where nothing was loaded yet.

    The last readings are read of *looked_back* registrations alone. Raises DestinationError when the
    destination cannot be asked.
    """
    ledger = Ledger(client, tuple(registrations))
    if client is None or not registrations:
        return ledger
    try:
        with opened(client):
            _read_in_force(ledger, client)
            for row in rows_of(client, CONTEXTS, ledger.registrations):
                ledger.contexts[row[0]] = ContextFacts(*row)
            for row in rows_of(client, LAST_READINGS, looked_back) if looked_back else ():
                ledger.last_readings[row[0]] = LastReading(*row[1:])
            ledger.roles = frozenset(rows_of(client, ROLES, ()))
            ledger.holds_links = any(rows_of(client, LINK_ROW, ledger.registrations))
            _read_held(ledger, client)
    except Exception as error:
        raise unreadable(error) from error
    return ledger


def read_held(client: SqlClientBase[Any] | None) -> Ledger:
    """Read how members are stored and who was erased, of every registration; nothing of the rosters."""
    ledger = Ledger(client)
    if client is not None:
        try:
            with opened(client):
                _read_held(ledger, client)
        except Exception as error:
            raise unreadable(error) from error
    return ledger


def _read_held(ledger: Ledger, client: SqlClientBase[Any]) -> None:
    ledger.registration_rows = frozenset(rows_of(client, REGISTRATIONS, ()))
    for registration, person_mac, key_id, key_check in rows_of(client, SUPPRESSIONS, ()):
        ledger.suppressed.setdefault(registration, set()).add(person_mac)
        ledger.suppression_keys.add(SuppressionKey(registration, key_id, key_check))


def _read_in_force(ledger: Ledger, client: SqlClientBase[Any]) -> None:
    for row in rows_of(client, COMPLETE_SYNCS, ledger.registrations):
        context_key, sync_id, roster_hash, members, holders, place = row
        if context_key not in ledger.in_force:
            # Behind an incomplete one of a committed load: what stands in the tables is not this roster.
            is_sound = place == 1
            ledger.in_force[context_key] = InForce(
                sync_id, roster_hash if is_sound else None, members, holders
            )
    if not _doubt_half_written(ledger, client, "memberships"):
        ledger.know_nobody()
    _doubt_half_written(ledger, client, "membership_roles")


def _doubt_half_written(ledger: Ledger, client: SqlClientBase[Any], table: str) -> bool:
    """Forget the hash of every roster whose rows are not, all of them, those of the sync in force.

    Returns whether *table* has any row.
    """
    standing = {row[0]: row[1:] for row in rows_of(client, STANDING, ledger.registrations, table=table)}
    for context_key, known in ledger.in_force.items():
        people = known.member_count if table == "memberships" else known.role_holders
        expected = (known.sync_id, known.sync_id, people)
        if standing.get(context_key, (known.sync_id, known.sync_id, 0)) != expected:
            known.roster_hash = None
    return bool(standing)


def _member(row: Sequence[Any], roles: Sequence[str]) -> Member:
    user_id, status, *rest = row
    return Member._make([user_id, status, tuple(sorted(roles)), *rest, None])
