"""Into a real PostgreSQL: the same tables as DuckDB's, loads side by side, a server that goes away."""

import contextlib
import json
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
import pytest
import yaml

from benchmarks import campus
from commands import carried_out, catalogued, desk, ended, valid
from lti_rosters.catalogue.catalogue import read_catalogue
from lti_rosters.checks.check import Order, check
from lti_rosters.courses.listing import Order as ListOrder
from lti_rosters.courses.listing import list_contexts
from lti_rosters.errors import ConfigurationError, DestinationError
from lti_rosters.reference.platform import member
from lti_rosters.runs.models import PROJECT, Warehouse, arguments, build, run_dbt
from lti_rosters.runs.run import Watcher
from lti_rosters.settings.settings import Settings
from lti_rosters.tables.columns import MEMBERSHIPS
from models.changes import CHANGES, before, contents
from postgres import PASSWORD, USER, Server, installed, server
from school import TABLES, School, crowd

pytestmark = pytest.mark.slow
OWN = {"sync_id", "roster_sync_id", "_dlt_load_id", "synced_at", "observed_at", "first_seen_at", "started_at"}
OWN |= {"finished_at", "request_count"}  # what differs between two runs which read the same
MODELS = {
    "active_learners": "context_id, title, active_learners, inactive_learners, members, sync_state",
    "current_memberships": "context_id, user_id, status, primary_role, is_learner, counts_as_active_learner",
    "membership_history": "context_id, user_id, status, primary_role, is_active_learner, valid_to IS NULL",
    "roster_changes": "context_id, user_id, change",
    "active_learners_daily": "context_id, active_learners, joined, left_course, is_first_reading",
    "courses": "context_id, sync_state",
}

INDEXED = {
    ("membership_log", "sync_id"),
    ("memberships", "context_key"),
    ("membership_roles", "context_key"),
    ("roster_syncs", "_dlt_load_id"),
}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """One server for all tests of this file, each with a database of its own."""
    if installed() is None and "CI" not in os.environ:
        pytest.skip("PostgreSQL is not installed (on Debian: apt-get install postgresql)")
    directory = Path(tempfile.mkdtemp(prefix="lti-"))  # short, and the server's user can reach it
    directory.chmod(0o755)
    with server(directory / "pg") as running:
        yield running
    shutil.rmtree(directory)


