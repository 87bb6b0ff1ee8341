"""The text that people read, made from a run's document: nothing is told here that the document does not hold."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

MOST_FAILURES = 12  # on one screen; the document and roster_syncs hold more
QUERY = "select title, active_learners, sync_state from lti.active_learners order by active_learners desc"


def print_result(document: Mapping[str, Any], console: Console) -> None:
    """Print what a run did: one row a registration, what failed and why, what is there now."""
    if document["registrations"]:
        console.print(_registrations(document["registrations"]))
    for failure in document["failures"][:MOST_FAILURES]:
        console.print(Text(f"✗ {_failure(failure)}", style="red" if failure["outcome"] != "unavailable" else ""))
    if len(document["failures"]) > MOST_FAILURES:
        console.print(f"… and {len(document['failures']) - MOST_FAILURES} more: see lti_raw.roster_syncs.")
    for name, registration in document["registrations"].items():
        for fault in registration["catalogue_faults"][:MOST_FAILURES]:
            console.print(Text(f"✗ {name}: {fault}", style="red"))
    for warning in document["warnings"]:
        console.print(Text(f"! {warning}", style="yellow"))
    if document["error"]:
        print_error(document["error"], console)
    console.print(Text(_closing(document), style="bold"))


def print_error(error: Mapping[str, Any], console: Console) -> None:
    """Print what happened, where, and what to do about it."""
    where = f"{error['where']}: " if error["where"] else ""
    console.print(Text(f"✗ {where}{error['what']}", style="red"))
    if error["remedy"]:
        console.print(Text(f"  {error['remedy']}"))


def _registrations(registrations: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("registration")
    names = ("contexts", "complete", "unchanged", "failed", "unavailable", "members", "arrivals", "departures")
    for name in names:
        table.add_column(name, justify="right")
    for registration, counts in registrations.items():
        failed = counts["failed"] + counts["too_large"]
        shown = {**counts, "failed": failed}
        table.add_row(registration, *(f"{shown[name]:,}" for name in names))
    return table


def _failure(failure: Mapping[str, Any]) -> str:
    course = failure["context_id"] or "every course"
    return f"{failure['registration']}, {course}: {failure['error'] or failure['error_type']}"


def _closing(document: Mapping[str, Any]) -> str:
    totals = document["totals"]
    read = totals["complete"] + totals["unchanged"]
    broken = totals["failed"] + totals["too_large"]
    verb = "Read" if document.get("is_dry") else "Loaded"
    told = (
        f"{verb} {totals['members']:,} memberships of {read:,} courses; {totals['arrivals']:,} added, "
        f"{totals['departures']:,} left; {totals['unchanged']:,} courses unchanged"
    )
    told += f", {broken:,} failed" if broken else ""
    told += f", {totals['unavailable']:,} without a roster service" if totals["unavailable"] else ""
    told += f". {totals['requests']:,} requests, {document['seconds']:.1f} s."
    if document.get("is_dry"):
        told += " Nothing was loaded (--dry-run)."
    return f"{told} Exit {document['exit_status']}." if document["exit_status"] else told


def table_of(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A plain table for results; numbers stand to the right, nothing known is an empty cell."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        is_number = any(isinstance(row[number], int | float) for row in rows)
        table.add_column(column, justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    return table
