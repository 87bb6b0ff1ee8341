"""`lti-rosters contexts`: the catalogue, and beside each course what the destination holds of it."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ..catalogue.entries import ContextEntry
from ..rosters.planning import Plan, known_facts, plans
from ..rosters.sync import BROKEN, UNAVAILABLE, now
from ..runs.destination import asked, open_pipeline, tidy
from ..runs.run import documented, quiet
from ..runs.summary import CONFIGURATION, PARTIAL, Journal
from ..settings.settings import read_settings
from ..tables.asking import opened, rows_of, unreadable
from ..tables.ledger import COMMITTED, ContextFacts, Ledger, read_ledger

NEVER, FAILING, STALE, FRESH = "never", "failing", "stale", "fresh"  # sync_state (design §4)

# The last attempt at each course, and its last reading; what a doubled entry of the catalogue wrote is neither.
ATTEMPTS = f"""
SELECT context_key, registration, memberships_url, outcome, error_type, error, finished_at, read_at, members FROM (
    SELECT
        context_key, registration, memberships_url, outcome, error_type, error, finished_at,
        MAX(CASE WHEN outcome IN ('complete', 'unchanged') THEN finished_at END)
            OVER (PARTITION BY context_key) AS read_at,
        FIRST_VALUE(member_count) OVER (
            PARTITION BY context_key
            ORDER BY CASE WHEN outcome IN ('complete', 'unchanged') THEN 0 ELSE 1 END, finished_at DESC, sync_id DESC
        ) AS members,
        ROW_NUMBER() OVER (PARTITION BY context_key ORDER BY finished_at DESC, sync_id DESC) AS place
    FROM {{roster_syncs}}
    WHERE resource_link_id IS NULL AND (error_type IS NULL OR error_type <> 'duplicate_context')
        AND registration IN (%s) AND {COMMITTED}
) AS attempts
WHERE place = 1
ORDER BY finished_at DESC
"""  # noqa: S608 - names only


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to list."""

    registrations: Sequence[str] = ()
    destination: str | None = None
    database: Path | None = None
    directory: Path = field(default_factory=Path.cwd)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last attempt at a course, and when it was last read; *members* as of then."""

    registration: str
    memberships_url: str | None
    outcome: str
    error_type: str | None
    error: str | None
    finished_at: datetime
    read_at: datetime | None
    members: int | None


Attempts = dict[str | tuple[str, str], Attempt]  # by context_key, or by registration and address


def list_contexts(order: Order) -> dict[str, Any]:
    """Return the document (`result.schema.json`) whose `contexts` are the catalogue's; nothing is raised or written."""
    journal = Journal("contexts")
    listed: list[dict[str, Any]] = []
    more: dict[str, Any] = {
        "destination": None,
        "load_ids": [],
        "models": [],
        "is_dry": True,
        "contexts": listed,
    }

    def work() -> None:
        settings = read_settings(only=order.registrations)
        journal.warnings += settings.unknown
        made = plans(settings)
        journal.planned(made)
        with (
            quiet(),
            tidy(),
            tempfile.TemporaryDirectory() as elsewhere,
        ):  # dlt's working files are of no use here
            pipeline = open_pipeline(
                order.destination, order.directory, database=order.database, working=Path(elsewhere)
            )
            more["destination"] = pipeline.destination.destination_name
            client = asked(pipeline)
            names = [plan.registration.name for plan in made]
            ledger = read_ledger(client, names)
            attempts = _attempts(client, names, ledger)
        for plan in made:
            listed.extend(_contexts(plan, ledger, attempts))

    document = documented(journal, more, work)
    if document["exit_status"] == CONFIGURATION and listed and document["error"] is None:
        document["exit_status"] = PARTIAL  # something is amiss, the rest is listed
    return document


def _attempts(client: Any, names: Sequence[str], ledger: Ledger) -> Attempts:
    """The last attempts by context_key, and by registration and address where that key is no context's (design §3)."""
    found: Attempts = {}
    if client is None or not names:
        return found
    try:
        with opened(client):
            for context_key, *row in rows_of(client, ATTEMPTS, names):
                attempt = Attempt(*row)
                found[context_key] = attempt
                if attempt.memberships_url and context_key not in ledger.contexts:
                    found.setdefault((attempt.registration, attempt.memberships_url), attempt)
    except Exception as error:
        raise unreadable(error) from error
    return found


def _contexts(plan: Plan, ledger: Ledger, attempts: Attempts) -> Iterator[dict[str, Any]]:
    facts_of = known_facts(plan, ledger)
    stale_before = now() - timedelta(hours=plan.registration.options.stale_after_hours)
    for entry in plan.entries:
        facts = facts_of(entry)
        attempt = attempts.get(facts.context_key)
        if attempt is None and facts.context_key not in ledger.in_force and facts.memberships_url:
            attempt = attempts.get((facts.registration, facts.memberships_url))
        yield _context(plan, entry, facts, attempt, stale_before)


def _context(
    plan: Plan, entry: ContextEntry, facts: ContextFacts, attempt: Attempt | None, stale_before: datetime
) -> dict[str, Any]:
    return {
        "registration": plan.registration.name,
        "context_id": facts.context_id,
        "label": facts.label or entry.label,
        "title": facts.title or entry.title,
        "memberships_url": facts.memberships_url,
        "resource_links": len(plan.links.get(entry, ())),
        "where": entry.where,
        "sync_state": state(attempt, stale_before),
        "last_complete_at": _moment(attempt.read_at if attempt else None),
        "last_attempt_at": _moment(attempt.finished_at if attempt else None),
        "members": attempt.members if attempt and attempt.read_at else None,
        "outcome": attempt.outcome if attempt else None,
        "error_type": attempt.error_type if attempt else None,
        "error": attempt.error if attempt else entry.unavailable,
    }


def state(attempt: Attempt | None, stale_before: datetime) -> str:
    """The sync_state of design §4: the first that holds of never, failing, stale, fresh."""
    if attempt is None or attempt.read_at is None:
        return NEVER
    if attempt.outcome in BROKEN or attempt.outcome == UNAVAILABLE:
        return FAILING
    return STALE if attempt.read_at < stale_before else FRESH


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
