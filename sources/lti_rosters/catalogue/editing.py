"""A catalogue's file edited: rows appended or given another address; every other line stays, byte by byte.

A JSON file that is one list is laid out anew; its values stay.
"""

import csv
import io
import json
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from .entries import ALIASES, COLUMNS, HEADERS, BadRowError
from .files import JSON_SUFFIXES, csv_spans, delimiter_of

CSV_SUFFIXES = (".csv", ".tsv", ".txt", "")
BOM = "\ufeff"


class EditedFile:
    """The rows of one file; `save` writes them unless somebody else changed the file meanwhile."""

    def __init__(self, path: Path, provider: str) -> None:
        """Read *path*; a file that is not there has no rows yet. Raises ConfigurationError."""
        self.path = path
        self._before = _bytes(path)
        try:
            text = self._before.decode("utf-8") if self._before is not None else ""
        except UnicodeDecodeError:
            raise ConfigurationError(f"{path.name} is not UTF-8.", remedy="Save it as UTF-8.") from None
        content = text.removeprefix(BOM)
        self._mark = BOM if text != content else ""
        self.is_json = path.suffix.lower() in JSON_SUFFIXES or content.lstrip()[:1] in ("{", "[")
        self._rows: CsvRows | JsonLines | JsonList
        if not self.is_json:
            self._rows = CsvRows(content, path.name, provider)
        elif content.lstrip().startswith("["):
            self._rows = JsonList(content, path.name)
        else:
            self._rows = JsonLines(content)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add *row* at the end."""
        self._rows.append(row)

    def change(self, number: int, column: str, row: Mapping[str, str]) -> None:
        """Give the row *number*, counted from 0 over the rows that are not blank, the *column* of *row*."""
        self._rows.change(number, column, row)

    def save(self) -> None:
        """Write the file whole or not at all, with the mode and owner it had. Raises ConfigurationError."""
        target = self.path.resolve()  # what a link points at, so that the link stays
        before = target.stat() if self._before is not None else None
        # A lone surrogate, which only JSON can have told of, is written as JSON escapes it.
        octets = (self._mark + self._rows.text()).encode("utf-8", "backslashreplace")
        try:
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(octets)
                    file.flush()
                    os.fsync(file.fileno())
                _own(name, before)
                if _bytes(self.path) != self._before:
                    raise ConfigurationError(
                        f"{self.path.name} was changed meanwhile; nothing was written.", remedy="Try again."
                    )
                Path(name).replace(target)
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(f"{self.path.name} cannot be written: {type(error).__name__}.") from None


def _own(name: str, before: os.stat_result | None) -> None:
    """Give the file *name* owner and mode of the one *before*: a run as another user has to read it still."""
    if before is not None:
        with suppress(OSError, AttributeError):  # who is not root keeps the file; Windows has no owners
            os.chown(name, before.st_uid, before.st_gid)
    Path(name).chmod(0o600 if before is None else stat.S_IMODE(before.st_mode))


class CsvRows:
    """The lines of a CSV file, and the cells of those that are records, the header first."""

    def __init__(self, text: str, name: str, provider: str) -> None:
        """Read *text*; raises ConfigurationError for a record after which nothing could be written."""
        self._name = name
        self._delimiter = delimiter_of(text)
        lines = list(io.StringIO(text, newline=""))
        self._newline = next((end for end in ("\r\n", "\n", "\r") if lines and lines[0].endswith(end)), "\n")
        self._pieces: list[str] = []
        self._cells: list[list[str]] = []
        self._at: list[int] = []  # the piece of each record
        for start, end, record in csv_spans(text, self._delimiter):
            if isinstance(record, BadRowError):
                raise ConfigurationError(
                    f"{name}, line {start + 1}: {record}", remedy="Mend that line first."
                )
            if any(cell.strip() for cell in record):
                self._at.append(len(self._pieces))
                self._cells.append(record)
            self._pieces.append("".join(lines[start:end]))
        if not self._cells:
            self._add(list(HEADERS[provider]))

    def append(self, row: Mapping[str, Any]) -> None:
        """Add *row*; a column that the header lacks is added to it."""
        places = {self._place(column): value for column, value in row.items()}
        self._add([places.get(at, "") for at in range(len(self._cells[0]))])

    def change(self, number: int, column: str, row: Mapping[str, str]) -> None:
        """Give record *number* the *column* of *row*."""
        at, record = self._place(column), self._cells[number + 1]
        record.extend([""] * (at + 1 - len(record)))
        record[at] = row[column]
        self._write(number + 1)

    def _add(self, record: list[str]) -> None:
        if self._pieces and not self._pieces[-1].endswith(("\r", "\n")):
            self._pieces[-1] += self._newline
        self._at.append(len(self._pieces))
        self._cells.append(record)
        self._pieces.append("")
        self._write(-1)

    def _write(self, number: int) -> None:
        written = io.StringIO()
        csv.writer(written, delimiter=self._delimiter, lineterminator=self._newline).writerow(
            self._cells[number]
        )
        self._pieces[self._at[number]] = written.getvalue()

    def _place(self, column: str) -> int:
        header = self._cells[0]
        known = [ALIASES.get(cell.strip().lower(), cell.strip().lower()) for cell in header]
        if column in known:
            return known.index(column)
        for record in self._cells[1:]:
            if any(
                cell.strip() for cell in record[len(header) :]
            ):  # it would become a cell of the new column
                raise ConfigurationError(
                    f"{self._name} has a row with more cells than its header, so no column can be added.",
                    remedy="Put quotes around a cell with a comma.",
                )
        header.append(column)
        self._write(0)
        return len(header) - 1

    def text(self) -> str:
        """The file's new text."""
        return "".join(self._pieces)


