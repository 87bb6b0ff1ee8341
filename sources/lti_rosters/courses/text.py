"""The text that people read of the catalogue, made from the documents."""

import os.path
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..rosters.sync import UNAVAILABLE
from ..runs.text import plain, print_causes, print_error, print_failures, table_of

COLUMNS = ("registration", "context_id", "title", "sync_state", "members", "last_complete_at")
SHORTENED = ("registration", "context_id", "title")
MOST_ROWS = 2_000  # a second of drawing; who has more reads --json
LONGEST_ADDRESS = 24  # characters; of longer ones what all have in common is left out


def print_contexts(document: Mapping[str, Any], out: Console, err: Console) -> None:
    """Print the courses and their states."""
    listed = document.get("contexts") or []
    if listed:
        out.print(_table(listed[:MOST_ROWS], out.width))
    errors = [*_errors(listed)]
    more = len(errors) - print_causes(errors, out)
    if more > 0:
        out.print(f"… and {more:,} more: --json shows them.", highlight=False)
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


def _table(listed: Sequence[Mapping[str, Any]], width: int) -> Table:
    """A row a course; where its id is not known yet, what tells its address from the others' of its registration."""
    addresses: dict[str, list[str]] = {}
    for each in listed:
        named = addresses.setdefault(each["registration"], [])
        if "://" in each["context_id"]:
            named.append(each["context_id"])
    common = {name: _common(ids) for name, ids in addresses.items()}
    only = next(iter(addresses)) if len(addresses) == 1 else ""
    columns = COLUMNS[1:] if only else COLUMNS
    rows = []
    for each in listed:
        context_id, left_out = each["context_id"], common[each["registration"]]
        if left_out and context_id.startswith(left_out):
            context_id = f"…{context_id[len(left_out) :]}"
        moment = (each["last_complete_at"] or "")[:16].replace("T", " ")
        shown = {**each, "context_id": context_id, "last_complete_at": moment}
        rows.append([shown[name] for name in columns])
    return table_of(only, columns, rows, width=width, shortened=SHORTENED)


def _common(addresses: Sequence[str]) -> str:
    """How all *addresses* begin, up to a slash that is kept; "" where they are short, or one alone."""
    if len(addresses) < 2 or max(map(len, addresses)) <= LONGEST_ADDRESS:
        return ""
    return os.path.commonprefix(addresses).rpartition("/")[0]  # noqa: RUF071 - of addresses, not of paths


def _errors(listed: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The courses with an error, as the failures of a run; one that was never asked offers no roster."""
    for each in listed:
        if each["error"] is not None or each["error_type"] is not None:
            yield {**each, "resource_link_id": None, "outcome": each["outcome"] or UNAVAILABLE}
