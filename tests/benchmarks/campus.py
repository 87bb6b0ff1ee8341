"""Raw tables of a generated campus, made by SQL in DuckDB and copied to PostgreSQL; and the comparison of both.

`write` makes *courses* of *members* people each with a year of readings behind them; `change` lets a share of the
courses have another roster; `copy` brings what DuckDB holds to PostgreSQL, `load` what changed; `differences` compares
a mart.
Everything follows from numbers through md5, so that two campuses of one size are alike. Rows lie as loads write them:
night after night, those of a roster side by side.
"""

import io
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import psycopg2

from models.raw_tables import INSTRUCTOR, LEARNER, RawTables

SCHEMA = "lti_raw"
LOAD = "printf('1700%06d.1', {day})"  # of a day: one a night
SINCE, DAYS = "2025-11-20 02:00:00+00", 365
# Rosters that differed from the one before, by day: in every one a tenth of the people are others.
CHANGED = (0, 90, 180, 300)
TABLES = (
    *("contexts", "memberships", "membership_roles", "membership_log", "roster_syncs", "roles"),
    *("registrations", "_dlt_loads"),
)
MARTS = (
    *("courses", "current_memberships", "active_learners", "course_staffing", "sync_freshness"),
    *("membership_history", "roster_changes", "active_learners_daily"),
)
# People of a course: the first teaches, one in ten is inactive, the rest learn.
PEOPLE = """
    select
        {sync} as sync_id,
        'u' || (n + case when n % 10 = 3 then 1000 * generation else 0 end) as user_id,
        c.context_key, c.registration, c.context_id,
        {moment} as observed_at,
        case when (n + generation) % 10 = 5 then 'Inactive' else 'Active' end as status,
        '["' || case when n = 0 then '{instructor}' else '{learner}' end || '"]' as roles,
        case when n = 0 then 'instructor' else 'learner' end as primary_role,
        n > 0 and (n + generation) % 10 <> 5 as is_active_learner,
        {load} as _dlt_load_id
    from {courses} as c, range({members}) as m (n)
    order by c.context_key, n
"""


def write(path: Path, *, courses: int, members: int, every: int = 7) -> Path:
    """Write the campus to the DuckDB file *path*; each course was read *every* so many days for a year."""
    RawTables().write(path)
    with connected(path) as connection:
        connection.execute(
            f"insert into {SCHEMA}.registrations (registration, provider) values ('canvas', 'nrps')"
        )
        connection.execute(f"""
            insert into {SCHEMA}.contexts by name
            select md5('canvas' || n) as context_key, 'canvas' as registration, 'c' || n as context_id,
                'C' || n as label, 'Course ' || n as title, 'https://canvas.example/c' || n as memberships_url,
                timestamptz '{SINCE}' as first_seen_at
            from range({courses}) as c (n)
        """)
        for generation, day in enumerate(CHANGED):
            _roster(connection, generation, day, members, f"{SCHEMA}.contexts")
        rosters = " + ".join(f"cast(d.n >= {day} as integer)" for day in CHANGED)  # seen by then
        _unchanged(connection, f"range({every}, {DAYS}, {every})", f"{SCHEMA}.contexts", f"{rosters} - 1")
        _stand(connection, len(CHANGED) - 1)
        _commit(connection)
    return path


def change(path: Path, *, night: int = 0, one_in: int, members: int) -> None:
    """On one more *night*, counted from 0, all courses are read, and one in so many has another roster than before.

    Those of one night are not those of another.
    """
    number = f"(cast(context_id[2:] as integer) % {one_in})"
    courses, others = (
        f"(select * from {SCHEMA}.contexts where {condition})"
        for condition in (f"{number} = {night}", f"{number} <> {night}")
    )
    last = len(CHANGED) - 1
    roster = f"case when {number} < {night} then {last + 1} + {number} else {last} end"
    with connected(path) as connection:
        _roster(connection, last + 1 + night, DAYS + night, members, courses)
        _unchanged(connection, f"range({DAYS + night}, {DAYS + night + 1})", others, roster)
        _stand(connection, last + 1 + night)
        _commit(connection)


