"""Going over, erase and retain on a real PostgreSQL: no row of any table, and no byte of a table's file, is left."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import carried_out
from lti_rosters.custody.going_over import apply
from lti_rosters.custody.retention import Retention, retain
from needles import ID, NAME, NEEDLES, holds, somebody
from postgres import Server, installed, server
from school import School
from test_custody import COMMITTED, HISTORY, KEEP, MASKED, done, erased, pseudonym

pytestmark = pytest.mark.slow
DATABASE = "custody"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """A server with one database."""
    if installed() is None and "CI" not in os.environ:
        pytest.skip("PostgreSQL is not installed (on Debian: apt-get install postgresql)")
    directory = Path(tempfile.mkdtemp(prefix="lti-"))
    directory.chmod(0o755)
    with server(directory / "pg") as running:
        yield running
    shutil.rmtree(directory)


def rows_left(postgres: Server, needles: tuple[str, ...]) -> list[str]:
    """The tables, of every schema, with a row that holds one of *needles*."""
    query = """
        SELECT schemaname || '.' || tablename FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
    """
    tables = [name for (name,) in postgres.sql(DATABASE, query)]
    return [
        name
        for name in tables
        if holds(repr(postgres.sql(DATABASE, f"SELECT * FROM {name}")).encode(), needles)
    ]


def files_left(postgres: Server, needles: tuple[str, ...]) -> list[str]:
    """The tables whose files hold one of *needles*, free space included; the server's own catalogue aside."""
    postgres.sql(DATABASE, "CHECKPOINT")
    query = """
        SELECT pg_relation_filepath(relations.oid), relname FROM pg_class AS relations
        INNER JOIN pg_namespace AS schemas ON schemas.oid = relnamespace
        WHERE relkind IN ('r', 't') AND nspname <> 'pg_catalog' AND nspname <> 'information_schema'
    """
    paths = [(postgres.data / path, name) for path, name in postgres.sql(DATABASE, query) if path]
    return [name for path, name in paths if path.exists() and holds(path.read_bytes(), needles)]


def history(postgres: Server) -> list[tuple[Any, ...]]:
    """The intervals."""
    return postgres.sql(DATABASE, HISTORY.replace("ORDER BY ALL", ""))


def test_erase_go_over_and_retain(postgres: Server, school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other in one warehouse, with models: the history of everybody else goes on through all of it."""
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", postgres.create(DATABASE))
    at: dict[str, Any] = {"destination": "postgres", "with_models": True}
    school.shared = KEEP
    course = school.add(
        "c1", [somebody(1), somebody(2), somebody(3, roles=["Instructor", f"as {NAME} says"])]
    )
    read = {**at, "with_models": False}
    carried_out(school, **read)
    course.members = course.members[1:]
    assert carried_out(school, **at)["error"] is None
    before = history(postgres)
    gone = (f"{ID}-1", f"{NAME}.1")
    assert files_left(postgres, gone)

    told = erased(school, **at)

    assert (told["error"], told["warnings"]) == (None, [])
    assert (rows_left(postgres, gone), files_left(postgres, gone)) == ([], [])
    assert sorted(history(postgres)) == sorted(row for row in before if row[1] != f"{ID}-1")
    assert postgres.sql(DATABASE, COMMITTED) == [(0,)]
    course.members = [somebody(1), *course.members]
    assert carried_out(school, **read)["totals"]["unchanged"] == 1

    school.shared = MASKED
    assert carried_out(school, **at)["exit_status"] == 4
    told = done(school, apply, **at)

    assert (told["error"], told["warnings"]) == (None, [])
    assert (rows_left(postgres, NEEDLES), files_left(postgres, NEEDLES)) == ([], [])
    masked = {
        (course_id, pseudonym(user_id), *rest) for course_id, user_id, *rest in before if user_id != f"{ID}-1"
    }
    assert set(history(postgres)) == masked
    told = carried_out(school, **at)
    assert [told["totals"][name] for name in ("complete", "arrivals", "departures")] == [1, 0, 0]
    assert set(history(postgres)) == masked

    postgres.sql(DATABASE, "UPDATE roster_syncs SET finished_at = finished_at - INTERVAL '5 years'")
    postgres.sql(DATABASE, "UPDATE membership_log SET observed_at = observed_at - INTERVAL '5 years'")
    told = done(school, retain, Retention, older_than="3y", **at)

    assert told["error"] is None
    assert {each["table"] for each in told["rows"]} == {"lti_raw.membership_log", "lti_raw.roster_syncs"}
    assert postgres.sql(DATABASE, "SELECT outcome, member_count FROM roster_syncs") == [("complete", 2)]
    assert {row[1] for row in history(postgres)} == {row[1] for row in masked}
    assert carried_out(school, **read)["totals"]["unchanged"] == 1
