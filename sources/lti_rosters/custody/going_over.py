"""From one way to store identities to a stricter one, with what is there rewritten; never back (design §7)."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import ConfigurationError
from ..privacy.agreement import Held, check_key, check_way
from ..privacy.door import is_harmless
from ..privacy.protector import (
    KNOWN_STATUSES,
    UNKNOWN_ROLE,
    UNKNOWN_STATUS,
    Protector,
    key_check,
    known_roles,
)
from ..roles import read_role
from ..settings.identity import PSEUDONYMIZE, Identity, identity_alone
from .places import counted, drop_all_staging, forget_models, mapping_table, of_members, places, update
from .session import Order, Session, carried_out

DROPPED = ("name", "given_name", "family_name", "middle_name", "email", "picture", "extra", "message")
IDENTIFIERS = ("lis_person_sourcedid", "lti11_legacy_user_id")
IDENTITY_COLUMNS = ("identity", "identity_key_id", "identity_key_check")  # of registrations
GOING, ROLES_TABLE, HOLDERS = "lti_rosters_going_over", "lti_rosters_role_lists", "lti_rosters_role_holders"


def show(order: Order) -> dict[str, Any]:
    """Tell how members are stored, registration by registration, and what the settings say; change nothing."""

    def work(session: Session) -> None:
        identity = set_identity()
        ledger = session.ledger()
        erased = {name: len(macs) for name, macs in ledger.suppressed.items()}
        session.more["identity"] = {
            "settings": {"identity": identity.mode, "identity_key_id": identity.key_id},
            "held": [
                {
                    "registration": each.registration,
                    "identity": each.is_mode,
                    "identity_key_id": each.key_id,
                    "erased": erased.get(each.registration, 0),
                    "agrees": agrees(identity, each),
                }
                for each in sorted(ledger.held)
            ],
        }

    return carried_out("identity", looking(order), work)


def apply(order: Order) -> dict[str, Any]:
    """Rewrite what is there as the settings' `identity` has it; done before, it only clears what may be left."""

    def work(session: Session) -> Sequence[str] | None:
        identity = set_identity()
        ledger = session.ledger()
        check_way(identity, ledger.held)
        check_key(identity, ledger.held, ledger.suppression_keys)
        going = [each.registration for each in ledger.held if each.is_mode != identity.mode]
        found = of_members(session, session.dataset)
        names = ", ".join(["%s"] * len(going)) or "NULL"
        rows = counted(session, found, f"registration IN ({names})", *going)
        if not session.agreed(rows):
            return None
        touched = [*found, *places(session, "lti")]
        if going:
            _go_over(session, identity, going)
        else:
            session.journal.warnings.append(
                f'All of it is stored under identity = "{identity.mode}" already.'
            )
        return [each.name for each in touched] + _named(session, ("roster_syncs", "registrations", "roles"))

    return carried_out("identity", order, work)


def set_identity() -> Identity:
    """The identity of the settings; raises ConfigurationError with all that is wrong with it."""
    identity, faults = identity_alone()
    if faults:
        raise ConfigurationError("\n".join(faults), where="identity")
    return identity


def agrees(identity: Identity, held: Held) -> bool:
    """Whether a run under *identity* may add to what is *held*."""
    if held.is_mode != identity.mode:
        return False
    key = (held.key_id, held.key_check)
    return identity.mode != PSEUDONYMIZE or key == (identity.key_id, key_check(identity))


def looking(order: Order) -> Order:
    """*order* as one that changes nothing."""
    return Order(
        destination=order.destination,
        is_dry=True,
        is_patient=order.is_patient,
        database=order.database,
        directory=order.directory,
        on_step=order.on_step,
    )


