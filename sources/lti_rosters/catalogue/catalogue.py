"""Where contexts come from: lists, tables, files, queries, templates, launch claims, anything iterable or callable."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from .columnar import PARQUET, frame_rows, is_frame, parquet_rows
from .entries import BadRowError, ContextEntry, Sender, entry, is_row
from .files import Row, check_file, columns_shown, counted, file_rows, is_blank, json_rows
from .launches import foreign, is_launch, read_launch
from .ltiaas import check_provider, is_id_token, of_one_platform, read_id_token
from .query import check_query, query_rows
from .template import check_template, template_rows

__all__ = ["Catalogue", "ContextEntry", "check_catalogue", "entries_of", "read_catalogue"]

FORMS = (
    "Give a CSV, JSONL or Parquet file, a list of memberships URLs, tables with memberships_url, "
    "{ query = …, url = … } or { template = …, ids = … }."
)

Course = tuple[str | None, str]  # deployment and context id of a launch


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The contexts of a registration.

    *faults* are the rows that could not be read, each with its place; *doubles* counts rows that named what
    an earlier one names. Only a whole catalogue may tell which contexts are gone (design §3, delisted).
    """

    entries: list[ContextEntry] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    doubles: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether every row could be read."""
        return not self.faults


def check_catalogue(setting: Any) -> None:
    """Raise ConfigurationError when *setting* is of no form that we read, or its file is missing.

    Reads no row: a function is not called, an iterable not begun.
    """
    form = _form(setting)
    if isinstance(form, str) and not form.startswith("["):
        check_file(form)
    if isinstance(form, Mapping):
        check_query(form) if "query" in form else check_template(form)


def read_catalogue(
    setting: Any, *, where: str, provider: str = "nrps", tool: Sender | None = None
) -> Catalogue:
    """Read the catalogue *setting* of the registration *where*.

    Bad rows become faults and the rest is kept; so do launches of another platform than that of *tool*. Raises
    ConfigurationError when the catalogue as a whole cannot be read: no such file, no known form, no header, a
    function or iterable that breaks off.
    """
    try:
        return _collected(_rows(setting, provider), provider, tool or Sender())
    except ConfigurationError as error:
        raise ConfigurationError(error.what, where=error.where or where, remedy=error.remedy) from None


def entries_of(path: PathLike[str], provider: str) -> list[ContextEntry | None]:
    """Return what each row of the file *path* names, None for a bad one; none where nothing is written yet."""
    if is_blank(Path(path)):
        return []
    found: list[ContextEntry | None] = []
    for where, row in _rows(path, provider):
        try:
            found.append(_entry(row, where, provider))
        except BadRowError:
            found.append(None)
    return found


def _entry(row: Any, where: str, provider: str) -> ContextEntry:
    if isinstance(row, BadRowError):
        raise row
    if isinstance(row, Mapping) and is_launch(row):
        check_provider(provider)
        return read_launch(row, where)
    is_token = isinstance(row, Mapping) and is_id_token(row)
    read = read_id_token if is_token else entry
    return read(row, where, provider)


def _collected(rows: Iterable[Row], provider: str, tool: Sender) -> Catalogue:
    entries: list[ContextEntry] = []
    faults: list[str] = []
    for where, row in rows:
        try:
            read = _entry(row, where, provider)
            if why := foreign(read, tool):
                raise BadRowError(why)
        except BadRowError as error:
            faults.append(f"{where}: {error}")
        else:
            entries.append(read)
    entries, others = of_one_platform(entries)
    faults += others
    single = _single(_with_newest_addresses(entries))
    return Catalogue(single, faults, len(entries) - len(single))


def _with_newest_addresses(entries: list[ContextEntry]) -> list[ContextEntry]:
    """Where launches of one context tell different URLs or keys, give all the newest's (E98); ties: the last.

    A launch without the service counts only where there is no other: the roster is still to be had.
    """
    newest: dict[Course, ContextEntry] = {}
    for each in entries:
        course = _course(each)
        if course is not None and each.address:
            known = newest.get(course)
            if known is None or (each.launched_at or 0.0) >= (known.launched_at or 0.0):
                newest[course] = each
    if not newest:
        return entries
    return [_renewed(each, newest) for each in entries]


def _course(each: ContextEntry) -> Course | None:
    """What tells the course of a launch: its context's id is unique within a deployment (LTI Core §5.4.1)."""
    if not each.is_launch or not each.context_id:
        return None
    return each.sender.deployment_id if each.sender else None, each.context_id


def _renewed(each: ContextEntry, newest: Mapping[Course, ContextEntry]) -> ContextEntry:
    course = _course(each)
    found = newest.get(course) if course else None
    if found is None or each.address == found.address:
        return each
    return replace(found, resource_link_id=each.resource_link_id)


def _single(entries: list[ContextEntry]) -> list[ContextEntry]:
    """Return each context, or link of one, once: the first entry that names it with the same key."""
    first: dict[tuple[str | None, ...], ContextEntry] = {}
    for each in entries:
        what = each.address or (f"context {each.context_id}" if each.context_id else each.where)
        first.setdefault((what, each.resource_link_id, each.service_key, each.ltik), each)
    return list(first.values())


def _form(setting: Any) -> Any:
    """Return *setting* in its plain form: JSON text read, a path as text, a single URL or entry in a list."""
    if isinstance(setting, PathLike):
        setting = fspath(setting)
    if isinstance(setting, str):
        return _text_form(setting.strip())
    if isinstance(setting, ContextEntry):
        return [setting]
    if isinstance(setting, Mapping):
        return _mapping_form(setting)
    if (
        is_frame(setting)
        or callable(setting)
        or (isinstance(setting, Iterable) and not isinstance(setting, bytes))
    ):
        return setting
    raise ConfigurationError(f"A catalogue cannot be made of {type(setting).__name__}.", remedy=FORMS)


def _text_form(text: str) -> Any:
    if not text:
        raise ConfigurationError("The catalogue is empty text.", remedy=FORMS)
    if text.startswith("{"):
        try:
            return _form(json.loads(text))
        except (ValueError, RecursionError):
            raise ConfigurationError(
                "The catalogue begins like JSON and is not JSON.", remedy=FORMS
            ) from None
    return text.split() if text.lower().startswith(("https://", "http://")) else text


def _mapping_form(table: Mapping[Any, Any]) -> Any:
    if table.keys() & {"query", "template", "ids"}:
        return table
    if is_row(table) or is_launch(table) or is_id_token(table):
        return [table]
    raise ConfigurationError(
        f"A catalogue cannot be made of a table with {columns_shown(sorted(map(str, table)))}.", remedy=FORMS
    )


def _rows(setting: Any, provider: str) -> Iterator[Row]:
    form = _form(setting)
    if isinstance(form, str):
        return _text_rows(form, provider)
    if isinstance(form, Mapping):
        return query_rows(form, provider) if "query" in form else template_rows(form)
    if is_frame(form):
        return frame_rows(form, provider)
    if callable(form):
        return _rows(_called(form), provider)
    return counted(form)


def _text_rows(text: str, provider: str) -> Iterator[Row]:
    """The rows of JSON *text*, or of the file that it names."""
    if text.startswith("["):
        return json_rows(text, "contexts")
    if text.lower().endswith(PARQUET):
        return parquet_rows(text, check_file(text), provider)
    return file_rows(text, provider)


def _called(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:
        raise ConfigurationError(f"The catalogue's function failed: {type(error).__name__}.") from error
