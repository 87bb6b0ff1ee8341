"""The text that people read of these commands, made from their documents."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from ..runs.text import plain, print_error, table_of


def print_rows(document: Mapping[str, Any], out: Console, err: Console) -> None:
    """Print the rows concerned, and what became of them."""
    if rows := document.get("rows"):
        shown = [(each["table"], each["rows"]) for each in rows]
        out.print(table_of("", ("table", "rows"), shown, width=out.width))
    _print_rest(document, out, err)
    if document["error"] is None and rows:
        total = sum(each["rows"] for each in rows)
        done = "Nothing was changed." if document["is_dry"] else "Done: gone from the tables and their files."
        out.print(Text(f"{total:,} {'row' if total == 1 else 'rows'}. {done}", style="bold"))


def print_identity(document: Mapping[str, Any], out: Console, err: Console) -> None:
    """Print how members are stored, and whether the settings agree."""
    if told := document.get("identity"):
        held = told["held"]
        columns = ("registration", "identity", "identity_key_id", "erased", "agrees")
        rows = [[each[name] if name != "agrees" else _yes(each[name]) for name in columns] for each in held]
        if rows:
            out.print(table_of("", columns, rows, width=out.width))
        settings = told["settings"]
        key = f", key {settings['identity_key_id']}" if settings["identity_key_id"] else ""
        out.print(Text(plain(f'The settings say identity = "{settings["identity"]}"{key}.'), style="bold"))
        if not all(each["agrees"] for each in held):
            out.print("To go over for good: lti-rosters identity apply", highlight=False)
    _print_rest(document, out, err)


def print_erasures(document: Mapping[str, Any], out: Console, err: Console) -> None:
    """Print when people were erased."""
    erased = document.get("erased", [])
    columns = ("registration", "erased_at", "key_id")
    if erased:
        rows = [[each[name] for name in columns] for each in erased]
        out.print(table_of("", columns, rows, width=out.width))
    _print_rest(document, out, err)
    if document["error"] is None:
        number = len(erased)
        out.print(Text(f"{number:,} {'person was' if number == 1 else 'people were'} erased.", style="bold"))


def _yes(value: bool) -> str:  # noqa: FBT001 - a cell
    return "yes" if value else "no"


def _print_rest(document: Mapping[str, Any], out: Console, err: Console) -> None:
    for warning in document["warnings"]:
        out.print(Text(plain(f"! {warning}"), style="yellow"))
    if document["error"]:
        print_error(document["error"], err)
