"""A command upon what is loaded: alone in the directory and in the warehouse, told as one document."""

import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlt
from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.sql_client import SqlClientBase

from ..errors import ConfigurationError, DestinationError, UsageError
from ..runs.destination import (
    PIPELINE,
    WORKING_DIRECTORY,
    asked,
    drain,
    open_pipeline,
    own_staging,
    tidy,
    warehouse,
)
from ..runs.lease import sole_builder, sole_writer
from ..runs.lock import alone
from ..runs.models import nothing_loaded
from ..runs.run import build_models, documented, quiet, settings_of_models
from ..runs.summary import Journal
from ..runs.working import heal, private
from ..tables.asking import in_use, locked_by, opened
from ..tables.ledger import Ledger, read_held, read_ledger
from .scrub import scrub

log = logging.getLogger(__name__)

Rows = dict[str, int]  # how many rows of each table, as `schema.table`


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Where and how to do it; the options that these commands share.

    *confirm* is shown the rows concerned and answers whether to go on; None: nobody can be asked.
    """

    destination: str | None = None
    is_dry: bool = False
    is_confirmed: bool = False
    is_patient: bool = True
    with_models: bool = True
    database: Path | None = None
    directory: Path = field(default_factory=Path.cwd)
    confirm: Callable[[Rows], bool] | None = field(default=None, repr=False)
    on_step: Callable[[str], None] = field(default=lambda _: None, repr=False)


@dataclass(slots=True)
class Session:
    """An open warehouse that nobody else writes to; *more* becomes part of the document."""

    order: Order
    pipeline: dlt.Pipeline
    client: SqlClientBase[Any]
    journal: Journal
    more: dict[str, Any]

    @property
    def is_duckdb(self) -> bool:
        """Whether it is a DuckDB file, else it is PostgreSQL."""
        place = warehouse(self.pipeline)
        return place is not None and place.path is not None

    @property
    def dataset(self) -> str:
        """The schema of the raw tables."""
        return str(self.client.dataset_name)

    def ledger(self, *registrations: str) -> Ledger:
        """What is committed of *registrations*; without any, how members are stored and who was erased alone."""
        client = self.pipeline.sql_client()
        return read_ledger(client, registrations) if registrations else read_held(client)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run *query* and return its rows."""
        return [tuple(row) for row in self.client.execute_sql(query, *parameters) or ()]

    def execute(self, statement: str, *parameters: Any) -> None:
        """Run *statement*."""
        self.client.execute_sql(statement, *parameters)

    def number(self, query: str, *parameters: Any) -> int:
        """Run *query*, which counts."""
        return int(self.rows(query, *parameters)[0][0])

    def agreed(self, rows: Rows) -> bool:
        """Tell the *rows* concerned; return whether to go on. Raises UsageError where nobody can be asked."""
        order = self.order
        self.more["rows"] = [{"table": table, "rows": count} for table, count in rows.items()]
        if order.is_dry or order.is_confirmed:
            return not order.is_dry
        if order.confirm is None:
            raise UsageError(
                "this cannot be undone, and there is nobody to ask.",
                remedy="Look at it with --dry-run, then run it with --yes.",
            )
        self.more["is_dry"] = not order.confirm(rows)
        return not self.more["is_dry"]


def carried_out(
    command: str, order: Order, work: Callable[[Session], Sequence[str] | None]
) -> dict[str, Any]:
    """Do *work* in a session and return the document of it (`result.schema.json`); nothing is raised.

    *work* returns the tables whose rows it took away, all committed; None where it changed nothing. Then they
    are cleared of free space that still holds them, and the models are built anew.
    """
    journal = Journal(command)
    more: dict[str, Any] = {"destination": None, "load_ids": [], "models": [], "is_dry": order.is_dry}

    def all_of_it() -> None:
        working = order.directory / WORKING_DIRECTORY
        with (
            quiet(),
            tidy(),
            private(),
            alone(working, is_patient=order.is_patient, on_wait=_say(order, "wait")),
            own_staging(working),
        ):
            try:
                _done(order, journal, more, work)
            except DatabaseException as error:
                raise _failed(command, error) from error

    return documented(journal, more, all_of_it)


def _done(
    order: Order,
    journal: Journal,
    more: dict[str, Any],
    work: Callable[[Session], Sequence[str] | None],
) -> None:
    working = order.directory / WORKING_DIRECTORY
    journal.warnings += heal(working / PIPELINE)
    pipeline = open_pipeline(order.destination, order.directory, database=order.database)
    more["destination"] = pipeline.destination.destination_name
    place = warehouse(pipeline)
    if place is None:
        raise ConfigurationError(
            f"this cannot be done in {pipeline.destination.destination_name}.",
            where="destination",
            remedy="It can in DuckDB and PostgreSQL.",
        )
    if asked(pipeline) is None and not pipeline.has_pending_data:
        raise nothing_loaded()
    if order.is_dry and pipeline.has_pending_data:
        journal.warnings.append("A load that an earlier run had left unfinished is not counted.")
    if not order.is_dry:  # what is on its way would arrive after it
        journal.warnings += drain(pipeline, order.directory, on_wait=_say(order, "wait_load"))
    with _session(order, pipeline, journal, more) as session:
        tables = work(session)
        if tables is None:
            return
        journal.warnings += scrub(session.client, place.path, tables)
    if order.with_models:
        order.on_step("models")
        with sole_builder(pipeline, on_wait=_say(order, "wait_models")):
            build_models(journal, more, pipeline, order.directory, settings_of_models())


def _failed(command: str, error: DatabaseException) -> DestinationError:
    """Name the kind of the error alone: its text may quote a row."""
    if (holder := locked_by(error)) is not None:
        return in_use(holder)
    log.debug("failed:\n%s", "".join(traceback.format_tb(error.__traceback__)))
    return DestinationError(
        f"the destination failed ({type(error.__cause__ or error).__name__}).",
        where=command,
        remedy="Each command is one transaction: done or not begun. Mend the cause, then run it again.",
    )


@contextmanager
def _session(
    order: Order, pipeline: dlt.Pipeline, journal: Journal, more: dict[str, Any]
) -> Iterator[Session]:
    with (
        sole_writer(pipeline, on_wait=_say(order, "wait_load")),
        opened(pipeline.sql_client()) as client,
    ):
        yield Session(order, pipeline, client, journal, more)


def _say(order: Order, step: str) -> Callable[[], None]:
    return lambda: order.on_step(step)
