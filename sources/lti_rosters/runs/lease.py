"""One load and one build at a time in a warehouse, from whichever directory or machine it comes.

Two merges of one course at once would leave doubles: under READ COMMITTED each deletes what it sees, and
inserts. Two builds at once would each put views and tables in place of those that the other is reading.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import dlt
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.destinations.sql_client import SqlClientBase

from ..tables.asking import opened

POLL = 0.2  # seconds between two looks at a lock that somebody else holds
BUILD = "the models"  # stands for a build where a dataset's name stands for a load


@contextmanager
def sole_writer(pipeline: dlt.Pipeline, *, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Keep other loads out of *pipeline*'s dataset: wait for one that is at work (*on_wait*), then hold it.

    PostgreSQL holds an advisory lock for us as long as the connection lasts; the open file of DuckDB is a
    lock itself. Elsewhere nothing is held.
    """
    if _kind(pipeline) != "postgres":
        with sole_reader(pipeline):
            yield
        return
    with opened(pipeline.sql_client()) as client:
        _lock(client, pipeline.dataset_name, on_wait)
        yield


@contextmanager
def sole_builder(pipeline: dlt.Pipeline, *, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Keep other builds of the models out of PostgreSQL: wait for one that is at work (*on_wait*), then hold it.

    Loads go on beside a build. DuckDB has one writer anyway; and where there is no connection to be had, the build
    itself tells why.
    """
    with ExitStack() as held:
        client = None
        if _kind(pipeline) == "postgres":
            with suppress(Exception):  # the driver's own errors, and there may be no driver
                client = held.enter_context(opened(pipeline.sql_client()))
        if client is not None:
            _lock(client, BUILD, on_wait)
        yield


@contextmanager
def sole_reader(pipeline: dlt.Pipeline) -> Iterator[None]:
    """Hold the file of a DuckDB open, which another process may have to let go of first."""
    if _kind(pipeline) != "duckdb":
        yield
        return
    with opened(pipeline.sql_client()):
        yield


def _kind(pipeline: dlt.Pipeline) -> str:
    return str(pipeline.destination.destination_type).rpartition(".")[2]


def drop_staging(pipeline: dlt.Pipeline) -> None:
    """Drop this directory's staging tables, where there are any: they are made anew by the next load."""
    client = pipeline.destination_client()
    if isinstance(client, SqlJobClientBase):
        with client.sql_client as sql, sql.with_staging_dataset():
            if sql.has_dataset():
                sql.drop_dataset()


def _lock(client: SqlClientBase[Any], what: str, on_wait: Callable[[], None]) -> None:
    key = int.from_bytes(hashlib.sha256(f"lti_rosters {what}".encode()).digest()[:8], "big", signed=True)
    told = False
    while not _first(client, "SELECT pg_try_advisory_lock(%s)", key):
        if not told:
            on_wait()
            told = True
        time.sleep(POLL)


def _first(client: SqlClientBase[Any], query: str, parameter: int) -> Any:
    with client.execute_query(query, parameter) as cursor:
        (row,) = cursor.fetchall()
    return row[0]
