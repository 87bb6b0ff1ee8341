"""A first load fills DuckDB's tables without a staging table, and brings the rows that a merge brings."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import pytest

from commands import carried_out
from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import member
from lti_rosters.runs.destination import FINISHED, open_pipeline, own_staging
from lti_rosters.runs.embedded import ONE_THREAD, Embedded, note_unfilled
from lti_rosters.runs.lease import sole_reader
from lti_rosters.runs.working import MOST_THREADS
from lti_rosters.source import DISTINCT, FILLABLE, lti_rosters, without_doubles
from lti_rosters.tables.asking import opened, rows_of
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
        note_unfilled(pipeline, fillable, 0)
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
        note_unfilled(pipeline, FILLABLE, 0)
        assert isinstance(pipeline.destination, Embedded)
        assert pipeline.destination.unfilled == {"membership_log"}
        pipeline.deactivate()
    carried_out(school)

    assert school.members("c1") == {f"u{number}" for number in range(29)}
    assert school.sql("SELECT user_id FROM membership_log WHERE user_id NOT LIKE 'u%'") == [
        ("nil",)
    ]  # mended
    assert school.sql("SELECT COUNT(*) FROM membership_log") == [(30,)]


@pytest.mark.parametrize(
    ("size", "is_filled", "is_alone"),
    [(0, False, True), (ONE_THREAD - 1, False, True), (ONE_THREAD, False, False), (0, True, False)],
)
def test_a_small_first_load_takes_one_thread(
    school: School, size: int, is_filled: bool, is_alone: bool
) -> None:
    """From then on until the file is closed; a large load, or a merge, has those of the settings."""
    if is_filled:
        carried_out(school)
    with school.settings():
        pipeline = open_pipeline(None, school.directory, database=school.database)
        with sole_reader(pipeline), opened(pipeline.sql_client()) as client:
            [(before,)] = rows_of(client, "SELECT current_setting('threads')", ())
            note_unfilled(pipeline, FILLABLE, size)
            [(threads,)] = rows_of(client, "SELECT current_setting('threads')", ())
        with opened(pipeline.sql_client()) as client:
            assert list(rows_of(client, "SELECT current_setting('threads')", ())) == [(before,)]
        pipeline.deactivate()

    assert before == min(os.cpu_count() or 1, MOST_THREADS)
    assert threads == (1 if is_alone else before)


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