def _go_over(session: Session, identity: Identity, going: Sequence[str]) -> None:
    """All of it in one transaction: killed at whatever moment, the warehouse is as it was or as it is to be."""
    for column in IDENTITY_COLUMNS:  # tables of an older version lack them
        session.execute(
            f"ALTER TABLE {_table(session, 'registrations')} ADD COLUMN IF NOT EXISTS {column} VARCHAR"
        )
    protectors = {name: Protector(identity, name) for name in going}
    of_these = f"registration IN ({', '.join(['%s'] * len(going))})"
    with session.client.begin_transaction():
        drop_all_staging(session)
        if identity.mode == PSEUDONYMIZE:
            _pseudonymize(session, protectors, of_these)
        _drop(session, identity, going, of_these)
        _hide_unknown_roles(session, of_these, going)
        _forget_hashes(session, of_these, going)
        key = (identity.key_id, key_check(identity)) if identity.mode == PSEUDONYMIZE else (None, None)
        session.execute(
            f"UPDATE {_table(session, 'registrations')} "  # noqa: S608 - names
            f"SET identity = %s, identity_key_id = %s, identity_key_check = %s WHERE {of_these}",
            *(identity.mode, *key, *going),
        )
        forget_models(session)
        for name in (GOING, ROLES_TABLE, HOLDERS):
            session.execute(f"DROP TABLE IF EXISTS {name}")


def _table(session: Session, name: str) -> str:
    return f'"{session.dataset}"."{name}"'


def _named(session: Session, names: Iterable[str]) -> list[str]:
    there = {each.table for each in places(session, session.dataset)}
    return [_table(session, name) for name in names if name in there]


def _pseudonymize(session: Session, protectors: dict[str, Protector], of_these: str) -> None:
    """Put pseudonyms in place of ids, wherever they stand."""
    found = of_members(session, session.dataset)
    held = {"user_id": found}
    for field in IDENTIFIERS:
        held[field] = [each for each in found if field in each.columns]
    pairs: set[tuple[str, str, str]] = set()
    for field, tables in held.items():
        for each in tables:
            query = (
                f"SELECT DISTINCT registration, {field} FROM {each.name} "  # noqa: S608 - names
                f"WHERE {of_these} AND {field} IS NOT NULL"
            )
            pairs |= {(name, field, value) for name, value in session.rows(query, *protectors)}
    mapping_table(
        session,
        GOING,
        ((name, field, value, protectors[name].identifier(field, value)) for name, field, value in pairs),
        4,
    )
    for field, tables in held.items():
        for each in tables:
            session.execute(
                f"UPDATE {each.name} SET {field} = told.d FROM {GOING} AS told "  # noqa: S608 - names
                f"WHERE told.a = {each.name}.registration AND told.b = %s AND told.c = {each.name}.{field}",
                field,
            )


def _drop(session: Session, identity: Identity, going: Sequence[str], of_these: str) -> None:
    """Nothing stays of names, mail, pictures and free text, nor of hashes that they went into."""
    statuses = ", ".join(f"'{status}'" for status in sorted(KNOWN_STATUSES))
    values = dict.fromkeys((*DROPPED, "row_hash"), "NULL") | {
        "status": f"CASE WHEN status IS NULL OR status IN ({statuses}) THEN status ELSE '{UNKNOWN_STATUS}' END"
    }
    if identity.mode != PSEUDONYMIZE:
        values |= dict.fromkeys(IDENTIFIERS, "NULL")
    for each in of_members(session, session.dataset):
        update(session, each, values, of_these, *going)


