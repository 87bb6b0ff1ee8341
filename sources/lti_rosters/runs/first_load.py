"""A first load into DuckDB: which tables it fills without a merge, and how it lays them out."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import dlt
import pyarrow.parquet as pq
from dlt.destinations.sql_client import SqlClientBase

from ..tables.asking import opened, patiently, rows_of
from .embedded import Embedded

# DuckDB writes a full row group as it is. What is left over it copies into the table and lays out later, which
# costs a fifth more, and its own row groups of 122,880 rows leave most of a small load over.
ROW_GROUP = 61_440  # rows, a multiple of DuckDB's 2,048
LITTLE = (
    "128MB"  # of DuckDB's memory: it needs no more, and what is written it would keep there to no purpose
)
WIDE = 32_000_000  # bytes of a row group that LITTLE may be too little for


def note_unfilled(pipeline: dlt.Pipeline, tables: Collection[str], files: Iterable[Path]) -> None:
    """Have the next load of *pipeline*, of *files*, fill those of *tables* directly that hold no row now.

    To be called while nobody else writes, and the file of DuckDB is held open, for tables of which a load holds no
    key twice. Of a package that was begun some rows are there already, so that it is merged, which leaves no doubles.
    """
    if isinstance(pipeline.destination, Embedded):
        with opened(pipeline.sql_client()) as client:
            one = "SELECT 1 FROM {table} LIMIT 1"
            held = {name for name in tables if any(rows_of(client, one, (), table=name))}
            if not held:
                _prepare(client, files)
        pipeline.destination.unfilled = frozenset(tables) - held


def _prepare(client: SqlClientBase[Any], files: Iterable[Path]) -> None:
    """Have DuckDB write each table once and for all, until its file is closed.

    One thread fills with less CPU than two, and a third less memory, from one file after the other.
    """
    _in_row_groups(client)
    client.execute_sql("SET threads = 1; SET checkpoint_threshold = '1KB'")
    if max(map(_width, files), default=0) <= WIDE:
        client.execute_sql(f"SET memory_limit = '{LITTLE}'")


def _in_row_groups(client: SqlClientBase[Any]) -> None:
    """Open the file of *client* anew: the size of row groups is told where a file is attached, which dlt does not.

    Where another process takes it in between, it is waited for. Whoever else has it open in this process, in a
    notebook, would lose it: then nothing is done.
    """
    if not _is_alone(client):
        return
    here = "SELECT database_name, path FROM duckdb_databases() WHERE database_name = current_database()"
    [(name, path)] = rows_of(client, here, ())
    database = client.escape_column_name(name)
    client.execute_sql("ATTACH ':memory:' AS aside; USE aside")
    client.execute_sql(f"DETACH {database}")
    attach = f"ATTACH {client.capabilities.escape_literal(path)} AS {database} (ROW_GROUP_SIZE {ROW_GROUP})"
    patiently(lambda: client.execute_sql(attach))
    client.execute_sql(f"USE {database}")
    client.execute_sql("DETACH aside")


def _is_alone(client: SqlClientBase[Any]) -> bool:
    """Whether all connections to the file of *client* are copies of dlt's; before DuckDB 2.0 nobody can tell."""
    ours = client.credentials.conn_pool._conn_borrows + 1
    return list(rows_of(client, "SELECT * FROM duckdb_connection_count()", ())) == [(ours,)]


def _width(path: Path) -> int:
    """Bytes of the largest row group of *path*, as it is when it is read."""
    if path.suffix != ".parquet":
        return 0
    found = pq.read_metadata(path)
    return max((found.row_group(number).total_byte_size for number in range(found.num_row_groups)), default=0)
