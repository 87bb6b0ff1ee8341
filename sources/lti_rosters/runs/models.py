"""Build the models of `dbt/` in a warehouse, with dbt's own runner in this process."""

import contextlib
import importlib.util
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NoReturn

from ..errors import ConfigurationError, DestinationError
from .build_log import build_log
from .working import duckdb_bounds

PROJECT = Path(__file__).parent.parent / "dbt"
LOG = Path("logs", "dbt.log")  # in the working directory's `dbt/`
PASSWORD = "DBT_ENV_SECRET_LTI_ROSTERS_PASSWORD"  # noqa: S105 - a variable's name; dbt keeps its value out of logs
NOTHING_LOADED = "No roster has been loaded yet"  # the words of macros/raw.sql too
TABLE_MISSING = "A raw table is missing"  # those of macros/missing.sql
MESSAGE_LINES = 8  # of a failing model's message; all of it is in dbt's log
# Of what DuckDB may write ahead before it folds it into the file: else it does so several times in one build.
WRITTEN_AHEAD = "256MB"
MEMORY_LIMIT = "1GB"  # of DuckDB: a first build of a million memberships takes twice as long with half of it
FAILED = frozenset({"error", "fail", "runtime error"})  # statuses, in dbt's words
# What a connection's options are called in the environment: dbt passes on only some of them.
LIBPQ = {
    "options": "PGOPTIONS",
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "require_auth": "PGREQUIREAUTH",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
FLAGS = {
    # The log is ours: runs/build_log.py.
    "silent": ("--quiet", "--no-print", "--no-use-colors", "--log-level", "none", "--log-level-file", "none"),
    "offline": ("--no-send-anonymous-usage-stats", "--no-version-check"),
    # A test whose models are not all selected is left out.
    "whole": ("--indirect-selection", "cautious"),
    # Unit tests examine our SQL, not the data: they run in our own tests.
    "fast": ("--no-write-json", "--exclude-resource-type", "unit_test"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Warehouse:
    """Where the raw tables are and the models go: a DuckDB file (*path*), or PostgreSQL (the rest)."""

    adapter: Literal["duckdb", "postgres"]
    path: Path | None = None
    host: str = ""
    port: int = 5432
    user: str = ""
    password: str = field(default="", repr=False)
    database: str = ""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)  # of libpq, such as sslmode


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What became of one model or test; *status* is dbt's word: `success`, `pass`, `warn`, `skipped`…"""

    name: str
    status: str
    seconds: float
    message: str
    finding: str = ""  # what a test of quality counts
    count: int = 0  # of rows that a test found


@dataclass(frozen=True, slots=True)
class Built:
    """A build that succeeded: its models and tests, in the order in which they ran."""

    models: tuple[ModelResult, ...]
    tests: tuple[ModelResult, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What tests found that is no error, but for those of `quality`."""
        return tuple(
            f"{test.name}: {test.message}"
            for test in self.tests
            if test.status == "warn" and not test.finding
        )

    @property
    def quality(self) -> tuple[ModelResult, ...]:
        """The tests that look at the rosters, not at the models: they warn, and fail no build."""
        return tuple(test for test in self.tests if test.finding)


def build(
    warehouse: Warehouse,
    *,
    raw_schema: str = "lti_raw",
    schema: str = "lti",
    work_dir: Path,
    as_of: datetime | None = None,
    stale_after_hours: float | Mapping[str, float] = 48,
    select: Sequence[str] = (),
    full_refresh: bool = False,
) -> Built:
    """Build every model, or those that *select* names in dbt's syntax, and test what was built.

    *as_of* is the moment at which freshness is judged (UTC if it has no zone), the build's start by default.
    The history is built for courses whose rosters changed; with *full_refresh* for all, to the same rows.
    What dbt writes for itself goes to `dbt/` in *work_dir*. Raises ConfigurationError if dbt is not installed
    and DestinationError if a model or a test of it fails, or if nothing was loaded yet.
    """
    check_installed(warehouse)
    check_loaded(warehouse, (raw_schema, schema))
    folder = (work_dir / "dbt").resolve()
    write_profile(folder, target(warehouse, schema, work_dir))
    settings: dict[str, Any] = {
        "lti_raw_schema": raw_schema,
        "comment_on_raw_tables": True,
        "index_raw_tables": True,
    }
    settings["stale_after_hours"] = (
        dict(stale_after_hours) if isinstance(stale_after_hours, Mapping) else stale_after_hours
    )
    if as_of is not None:
        settings["as_of"] = (as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC)).isoformat()
    command = arguments(folder, settings, select)
    return run_dbt([*command, "--full-refresh"] if full_refresh else command, warehouse, folder)


def check_installed(warehouse: Warehouse) -> None:
    """Raise ConfigurationError unless dbt and its adapter are there."""
    try:
        missing = importlib.util.find_spec(f"dbt.adapters.{warehouse.adapter}") is None
    except ModuleNotFoundError:
        missing = True
    if missing or importlib.util.find_spec("dbt.cli") is None:
        raise ConfigurationError(
            f"dbt, which builds the models, is not installed with its adapter for {warehouse.adapter}.",
            remedy=f'Install it: pip install "lti-rosters[{warehouse.adapter}]"',
        )


def check_loaded(warehouse: Warehouse, schemas: Sequence[str]) -> None:
    """Raise unless the DuckDB file is there, which DuckDB would create, and not named like *schemas*."""
    if warehouse.path is None:
        return
    if warehouse.path.stem in schemas:
        raise ConfigurationError(
            f"{warehouse.path.name} is named like a schema in it, and DuckDB cannot tell the two apart.",
            remedy="Rename the file, for example to rosters.duckdb.",
        )
    if not warehouse.path.exists():
        raise nothing_loaded()


def nothing_loaded() -> DestinationError:
    """Return the error for a warehouse without raw tables."""
    return DestinationError(f"{NOTHING_LOADED}.", remedy="Run: lti-rosters run")


def target(warehouse: Warehouse, schema: str, work_dir: Path) -> dict[str, Any]:
    """Return dbt's description of *warehouse*, without its password; times are UTC in every session.

    DuckDB's memory is bounded; what it needs beyond goes to *work_dir*.
    """
    if warehouse.adapter == "duckdb":
        path = str(warehouse.path.resolve()) if warehouse.path else ":memory:"
        return {
            "type": "duckdb",
            "path": path,
            "schema": schema,
            "threads": 1,
            "settings": {"TimeZone": "UTC"},
            "config_options": duckdb_bounds(work_dir.resolve(), MEMORY_LIMIT)
            | {"checkpoint_threshold": WRITTEN_AHEAD},
        }
    return {
        "type": "postgres",
        "host": warehouse.host,
        "port": warehouse.port,
        "user": warehouse.user,
        "password": f"{{{{ env_var('{PASSWORD}') }}}}",
        "dbname": warehouse.database,
        "schema": schema,
        "connect_timeout": int(warehouse.options.get("connect_timeout", 15)),
        "application_name": warehouse.options.get("application_name", "lti-rosters"),
        "threads": 2,
    }


def write_profile(folder: Path, output: Mapping[str, Any]) -> None:
    """Write dbt's profiles.yml, which only its owner may read. JSON is YAML."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "profiles.yml"
    text = json.dumps({"lti_rosters": {"target": "build", "outputs": {"build": output}}}, indent=2)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text, encoding="utf-8")


def arguments(folder: Path, settings: Mapping[str, Any], select: Sequence[str]) -> list[str]:
    """Return dbt's command line: it reads the package's folder and writes to *folder* alone."""
    places = {
        "--project-dir": PROJECT,
        "--profiles-dir": folder,
        "--target-path": folder / "target",
        "--log-path": folder / "logs",
        "--profile": "lti_rosters",
        "--target": "build",
        "--vars": json.dumps(settings, sort_keys=True),
    }
    named = [text for name, value in places.items() for text in (name, str(value))]
    chosen = ["--select", *select] if select else []
    return ["build", *named, *(flag for flags in FLAGS.values() for flag in flags), *chosen]


def run_dbt(command: list[str], warehouse: Warehouse, folder: Path) -> Built:
    """Run dbt and read its results; raise DestinationError naming what failed."""
    from dbt.cli.main import dbtRunner  # takes a second and a half: only who builds pays for it

    with apart(warehouse), build_log(folder / LOG) as write:
        answer = dbtRunner(callbacks=[write]).invoke(command)
        release(warehouse)
    if isinstance(answer.exception, KeyboardInterrupt):
        raise answer.exception
    results = getattr(answer.result, "results", ())
    failure = next((result for result in results if result.status in FAILED), None)
    if failure is not None:
        refuse(failure, folder)
    if not answer.success:
        raise broken("The models could not be built", str(answer.exception), folder)
    return Built(outcomes(results, "model"), outcomes(results, "test"))


@contextlib.contextmanager
def apart(warehouse: Warehouse) -> Iterator[None]:
    """Keep dbt's words off our stdout, its directory inside, others' dbt settings out.

    The password and the options of the connection to *warehouse* are told through the environment.
    """
    before = dict(os.environ)
    for name in before:
        if name.startswith("DBT_") and not name.startswith("DBT_ENV_"):
            del os.environ[name]  # DBT_EMPTY, DBT_FULL_REFRESH… are meant for another project
    os.environ |= {PASSWORD: warehouse.password, "PGTZ": "UTC"}
    os.environ |= {LIBPQ[name]: value for name, value in warehouse.options.items() if name in LIBPQ}
    try:
        with contextlib.chdir(Path.cwd()), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def release(warehouse: Warehouse) -> None:
    """Close dbt's connections, which it would keep, and a DuckDB file locked, until this process ends."""
    from dbt.adapters.factory import reset_adapters

    reset_adapters()  # type: ignore[no-untyped-call]  # dbt leaves it bare
    if warehouse.adapter == "duckdb":
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager

        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]  # likewise


def outcomes(results: Sequence[Any], kind: str) -> tuple[ModelResult, ...]:
    """Return dbt's *results* of one *kind*, `model` or `test`, as ours."""
    return tuple(
        ModelResult(
            result.node.name,
            str(result.status),
            result.execution_time,
            result.message or "",
            str(result.node.config.meta.get("finding", "")),
            result.failures or 0,
        )
        for result in results
        if result.node.resource_type == kind
    )


def refuse(failure: Any, folder: Path) -> NoReturn:
    """Raise for the first model or test that failed; what hangs on it was skipped."""
    message = failure.message or ""
    if NOTHING_LOADED in message:
        raise nothing_loaded()
    for line in message.splitlines():
        if TABLE_MISSING in line:
            what, _, remedy = line.strip().partition(". ")
            raise DestinationError(f"{what}.", remedy=remedy)
    kind = str(failure.node.resource_type)
    what = f"The {kind} {failure.node.name}" if kind in ("model", "test") else "The step before the models"
    raise broken(f"{what} failed", message, folder)


def broken(what: str, message: str, folder: Path) -> DestinationError:
    """Return the error with the first lines of dbt's *message*, rules of tables aside, and the way to the rest.

    PostgreSQL quotes the row it refuses in a line DETAIL; that and what follows is left out.
    """
    told = message.split("DETAIL", 1)[0]
    lines = [line.strip() for line in told.splitlines() if line.strip(" |-")][:MESSAGE_LINES]
    log = folder / LOG
    remedy = f"What is loaded stays loaded. See {log}, mend the cause, then run: lti-rosters models"
    return DestinationError(f"{what}: {' '.join(lines)}", remedy=remedy)
