"""Where the rosters go: the dlt pipeline of our commands, its pending packages, the warehouse behind it."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.exceptions import MissingDependencyException
from dlt.common.pipeline import LoadInfo
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.destinations.sql_client import SqlClientBase
from dlt.pipeline.exceptions import PipelineStepFailed

from ..errors import ConfigurationError, DestinationError, LtiRostersError
from ..settings.identity import Identity
from ..source import FILLABLE, without_doubles
from .embedded import Embedded
from .failures import cause, failed, is_final
from .first_load import note_unfilled, open_for_first_load
from .lease import drop_staging, sole_reader, sole_writer
from .models import Warehouse
from .outdated import OutdatedError, check, note
from .working import LOAD_MEMORY, begin_anew, clear, duckdb_bounds, staging_id, waiting, write_private

PIPELINE = "lti_rosters"
DATASET = "lti_raw"
DATABASE = "rosters.duckdb"  # not named like a schema in it, or DuckDB finds names ambiguous
WORKING_DIRECTORY = ".lti_rosters"
TARGET = "destination.json"  # which destination the packages in the working directory are meant for
# What a load leaves behind is emptied (design §7): package files hold members' data.
TIDY = {
    "LOAD__DELETE_COMPLETED_JOBS": "true",
    "LOAD__TRUNCATE_STAGING_DATASET": "true",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",  # what goes wrong we tell ourselves, without a row of data
    "RUNTIME__INTERCEPT_SIGNALS": "false",  # we listen ourselves, so that what is complete is still loaded
    "EXTRACT__NEXT_ITEM_MODE": "fifo",  # a batch is written before the next one: dlt would hold five of them
}
DUCKDB_KEYS = ("duckdb.credentials", "duckdb.credentials.database", "credentials", "credentials.database")
EXTRAS = ("duckdb", "postgres")
STAGING_LAYOUT = "DESTINATION__STAGING_DATASET_NAME_LAYOUT"
FINISHED = "A load that an earlier run had left unfinished was finished first."
GIVEN_UP = (
    "A load that an earlier run had left unfinished was refused by the destination and was deleted: what "
    "that run saw is not in the history. Its rosters are read again now."
)
OUTDATED = (
    "A load that an earlier run had left unfinished was deleted: people were erased, or identities rewritten, "
    "since. Its rosters are read again now."
)


def tidy_settings() -> dict[str, Any]:
    """The same as the tables that dlt's configuration is made of."""
    tables: dict[str, Any] = {}
    for name, value in TIDY.items():
        section, key = name.lower().split("__")
        tables.setdefault(section, {})[key] = value
    return tables


@contextmanager
def own_staging(working: Path) -> Iterator[None]:
    """Give the loads of the directory *working* staging tables that no other directory's load touches."""
    if STAGING_LAYOUT in os.environ:
        yield
        return
    os.environ[STAGING_LAYOUT] = f"%s_staging_{staging_id(working)}"
    try:
        yield
    finally:
        os.environ.pop(STAGING_LAYOUT, None)


