"""Rows of a catalogue from a text file: CSV with a header, or JSON, one object a line.

A row that cannot be read is yielded as BadRowError, so that the good ones around it are kept.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import ConfigurationError
from .entries import ADDRESSES, ALIASES, COLUMNS, HEADERS, JWT, SIGNED, BadRowError

DELIMITERS = ",;\t"
LONGEST_NAME = 200  # characters of a file's name in a message
KEY_LIKE = re.compile(r"-----|^eyJ|://|:.*@|[A-Za-z0-9+=]{40}")
SUFFIX = re.compile(r"\.[A-Za-z]{1,8}")
# Of names without a suffix: digits among letters, a run that no word has, or what a connection is written with.
KEY_LIKE_BARE = re.compile(r"[A-Za-z][\w+.-]*[0-9]|[0-9][\w+.-]*[A-Za-z]|[A-Za-z0-9+]{20}|[=@]", re.ASCII)
COLUMN = re.compile(r"[a-z]{1,14}([_ ][a-z]{1,14}){0,3}")  # what a column is called, and no key
MOST_COLUMNS = 20  # in a message
LONGEST_CELL = 1_000_000  # characters
BOM = b"\xef\xbb\xbf"
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
NOT_READ = {".xlsx": "Excel", ".xls": "Excel"}

Row = tuple[str, Any]  # where it stands; a row, or the BadRowError that it is


def check_file(name: str) -> Path:
    """Return the path of the file *name*; raises ConfigurationError if missing or of no form we read."""
    path = Path(name).expanduser()
    if kind := NOT_READ.get(path.suffix.lower()):
        raise ConfigurationError(
            f"{name} is an {kind} file, which is not read.", remedy="Save it as CSV (UTF-8)."
        )
    try:
        if path.is_dir():
            raise ConfigurationError(f"{name} is a directory.", remedy="Give a CSV, JSONL or Parquet file.")
        if not path.exists():
            raise ConfigurationError(
                f"There is no file {_shown(name)} (looked for in {Path.cwd()}).",
                remedy="Paths are relative to the working directory.",
            )
    except (OSError, ValueError):  # a name too long, or with a NUL
        raise ConfigurationError(f"{_shown(name)} cannot be the name of a file.") from None
    return path


def _shown(name: str) -> str:
    """Return *name* for a message unless it may be a key, pasted where a file's name is due."""
    is_name = len(name) <= LONGEST_NAME and name.isprintable() and not KEY_LIKE.search(name)
    if is_name and not SUFFIX.fullmatch(Path(name).suffix):
        is_name = not any(KEY_LIKE_BARE.search(part) for part in Path(name).parts)
    return name if is_name else f"of that name ({len(name)} characters, not shown)"


def is_blank(path: Path) -> bool:
    """Tell whether *path* is no file yet, or one without a word."""
    try:
        return not path.exists() or not path.read_bytes().removeprefix(BOM).strip()
    except OSError as error:
        raise _unreadable(path.name, error) from None


def file_rows(name: str, provider: str) -> Iterator[Row]:
    """Yield the rows of the file *name*."""
    if Path(name).suffix.lower() in JSON_SUFFIXES and not _is_list(name):
        return _json_lines(name)
    text = _text(name)
    return json_rows(text, name) if text.lstrip()[:1] in ("{", "[") else _csv_rows(text, name, provider)


def _is_list(name: str) -> bool:
    with _opened(name) as file:
        first = next((line for each in file if (line := each.removeprefix(BOM).strip())), b"")
    return first.startswith(b"[")


def _json_lines(name: str) -> Iterator[Row]:
    """Yield the values of a file, one a line, as it is read: a tool may store every launch that there is."""
    number = 0
    with _opened(name) as file:
        try:
            for number, line in enumerate(file, 1):
                yield from _line(
                    line.removeprefix(BOM if number == 1 else b"").decode(), f"{name}, line {number}"
                )
        except UnicodeDecodeError:
            raise _not_utf8(name, number) from None


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    path = check_file(name)
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise _unreadable(name, error) from None


def counted(rows: Iterable[Any]) -> Iterator[Row]:
    """Yield *rows* with their numbers; raises ConfigurationError when they break off."""
    number = 0
    try:
        for number, row in enumerate(rows, 1):
            yield f"contexts, entry {number}", row
    except Exception as error:
        raise ConfigurationError(
            f"The catalogue broke off after entry {number}: {type(error).__name__}."
        ) from error


