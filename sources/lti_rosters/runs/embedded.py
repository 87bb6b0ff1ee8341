"""dlt's DuckDB, but that a table without a row is filled as it is, and that its settings are looked up once.

A merge writes every row twice, and in a first load there is nothing to merge with. dlt looks for each of its
settings anew whenever it makes a client, forty times in a load. And what a load reads once, on this machine, is
compressed so that reading it is quick, not so that it is small.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.configuration import configspec
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.configuration import ParquetFormatConfiguration
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration

if TYPE_CHECKING:
    from .filling import FillingClient


@configspec
class Located(DuckDbClientConfiguration):
    """dlt's settings of a DuckDB, told by its file: as the URL that dlt tells, it would take SQLAlchemy."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)

    def __str__(self) -> str:
        return self.data_location()


class Embedded(dlt.destinations.duckdb):
    """The destination `duckdb` of one pipeline: by this name dlt knows and configures it."""

    spec = Located
    unfilled: frozenset[str] = frozenset()

    @cached_property  # dlt takes the arguments of a constructor, were there one, for those of its destination
    def _found(self) -> dict[tuple[Any, ...], Any]:
        return {}

    @property
    def destination_type(self) -> str:
        """What dlt finds it by when it opens the pipeline another time."""
        return "dlt.destinations.duckdb"

    @property
    def client_class(self) -> "type[FillingClient]":
        """Imported when it is needed: DuckDB comes as an extra."""
        from .filling import FillingClient

        return FillingClient

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        """What dlt is to know of DuckDB; a user's own settings of Parquet win."""
        found = super()._raw_capabilities()
        found.parquet_format = ParquetFormatConfiguration(compression="lz4")
        return found

    def configuration(self, initial_config: Any, accept_partial: bool = False) -> Any:  # noqa: FBT001, FBT002 - dlt's
        """The settings for the dataset of *initial_config*, as they were when they were first asked for.

        All clients of a dataset have them in common, and with them the one connection that theirs are copies of.
        """
        if initial_config is None or initial_config.is_resolved():
            return super().configuration(initial_config, accept_partial)
        key = (accept_partial, initial_config.dataset_name, initial_config.default_schema_name)
        if key not in self._found:
            self._found[key] = super().configuration(initial_config, accept_partial)
        return self._found[key]

    def client(self, *told: Any, **named: Any) -> Any:
        """A client that knows of the unfilled tables."""
        client: FillingClient = super().client(*told, **named)  # type: ignore[assignment]
        client.unfilled = self.unfilled
        return client