@pytest.fixture
def database(postgres: Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh database, set as the destination's."""
    name = f"d{abs(hash(request.node.name))}"
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", postgres.create(name))
    return name


def test_a_catalogue_of_a_query(postgres: Server) -> None:
    """A tool's own table in PostgreSQL is a catalogue: streamed, a percent sign and a colon as they stand."""
    url = postgres.create("tool")
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("create table launches (url text, id uuid default gen_random_uuid(), title text)")
        cursor.execute(
            "insert into launches (url, title) select 'https://lms.example/' || n, 'Course ' || n "
            "from generate_series(1, 25000) n"
        )
    connection.close()
    query = (
        "select url as memberships_url, id as context_id, title from launches "
        "where title like 'Course %' and title <> ':id'"
    )

    catalogue = read_catalogue({"query": query, "url": url}, where="canvas")

    assert (len(catalogue.entries), catalogue.faults) == (25_000, [])
    with pytest.raises(ConfigurationError, match='relation "nowhere" does not exist'):
        read_catalogue({"query": "select * from nowhere", "url": url}, where="canvas")
    with pytest.raises(ConfigurationError, match="failed"):
        read_catalogue({"query": "delete from launches returning url", "url": url}, where="canvas")


def test_a_catalogue_waits_for_no_lock_for_ever(postgres: Server) -> None:
    """A step of the query is bounded, unless the database or the URL bounds it already."""
    url = postgres.create("patient")
    query = "select 'https://lms.example/1' as memberships_url, current_setting('statement_timeout') as context_id"

    def bound(more: str = "") -> str | None:
        (entry,) = read_catalogue({"query": query, "url": url + more}, where="canvas").entries
        return entry.context_id

    assert bound() == "10min"
    mark = "&" if "?" in url else "?"
    assert bound(f"{mark}options=-c%20statement_timeout%3D7s") == "7s"


def nights(school: School, run: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
    """Two nights: one course changes, one is emptied, one stays, one appears."""
    first = school.add(
        "c1", [member("ann", email="ann@lab.example", nick="A"), member("ben", status="Inactive")]
    )
    second = school.add("c2", crowd(3))
    school.add("c3", [member("zoë", roles=["Instructor"]), member("ann", roles=["Learner", "urn:x:odd"])])
    told = [run()]
    first.members = [member("ann", roles=["Instructor"]), member("eve")]
    second.members = []
    school.add("c4", crowd(2, "n"))
    return [*told, run()]


def described(table: str, school: School) -> str:
    """The columns of a raw *table* that two runs have in common."""
    names = [name for (name, *_) in school.sql(f"DESCRIBE {table}") if name not in OWN]
    return ", ".join(sorted(names))


def ordered(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows in an order that does not hang on a collation."""
    return sorted(rows, key=repr)


# Where comments stand and which transaction wrote them; dlt's own columns have none.
RAW_COMMENTS = """
    SELECT c.relname || '.' || coalesce(a.attname, ''), d.xmin::text || ' ' || d.description
    FROM pg_description d JOIN pg_class c ON c.oid = d.objoid AND d.classoid = 'pg_class'::regclass
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0
    WHERE c.relnamespace = 'lti_raw'::regnamespace
"""
# Marts, and columns of them, that nobody describes.
BARE_MARTS = """
    SELECT c.relname, a.attname
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE c.relnamespace = 'lti'::regnamespace AND c.relname = ANY (%s)
    AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)
"""

# The columns of the marts, with their types.
COLUMNS_OF_MARTS = """
    SELECT c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'lti'::regnamespace AND c.relname = ANY (%s)
"""


def test_postgres_holds_what_duckdb_holds(
    school: School, postgres: Server, database: str, tool_key: Any, tmp_path: Path
) -> None:
    """Every raw table and every model, row by row, after two nights in which courses change."""
    with School(tmp_path / "other", tool_key) as other:
        other.register("canvas", school.platform, max_attempts=2)

        comments: list[dict[str, str]] = []

        def both() -> dict[str, Any]:
            duck = carried_out(school, with_models=True)
            post = carried_out(other, destination="postgres", with_models=True)
            assert (duck["error"], post["error"]) == (None, None)
            assert duck["totals"] == post["totals"]
            comments.append(dict(postgres.sql(database, RAW_COMMENTS)))
            return post

        told = nights(school, both)

    assert [night["destination"] for night in told] == ["postgres", "postgres"]
    assert (told[1]["totals"]["complete"], told[1]["totals"]["unchanged"]) == (3, 1)
    said = {name: text.split(" ", 1)[1] for name, text in comments[1].items()}
    assert said["memberships."] == MEMBERSHIPS.description
    columns = {f"memberships.{column.name}": column.description for column in MEMBERSHIPS.columns}
    assert {name: said.get(name) for name in columns} == columns
    assert comments[0]
    assert comments[0] == {name: comments[1][name] for name in comments[0]}  # none was written again
    for table in TABLES:
        query = f"SELECT {described(table, school)} FROM {table}"
        assert ordered(postgres.sql(database, query)) == ordered(school.sql(query)), table
    for model, columns in MODELS.items():
        query = f"SELECT {columns} FROM lti.{model}"
        assert ordered(postgres.sql(database, query)) == ordered(school.sql(query)), model
    bare = postgres.sql(database, BARE_MARTS, list(MODELS))
    assert bare == []
    assert indexed(postgres, database) == INDEXED  # after a load that came when they were there


def indexed(postgres: Server, database: str) -> set[tuple[str, str]]:
    """Which columns of which raw tables begin an index of ours."""
    rows = postgres.sql(
        database,
        "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'lti_raw' AND indexname LIKE 'lti_rosters%'",
    )
    return {(table, definition.split("(")[1].strip(")")) for table, definition in rows}


def schemas(postgres: Server, database: str) -> set[str]:
    """The schemas of ours in *database*."""
    rows = postgres.sql(database, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'lti%'")
    return {name for (name,) in rows}


def test_the_catalogue_is_listed_with_its_states(school: School, postgres: Server, database: str) -> None:
    """Before and after a load, in a database that only the load writes to."""
    school.add("c1", crowd(3))

    def listed() -> list[tuple[Any, ...]]:
        with school.settings():
            document = valid(list_contexts(ListOrder(destination="postgres")))
        assert (document["exit_status"], document["destination"]) == (0, "postgres")
        return [(each["sync_state"], each["members"], each["outcome"]) for each in document["contexts"]]

    catalogued(school)
    assert listed() == [("never", None, None)]
    assert schemas(postgres, database) == set()

    carried_out(school, destination="postgres")
    assert listed() == [("fresh", 3, "complete")]


def test_staging_tables_are_gone_after_a_load(school: School, postgres: Server, database: str) -> None:
    """The raw dataset alone is left."""
    school.add("c1", ["ann"])

    carried_out(school, destination="postgres")

    assert schemas(postgres, database) == {"lti_raw"}


def test_loads_from_two_directories_leave_each_other_alone(
    school: School, postgres: Server, database: str, tmp_path: Path, tool_key: Any
) -> None:
    """Again and again at once, of the same courses: nobody twice, nobody missing, and no error."""
    for number in range(6):
        school.add(f"c{number}", crowd(40, f"c{number}u"))
    with School(tmp_path / "other", tool_key) as other:
        other.register("canvas", school.platform, max_attempts=2)
        environment = {"DESTINATION__POSTGRES__CREDENTIALS": postgres.url(database)}
        arguments = ("run", "--destination", "postgres", "--no-models", "--full", "--progress", "none")
        with desk(school) as here, desk(other) as there:
            here.call(*arguments, **environment)
            for _ in range(4):
                runs = [at.start(*arguments, **environment) for at in (here, there)]
                assert [(each.status, each.err) for each in map(ended, runs)] == [(0, ""), (0, "")]

    counts = postgres.sql(
        database, "SELECT COUNT(*), COUNT(DISTINCT (context_key, user_id)) FROM memberships"
    )
    assert counts == [(240, 240)]
    assert (
        postgres.sql(
            database,
            "SELECT sync_id FROM roster_syncs JOIN membership_log USING (sync_id)"
            " GROUP BY sync_id, member_count HAVING COUNT(DISTINCT user_id) <> member_count",
        )
        == []
    )
    assert postgres.sql(database, "SELECT COUNT(*) FROM roster_syncs") == [(6 * 9,)]
    assert schemas(postgres, database) == {"lti_raw"}


@pytest.mark.parametrize(
    ("step", "order"),
    [("wait_load", {"is_full": True}), ("wait_models", {"is_models_only": True, "command": "models"})],
)
def test_a_load_or_a_build_waits_for_another_and_says_so(
    school: School, postgres: Server, database: str, step: str, order: dict[str, Any]
) -> None:
    """While somebody else loads, the run reads, says that it waits, and loads when it may; so does a build."""
    school.add("c1", ["ann"])
    carried_out(school, destination="postgres")
    (key,) = {row[0] for row in held_by(school, postgres, database, order)}
    other = psycopg2.connect(postgres.url(database))
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (key,))
    steps: list[str] = []

    def note(each: str) -> None:
        steps.append(each)
        if each == step:
            threading.Timer(0.3, other.close).start()

    told = carried_out(school, destination="postgres", watcher=Watcher(on_step=note), **order)

    assert (told["exit_status"], step in steps) == (0, True)


def held_by(school: School, postgres: Server, database: str, order: dict[str, Any]) -> list[tuple[int]]:
    """The keys of the advisory locks that a run takes."""
    found: list[tuple[int]] = []
    done = threading.Event()
    query = "SELECT ((classid::bigint << 32) | objid::bigint) FROM pg_locks WHERE locktype = 'advisory'"

    # Connected here: libpq reads the environment for that, which the run changes meanwhile.
    with contextlib.closing(psycopg2.connect(postgres.url(database))) as connection:
        connection.autocommit = True

        def look() -> None:
            with connection.cursor() as cursor:
                while not done.is_set():
                    cursor.execute(query)
                    found.extend(cursor.fetchall())
                    time.sleep(0.005)

        watching = threading.Thread(target=look)
        watching.start()
        carried_out(school, destination="postgres", **order)
        done.set()
        watching.join()
    return found


@pytest.mark.parametrize("moment", ["read", "load"])
def test_a_server_that_goes_away_is_told_and_made_good(
    school: School, database: str, postgres: Server, moment: str
) -> None:
    """Stopped while the rosters are read, or while they are loaded: exit 9; the next run has everything."""
    course = school.add("c1", ["ann", "ben"])
    school.add("c2", crowd(30))
    carried_out(school, destination="postgres")
    course.members = [member("eve")]
    working = school.directory / ".lti_rosters/lti_rosters/load/normalized"
    done = threading.Event()

    def cut() -> None:
        while moment == "load" and not list(working.glob("*/new_jobs/*")) and not done.is_set():
            time.sleep(0.001)
        postgres.stop()

    cutter = threading.Thread(target=cut)
    watcher = Watcher(on_plan=lambda _: cutter.start())
    if moment == "read":
        watcher = Watcher(on_plan=lambda _: (cutter.start(), cutter.join())[0])

    told = carried_out(school, destination="postgres", watcher=watcher)
    done.set()
    cutter.join()
    postgres.start()
    course.members = [member("eve"), member("fay")]
    later = carried_out(school, destination="postgres", with_models=True)

    assert (told["exit_status"], told["error"]["error_type"]) == (9, "destination")
    assert moment == "read" or "kept" in told["error"]["remedy"]  # what is half read is read again
    assert (later["exit_status"], later["error"]) == (0, None)
    rows = postgres.sql(
        database, "SELECT context_id, user_id FROM memberships WHERE context_id = 'c1' ORDER BY 2"
    )
    assert rows == [("c1", "eve"), ("c1", "fay")]
    assert postgres.sql(database, "SELECT COUNT(*), COUNT(DISTINCT user_id) FROM memberships") == [(32, 32)]
    assert postgres.sql(database, "SELECT DISTINCT user_id FROM membership_log WHERE user_id = 'eve'") == [
        ("eve",)
    ]


def test_a_server_that_is_down_is_told(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 9 before a roster is read, and no password in what is said."""
    school.add("c1", ["ann"])
    url = "postgresql://loader:of-tests-alone@127.0.0.1:9/rosters"
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)

    told = carried_out(school, destination="postgres")

    assert (told["exit_status"], told["error"]["error_type"]) == (9, "destination")
    assert school.platform.roster_requests == []
    assert "of-tests-alone" not in str(told)


def test_check_tries_the_destination_and_leaves_nothing(
    postgres: Server, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connect, create, drop; without the right to create a schema, or without a server: exit 9, and why."""
    order = Order(with_destination=True, destination="postgres", directory=tmp_path)
    name = database
    before = schemas(postgres, database)

    good = valid(check(order, settings=Settings("keep", ())))
    postgres.sql(name, "CREATE ROLE guest LOGIN PASSWORD 'of-a-guest'")
    guest = postgres.url(name).replace("loader:of-tests-alone", "guest:of-a-guest")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", guest)
    refused = valid(check(order, settings=Settings("keep", ())))
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", "postgresql://u:of-nobody@127.0.0.1:9/x")
    away = valid(check(order, settings=Settings("keep", ())))
    postgres.sql(name, "DROP ROLE guest")

    assert [step["state"] for step in good["destination_steps"]] == ["ok", "ok", "ok"]
    assert [step["state"] for step in refused["destination_steps"]] == ["ok", "failed", "not_tried"]
    assert [step["state"] for step in away["destination_steps"]] == ["failed", "not_tried", "not_tried"]
    assert (good["exit_status"], refused["exit_status"], away["exit_status"]) == (0, 9, 9)
    assert schemas(postgres, database) == before
    assert "of-" not in json.dumps([good, refused, away]).replace("of-tests", "")


def test_credentials_reach_the_models_as_they_reach_the_load(
    school: School, postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signs in names and passwords, a search path, options of the session, a destination of one's own name."""
    user, secret = "o'd d", "p%40 'q\"{{ 1 }}\\/:@#é"
    postgres.sql(database, f'CREATE ROLE "{user}" LOGIN SUPERUSER PASSWORD %s', secret)
    monkeypatch.setenv("DESTINATION__CAMPUS__DESTINATION_TYPE", "postgres")
    monkeypatch.setenv(
        "DESTINATION__CAMPUS__CREDENTIALS",
        f"postgresql://{quote(user)}:{quote(secret, safe='')}@127.0.0.1:{postgres.port}/{database}"
        "?sslmode=prefer&connect_timeout=7&application_name=nightly"
        "&options=-c%20search_path%3Dnowhere%20-c%20work_mem%3D77MB",
    )
    postgres.sql(
        database,
        "CREATE TABLE public.seen (who text, memory text, name text, path text, waits text);"
        "CREATE FUNCTION public.note() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN"
        " INSERT INTO public.seen VALUES (session_user, current_setting('work_mem'),"
        " current_setting('application_name'), current_setting('search_path'), current_setting('lock_timeout')); END$$;"
        "CREATE EVENT TRIGGER noted ON ddl_command_end WHEN TAG IN ('CREATE TABLE AS', 'CREATE VIEW')"
        " EXECUTE FUNCTION public.note()",
    )
    school.add("c1", ["ann"])

    told = carried_out(school, destination="campus", with_models=True)

    assert (told["error"], told["destination"]) == (None, "campus")
    assert postgres.sql(database, "SELECT active_learners FROM lti.active_learners") == [(1,)]
    seen = set(postgres.sql(database, "SELECT who, memory, name, path, waits FROM public.seen"))
    assert seen == {("o'd d", "77MB", "nightly", "nowhere", "10min")}  # models wait for no lock for ever


def test_what_hinders_the_models_is_told(
    school: School, postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No tables, no rights, a wrong password, a raw column of another type: exit 9, by name, the load stays."""
    models: dict[str, Any] = {"destination": "postgres", "is_models_only": True, "command": "models"}
    url, key = postgres.url(database), "DESTINATION__POSTGRES__CREDENTIALS"
    course = school.add("c1", ["ann"])
    empty = carried_out(school, **models)
    carried_out(school, destination="postgres", with_models=True)
    postgres.sql(database, "CREATE ROLE reader LOGIN PASSWORD 'of-a-reader'")
    monkeypatch.setenv(key, url.replace("loader:of-tests-alone", "reader:of-a-reader"))
    shut = carried_out(school, **models)
    monkeypatch.setenv(key, url.replace("of-tests-alone", "of-nobody"))
    wrong = carried_out(school, **models)
    monkeypatch.setenv(key, url)
    postgres.sql(
        database,
        "DROP ROLE reader; DROP SCHEMA lti CASCADE;"
        "ALTER TABLE contexts ALTER COLUMN title TYPE integer USING 7",
    )
    course.members = [member("eve")]
    failed = carried_out(school, destination="postgres", with_models=True)

    told = [empty, shut, wrong, failed]
    assert [(each["exit_status"], each["models"]) for each in told] == [(9, [])] * 4
    assert empty["error"]["what"] == "No roster has been loaded yet."
    assert re.match(r"The (step before the models|model \w+) failed: ", shut["error"]["what"])
    assert "permission denied for schema lti_raw" in shut["error"]["what"]
    assert "password authentication failed" in wrong["error"]["what"]
    assert re.match(r"The model \w+ failed: ", failed["error"]["what"])  # which of them comes first is chance
    assert "title" in failed["error"]["what"]
    assert "What is loaded stays loaded." in failed["error"]["remedy"]
    assert len(failed["load_ids"]) == 1
    assert postgres.sql(database, "SELECT user_id FROM memberships") == [("eve",)]
    said = json.dumps(told)
    assert [word for word in ("of-tests-alone", "of-nobody", "of-a-reader") if word in said] == []


def test_an_option_of_the_connection_is_obeyed_by_the_models_too(
    school: School, postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This server speaks no TLS: where it is required nothing is loaded, and no model built without it."""
    url = postgres.url(database)
    school.add("c1", ["ann"])
    carried_out(school, destination="postgres")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", f"{url}?sslmode=require")

    told = carried_out(school, destination="postgres", is_models_only=True, command="models")

    assert (told["exit_status"], told["models"]) == (9, [])
    assert "SSL" in told["error"]["what"]
    assert "of-tests-alone" not in str(told)


def test_kept_rosters_built_on_in_postgres_are_those_built_anew(
    postgres: Server, database: str, tmp_path: Path
) -> None:
    """After every change at once that rows of now can go through, and another word for a role."""
    campus.copy(before().write(tmp_path / "rosters.duckdb"), postgres.url(database))
    network = {"host": "127.0.0.1", "port": postgres.port, "user": USER, "password": PASSWORD}
    server = Warehouse(adapter="postgres", **network, database=database)

    def made(**options: Any) -> dict[str, list[tuple[Any, ...]]]:
        build(server, work_dir=tmp_path, as_of=datetime(2026, 11, 21, tzinfo=UTC), **options)
        return contents(lambda query: postgres.sql(database, query))

    first = made()
    for statements in CHANGES.values():
        for statement in statements:
            postgres.sql(database, statement)
    # As an earlier version might have made it: its columns come to be those of now.
    postgres.sql(database, "alter table lti.sync_freshness alter column fresh type varchar(3)")
    on = made()
    due = postgres.sql(database, "select count(*) from int_lti__roster_marks where is_due")
    (known,) = postgres.sql(database, "select count(*) from int_lti__roster_marks")

    assert first != on
    assert 0 < due[0][0] < known[0]
    assert dict(postgres.sql(database, COLUMNS_OF_MARTS, list(campus.MARTS))) == declared()
    assert on == made(full_refresh=True)


def declared() -> dict[str, str]:
    """Of each column of each mart the type that its properties promise."""
    documents = [yaml.safe_load(path.read_text()) for path in PROJECT.glob("models/marts/**/*.yml")]
    return {
        f"{model['name']}.{column['name']}": column["data_type"]
        for document in documents
        for model in document.get("models", ())
        for column in model["columns"]
    }


def test_a_build_takes_neither_grants_nor_views_of_somebodys_own_away(
    postgres: Server, database: str, tmp_path: Path
) -> None:
    """Of whichever mart: none is another table than the night before."""
    path = campus.write(tmp_path / "rosters.duckdb", courses=10, members=12)
    campus.copy(path, postgres.url(database))
    network = {"host": "127.0.0.1", "port": postgres.port, "user": USER, "password": PASSWORD}
    server = Warehouse(adapter="postgres", **network, database=database)
    as_of = datetime(2026, 11, 21, tzinfo=UTC)
    build(server, work_dir=tmp_path, as_of=as_of)
    for mart in campus.MARTS:
        postgres.sql(database, f"create view public.my_{mart} as select * from lti.{mart}")
        postgres.sql(database, f"grant select on lti.{mart} to pg_monitor")
    before = postgres.sql(database, "select max(last_complete_at) from public.my_courses")

    campus.change(path, one_in=5, members=12)
    campus.load(path, postgres.url(database))
    build(server, work_dir=tmp_path, as_of=as_of)

    assert postgres.sql(database, "select max(last_complete_at) from public.my_courses") > before
    for mart in campus.MARTS:
        theirs, ours = (
            ordered(postgres.sql(database, f"select * from {name}"))
            for name in (f"public.my_{mart}", f"lti.{mart}")
        )
        assert theirs == ours, mart
        granted = "select has_table_privilege('pg_monitor', %s, 'select')"
        assert postgres.sql(database, granted, f"lti.{mart}") == [(True,)], mart


def test_a_build_that_fails_takes_no_mart_away(postgres: Server, database: str, tmp_path: Path) -> None:
    """Nor a view of somebody's own. What a view cannot take the place of, a table or other columns, it drops."""
    campus.copy(before().write(tmp_path / "rosters.duckdb"), postgres.url(database))
    network = {"host": "127.0.0.1", "port": postgres.port, "user": USER, "password": PASSWORD}
    server = Warehouse(adapter="postgres", **network, database=database)

    def made() -> None:
        build(server, work_dir=tmp_path, as_of=datetime(2026, 11, 21, tzinfo=UTC))

    def found() -> dict[str, list[tuple[Any, ...]]]:
        return {mart: ordered(postgres.sql(database, f"select * from lti.{mart}")) for mart in campus.MARTS}

    made()
    first = found()
    postgres.sql(database, "create view public.mine as select * from current_memberships")
    postgres.sql(database, "alter table roles rename to aside")
    with pytest.raises(DestinationError, match=r"no lti_raw\.roles"):
        made()
    assert found() == first
    assert postgres.sql(database, "select count(*) from public.mine") == [
        (len(first["current_memberships"]),)
    ]

    postgres.sql(database, "alter table aside rename to roles")
    made()
    assert postgres.sql(database, "select count(*) from public.mine") == [
        (len(first["current_memberships"]),)
    ]

    postgres.sql(database, "drop view current_memberships cascade")
    postgres.sql(database, "create table lti.current_memberships as select 'ann' as user_id")
    postgres.sql(database, "drop view roster_changes")
    postgres.sql(database, "create view lti.roster_changes as select 1 as user_id")
    made()
    assert found() == first


def test_a_view_of_an_analysts_project_follows_the_table_below(
    postgres: Server, database: str, tmp_path: Path
) -> None:
    """It went with the old table; dbt knows, and makes it anew."""
    campus.copy(before().write(tmp_path / "rosters.duckdb"), postgres.url(database))
    network = {"host": "127.0.0.1", "port": postgres.port, "user": USER, "password": PASSWORD}
    server = Warehouse(adapter="postgres", **network, database=database)
    build(server, work_dir=tmp_path)
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    (project / "models" / "sizes.sql").write_text(
        "select members from {{ ref('lti_rosters', 'int_lti__course_counts') }}"
    )
    (project / "dbt_project.yml").write_text("name: mine\nversion: 1.0.0\nprofile: lti_rosters\n")
    (project / "dbt_packages").mkdir()
    (project / "dbt_packages" / "lti_rosters").symlink_to(PROJECT)
    command = [*arguments(tmp_path / "dbt", {}, ["int_lti__course_counts", "sizes"]), "--full-refresh"]
    command[command.index("--project-dir") + 1] = str(project)

    for _ in range(2):
        made = run_dbt(command, server, tmp_path / "dbt")

    assert {model.name: model.status for model in made.models} == {
        "int_lti__course_counts": "success",
        "sizes": "success",
    }
    (count,) = postgres.sql(database, "select count(*) from sizes")
    assert count[0] > 0


def test_a_campus_built_on_in_postgres_is_the_one_built_anew_in_duckdb(
    postgres: Server, database: str, tmp_path: Path
) -> None:
    """A year of readings, then two courses of forty changed: every mart, row by row, over both engines."""
    url = postgres.url(database)
    path = campus.write(tmp_path / "rosters.duckdb", courses=40, members=12)
    campus.copy(path, url)
    network = {"host": "127.0.0.1", "port": postgres.port, "user": USER, "password": PASSWORD}
    server = Warehouse(adapter="postgres", **network, database=database)
    as_of = datetime(2026, 11, 21, tzinfo=UTC)

    build(server, work_dir=tmp_path, as_of=as_of)
    campus.change(path, one_in=20, members=12)
    campus.load(path, url)
    build(server, work_dir=tmp_path, as_of=as_of)
    build(Warehouse(adapter="duckdb", path=path), work_dir=tmp_path, as_of=as_of)

    counts = {mart: campus.differences(path, url, mart) for mart in campus.MARTS}
    assert {mart: apart for mart, (_, apart) in counts.items()} == dict.fromkeys(campus.MARTS, 0)
    assert {mart: count for mart, (count, _) in counts.items()} == {
        "courses": 40,
        "current_memberships": 480,
        "active_learners": 40,
        "course_staffing": 40,
        "sync_freshness": 1,
        "membership_history": counts["membership_history"][0],
        "roster_changes": counts["roster_changes"][0],
        "active_learners_daily": 40 * 367,
    }
    assert counts["membership_history"][0] > 480
    assert counts["roster_changes"][0] > 480