def _hide_unknown_roles(session: Session, of_these: str, going: Sequence[str]) -> None:
    """One word stands for every role that the vocabulary doesn't have: it may be free text."""
    found = {each.table: each for each in of_members(session, session.dataset)}
    for each in found.values():
        if "roles" in each.columns:
            query = f"SELECT DISTINCT roles FROM {each.name} WHERE {of_these} AND roles IS NOT NULL"  # noqa: S608
            _put(session, each.name, [row[0] for row in session.rows(query, *going)], of_these, going)
    if "membership_roles" in found:
        _put_one_role(session, of_these, going)
    held = session.rows(
        f"SELECT COUNT(*) FROM {_table(session, 'roles')} WHERE vocabulary = 'unknown'"  # noqa: S608
    )
    if held[0][0]:
        session.execute(f"DELETE FROM {_table(session, 'roles')} WHERE vocabulary = 'unknown'")  # noqa: S608
        session.execute(
            f"INSERT INTO {_table(session, 'roles')} "  # noqa: S608
            "(role_uri, vocabulary, is_core, is_deprecated, canonical_uri) VALUES (%s, 'unknown', %s, %s, %s)",
            *(UNKNOWN_ROLE, False, False, UNKNOWN_ROLE),
        )


def _put(session: Session, table: str, texts: Sequence[str], of_these: str, going: Sequence[str]) -> None:
    """Rewrite the lists of roles that hold an unknown one."""
    changed = [(text, new) for text in texts if (new := _role_list(text)) != text]
    if not changed:
        return
    session.execute(f"DROP TABLE IF EXISTS {ROLES_TABLE}")
    mapping_table(session, ROLES_TABLE, changed, 2)
    session.execute(
        f"UPDATE {table} SET roles = told.b FROM {ROLES_TABLE} AS told "  # noqa: S608 - names
        f"WHERE told.a = {table}.roles AND {table}.{of_these}",
        *going,
    )


def _role_list(text: str) -> str:
    return json.dumps(sorted(known_roles(tuple(json.loads(text)))), ensure_ascii=False)


def _put_one_role(session: Session, of_these: str, going: Sequence[str]) -> None:
    table = _table(session, "membership_roles")
    query = f"SELECT DISTINCT role_uri FROM {table} WHERE {of_these}"  # noqa: S608 - names
    unknown = [uri for (uri,) in session.rows(query, *going) if read_role(uri).vocabulary == "unknown"]
    if not unknown:
        return
    session.execute(f"DROP TABLE IF EXISTS {ROLES_TABLE}")
    mapping_table(session, ROLES_TABLE, ((uri,) for uri in unknown), 1)
    those = f"{of_these} AND role_uri IN (SELECT a FROM {ROLES_TABLE})"  # noqa: S608 - names
    kept = "context_key, registration, context_id, user_id"
    session.execute(
        f"CREATE TEMPORARY TABLE {HOLDERS} AS SELECT {kept}, MAX(sync_id) AS sync_id, "  # noqa: S608
        f"MAX(_dlt_load_id) AS _dlt_load_id FROM {table} WHERE {those} GROUP BY {kept}",
        *going,
    )
    session.execute(f"DELETE FROM {table} WHERE {those}", *going)  # noqa: S608
    session.execute(
        f"INSERT INTO {table} ({kept}, role_uri, raw_role, sync_id, _dlt_load_id) "  # noqa: S608
        f"SELECT {kept}, %s, %s, sync_id, _dlt_load_id FROM {HOLDERS}",
        *(UNKNOWN_ROLE, UNKNOWN_ROLE),
    )


def _forget_hashes(session: Session, of_these: str, going: Sequence[str]) -> None:
    """A hash over names could be tried against a list of names; and a link may hold an id.

    The next run writes every roster once more, as it does whenever the mode changes.
    """
    (syncs,) = (each for each in places(session, session.dataset) if each.table == "roster_syncs")
    update(session, syncs, {"roster_hash": "NULL"}, of_these, *going)
    if "differences_url" not in syncs.columns:
        return
    query = (
        f"SELECT DISTINCT differences_url, memberships_url FROM {syncs.name} "  # noqa: S608 - a name
        f"WHERE {of_these} AND differences_url IS NOT NULL"
    )
    for link, asked in session.rows(query, *going):
        if not is_harmless(link, asked):
            condition = f"differences_url = %s AND {of_these}"
            update(session, syncs, {"differences_url": "NULL"}, condition, *(link, *going))
