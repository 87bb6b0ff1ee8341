"""A catalogue of a query: tools keep the memberships URLs of their launches in a database of their own."""

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..errors import ConfigurationError
from .columnar import ROWS, answer_rows
from .files import Row

MEMBERS = ("query", "url")
IN_MEMORY = ":memory:"
DUCKDB_FILES = (".duckdb", ".ddb")
EXAMPLE = '{ query = "select memberships_url, context_id from launches", url = "postgresql://…" }'
# What these say is of names and connections; other errors may quote a value.
TOLD = (
    "ProgrammingError",
    "OperationalError",
    "NoSuchModuleError",
    "ArgumentError",
    "CatalogException",
    "BinderException",
    "ParserException",
    "IOException",
)
SQLITE = ("pysqlite", "pysqlcipher")  # they make the file that is not there
LIBPQ = ("postgresql+psycopg2", "postgresql+psycopg")
PATIENCE = {  # seconds, for a server that does not answer, or no longer
    "connect_timeout": 30,
    "keepalives_idle": 60,
    "keepalives_interval": 10,
    "keepalives_count": 6,
}
# Ten minutes for a step of the query, where nobody set a bound: one that waits for a lock would wait for ever.
# Within the transaction alone, since poolers refuse it as an option of the connection.
BOUNDED = (
    "select set_config('statement_timeout', '600000', true) where current_setting('statement_timeout') = '0'"
)
SPOKEN = re.compile(r"(?i)(password|passwd|pwd|token|secret|secret_key)\s*=\s*('[^']*'|[^\s'\";]+)")
LONGEST_TOLD = 200  # characters


def check_query(table: Mapping[Any, Any]) -> tuple[str, str]:
    """Return the query and the URL of the database; raises ConfigurationError if one is missing."""
    query, url = (table.get(name) for name in MEMBERS)
    if not isinstance(query, str) or not query.strip():
        raise ConfigurationError("A query needs its text.", remedy=f"Example: {EXAMPLE}")
    if not isinstance(url, str) or not url.strip():
        raise ConfigurationError(
            "A query needs the url of its database.",
            remedy="It may stand in secrets.toml, as url in the same table, or in the environment.",
        )
    if unknown := sorted(str(name) for name in table if name not in MEMBERS):
        raise ConfigurationError(f"A query has no {', '.join(unknown)}.", remedy=f"Example: {EXAMPLE}")
    return query, url.strip()


def query_rows(table: Mapping[Any, Any], provider: str) -> Iterator[Row]:
    """Yield the rows that the database answers, as they come.

    DuckDB files are opened to be read only, and `:memory:` lets a query read files; anything else is asked
    through SQLAlchemy. Raises ConfigurationError for whatever the database says, its password left out.
    """
    query, url = check_query(table)
    opened = _duckdb if is_duckdb(url) else _sqlalchemy
    try:
        with opened(query, url) as (names, records):
            yield from answer_rows(names, records, "the query", provider)
    except ConfigurationError:
        raise
    except Exception as error:
        raise _failed(error, url) from None


def is_duckdb(url: str) -> bool:
    """Tell whether *url* names a DuckDB database: its scheme, the end of a file's name, or `:memory:`."""
    return url == IN_MEMORY or url.startswith("duckdb:") or url.lower().endswith(DUCKDB_FILES)


@contextmanager
def _duckdb(query: str, url: str) -> Iterator[tuple[Sequence[str], Iterator[Any]]]:
    try:
        import duckdb
    except ImportError:
        raise _not_installed("DuckDB", "duckdb") from None
    path = url.removeprefix("duckdb:").removeprefix("///").removeprefix("//") or IN_MEMORY
    if ":" not in path:  # what has one is in memory or elsewhere
        _check_there(path, "duckdb")
    with duckdb.connect(path, read_only=path != IN_MEMORY) as connection:
        cursor = connection.execute(query)
        yield [column[0] for column in cursor.description or ()], _fetched(cursor)