def connected(path: Path) -> duckdb.DuckDBPyConnection:
    """A connection whose times are UTC."""
    connection = duckdb.connect(str(path))
    connection.execute("set TimeZone = 'UTC'")
    return connection


def _roster(
    connection: duckdb.DuckDBPyConnection, generation: int, day: int, members: int, courses: str
) -> None:
    moment = f"timestamptz '{SINCE}' + interval {day} day"
    sync = f"'{generation}-' || c.context_key"
    people = PEOPLE.format(
        sync=sync,
        moment=moment,
        instructor=INSTRUCTOR,
        learner=LEARNER,
        load=LOAD.format(day=day),
        courses=f"(select *, {generation} as generation from {courses})",
        members=members,
    )
    connection.execute(f"insert into {SCHEMA}.membership_log by name {people}")
    connection.execute(f"""
        insert into {SCHEMA}.roster_syncs by name
        select {sync} as sync_id, context_key, registration, context_id, {moment} as started_at,
            {moment} as finished_at, 'complete' as outcome, memberships_url, {members} as member_count,
            {sync} as roster_sync_id, {LOAD.format(day=day)} as _dlt_load_id
        from {courses} as c
    """)


def _unchanged(connection: duckdb.DuckDBPyConnection, days: str, courses: str, roster: str) -> None:
    """On *days* the *courses* have the roster whose number is *roster*."""
    changed = ", ".join(map(str, CHANGED))
    connection.execute(f"""
        create or replace temp table readings as
        select 'u' || d.n || '-' || c.context_key as sync_id, c.context_key, c.registration, c.context_id,
            timestamptz '{SINCE}' + to_days(cast(d.n as integer)) as started_at, started_at as finished_at,
            case when c.context_id like '%7' and d.n > 350 then 'failed' else 'unchanged' end as outcome,
            c.memberships_url, {LOAD.format(day="d.n")} as _dlt_load_id,
            ({roster}) || '-' || c.context_key as roster_sync_id,
            case when outcome = 'failed' then 'unreachable' end as error_type
        from {courses} as c, {days} as d (n)
        where d.n not in ({changed})
        order by d.n
    """)
    columns = (
        "sync_id, context_key, registration, context_id, started_at, finished_at, outcome, memberships_url"
    )
    columns += ", _dlt_load_id, roster_sync_id, error_type"
    connection.execute(f"insert into {SCHEMA}.roster_syncs by name select {columns} from readings")


def _stand(connection: duckdb.DuckDBPyConnection, generation: int) -> None:
    """Merge the rosters of *generation* into the tables of what holds now."""
    log = f"(select * from {SCHEMA}.membership_log where sync_id like '{generation}-%')"
    for table in ("memberships", "membership_roles"):
        connection.execute(
            f"delete from {SCHEMA}.{table} where context_key in (select context_key from {log})"
        )
    connection.execute(f"""
        insert into {SCHEMA}.memberships by name
        select context_key, user_id, registration, context_id, status, primary_role,
            'Person ' || user_id as name, sync_id, observed_at as synced_at, _dlt_load_id
        from {log}
    """)
    connection.execute(f"""
        insert into {SCHEMA}.membership_roles by name
        select context_key, user_id, registration, context_id, sync_id, roles[3:-3] as role_uri,
            role_uri as raw_role, _dlt_load_id
        from {log}
    """)


