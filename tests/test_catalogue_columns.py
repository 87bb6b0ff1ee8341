"""Catalogues in columns: Parquet files, tables in memory, and queries on real databases."""

import json
import socket
import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest
from pyarrow import parquet

from lti_rosters.catalogue.catalogue import Catalogue, read_catalogue
from lti_rosters.catalogue.launches import DEPLOYMENT_CLAIM, NRPS_CLAIM
from lti_rosters.catalogue.query import PATIENCE
from lti_rosters.errors import ConfigurationError
from lti_rosters.rosters.planning import plans
from lti_rosters.settings.registration import Registration
from lti_rosters.settings.settings import Settings

WHERE = "canvas"
BASE = "https://lms.example/"
ROWS: dict[str, list[Any]] = {
    "Context_Memberships_URL": [f"{BASE}1", f"{BASE}2", None, "ftp://lms.example/4", f"{BASE}1"],
    "context_id": [7, 8, 9, 10, 7],
    "title": ["Botany", None, "lost", "odd", "Botany again"],
    "enrolled": [1, 2, 3, 4, 5],
}
SELECT = "select context_memberships_url, context_id, title from launches"


def read(setting: Any) -> Catalogue:
    """Read a catalogue of the registration "canvas"."""
    return read_catalogue(setting, where=WHERE)


def as_parquet(folder: Path) -> Any:
    """The rows as a Parquet file of two row groups."""
    path = folder / "courses.parquet"
    parquet.write_table(pa.table(ROWS), path, row_group_size=2)
    return path


def as_table(_: Path) -> Any:
    """The rows as an Arrow table in memory."""
    return pa.table(ROWS)


def as_duckdb(folder: Path) -> Any:
    """The rows in a DuckDB file."""
    path = folder / "tool.duckdb"
    launches = pa.table(ROWS)
    with duckdb.connect(str(path)) as connection:
        connection.register("rows", launches)
        connection.execute("create table launches as select * from rows")
    return {"query": SELECT, "url": f"duckdb:///{path}"}


def as_file_asked(folder: Path) -> Any:
    """The rows as a Parquet file that DuckDB is asked for."""
    return {"query": f"select * from '{as_parquet(folder)}'", "url": ":memory:"}


def as_sqlite(folder: Path) -> Any:
    """The rows in SQLite, asked through SQLAlchemy."""
    path = folder / "tool.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table launches (context_memberships_url text, context_id, title text)")
        rows = zip(*[*ROWS.values()][:3], strict=True)
        connection.executemany("insert into launches values (?, ?, ?)", rows)
    return {"query": SELECT, "url": f"sqlite:///{path}"}


@pytest.mark.parametrize("made", [as_parquet, as_table, as_duckdb, as_file_asked, as_sqlite])
def test_every_form_gives_the_same(made: Callable[[Path], Any], tmp_path: Path) -> None:
    """Columns are known by their names, ids become text, bad rows are told by number, doubles are read once."""
    catalogue = read(made(tmp_path))

    assert [(each.memberships_url, each.context_id, each.title) for each in catalogue.entries] == [
        (f"{BASE}1", "7", "Botany"),
        (f"{BASE}2", "8", None),
    ]
    assert [fault.split(":")[0].rsplit(", ", 1)[1] for fault in catalogue.faults] == ["row 3", "row 4"]
    assert catalogue.doubles == 1
    assert not catalogue.is_whole


def test_ids_of_databases_are_read_as_text(tmp_path: Path) -> None:
    """A UUID or a whole decimal is an id; a float with a fraction is a fault of its row."""
    url = tmp_path / "tool.duckdb"
    with duckdb.connect(str(url)) as connection:
        connection.execute(
            "create table t (memberships_url text, uuid uuid, number decimal(20, 0), odd double)"
        )
        connection.execute(f"insert into t values ('{BASE}1', '{UUID(int=5)}', {Decimal(2**60)}, 1.5)")

    def ids(column: str) -> list[str | None]:
        found = read({"query": f"select memberships_url, {column} as context_id from t", "url": str(url)})
        return [each.context_id for each in found.entries] or found.faults

    assert ids("uuid") == [str(UUID(int=5))]
    assert ids("number") == [str(2**60)]
    assert ids("odd") == ["the query, row 1: context_id is float; a text is needed."]