def ids(name: str, column: str) -> Iterator[Row]:
    """Yield the ids of the file *name*: the cells of its *column*, or its lines if it has but one."""
    lines = csv_records(_text(name), name)
    header = next(lines, ("", [""]))[1]
    cells = [cell.strip().lower() for cell in header] if isinstance(header, list) else [""]
    wanted = [at for at, cell in enumerate(cells) if cell in (column.lower(), "id", "context_id")]
    if not wanted and len(cells) > 1:
        raise ConfigurationError(
            f"{name} has the columns {columns_shown(cells)}; one called {column} is needed."
        )
    at = wanted[0] if wanted else 0
    if not wanted and cells[0]:
        yield f"{name}, line 1", cells[0] if not isinstance(header, list) else header[0].strip()
    for where, record in lines:
        is_good = isinstance(record, list) and len(record) > at
        yield where, record[at].strip() if is_good else BadRowError("there is no id.")


def json_rows(text: str, name: str) -> Iterator[Row]:
    """Yield the rows of JSON *text*: an array, or one value a line."""
    if text.lstrip().startswith("["):
        return _array(text, name)
    return _lines(text, name)


def _array(text: str, name: str) -> Iterator[Row]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{name} begins like a JSON list and is not JSON.") from None
    for number, row in enumerate(rows, 1):
        yield f"{name}, entry {number}", row


def _lines(text: str, name: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        yield from _line(line, f"{name}, line {number}")


def _line(line: str, where: str) -> Iterator[Row]:
    if not line.strip():
        return
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = BadRowError(SIGNED if JWT.fullmatch(line) else "the line is not JSON.")
    yield where, row


def _text(name: str) -> str:
    with _opened(name) as file:
        octets = file.read()
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(name, octets.count(b"\n", 0, error.start) + 1) from None


def _unreadable(name: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"{name} cannot be read: {type(error).__name__}.")


def _not_utf8(name: str, line: int) -> ConfigurationError:
    return ConfigurationError(f"{name} is not UTF-8 (line {line}).", remedy="Save it as UTF-8.")


def _csv_rows(text: str, name: str, provider: str) -> Iterator[Row]:
    """Yield each record as a table of the columns that we know."""
    lines = csv_records(text, name)
    header: Any = next(lines, ("", []))[1]
    columns = known_columns(header if isinstance(header, list) else [], name, provider)
    width = len(header)
    for where, record in lines:
        if not isinstance(record, list):
            yield where, record
        elif any(cell.strip() for cell in record[width:]):
            yield (
                where,
                BadRowError(
                    f"{len(record)} cells, and the header has {width}: put quotes around a cell with a comma."
                ),
            )
        else:
            yield where, {column: record[at] for at, column in columns.items() if at < len(record)}


def known_columns(header: Sequence[str], name: str, provider: str) -> dict[int, str]:
    """Return which column stands where; raises ConfigurationError when the header lacks what is needed."""
    found = [cell.strip().lower() for cell in header]
    named = [ALIASES.get(cell, cell) for cell in found]
    columns = {at: cell for at, cell in enumerate(named) if cell in COLUMNS}
    needed = ADDRESSES[provider]
    if not set(columns.values()) & set(needed):
        raise ConfigurationError(
            f"{name} has the columns {columns_shown(found)}; {' or '.join(needed)} is needed.",
            remedy=f"Its first line names the columns: {', '.join(HEADERS[provider])}.",
        )
    if len(set(columns.values())) < len(columns):
        raise ConfigurationError(f"{name} has one column twice.", remedy="Keep one of them.")
    return columns


def columns_shown(header: Sequence[str]) -> str:
    """Return the names in *header* for a message: a file without a header may begin with a key."""
    told = [cell if COLUMN.fullmatch(cell) else "(not shown)" for cell in header[:MOST_COLUMNS] if cell]
    return ", ".join(dict.fromkeys(told)) or "none"


def csv_records(text: str, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the records that are not blank, each with its place; one that is no CSV as BadRowError."""
    for start, _, record in csv_spans(text, delimiter_of(text)):
        if not isinstance(record, list) or any(cell.strip() for cell in record):
            yield f"{name}, line {start + 1}", record


def delimiter_of(text: str) -> str:
    """Return what separates the cells of CSV *text*: the delimiter that its first line has most."""
    head = re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    return max(DELIMITERS, key=head.count)


def csv_spans(text: str, delimiter: str) -> Iterator[tuple[int, int, Any]]:
    """Yield every record, blank ones too, with the lines that it takes: from the first, to before the last."""
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        start = reader.line_num
        try:
            record: Any = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            record = BadRowError(
                f"it is not CSV ({error}): a quote is opened and not closed, or doubled amiss."
            )
        yield start, reader.line_num, record
