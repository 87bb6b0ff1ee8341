"""A first load fills DuckDB's tables without a staging table, and brings the rows that a merge brings."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands import carried_out, catalogued, desk
from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import member
from lti_rosters.runs import first_load
from lti_rosters.runs.destination import FINISHED, open_pipeline, own_staging
from lti_rosters.runs.embedded import Embedded
from lti_rosters.runs.first_load import ROW_GROUP, WIDE, note_unfilled, open_for_first_load
from lti_rosters.runs.lease import sole_reader
from lti_rosters.runs.working import MOST_THREADS
from lti_rosters.source import DISTINCT, FILLABLE, lti_rosters, without_doubles
from lti_rosters.tables.asking import opened, patiently, rows_of
from school import School, crowd

OF_MEMBERS = ("memberships", "membership_roles", "membership_log")
OF_A_LOAD = ("_dlt_load_id", "sync_id", "synced_at", "observed_at", "first_seen_at")


@pytest.fixture
def school(tool_key: SigningKey, tmp_path: Path) -> Iterator[School]:
    """Three courses: of people, of nobody, and of somebody without a role."""
    with School(tmp_path / "school", tool_key) as school:
        school.open("canvas", max_attempts=1)
        school.add("c1", [*crowd(30), member("ann", ["Instructor", "Learner"])])
        school.add("c2")
        school.add("c3", [member("nil", [])])
        yield school


def filled(school: School, *, is_repeated: bool = False, fillable: frozenset[str] = FILLABLE) -> set[str]:
    """Load the school's first package as our commands do; return the staging tables that this took.

    With *is_repeated* the package lies there as if nothing of it had been noted.
    """
    working = school.directory / ".lti_rosters"
    working.mkdir()
    with school.settings() as names, own_staging(working):
        pipeline = open_pipeline(None, school.directory, database=school.database)
        source = lti_rosters(school.contexts(names))
        without_doubles(source)
        pipeline.extract(source)
        pipeline.normalize()
        note_unfilled(pipeline, fillable, [])
        before = shutil.copytree(working, school.directory / "before")
        pipeline.load().raise_on_failed_jobs()
        pipeline.deactivate()
    if is_repeated:
        shutil.rmtree(working)
        before.rename(working)
    query = "SELECT table_name FROM duckdb_tables() WHERE schema_name LIKE 'lti_raw_staging_%'"
    return {name for (name,) in school.sql(query)}


def contents(school: School, table: str) -> list[tuple[Any, ...]]:
    """Every row, but for what tells one load from another."""
    return school.sql(f"SELECT COLUMNS(lambda name: name NOT IN {OF_A_LOAD}) FROM {table} ORDER BY ALL")


def test_no_staging_table_and_no_marker(school: School) -> None:
    """Who is on a roster is there once; what tells a merge that a roster is empty is nobody."""
    assert filled(school) == set()
    assert school.sql("SELECT COUNT(*) FROM memberships") == [(32,)]
    assert school.sql("SELECT COUNT(*) FROM membership_roles") == [(32,)]
    assert school.sql("SELECT COUNT(*) FROM membership_log") == [(32,)]
    for table in OF_MEMBERS:
        assert school.sql(f"SELECT COUNT(*) FROM {table} WHERE user_id = ''") == [(0,)]


def test_what_is_not_to_be_filled_is_staged(school: School) -> None:
    """A table of which a load may hold a key twice goes by way of another."""
    assert "contexts" in filled(school, fillable=DISTINCT)


def test_the_rows_are_those_of_a_merge(school: School, tmp_path: Path) -> None:
    """A pipeline of the user's own merges the same rosters into another file."""
    merged = school.fork(tmp_path / "merged")
    carried_out(school)
    merged.run()

    columns = (
        "SELECT column_name, data_type FROM duckdb_columns() "
        "WHERE schema_name = 'lti_raw' AND table_name = ? ORDER BY column_index"
    )
    for table in (*OF_MEMBERS, "roles", "registrations", "contexts"):
        assert contents(school, table) == contents(merged, table) != []
        assert school.sql(columns, table) == merged.sql(columns, table)


def test_a_repeated_package_is_merged(school: School) -> None:
    """Killed when everything was filled and nothing noted: the package starts anew, and finds rows."""
    filled(school, is_repeated=True)

    told = carried_out(school)

    assert told["warnings"] == [FINISHED]
    assert school.sql("SELECT COUNT(*), COUNT(DISTINCT (context_key, user_id)) FROM memberships") == [
        (32, 32)
    ]
    assert school.sql("SELECT COUNT(*) FROM membership_roles") == [(32,)]
    assert school.sql("SELECT COUNT(*) FROM membership_log") == [(32,)]
    assert school.sql("SELECT COUNT(*), COUNT(DISTINCT sync_id) FROM roster_syncs") == [(6, 6)]
    ((rows, uris),) = school.sql("SELECT COUNT(*), COUNT(DISTINCT role_uri) FROM roles")
    assert rows == uris > 9
    assert school.sql("SELECT COUNT(*) FROM registrations") == [(1,)]