def test_a_query_writes_nothing(tmp_path: Path) -> None:
    """A DuckDB file is opened to be read only."""
    setting = as_duckdb(tmp_path)
    with pytest.raises(ConfigurationError, match="database of the catalogue failed"):
        read({"query": "drop table launches", "url": setting["url"]})

    assert len(read(setting).entries) == 2


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///{}",
        "sqlite+pysqlite:///{}",
        "sqlite:///file:{}?uri=true",
        "sqlite:///file://{}?mode=rwc&uri=true",
        "duckdb:///{}",
        "{}.duckdb",
    ],
)
def test_a_mistyped_file_is_not_made(url: str, tmp_path: Path) -> None:
    """Neither SQLite nor DuckDB leaves an empty database where the catalogue's should be: it is told."""
    with pytest.raises(ConfigurationError, match=r"there is no database .*toool.*:///"):
        read({"query": SELECT, "url": url.format(tmp_path / "toool")})

    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true", "duckdb:"]
)
def test_a_database_in_memory_needs_no_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked as it is, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    (entry,) = read({"query": f"select '{BASE}1' as memberships_url", "url": url}).entries

    assert (entry.memberships_url, [*tmp_path.iterdir()]) == (f"{BASE}1", [])


def test_sqlite_files_by_uri_are_read(tmp_path: Path) -> None:
    """A name that SQLite takes for a URI is looked for as one, its escapes read."""
    made = as_sqlite(tmp_path)
    (tmp_path / "tool.db").rename(tmp_path / "a tool.db")

    assert (
        len(read({**made, "url": f"sqlite:///file:{tmp_path}/a%2520tool.db?mode=ro&uri=true"}).entries) == 2
    )


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("select nothing from launches", "nothing"),
        ("selec", "ProgrammingError|OperationalError"),
        ("select title from launches", "memberships_url is needed"),
        ("update launches set title = ''", "returns no rows"),
    ],
)
def test_what_the_database_says_is_told(query: str, told: str, tmp_path: Path) -> None:
    """A column that is not there, a query that is none, one without an address: said with the registration."""
    with pytest.raises(ConfigurationError, match=told) as caught:
        read({**as_sqlite(tmp_path), "query": query})

    assert caught.value.where == WHERE


def test_a_value_is_never_told() -> None:
    """An error about a value may quote a person's: its kind is told alone."""
    query = "select cast('ada@lab.example' as int) as context_id, '' as memberships_url"
    with pytest.raises(ConfigurationError) as caught:
        read({"query": query, "url": ":memory:"})

    assert "ConversionException" in str(caught.value)
    assert "ada" not in str(caught.value)


def test_a_database_that_is_away_keeps_its_password() -> None:
    """Nobody listens: the error tells the kind, never the password, in whatever spelling."""
    url = "postgresql://reader:p%40ss%2Fword@127.0.0.1:9/tool?connect_timeout=1&application_name=tok3n"
    with pytest.raises(ConfigurationError) as caught:
        read({"query": "select 1", "url": url})

    said = str(caught.value)
    assert "OperationalError" in said
    assert not any(secret in said for secret in ("p%40ss", "p@ss", "tok3n", url))


