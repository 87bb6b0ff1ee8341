"""What is older than asked is dropped: attempts and rosters that no longer matter, never one in force."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..errors import UsageError
from .places import MODELS, Place, of_members, places
from .session import Order, Session, carried_out

PERIOD = re.compile(r"([1-9][0-9]{0,4}) ?([dwmy])", re.IGNORECASE)
CURRENT = ("memberships", "membership_roles")  # rosters in force; a link's rows bear no sync, and need none
DAYS = {"d": 1, "w": 7, "m": 30.4375, "y": 365.25}  # of an average month and year

# What may go. Kept of each course, and of each resource link: the last roster from before the cut-off (the history
# since then begins with it, and it may be the one in force), the last attempt and the last reading (the state hangs
# on them), and what a later row calls the roster in force.
OUTDATED = """
CREATE TEMPORARY TABLE lti_rosters_outdated AS
WITH committed AS (
    SELECT
        sync_id, context_key, resource_link_id, outcome, finished_at, roster_sync_id,
        _dlt_load_id IN (SELECT load_id FROM {loads} WHERE status = 0) AS is_committed
    FROM {syncs}
), logged AS (
    SELECT sync_id, COUNT(DISTINCT user_id) AS people FROM {log} GROUP BY sync_id
), ranked AS (
    SELECT
        committed.sync_id, committed.finished_at, committed.is_committed,
        ROW_NUMBER() OVER (
            PARTITION BY committed.context_key, committed.resource_link_id,
                committed.is_committed AND committed.outcome = 'complete'
                AND (
                    committed.resource_link_id IS NOT NULL
                    OR COALESCE(logged.people, 0) = sizes.member_count
                )
                AND committed.finished_at < %s
            ORDER BY committed.finished_at DESC, committed.sync_id DESC
        ) AS roster_place,
        committed.outcome = 'complete'
        AND (
            committed.resource_link_id IS NOT NULL
            OR COALESCE(logged.people, 0) = sizes.member_count
        ) AS is_roster,
        ROW_NUMBER() OVER (
            PARTITION BY committed.context_key, committed.resource_link_id, committed.is_committed
            ORDER BY committed.finished_at DESC, committed.sync_id DESC
        ) AS attempt_place,
        committed.outcome IN ('complete', 'unchanged') AS is_reading,
        ROW_NUMBER() OVER (
            PARTITION BY committed.context_key, committed.resource_link_id, committed.is_committed,
                committed.outcome IN ('complete', 'unchanged')
            ORDER BY committed.finished_at DESC, committed.sync_id DESC
        ) AS reading_place
    FROM committed
    INNER JOIN {syncs} AS sizes ON sizes.sync_id = committed.sync_id
    LEFT JOIN logged ON logged.sync_id = committed.sync_id
)
SELECT ranked.sync_id
FROM ranked
WHERE
    ranked.finished_at < %s
    AND NOT (
        ranked.is_committed
        AND (
            (ranked.is_roster AND ranked.roster_place = 1)
            OR ranked.attempt_place = 1
            OR (ranked.is_reading AND ranked.reading_place = 1)
        )
    )
    AND ranked.sync_id NOT IN (
        SELECT roster_sync_id FROM {syncs} WHERE roster_sync_id IS NOT NULL AND finished_at >= %s
    )
    {of_current}
"""
STANDING = "AND ranked.sync_id NOT IN (SELECT sync_id FROM {table} WHERE sync_id IS NOT NULL)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention(Order):
    """What to keep: nothing *older_than* that, such as `3y`, `18m`, `26w`, `90d`."""

    older_than: str
    as_of: datetime | None = None  # now, unless given


def period(text: str) -> timedelta:
    """Read `3y`, `18m`, `26w` or `90d`; UsageError for anything else."""
    found = PERIOD.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            "the period cannot be read.",
            where="--older-than",
            remedy="A number and y, m, w or d: 3y, 18m, 26w, 90d.",
        )
    return timedelta(days=int(found[1]) * DAYS[found[2].lower()])


def retain(order: Retention) -> dict[str, Any]:
    """Drop what is older than asked and return the document of it: the rows of each table."""

    def work(session: Session) -> Sequence[str] | None:
        cut_off = (order.as_of or datetime.now(UTC)) - period(order.older_than)
        session.more["older_than"] = cut_off.isoformat()
        found = {each.table: each for each in places(session, session.dataset)}
        if not {"roster_syncs", "membership_log", "memberships"} <= found.keys():
            session.more["rows"] = []
            return None
        _choose(session, found, cut_off)
        rows = _rows(session, found, cut_off)
        if not rows:
            session.more["rows"] = []
            session.journal.warnings.append("There is nothing that old.")
            return None
        if not session.agreed(rows):
            return None
        with session.client.begin_transaction():
            for name in ("membership_log", "roster_syncs"):
                condition, told = _conditions(found, cut_off)[name]
                session.execute(f"DELETE FROM {found[name].name} WHERE {condition}", *told)  # noqa: S608
        session.execute("DROP TABLE lti_rosters_outdated")
        models = of_members(session, MODELS)
        return [each.name for each in [found["membership_log"], found["roster_syncs"], *models]]

    return carried_out("retain", order, work)


def _choose(session: Session, found: dict[str, Place], cut_off: datetime) -> None:
    names = {
        "loads": f'"{session.dataset}"."_dlt_loads"',
        "syncs": found["roster_syncs"].name,
        "log": found["membership_log"].name,
        "of_current": " ".join(
            STANDING.format(table=found[table].name) for table in CURRENT if table in found
        ),
    }
    session.execute("DROP TABLE IF EXISTS lti_rosters_outdated")
    session.execute(OUTDATED.format(**names), cut_off, cut_off, cut_off)


def _conditions(found: dict[str, Place], cut_off: datetime) -> dict[str, tuple[str, tuple[datetime, ...]]]:
    """What goes of each table; rows of the log without an attempt are of loads that broke off."""
    outdated = "sync_id IN (SELECT sync_id FROM lti_rosters_outdated)"
    orphaned = f"sync_id NOT IN (SELECT sync_id FROM {found['roster_syncs'].name})"  # noqa: S608 - a name
    return {
        "membership_log": (f"{outdated} OR (observed_at < %s AND {orphaned})", (cut_off,)),
        "roster_syncs": (outdated, ()),
    }


def _rows(session: Session, found: dict[str, Place], cut_off: datetime) -> dict[str, int]:
    counts = {
        found[name].shown: session.number(
            f"SELECT COUNT(*) FROM {found[name].name} WHERE {condition}",  # noqa: S608
            *told,
        )
        for name, (condition, told) in _conditions(found, cut_off).items()
    }
    return {name: count for name, count in counts.items() if count}
