"""A catalogue's file edited: rows appended or given another address; everything else stays as it was."""

import csv
import io
import json
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from .entries import ALIASES, COLUMNS, BadRowError
from .files import DELIMITERS, JSON_SUFFIXES, csv_records

CSV_SUFFIXES = (".csv", ".tsv", ".txt", "")
NEW_HEADER = {
    "nrps": ("memberships_url", "context_id", "label", "title", "resource_link_id"),
    "ltiaas": ("context_id", "service_key", "ltik", "label", "title", "resource_link_id"),
}
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
        is_json = path.suffix.lower() in JSON_SUFFIXES or text.lstrip(BOM).lstrip()[:1] in ("{", "[")
        self._rows: CsvRows | JsonRows = (
            JsonRows.read(text, path.name) if is_json else CsvRows.read(text, path.name, provider)
        )

    def append(self, row: Mapping[str, str]) -> None:
        """Add *row* at the end."""
        self._rows.append(row)

    def change(self, number: int, column: str, row: Mapping[str, str]) -> None:
        """Give the row *number*, counted from 0 over the rows that are not blank, the *column* of *row*."""
        self._rows.change(number, column, row)

    def save(self) -> None:
        """Write the file whole or not at all, with the mode it had. Raises ConfigurationError."""
        target = self.path.resolve()  # what a link points at, so that the link stays
        mode = stat.S_IMODE(target.stat().st_mode) if self._before is not None else 0o600
        try:
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(self._rows.text().encode())
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).chmod(mode)
                if _bytes(self.path) != self._before:
                    raise ConfigurationError(
                        f"{self.path.name} was changed meanwhile; nothing was written.", remedy="Try again."
                    )
                Path(name).replace(target)
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(f"{self.path.name} cannot be written: {type(error).__name__}.") from None


@dataclass(slots=True)
class CsvRows:
    """The records of a CSV file, in its own dialect."""

    header: list[str]
    records: list[list[str]]
    delimiter: str
    newline: str
    has_bom: bool

    @classmethod
    def read(cls, text: str, name: str, provider: str) -> "CsvRows":
        """Read *text*; raises ConfigurationError for a record that could not be written again as it is."""
        newline = "\r\n" if "\r\n" in text else "\n"
        content = text.removeprefix(BOM)
        delimiter = max(DELIMITERS, key=content.split("\n", 1)[0].count)
        records: list[list[str]] = []
        for where, record in csv_records(content, name):
            if isinstance(record, BadRowError):
                raise ConfigurationError(f"{where}: {record}", remedy="Mend that line first.")
            records.append(record)
        header = records.pop(0) if records else list(NEW_HEADER[provider])
        return cls(header, records, delimiter, newline, text.startswith(BOM))

    def append(self, row: Mapping[str, str]) -> None:
        """Add *row*; a column that the header lacks is added to it."""
        for column in row:
            self._place(column)
        record = [""] * len(self.header)
        for column, value in row.items():
            record[self._place(column)] = value
        self.records.append(record)

    def change(self, number: int, column: str, row: Mapping[str, str]) -> None:
        """Give record *number* the *column* of *row*."""
        at, record = self._place(column), self.records[number]
        record.extend([""] * (at + 1 - len(record)))
        record[at] = row[column]

    def _place(self, column: str) -> int:
        known = [ALIASES.get(cell.strip().lower(), cell.strip().lower()) for cell in self.header]
        if column not in known:
            self.header.append(column)
            return len(known)
        return known.index(column)

    def text(self) -> str:
        """The file's new text."""
        written = io.StringIO()
        writer = csv.writer(written, delimiter=self.delimiter, lineterminator=self.newline)
        writer.writerows([self.header, *self.records])
        return (BOM if self.has_bom else "") + written.getvalue()


@dataclass(slots=True)
class JsonRows:
    """The values of a JSON file: one a line, or one list."""

    values: list[Any]
    is_list: bool
    lines: list[str] = field(default_factory=list)  # as they stand, of one value a line

    @classmethod
    def read(cls, text: str, name: str) -> "JsonRows":
        """Read *text*; raises ConfigurationError for what is not JSON."""
        content = text.removeprefix(BOM)
        is_list = content.lstrip().startswith("[")
        lines = [] if is_list else [line for line in content.splitlines() if line.strip()]
        try:
            values = json.loads(content) if is_list else [json.loads(line) for line in lines]
        except (ValueError, RecursionError):
            raise ConfigurationError(
                f"{name} has a line that is not JSON.", remedy="Mend it first."
            ) from None
        return cls(values, is_list, lines)

    def append(self, row: Mapping[str, str]) -> None:
        """Add *row*."""
        self.values.append(dict(row))
        self.lines.append(_line(row))

    def change(self, number: int, column: str, row: Mapping[str, str]) -> None:
        """Give value *number* the *column* of *row*; the claims of a launch, or a bare address, become the row."""
        before = self.values[number]
        named = (
            {ALIASES.get(name, name): value for name, value in before.items()}
            if isinstance(before, dict)
            else {}
        )
        is_row = any(name in COLUMNS for name in named)
        self.values[number] = {**named, column: row[column]} if is_row else dict(row)
        if not self.is_list:
            self.lines[number] = _line(self.values[number])

    def text(self) -> str:
        """The file's new text."""
        if self.is_list:
            return json.dumps(self.values, ensure_ascii=False, indent=2) + "\n"
        return "".join(f"{line}\n" for line in self.lines)


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
