"""How dlt's client of DuckDB fills a table that holds no row: from the package's files, without a staging table."""

from typing import Any

from dlt.common.destination.client import LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob

FILTER = "x-merge-source-filter"  # dlt's hint: which rows of a package a merge brings


class FillingClient(DuckDbClient):
    """dlt's client; to it a merge into one of the *unfilled* tables is an append of what the merge would bring."""

    unfilled: frozenset[str] = frozenset()

    def prepare_load_table(self, table_name: str) -> PreparedTableSchema:
        """The table as dlt is to load it."""
        table = super().prepare_load_table(table_name)
        if table_name in self.unfilled:
            table["write_disposition"] = "append"
        return table

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, *told: Any, **named: Any
    ) -> LoadJob:
        """The job that copies *file_path* into *table*."""
        if table["name"] in self.unfilled:
            return FillingJob(file_path, str(table.get(FILTER) or "true"))
        return super().create_load_job(table, file_path, *told, **named)


class FillingJob(DuckDbCopyJob):
    """Copies those rows of a Parquet file that *condition* holds for: no marker is anybody."""

    def __init__(self, file_path: str, condition: str) -> None:
        super().__init__(file_path)
        self._condition = condition

    def run(self) -> None:
        """Copy them, all or none."""
        client = self._job_client.sql_client
        table = client.make_qualified_table_name(self.load_table_name)
        client.execute_sql(
            f"INSERT INTO {table} BY NAME SELECT * FROM read_parquet(%s) WHERE {self._condition}",  # noqa: S608
            self._file_path,
        )
