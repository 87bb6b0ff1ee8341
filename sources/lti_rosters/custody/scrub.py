"""What was deleted or overwritten is gone from the warehouse's own files too, as far as it can be reached."""

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlt.destinations.sql_client import SqlClientBase

from ..errors import DestinationError

FRESH = ".fresh"  # of the DuckDB file that is to take the old one's place
SPILLED = ".tmp"  # DuckDB's own folder beside its file
LEFT = (
    "PostgreSQL could not rewrite {table} ({kind}): deleted rows may stand in its file until "
    "VACUUM FULL is run by its owner."
)


def scrub(client: SqlClientBase[Any], path: Path | None, tables: Sequence[str]) -> list[str]:
    """Rewrite what held the deleted rows: the DuckDB file at *path*, or *tables* of PostgreSQL; return warnings.

    To be called outside a transaction, with everything committed.
    """
    if path is not None:
        _rewrite_file(client, path.resolve())
        return []
    return [told for told in (_rewrite_table(client, table) for table in tables) if told]


def _remove(fresh: Path) -> None:
    for left in (fresh, Path(f"{fresh}.wal")):
        left.unlink(missing_ok=True)


def _rewrite_file(client: SqlClientBase[Any], path: Path) -> None:
    """Copy the whole database into a new file, which then takes the place of the old one.

    DuckDB uses free blocks again and never clears them: only a copy is without what they hold. The old file is
    open, and so locked, until the new one stands in its place.
    """
    fresh = _fresh(path)
    try:
        _remove(fresh)  # of a command that was killed
        _copy(client, path, fresh)
        fresh.replace(path)
        # What DuckDB had put aside for want of memory, in a command that was killed; we alone have the file open.
        shutil.rmtree(path.with_name(path.name + SPILLED), ignore_errors=True)
    except Exception as error:
        with contextlib.suppress(OSError):
            _remove(fresh)
        raise DestinationError(
            f"what was asked is done, but the database file could not be written anew ({type(error).__name__}): "
            "its free space may still hold what was deleted.",
            where=path.name,
            remedy="Make room beside it for as much again, then run the same command once more.",
        ) from error


def _copy(client: SqlClientBase[Any], path: Path, fresh: Path) -> None:
    (name,) = (row[0] for row in client.execute_sql("SELECT current_database()") or ())
    client.execute_sql("CHECKPOINT")  # so that nothing is left in the write-ahead log
    literal = str(fresh).replace("'", "''")
    client.execute_sql(f"ATTACH '{literal}' AS lti_rosters_fresh")
    try:
        fresh.chmod(path.stat().st_mode & 0o777)
        client.execute_sql(f'COPY FROM DATABASE "{name}" TO lti_rosters_fresh')
    finally:
        client.execute_sql("DETACH lti_rosters_fresh")


def _fresh(path: Path) -> Path:
    return path.with_name(path.name + FRESH)


def _rewrite_table(client: SqlClientBase[Any], table: str) -> str | None:
    """VACUUM FULL writes a table anew; its statistics, which quote common values, are made anew with it."""
    try:
        client.execute_sql(f"VACUUM (FULL, ANALYZE) {table}")
    except Exception as error:
        return LEFT.format(table=table.replace('"', ""), kind=type(error.__cause__ or error).__name__)
    return None
