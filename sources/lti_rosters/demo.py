"""The demo: three invented platforms on loopback, two nights, and what an analyst sees after them."""

import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dlt
from rich.console import Console
from rich.text import Text

from .demo_campus import Campus, demo_campus, next_night
from .destination import open_pipeline, tidy
from .keys import SigningKey, new_key, public_jwk
from .registration import Options, Registration
from .run import Order, run as run_order
from .settings import Settings
from .text import MOST_FAILURES, table_of

DATABASE = "demo.duckdb"
MOST_CHANGES = 12  # told one by one
PARTIAL = 3  # what the runs of a campus with one broken course end with

ACTIVE_LEARNERS = """
SELECT registration, title, active_learners, active_staff, members, sync_state
FROM lti.active_learners ORDER BY registration, title
"""

# The last two complete rosters of every course that changed in the second night, person by person.
CHANGES = """
WITH complete AS (
    SELECT context_key, sync_id, ROW_NUMBER() OVER (PARTITION BY context_key ORDER BY finished_at DESC) AS age
    FROM lti_raw.roster_syncs WHERE outcome = 'complete'
), pairs AS (
    SELECT now.context_key, now.sync_id AS now_id, past.sync_id AS past_id
    FROM complete AS now INNER JOIN complete AS past ON past.context_key = now.context_key AND past.age = 2
    WHERE now.age = 1
), seen AS (
    SELECT pairs.context_key, log.user_id,
        MAX(CASE WHEN log.sync_id = pairs.past_id THEN log.primary_role END) AS past_role,
        MAX(CASE WHEN log.sync_id = pairs.now_id THEN log.primary_role END) AS now_role
    FROM pairs INNER JOIN lti_raw.membership_log AS log ON log.sync_id IN (pairs.now_id, pairs.past_id)
    GROUP BY pairs.context_key, log.user_id
)
SELECT contexts.registration, contexts.title, seen.user_id, seen.past_role, seen.now_role
FROM seen INNER JOIN lti_raw.contexts AS contexts ON contexts.context_key = seen.context_key
WHERE seen.past_role IS DISTINCT FROM seen.now_role
ORDER BY contexts.registration, contexts.title, seen.user_id
"""

NAMES = "SELECT registration, user_id, MAX(name) FROM lti_raw.memberships GROUP BY registration, user_id"
LOADS = "SELECT COUNT(*), COUNT(DISTINCT context_key || user_id) FROM lti_raw.memberships"

NEXT = (
    (f"duckdb {DATABASE}", "ask the tables yourself: from lti.active_learners; (or any DuckDB client)"),
    ("lti-rosters run --help", "connect your first platform: the README's ten minutes"),
    ("lti-rosters run --dry-run --limit 3", "then try three courses of it without loading anything"),
)


def run(
    *,
    seed: int = 7,
    directory: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """Load an invented campus twice, with a night of changes in between, and return what came of it.

    The document is that of the second run (`result.schema.json`) with `active_learners`, `changes`,
    `first_run` and `database`. Writes `demo.duckdb` in *directory*; one of an earlier demo is replaced.
    """
    directory = directory or Path.cwd()
    key = new_key()
    for name in (DATABASE, f"{DATABASE}.wal"):
        (directory / name).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as working, demo_campus(seed, lambda: [public_jwk(key)]) as campus:
        settings = _settings(campus, key)
        order = Order(directory=Path(working), database=str(directory / DATABASE), command="demo")
        say("Three invented platforms answer on this machine. First night …")
        first = run_order(order, settings=settings, stop=stop)
        if first["error"]:
            return {**first, "first_run": first, "active_learners": [], "changes": [], "database": DATABASE}
        names = {(registration, user_id): name for registration, user_id, name in _query(order, NAMES)}
        next_night(campus)
        say("People join, leave and change roles; one course empties. Second night …")
        second = run_order(order, settings=settings, stop=stop)
        names |= {(registration, user_id): name for registration, user_id, name in _query(order, NAMES)}
        return _document(order, first, second, names)


def _settings(campus: Campus, key: SigningKey) -> Settings:
    # Few attempts: the course that breaks off does so for ever, and a demo should not wait for it.
    options = Options(max_attempts=2, concurrency=4)
    registrations = [
        Registration(name=name, key=key, options=options, **fields)
        for name, fields in campus.registrations().items()
    ]
    return Settings("keep", tuple(registrations))


def _query(order: Order, sql: str) -> list[Any]:
    with tidy():
        pipeline: dlt.Pipeline = open_pipeline(None, order.directory, database=order.database)
        with pipeline.sql_client() as client, client.execute_query(sql) as cursor:
            return list(cursor.fetchall())


def _document(
    order: Order, first: Mapping[str, Any], second: Mapping[str, Any], names: Mapping[Any, str]
) -> dict[str, Any]:
    columns = ("registration", "title", "active_learners", "active_staff", "members", "sync_state")
    learners = [dict(zip(columns, row, strict=True)) for row in _query(order, ACTIVE_LEARNERS)]
    changes = [
        {
            "registration": registration,
            "title": title,
            "name": names.get((registration, user_id)) or user_id,
            "change": "joined" if past is None else "left" if now is None else "role_changed",
            "before": past,
            "after": now,
        }
        for registration, title, user_id, past, now in _query(order, CHANGES)
    ]
    is_as_meant = second["exit_status"] in (0, PARTIAL) and not second["error"]
    return {
        **second,
        "exit_status": 0 if is_as_meant else second["exit_status"],
        "first_run": first,
        "active_learners": learners,
        "changes": changes,
        "database": DATABASE,
    }


def print_demo(document: Mapping[str, Any], console: Console) -> None:
    """Print what the demo shows: the answer first, then what changed, what failed, what to try next."""
    rows = [tuple(row.values()) for row in document["active_learners"]]
    names = ("registration", "course", "active learners", "staff", "members", "state")
    console.print(table_of("Active learners per course (lti.active_learners)", names, rows))
    console.print()
    _print_changes(document["changes"], console)
    for failure in document["failures"][:MOST_FAILURES]:
        told = f"Isolated on purpose: {failure['registration']}, {failure['context_id']}: {failure['error']}"
        console.print(Text(told, style="yellow"))
    if document["error"]:
        console.print(Text(f"✗ {document['error']['what']} {document['error']['remedy']}", style="red"))
    first, second = document["first_run"]["totals"], document["totals"]
    console.print(
        f"\nFirst night: {first['complete']} courses, {first['members']:,} memberships. Second night: "
        f"{second['complete']} courses changed, {second['unchanged']} unchanged and not written again, "
        f"{second['arrivals']} joined, {second['departures']} left."
    )
    console.print(f"All of it is in {document['database']}; everybody in it is invented.\n", highlight=False)
    console.print(Text("Next:", style="bold"))
    for command, told in NEXT:
        console.print(f"  {command:<38}{told}", highlight=False)


def _print_changes(changes: Sequence[Mapping[str, Any]], console: Console) -> None:
    said = {"joined": "joined as {after}", "left": "left ({before})", "role_changed": "{before} -> {after}"}
    # A few of each kind, rather than the first course's alone.
    by_kind = [[each for each in changes if each["change"] == kind] for kind in said]
    shown = [each for kind in by_kind for each in kind[: MOST_CHANGES // len(said)]]
    rows = [
        (each["name"], said[each["change"]].format_map(each), each["title"], each["registration"])
        for each in shown
    ]
    title = f"Who joined, left or changed overnight ({len(shown)} of {len(changes)})"
    console.print(table_of(title, ("person", "change", "course", "registration"), rows))
    console.print()
