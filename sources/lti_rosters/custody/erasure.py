"""A person erased: gone from every table, history included, and kept out of every later run (design §7)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from ..errors import ConfigurationError, UsageError
from ..privacy.agreement import Held, check_key
from ..privacy.protector import Protector, key_check
from ..rosters.fingerprint import roster_hash
from ..settings.identity import PSEUDONYMIZE, Identity, lacks_key
from ..tables.asking import SQL_TYPES
from ..tables.columns import SUPPRESSIONS
from ..tables.ledger import InForce, Ledger
from .going_over import looking, set_identity
from .link_rosters import link_hashes, lower_links
from .places import (
    MODELS,
    Place,
    counted,
    drop_all_staging,
    forget_marks,
    marked,
    of_members,
    places,
    update,
)
from .session import Order, Session, carried_out

PERSON = "registration = %s AND user_id = %s"
CLEARED = "What was left of them in free space was cleared, and the models were built anew."


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure(Order):
    """Whom to erase: the *user_id* as the platform sends it, or its *pseudonym*, in one *registration*."""

    registration: str
    user_id: str | None = field(default=None, repr=False)
    pseudonym: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Person:
    """Somebody of one registration: *stored* is the id as the tables have it."""

    registration: str
    stored: str = field(repr=False)
    mac: str = field(repr=False)
    identity: Identity  # as the data are held

    @property
    def key(self) -> tuple[str, str]:
        """The parameters of `PERSON`."""
        return self.registration, self.stored


def erase(order: Erasure) -> dict[str, Any]:
    """Erase a person and return the document of it: the rows of each table, never who it was."""

    def work(session: Session) -> Sequence[str] | None:
        identity = set_identity()
        if faults := lacks_key(identity):
            raise ConfigurationError("\n".join(faults), where="identity")
        ledger = session.ledger(order.registration)
        held = _held(ledger, order.registration)
        identity = replace(identity, mode=held.is_mode)
        check_key(identity, [held], ledger.suppression_keys)
        person = _person(session, identity, order)
        tables = of_members(session, session.dataset)
        models = of_members(session, MODELS)
        rows = counted(session, [*tables, *models], PERSON, *person.key)
        if not rows and person.mac not in ledger.suppressed.get(order.registration, ()):
            raise UsageError(
                f"nobody of {order.registration} has this id; nothing was erased.",
                where="erase",
                remedy="It is the id as the platform sends it, or its pseudonym; case matters.",
            )
        if not rows:
            session.more["rows"] = []
            session.journal.warnings.append(f"This person was erased before, {_when(session, person)}.")
            if order.is_dry:
                return None
            session.journal.warnings.append(CLEARED)
            return _cleared(session, [*tables, *models])
        if not session.agreed(rows):
            return None
        _erase(session, ledger, person, [*tables, *models])
        return _cleared(session, [*tables, *models])

    return carried_out("erase", order, work)


def erasures(order: Order) -> dict[str, Any]:
    """Tell when people were erased, and from where; never who."""

    def work(session: Session) -> None:
        session.more["erased"] = [
            {"registration": registration, "erased_at": moment.isoformat(), "key_id": key_id}
            for registration, moment, key_id in _suppressions(
                session, "registration, erased_at, key_id", "1 = 1 ORDER BY erased_at, registration"
            )
        ]

    return carried_out("erase", looking(order), work)


def _held(ledger: Ledger, registration: str) -> Held:
    held = {each.registration: each for each in ledger.held}
    if registration not in held:
        raise UsageError(
            f'nothing of a registration "{registration}" is loaded. Known: {", ".join(sorted(held)) or "none"}.',
            where="erase",
        )
    return held[registration]


def _person(session: Session, identity: Identity, order: Erasure) -> _Person:
    protector = Protector(identity, order.registration)
    if order.user_id is not None:
        pseudonym = protector.pseudonym(order.user_id)
        stored = pseudonym if identity.mode == PSEUDONYMIZE else order.user_id
    else:
        pseudonym = (order.pseudonym or "").strip().lower()
        stored = pseudonym
        if identity.mode != PSEUDONYMIZE:
            stored = _whose(session, protector, order.registration, pseudonym) or pseudonym
    return _Person(order.registration, stored, protector.person_mac(pseudonym), identity)


def _whose(session: Session, protector: Protector, registration: str, pseudonym: str) -> str | None:
    """The id that has this *pseudonym*, among all that are there."""
    for each in of_members(session, session.dataset):
        query = f"SELECT DISTINCT user_id FROM {each.name} WHERE registration = %s"  # noqa: S608 - a name
        for (user_id,) in session.rows(query, registration):
            if protector.pseudonym(user_id) == pseudonym:
                return str(user_id)
    return None


def _suppressions(session: Session, columns: str, condition: str, *told: Any) -> list[tuple[Any, ...]]:
    if all(each.table != SUPPRESSIONS.name for each in places(session, session.dataset)):
        return []
    query = f"SELECT {columns} FROM {_suppressions_table(session)} WHERE {condition}"  # noqa: S608 - names
    return [
        tuple(value.astimezone(UTC) if isinstance(value, datetime) else value for value in row)
        for row in session.rows(query, *told)
    ]


def _suppressions_table(session: Session) -> str:
    return f'"{session.dataset}"."{SUPPRESSIONS.name}"'


def _when(session: Session, person: _Person) -> str:
    told = (person.registration, person.mac)
    ((moment,),) = _suppressions(session, "erased_at", "registration = %s AND person_mac = %s", *told)
    return f"on {moment:%Y-%m-%d %H:%M} UTC"


def _cleared(session: Session, tables: Sequence[Place]) -> list[str]:
    syncs = [each for each in places(session, session.dataset) if each.table == "roster_syncs"]
    return list(dict.fromkeys(each.name for each in [*tables, *marked(session), *syncs]))


def _erase(session: Session, ledger: Ledger, person: _Person, tables: Sequence[Place]) -> None:
    """All of it in one transaction, the suppression included: it is done, or nothing is."""
    with session.client.begin_transaction():
        drop_all_staging(session)
        found = {each.table: each for each in places(session, session.dataset)}
        syncs = found["roster_syncs"]
        hashes: dict[str, str | None] = _hashes_without(session, ledger, person, found)
        hashes |= link_hashes(session, ledger, person.identity, person.key, found)
        if "membership_log" in found:
            _lower_departures(session, person, syncs, found["membership_log"])
            _lower_counts(session, person, syncs, found["membership_log"])
        lower_links(session, person.key, found)
        for sync_id, content in hashes.items():
            update(session, syncs, {"roster_hash": "%s"}, "sync_id = %s", *(content, sync_id))
        _forget_links(session, person, syncs, [each for each in tables if "context_key" in each.columns])
        if "memberships" in found:
            theirs = f"SELECT context_key FROM {found['memberships'].name} WHERE {PERSON}"  # noqa: S608
            forget_marks(session, theirs, *person.key)
        for each in tables:
            session.execute(f"DELETE FROM {each.name} WHERE {PERSON}", *person.key)  # noqa: S608 - a name
        _suppress(session, person)


def _lower_counts(session: Session, person: _Person, syncs: Place, log: Place) -> None:
    """A sync whose log has the person has one member less; a hash that they went into is nobody's."""
    theirs = f"SELECT sync_id FROM {log.name} WHERE {PERSON}"  # noqa: S608 - names
    values = {"member_count": "member_count - 1", "roster_hash": "NULL"}
    update(session, syncs, values, f"outcome = 'complete' AND sync_id IN ({theirs})", *person.key)
    update(session, syncs, values, f"outcome = 'unchanged' AND roster_sync_id IN ({theirs})", *person.key)


