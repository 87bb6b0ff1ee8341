"""The text that people read, made from a run's document: nothing is told that the document does not hold."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

MOST_LINES = 14  # of failures, so that all of it stays on one screen; the document and roster_syncs hold more
MOST_TOLD = 4  # warnings, and rows of a catalogue that cannot be read
COUNTED = ("contexts", "complete", "unchanged", "failed", "unavailable", "members", "arrivals", "departures")
GAP = 2  # between columns
SAID = {"arrivals": "joined", "departures": "left"}  # in the words of the models


def print_result(document: Mapping[str, Any], out: Console, err: Console) -> None:
    """Print what a run did: one row a registration, what failed and why, what is there now.

    What ended the run early goes to *err*, everything else to *out*.
    """
    if document["totals"]["contexts"]:
        out.print(_registrations(document["registrations"]))
    print_failures(document, out)
    faults = [
        f"{name}: {fault}"
        for name, registration in document["registrations"].items()
        for fault in registration["catalogue_faults"]
    ]
    _print_lines(faults, "✗", "red", out)
    _print_lines(document["warnings"], "!", "yellow", out)
    print_quality(document, out)
    if document["error"]:
        print_error(document["error"], err)
    if document["registrations"]:
        out.print(Text(_closing(document), style="bold"))
    else:
        err.print(Text(f"Nothing was read or loaded. Exit {document['exit_status']}.", style="bold"))


def print_models(document: Mapping[str, Any], out: Console, err: Console) -> None:
    """Print which models were built: how many, and what is to be said of them."""
    _print_lines(document["warnings"], "!", "yellow", out)
    print_quality(document, out)
    if document["error"]:
        print_error(document["error"], err)
    if document["models"]:
        told = f"Built {_counted(len(document['models']), 'model')} in {document['seconds']:.1f} s."
        out.print(Text(told, style="bold"))
    else:
        err.print(Text(f"No model was built. Exit {document['exit_status']}.", style="bold"))


def print_quality(document: Mapping[str, Any], console: Console) -> None:
    """Print what the tests of quality found in the rosters, a line each and all of them."""
    for each in document.get("quality", ()):
        if each["count"]:
            console.print(Text(f"! {each['finding']}: {each['count']:,}", style="yellow"))


def print_error(error: Mapping[str, Any], console: Console) -> None:
    """Print what happened, where, and what to do about it."""
    where = f"{error['where']}: " if error["where"] else ""
    console.print(Text(plain(f"✗ {where}{error['what']}"), style="red"))
    if error["remedy"]:
        console.print(Text(plain(f"  {error['remedy']}")))


def print_failures(document: Mapping[str, Any], console: Console) -> None:
    """Print what was not read, and how much more there is."""
    told = print_causes(document["failures"], console)
    totals = document["totals"]
    failed = totals["failed"] + totals["too_large"] + totals["unavailable"]
    more = max(failed, len(document["failures"])) - told
    if more > 0:
        place = "--json shows them" if document["is_dry"] else "see lti_raw.roster_syncs"
        console.print(f"… and {more:,} more: {place}.", highlight=False)


def print_causes(failures: Iterable[Mapping[str, Any]], console: Console) -> int:
    """Print one text for all courses of a registration that share a cause; return of how many courses that was.

    All of it fits on a screen, but for faults of the settings, which are told all at once.
    """
    left, told = MOST_LINES, 0
    for causes in _by_cause(failures):
        text = Text(f"✗ {_failure(causes)}", style="" if causes[0]["outcome"] == "unavailable" else "red")
        lines = len(text.wrap(console, console.width))
        if told and lines > left and causes[0]["error_type"] != "configuration":
            break
        console.print(text)
        left -= lines
        told += len(causes)
    return told


def plain(text: object) -> str:
    """*text* without what could command a terminal: a platform's words are shown, not obeyed."""
    return "".join(each if each.isprintable() or each == "\n" else "\ufffd" for each in str(text))