def test_a_table_with_a_row_is_merged_into(school: School) -> None:
    """Whoever left is gone after the second load, and only tables without a row are filled."""
    carried_out(school)
    school.platform.courses["c1"].members[:] = crowd(29)
    school.sql("DELETE FROM membership_log")

    with school.settings():
        pipeline = open_pipeline(None, school.directory, database=school.database)
        note_unfilled(pipeline, FILLABLE, [])
        assert isinstance(pipeline.destination, Embedded)
        assert pipeline.destination.unfilled == {"membership_log"}
        pipeline.deactivate()
    carried_out(school)

    assert school.members("c1") == {f"u{number}" for number in range(29)}
    assert school.sql("SELECT user_id FROM membership_log WHERE user_id NOT LIKE 'u%'") == [
        ("nil",)
    ]  # mended
    assert school.sql("SELECT COUNT(*) FROM membership_log") == [(30,)]


def current(client: Any, *settings: str) -> list[Any]:
    """What DuckDB has of *settings*."""
    return [
        value for name in settings for (value,) in rows_of(client, f"SELECT current_setting('{name}')", ())
    ]


def of_texts(path: Path, size: int) -> Path:
    """A file of one row group that takes *size* bytes to read."""
    pq.write_table(pa.table({"text": ["x" * 1_000 + str(number) for number in range(size // 1_000)]}), path)
    return path


FILLED = "memberships.0123456789.0.parquet"
SMALL, OWN = 1_000_000, "488.2 MiB"


@pytest.mark.parametrize(
    ("is_merged", "name", "size", "memory"),
    [
        (False, FILLED, SMALL, "122.0 MiB"),
        (False, "_dlt_pipeline_state.0123456789.0.parquet", WIDE + SMALL, "122.0 MiB"),
        (False, FILLED, WIDE + SMALL, OWN),  # wide rows
        (False, "resource_link_memberships.0123456789.0.parquet", SMALL, OWN),  # merged
        (True, FILLED, SMALL, OWN),
    ],
)
def test_a_first_load_takes_one_thread_and_little_memory(
    school: School, tmp_path: Path, *, is_merged: bool, name: str, size: int, memory: str
) -> None:
    """Until the file is closed; a merge has what the settings say, and so has memory where more may be needed."""
    if is_merged:
        carried_out(school)
    threads = min(os.cpu_count() or 1, MOST_THREADS)
    with school.settings():
        pipeline = open_pipeline(None, school.directory, database=school.database)
        with sole_reader(pipeline), opened(pipeline.sql_client()) as client:
            assert current(client, "threads", "memory_limit") == [threads, OWN]
            note_unfilled(pipeline, FILLABLE, [of_texts(tmp_path / name, size)])
            assert current(client, "threads", "memory_limit") == [threads if is_merged else 1, memory]
        with opened(pipeline.sql_client()) as client:
            assert current(client, "threads", "memory_limit") == [threads, OWN]
        pipeline.deactivate()


def test_a_memory_of_ones_own_is_kept(
    school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sets DuckDB's memory for the destination has it in a first load, too."""
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(school.database))
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS__GLOBAL_CONFIG", '{"memory_limit": "64MiB"}')
    with school.settings():
        pipeline = open_pipeline(None, school.directory)
        with sole_reader(pipeline), opened(pipeline.sql_client()) as client:
            note_unfilled(pipeline, FILLABLE, [of_texts(tmp_path / FILLED, SMALL)])
            assert current(client, "threads", "memory_limit") == [1, "64.0 MiB"]
        pipeline.deactivate()


def test_a_first_load_writes_row_groups_that_it_fills(school: School) -> None:
    """The file is opened anew for that, under its name, and whoever had it open goes on; the next one has DuckDB's."""
    groups = "SELECT MAX(count) FROM pragma_storage_info('lti_raw.numbers')"
    rows = f"SELECT range FROM range({3 * ROW_GROUP})"
    with school.settings():
        pipeline = open_pipeline(None, school.directory, database=school.database)
        with sole_reader(pipeline), opened(pipeline.sql_client()) as client:
            client.execute_sql("CREATE SCHEMA lti_raw")
            open_for_first_load(pipeline)
            client.execute_sql(f"CREATE TABLE lti_raw.numbers AS {rows}")
            assert client.execute_sql(groups) == [(ROW_GROUP,)]
            names = "SELECT database_name, path FROM duckdb_databases() WHERE NOT internal"
            assert client.execute_sql(names) == [(school.database.stem, str(school.database))]
        with opened(pipeline.sql_client()) as client:
            assert client.execute_sql("SELECT COUNT(*) FROM lti_raw.numbers") == [(3 * ROW_GROUP,)]
            client.execute_sql(f"INSERT INTO lti_raw.numbers {rows}")
            assert client.execute_sql(groups) == [(122_880,)]
        pipeline.deactivate()


def test_who_else_has_the_file_open_keeps_it(school: School) -> None:
    """In a notebook, somebody reads from the file while rosters are loaded into it."""
    with duckdb.connect(str(school.database)) as reader:
        reader.execute("CREATE TABLE numbers AS FROM range(1_000_000)")
        reading = reader.execute("FROM numbers")
        assert reading.fetchone() == (0,)

        assert carried_out(school)["exit_status"] == 0

        assert len(reading.fetchall()) == 999_999
        threads = min(os.cpu_count() or 1, MOST_THREADS)  # as dlt has it of us whenever it opens the file
        assert reader.execute("SELECT current_setting('threads')").fetchone() == (threads,)
        assert reader.execute("SELECT COUNT(*) FROM lti_raw.memberships").fetchone() == (32,)


@pytest.mark.parametrize("name", ["aside.duckdb", "it's {an} %s odd.name.duckdb"])
def test_the_file_may_have_any_name(school: School, name: str) -> None:
    """What it is named while it is opened anew is no name of a file."""
    database = school.directory / name
    catalogued(school)

    with desk(school) as at:
        called = at.call("run", "--no-models", DESTINATION__DUCKDB__CREDENTIALS=str(database))

    assert (called.status, called.err) == (0, called.err)
    with duckdb.connect(str(database)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM lti_raw.memberships").fetchone() == (32,)


class Between:
    """Another load, into the file that the first lets go of while it opens it anew."""

    def __init__(self, school: School, finished: Path) -> None:
        self._school = school
        self._finished = finished

    def __call__(self, action: Callable[[], object], patience: float | None = None) -> None:
        """What the other load has left there when ours goes on."""
        shutil.copy(self._finished, self._school.database)
        patiently(action, patience)


def test_what_was_loaded_while_the_file_was_let_go_of_is_merged_with(
    school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between closing and opening another directory's load may get in: then the tables are not filled, but merged."""
    carried_out(school)
    finished = shutil.copy(school.database, tmp_path / "finished.duckdb")
    school.database.unlink()
    shutil.rmtree(school.directory / ".lti_rosters")
    monkeypatch.setattr(first_load, "patiently", Between(school, finished))

    assert carried_out(school)["exit_status"] == 0

    for table, key in (
        ("memberships", "context_key, user_id"),
        ("membership_roles", "context_key, user_id, role_uri"),
        ("membership_log", "sync_id, user_id"),
        ("contexts", "context_key"),
        ("roles", "role_uri"),
        ("roster_syncs", "sync_id"),
    ):
        [(rows, keys)] = school.sql(f"SELECT COUNT(*), COUNT(DISTINCT ({key})) FROM {table}")
        assert rows == keys > 0, table
    assert school.sql("SELECT COUNT(*) FROM roster_syncs") == [
        (6,)
    ]  # of three courses: the other load was there


def test_dlt_finds_the_destination_again(school: School) -> None:
    """`dlt pipeline` and a pipeline opened by its name know the file as dlt's own duckdb."""
    carried_out(school)

    with school.settings():
        attached = dlt.attach("lti_rosters", pipelines_dir=str(school.directory / ".lti_rosters"))
        assert type(attached.destination) is dlt.destinations.duckdb
        assert attached.destination.destination_name == "duckdb"
        attached.deactivate()


def test_settings_are_looked_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All clients of a dataset share its settings and its connection; another dataset has its own, as another file."""

    def found(destination: Embedded, dataset: str) -> Any:
        return destination.configuration(destination.spec()._bind_dataset_name(dataset))

    first, second = (Embedded(str(tmp_path / name)) for name in ("a.duckdb", "b.duckdb"))
    before = found(first, "lti_raw")
    monkeypatch.setenv("DESTINATION__DUCKDB__CREATE_INDEXES", "true")

    assert found(first, "lti_raw") is before
    assert found(first, "other").dataset_name == "other"
    assert found(first, "other").create_indexes
    assert str(before) == str(tmp_path / "a.duckdb")
    assert found(second, "lti_raw").credentials.database == str(tmp_path / "b.duckdb")