@contextmanager
def _sqlalchemy(query: str, url: str) -> Iterator[tuple[Sequence[str], Iterator[Any]]]:
    try:
        import sqlalchemy
    except ImportError:
        raise _not_installed("SQLAlchemy", "sql") from None
    try:
        address = sqlalchemy.make_url(_with_driver(url))
        engine = sqlalchemy.create_engine(
            address, poolclass=sqlalchemy.NullPool, connect_args=_patience(address.drivername, address.query)
        )
    except ImportError as error:
        raise ConfigurationError(
            f"the database's driver is not installed ({error.name}).",
            remedy='Install it; for PostgreSQL: pip install "lti-rosters[postgres]"',
        ) from None
    if address.get_driver_name() in SQLITE:
        _check_sqlite(*engine.dialect.create_connect_args(address))
    with engine.connect() as connection:
        # A cursor of the server's, where it has them: a catalogue may be long.
        streaming = connection.execution_options(
            stream_results=True, max_row_buffer=ROWS, postgresql_readonly=True, no_parameters=True
        )
        if engine.dialect.name == "postgresql" and (engine.dialect.server_version_info or (0,)) >= (9,):
            streaming.exec_driver_sql(BOUNDED, execution_options={"stream_results": False})
        answer = streaming.exec_driver_sql(query)  # as it stands: no colon, no percent sign is a parameter
        if not answer.returns_rows:
            raise ConfigurationError("the query returns no rows.", remedy="It has to be a select.")
        yield list(answer.keys()), _fetched(answer)


def _check_sqlite(arguments: Sequence[str], options: Mapping[str, Any]) -> None:
    """Raise ConfigurationError where SQLite would make the file that it is to read."""
    name = arguments[0]
    if options.get("uri"):
        address = urlsplit(name)
        name = IN_MEMORY if "mode=memory" in address.query else unquote(address.path)
    if name not in ("", IN_MEMORY):
        _check_there(name, "sqlite")


def _check_there(name: str, scheme: str) -> None:
    if not Path(name).exists():
        raise ConfigurationError(
            f"there is no database {Path(name).absolute()}.",
            remedy=f"Relative to the working directory its url is {scheme}:///tool.db, else {scheme}:////srv/tool.db.",
        )


def _with_driver(url: str) -> str:
    """Name the driver that our extra brings, where the URL of a PostgreSQL names none and it is there."""
    scheme, colon, rest = url.partition(":")
    if scheme in ("postgres", "postgresql") and importlib.util.find_spec("psycopg2") is not None:
        return f"postgresql+psycopg2{colon}{rest}"
    return url


def _patience(driver: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return how long PostgreSQL may be silent, but for what the URL says: catalogues are read one after another."""
    if driver not in LIBPQ:
        return {}
    return {name: value for name, value in PATIENCE.items() if name not in given}


def _fetched(cursor: Any) -> Iterator[Any]:
    while rows := cursor.fetchmany(ROWS):
        yield from rows


def _not_installed(what: str, extra: str) -> ConfigurationError:
    return ConfigurationError(
        f"{what}, which a catalogue of this query needs, is not installed.",
        remedy=f'Install it: pip install "lti-rosters[{extra}]"',
    )


def _failed(error: Exception, url: str) -> ConfigurationError:
    """Name the kind of *error*, and what it says where that is of names alone; never the URL or its password."""
    kind = type(error).__name__
    said = ""
    if kind in TOLD:
        lines = str(getattr(error, "orig", None) or error).strip().splitlines()
        said = f": {lines[0][:LONGEST_TOLD]}" if lines else ""
    said = SPOKEN.sub(r"\1=…", said)  # of a connection that the query itself opens
    for secret in _secrets(url):
        said = said.replace(secret, "…")
    return ConfigurationError(
        f"the database of the catalogue failed ({kind}{said}).",
        remedy="Check the query and the url; both are tried with the database's own client.",
    )


def _secrets(url: str) -> list[str]:
    """Return what of *url* nobody may see, the longest first.

    By hand: a password with an @ or a slash in it is cut anywhere by those who read URLs, and its rest taken for
    a host that cannot be found.
    """
    query = url.partition("?")[2]
    userinfo = url.partition("://")[2].rpartition("@")[0]
    password = userinfo.partition(":")[2]
    values = [pair.partition("=")[2] for pair in query.split("&")]
    found = {url, password, unquote(password), *re.split(r"[@/:?#]", password), *map(unquote, values)}
    return sorted((each for each in found if len(each) > 1), key=len, reverse=True)