@contextmanager
def tidy() -> Iterator[None]:
    """Have dlt empty package files and staging tables after a load, unless the environment says otherwise."""
    added = {name: value for name, value in TIDY.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def open_pipeline(
    destination: str | None, directory: Path, *, database: Path | None = None, working: Path | None = None
) -> dlt.Pipeline:
    """The pipeline of our commands: its packages in `.lti_rosters` of *directory*, or in *working*.

    Without a *destination* it loads into the DuckDB file *database*, or the one of the settings, or
    `rosters.duckdb` in *directory*.

    Raises ConfigurationError for a destination that is unknown, not installed or without its credentials.
    """
    try:
        return dlt.pipeline(
            PIPELINE,
            destination=_destination(destination, directory, database),
            dataset_name=DATASET,
            pipelines_dir=str(working or directory / WORKING_DIRECTORY),
        )
    except MissingDependencyException as error:
        raise _not_installed(destination) from error
    except Exception as error:
        raise ConfigurationError(
            f'"{destination}" cannot be used as a destination ({type(error).__name__}).',
            where="destination",
            remedy="Name one that dlt knows, such as duckdb or postgres.",
        ) from error


def _destination(name: str | None, directory: Path, database: Path | None) -> Any:
    if name not in (None, "duckdb"):
        return name
    if database is not None:
        return _file(database, directory)
    if any(_is_set(f"{prefix}destination.{key}") for prefix in ("", f"{PIPELINE}.") for key in DUCKDB_KEYS):
        return Embedded()  # dlt reads the settings that there are of it
    return _file(directory / DATABASE, directory)


def _file(database: Path, directory: Path) -> Any:
    """The DuckDB file *database*: what its merges need beyond a bounded memory goes to the working directory."""
    bounds = duckdb_bounds(directory / WORKING_DIRECTORY, LOAD_MEMORY)
    credentials = DuckDbCredentials(global_config=bounds)
    credentials.database = str(
        database
    )  # given to the constructor, it would be tried as a URL, by SQLAlchemy
    return Embedded(credentials)


def _is_set(key: str) -> bool:
    return dlt.secrets.get(key) is not None or dlt.config.get(key) is not None


def asked(pipeline: dlt.Pipeline) -> SqlClientBase[Any] | None:
    """How to ask what *pipeline*'s destination holds; None without a file, which asking would make."""
    place = warehouse(pipeline)
    if place is not None and place.path is not None and not place.path.exists():
        return None
    return pipeline.sql_client()


def _not_installed(destination: str | None) -> ConfigurationError:
    name = destination or "duckdb"
    return ConfigurationError(
        f"{name} is not installed.",
        where="destination",
        remedy=f'Install it: pip install "{"lti-rosters" if name in EXTRAS else "dlt"}[{name}]"',
    )


def drain(
    pipeline: dlt.Pipeline, directory: Path, *, on_wait: Callable[[], None] = lambda: None
) -> list[str]:
    """Load what an earlier run left behind, and return what has to be told of it.

    dlt would load it in place of the new data. Raises DestinationError when it was meant for another
    destination, or cannot be loaded now; what can never be loaded is deleted.
    """
    marker = directory / WORKING_DIRECTORY / TARGET
    target = target_of(pipeline)
    if not pipeline.has_pending_data:
        write_private(marker, json.dumps(target))
        return []
    if _marked(marker) not in (None, target):
        raise DestinationError(
            f"{WORKING_DIRECTORY} holds a package for another destination.",
            where="destination",
            remedy="Run once with that destination, or from another directory.",
        )
    try:
        while pipeline.has_pending_data:
            _loaded(pipeline, lambda: _finish(pipeline, on_wait))
    except OutdatedError:
        _give_up(pipeline)
        return [OUTDATED]
    except DestinationError as error:
        if not is_final(error):
            raise
        _give_up(pipeline)
        return [GIVEN_UP]
    return [FINISHED]


def _marked(marker: Path) -> Any:
    """Which destination the packages are meant for; None where that cannot be told."""
    try:
        return json.loads(marker.read_bytes())
    except (OSError, ValueError):
        return None


def _finish(pipeline: dlt.Pipeline, on_wait: Callable[[], None]) -> LoadInfo:
    # Not pipeline.run(): before a first load it would find no dataset and throw the packages away.
    pipeline.normalize()
    with sole_writer(pipeline, on_wait=on_wait):
        open_for_first_load(pipeline)
        check(pipeline, asked(pipeline))
        if _is_duckdb(pipeline):
            drop_staging(pipeline)
            begin_anew(Path(pipeline.working_dir))
            note_unfilled(pipeline, FILLABLE, waiting(Path(pipeline.working_dir)))
        # One merge at a time in DuckDB: it uses every core for each, and together they take its memory many times.
        info = pipeline.load(workers=1) if _is_duckdb(pipeline) else pipeline.load()
        drop_staging(pipeline)
    return info


def _give_up(pipeline: dlt.Pipeline) -> None:
    """Delete every pending package; what else is there is restored from the destination."""
    with sole_writer(pipeline):
        drop_staging(pipeline)
    pipeline.drop()


def target_of(pipeline: dlt.Pipeline) -> list[str]:
    """What tells two destinations apart: dlt's type of it and a digest of where it keeps its data."""
    place = _settings_of(pipeline).data_location()
    return [str(pipeline.destination.destination_type), hashlib.sha256(str(place).encode()).hexdigest()]


def _settings_of(pipeline: dlt.Pipeline) -> Any:
    """What dlt knows of *pipeline*'s destination; ConfigurationError where it is not installed or credentials lack."""
    name = pipeline.destination.destination_name
    try:
        return pipeline.destination_client().config
    except ConfigurationException as error:
        raise ConfigurationError(
            f"the credentials of {name} are missing or wrong.",
            where="destination",
            remedy=f"Set [destination.{name}.credentials] in .dlt/secrets.toml.",
        ) from error
    except MissingDependencyException as error:
        raise _not_installed(name) from error


def load(
    pipeline: dlt.Pipeline,
    source: Any,
    identity: Identity,
    *,
    look: ExitStack,
    on_wait: Callable[[], None] = lambda: None,
) -> list[str]:
    """Read *source*, load it and return the load ids; another load into the dataset is waited for.

    A DuckDB is held open until *look* is closed, which the caller does once *source* has read what it needs of it.

    Raises what the source raised, or DestinationError; OutdatedError where it was read under an *identity* that
    the dataset no longer has, or before people were erased from it.
    """

    def work() -> LoadInfo | None:
        with look:
            look.enter_context(sole_reader(pipeline))
            pipeline.run()  # without data: brings what dlt knows of the destination up to date
            note(pipeline, identity, asked(pipeline))
            if _is_duckdb(pipeline):
                without_doubles(source)
            pipeline.extract(source)
        return _finish(pipeline, on_wait)

    try:
        return _loaded(pipeline, work)
    except OutdatedError:
        _give_up(pipeline)
        raise


def _loaded(pipeline: dlt.Pipeline, work: Callable[[], LoadInfo | None]) -> list[str]:
    try:
        info = work()
        if info is None:
            return []  # there was nothing to load
        info.raise_on_failed_jobs()
    except PipelineStepFailed as error:
        raise cause(error) from error
    except (KeyboardInterrupt, LtiRostersError):
        raise
    except Exception as error:
        raise failed("run", error) from error
    finally:
        clear(Path(pipeline.working_dir))
    return list(info.loads_ids)


def _is_duckdb(pipeline: dlt.Pipeline) -> bool:
    return str(pipeline.destination.destination_type).endswith("duckdb")


def warehouse(pipeline: dlt.Pipeline) -> Warehouse | None:
    """Where dbt finds what *pipeline* loaded; None where our models are not built (yet)."""
    credentials: Any = getattr(_settings_of(pipeline), "credentials", None)
    if _is_duckdb(pipeline):
        return Warehouse(adapter="duckdb", path=Path(credentials.database))
    if str(pipeline.destination.destination_type).endswith("postgres"):  # whatever the settings call it
        return Warehouse(
            adapter="postgres",
            host=credentials.host,
            port=credentials.port or 5432,
            user=credentials.username,
            password=credentials.password,
            database=credentials.database,
            options={name: str(value) for name, value in credentials.get_query().items()},
        )
    return None
