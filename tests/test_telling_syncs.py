"""Attempts that say something, kept from build to build: whatever changes, those of a build anew."""

import random
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from lti_rosters.runs.models import Warehouse, build
from models.raw_tables import RawTables, moment

TELLING = "lti.int_lti__telling_syncs"
READINGS = ("complete", "unchanged")
OUTCOMES = (*READINGS, "unchanged", "failed", "too_large", "unavailable")
LOADS = ("load3", "load1", "load2", "load4")  # in the order in which they are committed
Row = tuple[Any, ...]


def made(path: Path, **options: Any) -> None:
    """Build the model in the file at *path*, with those before it."""
    warehouse = Warehouse(adapter="duckdb", path=path)
    build(
        warehouse, work_dir=path.parent, as_of=moment("11-21"), select=["+int_lti__telling_syncs"], **options
    )


def ask(path: Path, *statements: str) -> list[Row]:
    """Run *statements* and return the rows of the last."""
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            answer = connection.execute(statement).fetchall()
    return answer


def attempts() -> RawTables:
    """Random attempts at twelve courses under one or two URLs, some at one moment, in four loads not yet committed."""
    chance = random.Random(20261126)
    raw = RawTables()
    for load in LOADS:
        raw.rows["_dlt_loads"].append({"load_id": load, "status": 1, "inserted_at": moment("11-20")})
        for _ in range(60):
            context_id, at = (
                f"c{chance.randrange(12)}",
                moment("11-01") + timedelta(hours=chance.randrange(40)),
            )
            url = chance.choice((None, f"https://k.example/{context_id}", "https://k.example/elsewhere"))
            raw.sync(
                "k",
                context_id,
                at.isoformat()[5:16],
                chance.choice(OUTCOMES),
                memberships_url=url,
                _dlt_load_id=load,
            )
    return raw


def expected(path: Path) -> set[str]:
    """The syncs that should be kept, by a plain reading of those that are committed."""
    rows = ask(
        path,
        "select context_key, memberships_url, outcome, finished_at, sync_id from lti_raw.roster_syncs as syncs"
        " join lti_raw._dlt_loads as loads on loads.load_id = syncs._dlt_load_id where loads.status = 0",
    )
    last = defaultdict(lambda: moment("10-01"))
    for key, url, outcome, at, _ in rows:
        if outcome in READINGS:
            last[key, url] = max(last[key, url], at)
    return {
        sync_id for key, url, outcome, at, sync_id in rows if outcome != "unchanged" or at == last[key, url]
    }


def kept(path: Path) -> set[str]:
    """The syncs that are kept; each once."""
    rows = ask(path, f"select sync_id from {TELLING} where sync_id is not null")
    assert len(rows) == len(set(rows))
    return {sync_id for (sync_id,) in rows}


def touched(path: Path, load: str) -> int:
    """Mark what is kept of *load*, and return how many rows bear a mark already."""
    ((count,),) = ask(path, f"select count(*) from {TELLING} where error_type = 'kept'")
    ask(path, f"update {TELLING} set error_type = 'kept' where load_id = '{load}' and sync_id is not null")
    return int(count)


def test_what_is_kept_is_what_a_plain_reading_finds(tmp_path: Path) -> None:
    """Loads committed in any order, one after the other; then attempts are dropped, one at a time and a whole load."""
    path = attempts().write(tmp_path / "rosters.duckdb")
    made(path)
    assert ask(path, f"select count(*) from {TELLING}") == [(0,)]

    for load in LOADS:
        ask(path, f"update lti_raw._dlt_loads set status = 0 where load_id = '{load}'")
        made(path)
        assert kept(path) == expected(path)
        marked = touched(path, LOADS[0])
    assert marked > 0  # what was read is not read again while it is all there

    # Somebody is erased from rosters long read.
    changed = "where outcome = 'complete' and _dlt_load_id = 'load2'"
    ask(path, f"update lti_raw.roster_syncs set member_count = 77 {changed}")
    made(path)
    assert kept(path) == expected(path)
    assert touched(path, LOADS[0]) == 0
    (counts,) = ask(
        path, f"select list(distinct member_count) from {TELLING} where load_id = 'load2' and is_reading"
    )
    assert 77 in counts[0]

    (last,) = ask(path, f"select max(sync_id) from {TELLING} where load_id = 'load2' and sync_id is not null")
    ask(path, f"delete from lti_raw.roster_syncs where sync_id = '{last[0]}'")
    made(path)
    assert kept(path) == expected(path)
    assert touched(path, LOADS[0]) == 0

    ask(path, f"delete from lti_raw.roster_syncs where _dlt_load_id = '{LOADS[0]}'")
    made(path)
    assert kept(path) == expected(path)
    assert kept(path)


def test_rows_of_another_layout_are_not_built_on(tmp_path: Path) -> None:
    """As after an update of this package; nor does a full refresh build on what is there."""
    path = attempts().write(tmp_path / "rosters.duckdb")
    ask(path, "update lti_raw._dlt_loads set status = 0")
    made(path)
    for changes, options in (
        (f"update {TELLING} set layout = '0'", {}),
        (f"alter table {TELLING} drop column layout", {}),
        (f"alter table {TELLING} rename column syncs to attempts", {}),
        ("select 1", {"full_refresh": True}),
    ):
        ask(path, f"delete from {TELLING} where load_id = 'load1' and sync_id is not null", changes)
        made(path, **options)
        assert kept(path) == expected(path)
