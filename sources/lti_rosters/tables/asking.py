"""How a destination is asked: opened and waited for, names qualified, rows fetched as they come."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.destinations.exceptions import DatabaseTerminalException
from dlt.destinations.sql_client import SqlClientBase

from ..errors import DestinationError
from .columns import FLAG, MOMENT, NUMBER, TABLES, TEXT

CHUNK = 50_000  # rows fetched at once
PATIENCE = 60.0  # seconds that a DuckDB file may be open elsewhere: a load is shorter
POLL = 0.2  # seconds between two looks at it
SQL_TYPES = {TEXT: "VARCHAR", NUMBER: "BIGINT", FLAG: "BOOLEAN", MOMENT: "TIMESTAMP WITH TIME ZONE"}


@contextmanager
def opened(client: SqlClientBase[Any], *, patience: float | None = None) -> Iterator[SqlClientBase[Any]]:
    """Open *client* and close it; a DuckDB file that another process has open is waited for."""
    patiently(client.open_connection, patience)
    try:
        yield client
    finally:
        client.close_connection()


def patiently(action: Callable[[], object], patience: float | None = None) -> None:
    """Do *action*, again while a DuckDB file that it needs is open in another process."""
    end = time.monotonic() + (PATIENCE if patience is None else patience)
    while True:
        try:
            action()
            return
        except Exception as error:
            if locked_by(error) is None or time.monotonic() >= end:
                raise
        time.sleep(POLL)


def locked_by(error: BaseException | None) -> str | None:
    """Return which process holds the DuckDB file, in DuckDB's words; None where *error* says no such thing."""
    while error is not None:
        if found := re.search(r"Conflicting lock is held in (.+? \(PID \d+\))", str(error)):
            return found[1]
        error = error.__cause__ or error.__context__
    return None


def in_use(holder: str) -> DestinationError:
    """Return the error for a DuckDB file that *holder* did not let go of."""
    return DestinationError(
        f"the database file is open in {holder}.",
        where="destination",
        remedy="DuckDB lets one process at a time write: close it there, then run again.",
    )


def unreadable(error: Exception) -> DestinationError:
    """Return the error for a destination that could not be asked what it holds."""
    if (holder := locked_by(error)) is not None:
        return in_use(holder)
    return DestinationError(
        f"what was loaded before cannot be read ({type(error).__name__}).",
        where="destination",
        remedy="Check that it is up and that its tables in lti_raw are whole; nothing was read or changed.",
    )


def rows_of(
    client: SqlClientBase[Any], query: str, parameters: Sequence[str], *, table: str | None = None
) -> Iterator[tuple[Any, ...]]:
    """Run *query* and yield its rows; `{name}` stands for a table, `IN (%s)` for as many parameters as there are."""
    asked = query.replace("IN (%s)", f"IN ({', '.join(['%s'] * len(parameters))})")
    try:
        try:
            yield from _run(client, asked.format_map(_Names(client, table)), parameters)
        except DatabaseTerminalException:  # a column that an older version did not write, if nothing worse
            yield from _run(client, asked.format_map(_Padded(client, table)), parameters)
    except DestinationUndefinedEntity:
        return  # nothing was loaded yet


def _run(client: SqlClientBase[Any], sql: str, parameters: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    with client.execute_query(sql, *parameters) as cursor:
        while rows := cursor.fetchmany(CHUNK):
            yield from map(tuple, rows)


class _Names(dict[str, str]):
    """The qualified name of each table that a query asks for."""

    def __init__(self, client: SqlClientBase[Any], table: str | None) -> None:
        super().__init__()
        self._client = client
        self._table = table

    def __missing__(self, name: str) -> str:
        return self.read(self._table if name == "table" and self._table else name)

    def read(self, table: str) -> str:
        """Return what the rows of *table* are selected from."""
        return self._client.make_qualified_table_name(table)


class _Padded(_Names):
    """Each table with NULL in the columns of ours that it lacks."""

    def read(self, table: str) -> str:
        name = super().read(table)
        if table not in TABLES:
            return name
        with self._client.execute_query(f"SELECT * FROM {name} WHERE 1 = 0") as cursor:  # noqa: S608 - a name
            there = {column[0] for column in cursor.description}
        lacking = [
            f"CAST(NULL AS {SQL_TYPES[column.type]}) AS {column.name}"
            for column in TABLES[table].columns
            if column.name not in there
        ]
        columns = ", ".join(["older.*", *lacking])
        return f"(SELECT {columns} FROM {name} AS older) AS {table}"  # noqa: S608 - names only