class JsonLines:
    """The lines of a JSON file of one value a line; what is not JSON has no value, and stays."""

    def __init__(self, text: str) -> None:
        """Read *text*."""
        self._lines = text.removesuffix("\n").split("\n") if text.strip() else []
        self._at = [number for number, line in enumerate(self._lines) if line.strip()]

    def append(self, row: Mapping[str, Any]) -> None:
        """Add *row*."""
        self._at.append(len(self._lines))
        self._lines.append(_line(row))

    def change(self, number: int, column: str, row: Mapping[str, str]) -> None:
        """Give value *number* the *column* of *row*."""
        at = self._at[number]
        self._lines[at] = _line(_changed(json.loads(self._lines[at]), column, row))

    def text(self) -> str:
        """The file's new text."""
        return "".join(f"{line}\n" for line in self._lines)


class JsonList:
    """The values of a JSON file that is one list."""

    def __init__(self, text: str, name: str) -> None:
        """Read *text*; raises ConfigurationError for what is no JSON."""
        try:
            self._values: list[Any] = json.loads(text)
        except (ValueError, RecursionError):
            raise ConfigurationError(
                f"{name} begins like a JSON list and is not JSON.", remedy="Mend it first."
            ) from None

    def append(self, row: Mapping[str, Any]) -> None:
        """Add *row*."""
        self._values.append(dict(row))

    def change(self, number: int, column: str, row: Mapping[str, str]) -> None:
        """Give value *number* the *column* of *row*."""
        self._values[number] = _changed(self._values[number], column, row)

    def text(self) -> str:
        """The file's new text."""
        return json.dumps(self._values, ensure_ascii=False, indent=2) + "\n"


def _changed(before: Any, column: str, row: Mapping[str, str]) -> dict[str, Any]:
    """The value *before* with the *column* of *row*; a bare address, or the token of a launch, becomes the row."""
    table: dict[str, Any] = before if isinstance(before, dict) else {}
    named = {ALIASES.get(name, name): value for name, value in table.items()}
    is_row = any(name in COLUMNS for name in named)
    return {**named, column: row[column]} if is_row else dict(row)


def editable(setting: Any) -> Path | None:
    """Return the file that the catalogue *setting* is, if rows can be written to it."""
    if not isinstance(setting, str) or not setting.strip() or "\n" in setting or "://" in setting:
        return None
    text = setting.strip()
    path = Path(text).expanduser()
    suffixes: Sequence[str] = (*JSON_SUFFIXES, *CSV_SUFFIXES)
    return path if text[0] not in "[{" and path.suffix.lower() in suffixes else None


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path.name} cannot be read: {type(error).__name__}.") from None
