"""A check as people read it: a table of registrations and steps, then what is wrong, then what is so."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..runs.text import plain, print_error

SIGNS = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "failed": ("✗", "red"),
    "not_tried": ("–", "dim"),
    "skipped": ("·", "dim"),
}
TITLES = {"jwks": "JWKS", "api_key": "API key"}
UNSHOWN = "manners"  # told in words, and nothing that could fail
MOST_LINES = 16  # of explanations, so that all of it fits a screen; --json holds all
MOST_MANNERS = 4  # registrations whose manners are told


def print_check(document: Mapping[str, Any], out: Console, err: Console) -> None:
    """Print what a check found; what broke it off goes to *err*."""
    checks = document["checks"]
    if checks:
        for provider in dict.fromkeys(each["provider"] for each in checks.values()):
            of_provider = {name: each for name, each in checks.items() if each["provider"] == provider}
            out.print(_table(of_provider, out.width))
        legend = "✓ good  ! look at it  ✗ failed  – not tried  · nothing to look at"
        out.print(Text(legend, style="dim"))
    destination = document.get("destination_steps")
    if destination:
        signs = "  ".join(f"{SIGNS[step['state']][0]} {step['step']}" for step in destination)
        out.print(Text(f"destination {document['destination'] or ''}: {signs}"))
    _print_findings(document, out)
    for warning in document["warnings"]:
        out.print(Text(plain(f"! {warning}"), style="yellow"))
    if document["error"]:
        print_error(document["error"], err)
    _print_manners(checks, out)
    closing = Text(_closing(document), style="bold")
    (out if checks else err).print(closing)


def _table(checks: Mapping[str, Mapping[str, Any]], width: int) -> Table:
    """The registrations of one provider and its steps; only the names of registrations are ever shortened."""
    names = list(dict.fromkeys(step["step"] for each in checks.values() for step in each["steps"]))
    names = [name for name in names if name != UNSHOWN]
    titles = [TITLES.get(name, name) for name in names]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    left = width - sum(len(title) + 1 for title in titles)
    table.add_column("registration", overflow="ellipsis", no_wrap=True, max_width=max(1, left))
    for title in titles:
        table.add_column(title, justify="center", no_wrap=True)
    for registration, each in checks.items():
        states = {step["step"]: step["state"] for step in each["steps"]}
        signs = [SIGNS[states[name]] if name in states else ("", "") for name in names]
        table.add_row(Text(registration), *(Text(sign, style=style) for sign, style in signs))
    return table


def _print_findings(document: Mapping[str, Any], out: Console) -> None:
    """Explain each finding once, whoever has it, faults first; a screen at most, but the first always."""
    left = MOST_LINES
    findings = _grouped(document)
    for number, (finding, places) in enumerate(findings):
        text = _explained(finding, places)
        lines = len(text.wrap(out, out.width))
        is_settings = finding["error_type"] == "configuration"
        if number and lines > left and not is_settings:
            out.print(f"… and {len(findings) - number} more: --json shows them.", highlight=False)
            return
        out.print(text)
        left -= lines


def _grouped(document: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], list[str]]]:
    grouped: dict[tuple[Any, ...], tuple[Mapping[str, Any], list[str]]] = {}
    for place, step in _steps(document):
        for finding in step["findings"]:
            # Settings name their own place in the files; they are never the same.
            words = (step["step"], finding["severity"], finding["what"], finding["remedy"], finding["hint"])
            grouped.setdefault(words, (finding, []))[1].append(f"{place}, {step['step']}")
    return sorted(grouped.values(), key=lambda each: each[0]["severity"] != "failed")


def _steps(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for registration, each in document["checks"].items():
        for step in each["steps"]:
            yield registration, step
    for step in document.get("destination_steps", ()):
        yield "destination", step


def _explained(finding: Mapping[str, Any], places: Sequence[str]) -> Text:
    sign, style = SIGNS[finding["severity"]]
    more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
    text = Text(plain(f"{sign} {places[0]}{more}: {finding['what']}"), style=style)
    for part in (finding["remedy"], finding["hint"]):
        if part:
            text.append(plain(f" {part}"), style="default")
    return text


def _print_manners(checks: Mapping[str, Mapping[str, Any]], out: Console) -> None:
    told = [
        f"{name} ({each['platform'] or each['provider']}): {step['detail']}."
        for name, each in checks.items()
        for step in each["steps"]
        if step["step"] == UNSHOWN and step["detail"]
    ]
    for line in told[:MOST_MANNERS]:
        out.print(Text(plain(line), style="dim"))
    if len(told) > MOST_MANNERS:
        out.print(f"… and {len(told) - MOST_MANNERS} more: --json shows them.", highlight=False)


def _closing(document: Mapping[str, Any]) -> str:
    checks = document["checks"]
    if not checks:
        return f"Nothing was checked. Exit {document['exit_status']}."
    bad = sum(any(step["state"] == "failed" for step in each["steps"]) for each in checks.values())
    count = len(checks)
    noun = f"registration{'' if count == 1 else 's'}"
    requests = document["totals"]["requests"]
    told = f"{count} {noun} checked, {bad} with faults" if bad else f"{count} {noun} checked, without a fault"
    end = f" Exit {document['exit_status']}." if document["exit_status"] else ""
    return f"{told}; nothing was loaded. {requests} requests, {document['seconds']:.1f} s.{end}"
