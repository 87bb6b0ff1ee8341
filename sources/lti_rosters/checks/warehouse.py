"""A try of the destination, where it is asked for: connect, create a table in a schema of its own, leave nothing."""

import contextlib
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dlt
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.destinations.sql_client import SqlClientBase

from ..errors import DestinationError, LtiRostersError
from ..runs.destination import open_pipeline, warehouse
from ..runs.failures import reason
from ..tables.asking import in_use, locked_by, opened
from .step import FAILED, NOT_TRIED, OK, SKIPPED, Finding, Step

NAMES = ("connect", "create", "drop")
SCRATCH = "lti_rosters_check_"  # and some random letters: a schema that nobody has
PATIENCE = 2.0  # seconds for another process to let go of a DuckDB file
RIGHTS = "Grant its user the right to create schemas and tables in the database."


def try_destination(name: str | None, directory: Path) -> tuple[str | None, list[Step]]:
    """Try the destination *name* (None: the default of `run`); return dlt's name of it and the steps.

    A DuckDB file that is not there yet is not made: another one, beside it, is made and removed instead.
    """
    try:
        with _pipeline(name, directory) as pipeline:
            return str(pipeline.destination.destination_name), _tried(pipeline)
    except LtiRostersError as error:
        return name, _all_from(0, error)


@contextlib.contextmanager
def _pipeline(name: str | None, directory: Path) -> Iterator[dlt.Pipeline]:
    with tempfile.TemporaryDirectory() as elsewhere:
        working = Path(elsewhere)
        pipeline = open_pipeline(name, directory, working=working)
        place = warehouse(pipeline)
        if place is None or place.path is None or place.path.exists():
            yield pipeline
            return
        with _beside(place.path) as file:
            yield open_pipeline(name, directory, database=file, working=working / "beside")


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A name for a database in a folder of its own, next to where *path* will be; all of it goes again."""
    try:
        folder = tempfile.TemporaryDirectory(dir=path.parent, prefix=".lti_rosters_check_")
    except OSError as error:
        raise DestinationError(
            f"no file can be made beside {path.name} ({type(error).__name__}).",
            where="destination",
            remedy="Run in a directory that you may write.",
        ) from error
    with folder as name:
        yield Path(name) / path.name


def _tried(pipeline: dlt.Pipeline) -> list[Step]:
    if not isinstance(pipeline.destination_client(), SqlJobClientBase):
        return [Step(name=name, state=SKIPPED, detail="only SQL destinations are tried") for name in NAMES]
    steps: list[Step] = []
    client = pipeline.sql_client()
    try:
        with opened(client, patience=PATIENCE):
            steps.append(Step(name="connect", state=OK, detail=str(pipeline.destination.destination_name)))
            with client.with_alternative_dataset_name(SCRATCH + secrets.token_hex(4)):
                _try_rights(client, steps)
    except Exception as error:
        steps += _all_from(len(steps), _failure(error, len(steps)))
    return steps


def _try_rights(client: SqlClientBase[Any], steps: list[Step]) -> None:
    """Create a schema with a table, write a row into it, and drop both, whatever happens on the way."""
    client.create_dataset()
    try:
        table = client.make_qualified_table_name("probe")
        _timed(
            steps,
            lambda: [
                client.execute_sql(f"CREATE TABLE {table} (id INTEGER)"),
                client.execute_sql(f"INSERT INTO {table} VALUES (1)"),  # noqa: S608 - a name of ours
            ],
        )
    finally:
        dropping = time.monotonic()
        client.drop_dataset()
    steps.append(Step(name="drop", state=OK, detail="nothing is left", seconds=time.monotonic() - dropping))


def _timed(steps: list[Step], act: Callable[[], object]) -> None:
    began = time.monotonic()
    act()
    steps.append(
        Step(name="create", state=OK, detail="a schema with a table", seconds=time.monotonic() - began)
    )


def _failure(error: Exception, done: int) -> LtiRostersError:
    if isinstance(error, LtiRostersError):
        return error
    if (holder := locked_by(error)) is not None:
        return in_use(holder)
    what = (
        "the destination cannot be reached",
        "no schema with a table can be created",
        "what was created for the check cannot be dropped",
    )[done]
    remedy = ("Check its address, its credentials and that it is up.", RIGHTS, RIGHTS)[done]
    return DestinationError(f"{what} ({reason(error)}).", where="destination", remedy=remedy)


def _all_from(done: int, error: LtiRostersError) -> list[Step]:
    """The step number *done* as failed, the further ones as not tried."""
    failed = Step(name=NAMES[done], state=FAILED, findings=(Finding(error=error),))
    return [failed, *(Step(name=name, state=NOT_TRIED) for name in NAMES[done + 1 :])]
