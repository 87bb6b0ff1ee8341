"""Going over, erase and retain where resource links are read, on DuckDB and on a real PostgreSQL."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from commands import carried_out
from lti_rosters.custody.going_over import apply
from lti_rosters.custody.retention import Retention, retain
from needles import ID, NAME, NEEDLES, found_in_files, holds, somebody
from postgres import Server, installed, server
from school import LINKS, School
from test_custody import KEEP, MASKED, done, erased, pseudonym

ROWS = f"SELECT resource_link_id, user_id FROM {LINKS}"
SYNCS = """
    SELECT resource_link_id, outcome, member_count, roster_hash IS NOT NULL FROM roster_syncs
    WHERE resource_link_id IS NOT NULL AND outcome IN ('complete', 'unchanged')
"""
# A link's roster is committed where its rows are of its sync's load, and as many (tables.link_ledger).
TORN = f"""
    SELECT COUNT(*) FROM (
        SELECT context_key, resource_link_id, MIN(_dlt_load_id) AS first, MAX(_dlt_load_id) AS last, COUNT(*) AS people
        FROM {LINKS} GROUP BY context_key, resource_link_id
    ) AS links WHERE first <> last OR people <> (
        SELECT member_count FROM roster_syncs AS syncs WHERE syncs._dlt_load_id = links.first
        AND syncs.resource_link_id = links.resource_link_id AND outcome = 'complete'
    )
"""


@dataclass
class Warehouse:
    """A school and where it loads: one DuckDB file, or a *database* of PostgreSQL."""

    school: School
    postgres: Server | None = None
    at: dict[str, Any] = field(default_factory=dict)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Run *query* in the raw dataset."""
        rows = self.postgres.sql("links", query) if self.postgres else self.school.sql(query)
        return sorted(rows, key=repr)

    def run(self, **order: Any) -> dict[str, Any]:
        """Load, without models."""
        told = carried_out(self.school, **self.at, **order)
        assert told["error"] is None
        return told

    def links(self) -> set[tuple[str, str]]:
        """Who is on which link's roster; nobody twice, and every roster is whole."""
        rows = self.sql(ROWS)
        assert len(rows) == len(set(rows))
        assert self.sql(TORN) == [(0,)]
        return {(link, person) for link, person in rows}

    def left(self, needles: tuple[str, ...]) -> list[str]:
        """What still holds one of *needles*: files of DuckDB's directory, tables of PostgreSQL."""
        if self.postgres is None:
            return found_in_files(self.school.directory, needles)
        query = """
            SELECT schemaname || '.' || tablename FROM pg_tables
            WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
        """
        tables = [name for (name,) in self.sql(query)]
        return [name for name in tables if holds(repr(self.sql(f"SELECT * FROM {name}")).encode(), needles)]


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.slow)])
def warehouse(
    request: pytest.FixtureRequest, school: School, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    """Links of a course in `keep`, read once: `all` has everybody, `some` 1 and 2, `one` 1 alone."""
    school.shared = dict(KEEP)
    school.add("c1", [somebody(n) for n in (1, 2, 3)], links={"all": None, "some": ids(1, 2), "one": ids(1)})
    url = school.platform.memberships_url("c1")
    school.catalogue["canvas"] = [
        {"memberships_url": url, "resource_link_id": link} for link in ("all", "some", "one")
    ]
    if request.param == "duckdb":
        made = Warehouse(school)
        made.run()
        yield made
        return
    if installed() is None and "CI" not in os.environ:
        pytest.skip("PostgreSQL is not installed (on Debian: apt-get install postgresql)")
    directory = Path(tempfile.mkdtemp(prefix="lti-"))
    directory.chmod(0o755)
    with server(directory / "pg") as running:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", running.create("links"))
        made = Warehouse(school, running, {"destination": "postgres"})
        made.run()
        yield made
    shutil.rmtree(directory)


def ids(*numbers: int) -> set[str]:
    """The ids of `somebody`."""
    return {f"{ID}-{number}" for number in numbers}


def on(*pairs: tuple[str, int]) -> set[tuple[str, str]]:
    """Links with the ids of those on them."""
    return {(link, f"{ID}-{number}") for link, number in pairs}


def test_links_through_their_whole_life(warehouse: Warehouse) -> None:
    """Loaded, unchanged, erased from, gone over, grown old, delisted: one after the other in one warehouse."""
    at, school = warehouse.at, warehouse.school
    assert warehouse.links() == on(
        *(("all", n) for n in (1, 2, 3)), *(("some", n) for n in (1, 2)), ("one", 1)
    )
    assert warehouse.run()["totals"]["unchanged"] == 1
    two_left = on(("all", 2), ("all", 3), ("some", 2))
    twice = [("all", 2), ("one", 0), ("some", 1)]
    loads = f"SELECT DISTINCT _dlt_load_id FROM {LINKS}"
    first = warehouse.sql(loads)

    told = erased(school, **at)

    assert {each["table"]: each["rows"] for each in told["rows"]}[f"lti_raw.{LINKS}"] == 3
    assert warehouse.links() == two_left
    assert warehouse.left((f"{ID}-1", f"{NAME}.1")) == []
    assert [row[:3] for row in warehouse.sql(SYNCS)] == [
        (link, outcome, count) for link, count in twice for outcome in ("complete", "unchanged")
    ]

    warehouse.run()  # the platform goes on listing the person

    assert warehouse.links() == two_left
    assert warehouse.sql(loads) == first
    assert [row for row in warehouse.sql(SYNCS) if row[1] == "complete"] == [
        (link, "complete", count, True) for link, count in twice
    ]
    warehouse.run(is_full=True)
    assert warehouse.links() == two_left

    school.shared = dict(MASKED)
    assert done(school, apply, **at)["error"] is None

    masked = {(link, pseudonym(person)) for link, person in two_left}
    assert warehouse.links() == masked
    assert warehouse.left(NEEDLES) == []
    assert set(warehouse.sql(f"SELECT message FROM {LINKS}")) == {(None,)}
    warehouse.run()
    assert warehouse.sql("SELECT SUM(departures) FROM roster_syncs") == [(0,)]
    again = warehouse.sql(loads)
    warehouse.run()
    assert (warehouse.links(), warehouse.sql(loads)) == (masked, again)

    warehouse.sql("UPDATE roster_syncs SET finished_at = finished_at - INTERVAL '5 years'")
    told = done(school, retain, Retention, older_than="3y", **at)

    kept = [(link, count) for link, outcome, count, _ in warehouse.sql(SYNCS) if outcome == "complete"]
    assert kept == twice
    assert len(warehouse.sql(SYNCS)) == 6  # and the last reading of each
    assert warehouse.links() == masked
    warehouse.run()
    assert warehouse.sql(loads) == again

    school.catalogue["canvas"] = school.catalogue["canvas"][1:2]
    warehouse.run()
    assert warehouse.links() == {each for each in masked if each[0] == "some"}
    school.catalogue["canvas"] = school.urls()
    warehouse.run()
    assert warehouse.links() == set()
    assert len(warehouse.sql("SELECT user_id FROM memberships")) == 2