def table_of(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    width: int,
    shortened: Collection[str] = (),
) -> Table:
    """A plain table for results, a line a row: numbers stand to the right, nothing known is an empty cell.

    Where *width*, in columns of the screen, is too narrow the *shortened* columns (else all of texts) share what is
    left, the widest giving first.
    """
    table = Table(
        title=Text(plain(title), style="bold"),
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, GAP, 0, 0),
    )
    texts = [["" if value is None else plain(value) for value in row] for row in rows]
    widths = [max(map(cell_len, [name, *column])) for name, *column in zip(columns, *texts, strict=True)]
    numeric = [any(isinstance(row[index], int | float) for row in rows) for index in range(len(columns))]
    giving = [
        index
        for index, name in enumerate(columns)
        if (name in shortened if shortened else not numeric[index])
    ]
    # Measured here: a table of rich would take from every column that does not wrap.
    most = _shares(widths, giving, width - GAP * (len(columns) - 1))
    for index, name in enumerate(columns):
        justify: Literal["left", "right"] = "right" if numeric[index] else "left"
        table.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis", max_width=most[index])
    for row in texts:
        table.add_row(*map(Text, row))
    return table


def _shares(widths: Sequence[int], giving: Sequence[int], room: int) -> list[int]:
    """The *widths* once those *giving* have been cut, always the widest, until all find *room*, or none can give."""
    shares = list(widths)
    while sum(shares) > room and giving:
        widest = max(giving, key=lambda index: shares[index])
        if shares[widest] == 1:
            break
        shares[widest] -= 1
    return shares


def _registrations(registrations: Mapping[str, Mapping[str, Any]]) -> Table:
    names = [name for name in COUNTED if name != "unavailable" or _any(registrations, name)]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("registration", no_wrap=True, overflow="ellipsis")
    for name in names:
        table.add_column(SAID.get(name, name), justify="right", no_wrap=True)
    for registration, counts in registrations.items():
        shown = {**counts, "failed": counts["failed"] + counts["too_large"]}
        table.add_row(registration, *(f"{shown[name]:,}" for name in names))
    return table


def _any(registrations: Mapping[str, Mapping[str, Any]], name: str) -> bool:
    return any(counts[name] for counts in registrations.values())


def _by_cause(failures: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """The failures of a registration that have the same words, together; what hit most courses first."""
    grouped: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for failure in failures:
        is_link = failure["resource_link_id"] is not None
        cause = (
            failure["registration"],
            is_link,
            failure["outcome"],
            failure["error_type"],
            failure["error"],
        )
        grouped.setdefault(cause, []).append(failure)
    yield from sorted(grouped.values(), key=len, reverse=True)


def _failure(causes: Sequence[Mapping[str, Any]]) -> str:
    first, name = causes[0], causes[0]["registration"]
    course = f"{len(causes):,} courses" if len(causes) > 1 else first["context_id"] or "every course"
    if first["resource_link_id"] is not None:
        link = f"resource link {first['resource_link_id']} of {first['context_id']}"
        course = link if len(causes) == 1 else f"{len(causes):,} resource links"
    told = first["error"] or first["error_type"] or ""
    for located in (f'registration "{name}": ', f"{name}: ", f"{name}, "):
        told = told.removeprefix(located)
    return plain(f"{name}, {course}: {told}")


def _print_lines(lines: Sequence[str], sign: str, style: str, console: Console) -> None:
    for line in lines[:MOST_TOLD]:
        console.print(Text(plain(f"{sign} {line}"), style=style))
    if len(lines) > MOST_TOLD:
        console.print(f"… and {len(lines) - MOST_TOLD:,} more: --json shows them.", highlight=False)


def _closing(document: Mapping[str, Any]) -> str:
    totals = document["totals"]
    counts = {
        "loaded" if document["load_ids"] else "changed": totals["complete"],
        "unchanged": totals["unchanged"],
        "failed": totals["failed"] + totals["too_large"],
        "without a roster service": totals["unavailable"],
    }
    told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    told = f" ({told})" if told else ""
    read = totals["complete"] + totals["unchanged"]
    if read:
        told = (
            f"Read {totals['members']:,} memberships of {_counted(read, 'course')}{told}; "
            f"{totals['arrivals']:,} joined, {totals['departures']:,} left."
        )
    else:
        told = f"Read no course{told}; every roster stays as it was."
    sentences = [told]
    if totals["delisted"]:
        sentences.append(f"{_counted(totals['delisted'], 'course')} delisted: no longer in the catalogue.")
    sentences.append(f"{_counted(totals['requests'], 'request')}, {document['seconds']:.1f} s.")
    if document["is_dry"]:
        sentences.append("Nothing was loaded (--dry-run).")
    elif document["error"] and not document["load_ids"]:
        sentences.append("The load did not come to its end.")
    if document["exit_status"]:
        sentences.append(f"Exit {document['exit_status']}.")
    return " ".join(sentences)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
