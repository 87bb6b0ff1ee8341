"""dlt's DuckDB, but that a table without a row is filled as it is, not by way of a staging table.

A merge writes every row twice, and in a first load there is nothing to merge with.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import dlt

from ..tables.asking import opened, rows_of

if TYPE_CHECKING:
    from .filling import FillingClient


class Embedded(dlt.destinations.duckdb):
    """The destination `duckdb`: by this name dlt knows and configures it."""

    unfilled: frozenset[str] = frozenset()

    @property
    def destination_type(self) -> str:
        """What dlt finds it by when it opens the pipeline another time."""
        return "dlt.destinations.duckdb"

    @property
    def client_class(self) -> "type[FillingClient]":
        """Imported when it is needed: DuckDB comes as an extra."""
        from .filling import FillingClient

        return FillingClient

    def client(self, *told: Any, **named: Any) -> Any:
        """A client that knows of the unfilled tables."""
        client: FillingClient = super().client(*told, **named)  # type: ignore[assignment]
        client.unfilled = self.unfilled
        return client


def note_unfilled(pipeline: dlt.Pipeline, tables: Collection[str]) -> None:
    """Have the next load of *pipeline* fill those of *tables* directly that hold no row now.

    To be called while nobody else writes, for tables of which a load holds no key twice. Of a package that was
    begun some rows are there already, so that it is merged, which leaves no doubles.
    """
    if isinstance(pipeline.destination, Embedded):
        with opened(pipeline.sql_client()) as client:
            one = "SELECT 1 FROM {table} LIMIT 1"
            held = {name for name in tables if any(rows_of(client, one, (), table=name))}
        pipeline.destination.unfilled = frozenset(tables) - held