def _lower_departures(session: Session, person: _Person, syncs: Place, log: Place) -> None:
    """Where the person left, one less left."""
    rows = session.rows(
        f"SELECT syncs.context_key, syncs.sync_id, "  # noqa: S608 - names
        f"syncs.sync_id IN (SELECT sync_id FROM {log.name} WHERE {PERSON}) "
        f"FROM {syncs.name} AS syncs WHERE syncs.outcome = 'complete' AND syncs.resource_link_id IS NULL "
        f"AND syncs.context_key IN (SELECT context_key FROM {log.name} WHERE {PERSON}) "
        f'AND syncs._dlt_load_id IN (SELECT load_id FROM "{session.dataset}"."_dlt_loads" WHERE status = 0) '
        "ORDER BY syncs.context_key, syncs.finished_at, syncs.sync_id",
        *person.key,
        *person.key,
    )
    for (course, _, was_there), (same, sync_id, is_there) in pairwise(rows):
        if course == same and was_there and not is_there:
            value = {"departures": "CASE WHEN departures > 0 THEN departures - 1 ELSE departures END"}
            update(session, syncs, value, "sync_id = %s", sync_id)


def _hashes_without(
    session: Session, ledger: Ledger, person: _Person, found: dict[str, Place]
) -> dict[str, str | None]:
    """What each roster in force that has the person hashes to without them: then the next run finds it unchanged.

    A roster whose hash is not the one of its rows is left without: the next run writes it anew.
    """
    if not {"membership_log", "memberships"} <= found.keys():
        return {}
    table = found["memberships"].name
    rows = session.rows(
        f"SELECT context_key, user_id, row_hash FROM {table} WHERE context_key IN "  # noqa: S608 - names
        f"(SELECT context_key FROM {table} WHERE {PERSON})",
        *person.key,
    )
    rosters: dict[str, list[tuple[str, str]]] = {}
    for course, user_id, row_hash in rows:
        rosters.setdefault(course, []).append((user_id, row_hash))
    hashes: dict[str, str | None] = {}
    for course, members in rosters.items():
        known = ledger.in_force.get(course)
        if known is not None and known.roster_hash is not None:
            shape = _shape(session, found["roster_syncs"], person, known)
            if _hash([each for _, each in members], shape) == known.roster_hash:
                others = [each for user_id, each in members if user_id != person.stored]
                hashes[known.sync_id] = _hash(others, shape)
    return hashes


