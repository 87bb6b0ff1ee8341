"""Rows of a catalogue from columns: Parquet files, Arrow tables, data frames, the answer of a query."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from .entries import BadRowError
from .files import Row, known_columns

PARQUET = (".parquet", ".pq")
ROWS = 10_000  # held at once


def parquet_rows(name: str, path: Path, provider: str) -> Iterator[Row]:
    """Yield the rows of the Parquet file *path*, called *name*; raises ConfigurationError if it is none."""
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            columns = known_columns(file.schema_arrow.names, name, provider)
            batches = file.iter_batches(ROWS, columns=[file.schema_arrow.names[at] for at in columns])
            records = (
                record for batch in batches for record in zip(*map(_values, batch.columns), strict=True)
            )
            yield from _rows(records, [*columns.values()], name)
    except ConfigurationError:
        raise
    except Exception as error:  # whatever Arrow makes of a damaged file
        raise ConfigurationError(
            f"{name} cannot be read as Parquet: {type(error).__name__}.", remedy="Write it anew."
        ) from None


def is_frame(value: object) -> bool:
    """Tell whether *value* is a table in memory: of pyarrow, pandas, polars or DuckDB."""
    return hasattr(value, "__arrow_c_stream__")


def frame_rows(frame: Any, provider: str) -> Iterator[Row]:
    """Yield the rows of a table in memory (Arrow PyCapsule interface); raises ConfigurationError if it breaks off."""
    import pyarrow as pa

    try:
        reader = pa.RecordBatchReader.from_stream(frame)
        columns = known_columns(reader.schema.names, "contexts", provider)
        records = (
            record
            for batch in reader
            for record in zip(*(_values(batch.column(at)) for at in columns), strict=True)
        )
        yield from _rows(records, [*columns.values()], "contexts")
    except ConfigurationError:
        raise
    except Exception as error:  # whatever the maker of the table makes of reading it
        raise ConfigurationError(f"The catalogue's table broke off: {type(error).__name__}.") from None


def answer_rows(
    names: Sequence[str], records: Iterable[Sequence[Any]], source: str, provider: str
) -> Iterator[Row]:
    """Yield the *records* of a query whose columns are called *names*."""
    columns = known_columns(names, source, provider)
    chosen = ([record[at] for at in columns] for record in records)
    return _rows(chosen, [*columns.values()], source)


def _values(column: Any) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return values


def _rows(records: Iterable[Sequence[Any]], columns: Sequence[str], source: str) -> Iterator[Row]:
    for number, record in enumerate(records, 1):
        row: Any = dict(zip(columns, record, strict=True))
        if all(value in (None, "") for value in row.values()):
            row = BadRowError("every column that we know is empty.")
        yield f"{source}, row {number}", row
