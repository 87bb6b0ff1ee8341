"""A first load into DuckDB: which tables it fills without a merge, and how it lays them out."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.parquet as pq
from dlt.destinations.sql_client import SqlClientBase

from ..tables.asking import opened, patiently, rows_of
from .embedded import Embedded
from .working import LOAD_MEMORY

# DuckDB writes a full row group as it is. What is left over it copies into the table and lays out later, which
# costs a fifth more, and its own row groups of 122,880 rows leave most of a small load over.
ROW_GROUP = 61_440  # rows, a multiple of DuckDB's 2,048

# To fill tables DuckDB needs no more memory than this, and what is written it would only keep there.
LITTLE = "128MB"
WIDE = 32_000_000  # bytes of a row group, as Parquet encodes it, that LITTLE may be too little for

ONE = "SELECT 1 FROM {table} LIMIT 1"


def open_for_first_load(pipeline: dlt.Pipeline) -> None:
    """Open the file of *pipeline* anew, where it holds no membership yet, to be written in row groups of ROW_GROUP.

    DuckDB is told their size where a file is attached, which dlt does not do. To be called while the file is held
    open, and before anything is asked that must still be true when the load begins: in between it is let go of.
    Whoever took it then is waited for.
    """
    if not isinstance(pipeline.destination, Embedded):
        return
    with opened(pipeline.sql_client()) as client:
        # Whoever else has it open in this process, in a notebook, would lose it.
        if any(rows_of(client, ONE, (), table="memberships")) or not _is_alone(client):
            return
        here = "SELECT database_name, path FROM duckdb_databases() WHERE database_name = current_database()"
        [(name, path)] = rows_of(client, here, ())
        database, aside = (client.escape_column_name(each) for each in (name, f"{name} aside"))
        client.execute_sql(f"ATTACH ':memory:' AS {aside}; USE {aside}")
        client.execute_sql(f"DETACH {database}")
        file = client.capabilities.escape_literal(path)
        patiently(lambda: client.execute_sql(f"ATTACH {file} AS {database} (ROW_GROUP_SIZE {ROW_GROUP})"))
        client.execute_sql(f"USE {database}")
        client.execute_sql(f"DETACH {aside}")


def note_unfilled(pipeline: dlt.Pipeline, tables: Collection[str], files: Iterable[Path]) -> None:
    """Have the next load of *pipeline*, of *files*, fill those of *tables* directly that hold no row now.

    To be called while nobody else writes, for tables of which a load holds no key twice. Of a package that was
    begun some rows are there already, so that it is merged, which leaves no doubles.
    """
    if isinstance(pipeline.destination, Embedded):
        with opened(pipeline.sql_client()) as client:
            held = {name for name in tables if any(rows_of(client, ONE, (), table=name))}
            if not held and _is_alone(client):
                _prepare(client, tables, files)
        pipeline.destination.unfilled = frozenset(tables) - held


def _prepare(client: SqlClientBase[Any], tables: Collection[str], files: Iterable[Path]) -> None:
    """Set DuckDB for tables that are filled once, one after the other; it holds until the file is closed.

    One thread fills with less CPU than two, and a third less memory. A table outside *tables* is merged.
    """
    client.execute_sql("SET threads = 1; SET checkpoint_threshold = '1KB'")
    is_bounded_by_us = (client.credentials.global_config or {}).get("memory_limit") == LOAD_MEMORY
    if is_bounded_by_us and all(_is_little(path, tables) for path in files):
        client.execute_sql(f"SET memory_limit = '{LITTLE}'")


def _is_alone(client: SqlClientBase[Any]) -> bool:
    """Whether nobody but dlt has the file of *client* open in this process; False where that cannot be told."""
    lent = getattr(client.credentials.conn_pool, "_conn_borrows", None)  # of dlt's own, which may rename it
    if lent is None:
        return False
    # What was lent are copies of the connection that the pool keeps.
    return list(rows_of(client, "SELECT * FROM duckdb_connection_count()", ())) == [(lent + 1,)]


def _is_little(path: Path, tables: Collection[str]) -> bool:
    """Whether the file *path* of a package takes little memory: dlt's own, or filled, and of no wide row group."""
    table = path.name.partition(".")[0]
    if table.startswith("_dlt"):
        return True
    if table not in tables or path.suffix != ".parquet":
        return False
    try:
        found = pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid):  # the load will say so
        return False
    return all(found.row_group(number).total_byte_size <= WIDE for number in range(found.num_row_groups))