def _shape(session: Session, syncs: Place, person: _Person, known: InForce) -> tuple[str | None, ...]:
    """The settings that shaped a roster, as `rosters.roster` hashes them."""
    ((role,),) = session.rows(
        f"SELECT role_filter FROM {syncs.name} WHERE sync_id = %s",  # noqa: S608 - a name
        known.sync_id,
    )
    return person.identity.mode, person.identity.data_key_id, role


def _hash(row_hashes: Sequence[str | None], shape: tuple[str | None, ...]) -> str | None:
    if None in row_hashes:
        return None
    return roster_hash([each for each in row_hashes if each is not None], shape)


def _forget_links(session: Session, person: _Person, syncs: Place, found: Iterable[Place]) -> None:
    """A link to differences may hold the id of somebody, in whatever form; the next reading brings another."""
    for each in found:
        theirs = f"SELECT context_key FROM {each.name} WHERE {PERSON}"  # noqa: S608 - a name
        condition = f"differences_url IS NOT NULL AND context_key IN ({theirs})"
        update(session, syncs, {"differences_url": "NULL"}, condition, *person.key)


def _suppress(session: Session, person: _Person) -> None:
    columns = ", ".join(
        f"{each.name} {SQL_TYPES[each.type]}{'' if each.is_nullable else ' NOT NULL'}"
        for each in SUPPRESSIONS.columns
    )
    table = _suppressions_table(session)
    session.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
    key = (person.registration, person.mac)
    session.execute(f"DELETE FROM {table} WHERE registration = %s AND person_mac = %s", *key)  # noqa: S608
    session.execute(
        f"INSERT INTO {table} (registration, person_mac, key_id, key_check, erased_at) "  # noqa: S608
        "VALUES (%s, %s, %s, %s, %s)",
        *(*key, person.identity.key_id, key_check(person.identity), datetime.now(UTC)),
    )