def _commit(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(f"""
        insert into {SCHEMA}._dlt_loads by name
        select distinct _dlt_load_id as load_id, 0 as status, timestamptz '{SINCE}' as inserted_at
        from {SCHEMA}.roster_syncs
        where _dlt_load_id not in (select load_id from {SCHEMA}._dlt_loads)
    """)


def copy(path: Path, url: str) -> None:
    """Bring the raw tables of the DuckDB file to PostgreSQL at *url*, as dlt would have made them."""
    with connected(path) as duck, psycopg2.connect(url) as post:
        cursor = post.cursor()
        cursor.execute(f"create schema if not exists {SCHEMA}")
        for table in TABLES:
            columns = duck.execute(
                "select column_name, data_type from information_schema.columns"
                f" where table_schema = '{SCHEMA}' and table_name = '{table}' order by ordinal_position"
            ).fetchall()
            told = ", ".join(f'"{name}" {kind}' for name, kind in columns)
            cursor.execute(f"create table {SCHEMA}.{table} ({told})")
            _bring(duck, cursor, table, "true")
    post.close()


def load(path: Path, url: str, *, night: int = 0) -> None:
    """Bring what `change` did in one *night*, as a load does: a changed course's rows are replaced, others added."""
    added = f"= {LOAD.format(day=DAYS + night)}"
    with connected(path) as duck, psycopg2.connect(url) as post:
        cursor = post.cursor()
        changed = duck.execute(
            f"select distinct context_key from {SCHEMA}.memberships where _dlt_load_id {added}"
        ).fetchall()
        for table in ("memberships", "membership_roles"):
            cursor.execute(
                f"delete from {SCHEMA}.{table} where context_key = any(%s)", ([key for (key,) in changed],)
            )
        for table in ("memberships", "membership_roles", "membership_log", "roster_syncs"):
            _bring(duck, cursor, table, f"_dlt_load_id {added}")
        _bring(duck, cursor, "_dlt_loads", f"load_id {added}")
    post.close()


def _bring(duck: duckdb.DuckDBPyConnection, cursor: Any, table: str, condition: str) -> None:
    """Append the rows of one raw table that *condition* tells."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.csv"
        duck.execute(
            f"copy (select * from {SCHEMA}.{table} where {condition}) to '{rows}' (format csv, header false)"
        )
        with rows.open("rb") as file:
            cursor.copy_expert(f"copy {SCHEMA}.{table} from stdin (format csv)", file)


def differences(path: Path, url: str, mart: str) -> tuple[int, int]:
    """How many rows *mart* has in DuckDB at *path*, and how many of either side the other has not."""
    with connected(path) as duck, tempfile.TemporaryDirectory() as folder:
        types = duck.execute(
            "select column_name, data_type from information_schema.columns"
            f" where table_schema = 'lti' and table_name = '{mart}' order by ordinal_position"
        ).fetchall()
        names = ", ".join(name for name, _ in types)
        file = Path(folder) / "rows.csv"
        _export(url, f"select {names} from lti.{mart}", file)
        shape = ", ".join(f"'{name}': '{kind}'" for name, kind in types)
        theirs = f"select * from read_csv('{file}', header = false, columns = {{{shape}}})"
        ours = f"select {names} from lti.{mart}"
        # Equal rows have equal sums of hashes, in whatever order; which rows differ takes minutes to find out.
        summed = f"select count(*), sum(hash({names})) from ({{rows}})"
        sums = [duck.execute(summed.format(rows=rows)).fetchall()[0] for rows in (ours, theirs)]
        if sums[0] == sums[1]:
            return sums[0][0], 0
        counted = "select count(*) from (({one}) except all ({other}))"
        apart = sum(
            duck.execute(counted.format(one=one, other=other)).fetchall()[0][0]
            for one, other in ((ours, theirs), (theirs, ours))
        )
        return sums[0][0], apart


def _export(url: str, query: str, file: Path) -> None:
    connection = psycopg2.connect(url, options="-c timezone=UTC")
    try:
        with connection.cursor() as cursor, io.FileIO(file, "w") as out:
            cursor.copy_expert(f"copy ({query}) to stdout (format csv)", out)
    finally:
        connection.close()
