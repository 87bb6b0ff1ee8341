"""The text that people read of the catalogue, made from the documents."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from ..runs.text import plain, print_error, print_failures, table_of

COLUMNS = ("registration", "context_id", "title", "sync_state", "members", "last_complete_at", "error")
MOST_ROWS = 2_000  # a second of drawing; who has more reads --json
LONGEST = 60  # characters of an error in the table; all of it is in --json


def print_contexts(document: Mapping[str, Any], out: Console, err: Console) -> None:
    """Print the courses and their states."""
    listed = document.get("contexts") or []
    rows = [[_cell(each, column) for column in COLUMNS] for each in listed[:MOST_ROWS]]
    if rows:
        out.print(table_of("", COLUMNS, rows, width=out.width))
    if len(listed) > MOST_ROWS:
        err.print(f"… and {len(listed) - MOST_ROWS:,} more; --json lists all.", highlight=False)
    for name, tally in document["registrations"].items():
        for fault in tally["catalogue_faults"]:
            err.print(plain(f"{name}: {fault}"), highlight=False, markup=False)
    print_failures(document, err)
    for warning in document["warnings"]:
        err.print(plain(warning), highlight=False, markup=False)
    if document["error"]:
        print_error(document["error"], err)
        return
    states = Counter(each["sync_state"] for each in listed)
    told = ", ".join(f"{count:,} {state}" for state, count in states.most_common()) or "none"
    out.print(Text(f"{len(listed):,} in the catalogue: {told}.", style="bold"))


def _cell(context: Mapping[str, Any], column: str) -> object:
    value = context[column]
    if value is None:
        return ""
    if column == "last_complete_at":
        return str(value)[:16].replace("T", " ")
    if column == "error":
        kind = context["error_type"]
        said = str(value)[:LONGEST]
        return plain(f"{kind}: {said}" if kind else said)
    return plain(value)