def test_a_database_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and says nothing: the run goes on after a while, with the kind and no password."""
    monkeypatch.setitem(PATIENCE, "connect_timeout", 2)  # seconds, the least that libpq knows
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://reader:hunter2@127.0.0.1:{silent.getsockname()[1]}/tool"
        with pytest.raises(ConfigurationError) as caught:
            read({"query": "select 1", "url": url})

    assert "timeout expired" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("password", ["p@sswort", "p@ss/wort", "p?ss@wort", "p#ss:wort@"])
def test_a_password_that_is_not_escaped_is_not_told(password: str) -> None:
    """What follows its @ is taken for a host that cannot be found, and must not be told as one."""
    with pytest.raises(ConfigurationError) as caught:
        read(
            {"query": "select 1", "url": f"postgresql://reader:{password}@127.0.0.1:9/tool?connect_timeout=1"}
        )

    assert not any(part in str(caught.value) for part in ("wort", "sswort", password))


def test_a_password_in_the_query_is_not_told() -> None:
    """DuckDB repeats in its errors the address of a database that the query itself opens."""
    address = "/no/such/folder?password=hunter2 token=''s3 cret''"
    with pytest.raises(ConfigurationError) as caught:
        read({"query": f"select * from read_csv('{address}')", "url": ":memory:"})

    said = str(caught.value)
    assert "/no/such/folder" in said
    assert "hunter2" not in said
    assert "s3 cret" not in said


def test_a_table_that_breaks_off() -> None:
    """Half of a table would delist the other half: it is no catalogue, and its maker's words are not told."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"memberships_url": [f"{BASE}1"]})
        raise OSError("hunter2")

    reader = pa.RecordBatchReader.from_batches(pa.schema({"memberships_url": pa.string()}), batches())
    with pytest.raises(ConfigurationError, match="table broke off: OSError") as caught:
        read(reader)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "told"),
    [("oracle+nodriver://x", "NoSuchModuleError"), ("no url", "ArgumentError|could not parse")],
)
def test_an_address_of_no_database(url: str, told: str) -> None:
    """A scheme or a text that SQLAlchemy does not know is told by its kind."""
    with pytest.raises(ConfigurationError, match=told):
        read({"query": "select 1", "url": url})


def test_one_database_that_fails_leaves_the_others(tmp_path: Path) -> None:
    """Registration by registration: the catalogue that cannot be asked fails its own alone."""
    catalogues = {
        "first": {"query": "select 1", "url": str(tmp_path / "missing.duckdb")},
        "second": as_duckdb(tmp_path),
    }
    made = plans(
        Settings("keep", tuple(Registration(name=name, contexts=each) for name, each in catalogues.items()))
    )

    assert [(plan.failure is None, len(plan.entries), plan.is_whole) for plan in made] == [
        (False, 0, False),
        (True, 2, False),
    ]


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    """A damaged file is told, whole."""
    path = tmp_path / "courses.parquet"
    path.write_bytes(as_parquet(tmp_path).read_bytes()[:-20])

    with pytest.raises(ConfigurationError, match=r"courses\.parquet cannot be read as Parquet"):
        read(path)


def test_a_launch_of_another_deployment(tmp_path: Path) -> None:
    """A registration for one deployment reads its launches alone; the others are told, each with its line."""
    lines = [
        json.dumps({DEPLOYMENT_CLAIM: deployment, NRPS_CLAIM: {"context_memberships_url": f"{BASE}{number}"}})
        for number, deployment in enumerate(("d1", "d2", "d1"))
    ]
    path = tmp_path / "launches.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")

    def planned(deployment_id: str | None) -> tuple[int, list[str]]:
        registration = Registration(name=WHERE, deployment_id=deployment_id, contexts=path)
        (plan,) = plans(Settings("keep", (registration,)))
        return len(plan.entries), [fault.split(":")[0].split("/")[-1] for fault in plan.faults]

    assert planned("d1") == (2, ["launches.jsonl, line 2"])
    assert planned(None) == (3, [])


def test_a_token_is_no_row(tmp_path: Path) -> None:
    """A line that is a signed token is told apart, and never shown."""
    path = tmp_path / "launches.jsonl"
    path.write_text("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln\n", encoding="utf-8")
    (fault,) = read(path).faults

    assert "signed token" in fault
    assert "eyJ" not in fault
