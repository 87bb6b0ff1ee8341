"""The models and their runner, on raw tables made by hand in a DuckDB file."""

import contextlib
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from dictionary import RAW
from lti_rosters.errors import ConfigurationError, DestinationError
from lti_rosters.runs import models
from lti_rosters.runs.models import Built, Warehouse, build
from models.raw_tables import (
    BROKEN_OFF,
    COMMITTED,
    CONTEXT_ROLE,
    INSTRUCTOR,
    LEARNER,
    MENTOR,
    NON_CREDIT_LEARNER,
    TEACHING_ASSISTANT,
    TEST_USER,
    RawTables,
    context_key,
    hand_made,
    moment,
    url,
)

AS_OF = moment("11-21")
TABLES = ("sync_freshness",)
VIEWS = (
    "active_learners",
    "active_learners_daily",
    "course_staffing",
    "courses",
    "current_memberships",
    "membership_history",
    "roster_changes",
)
MARTS = TABLES + VIEWS
COUNTS = (
    "active_learners",
    "active_learners_also_staff",
    "inactive_learners",
    "active_staff",
    "teaching_assistants",
    "mentors",
    "members",
    "unknown_roles",
)
Row = tuple[Any, ...]
Query = Callable[[str], list[Row]]


def rows(path: Path, query: str) -> list[Row]:
    """Return what *query* gives in a session whose times are UTC."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        return connection.execute(query).fetchall()


def every_case() -> RawTables:
    """Return the hand-made courses of the definition, and a registration for each other rule."""
    raw = hand_made()
    readings(raw)
    identities(raw)
    filters(raw)
    oddities(raw)
    return raw


def readings(raw: RawTables) -> None:
    """Add courses of registration `r`, one for each history of attempts."""
    for context_id in (
        "unchanged",
        "unavailable",
        "too_large",
        "linked",
        "doubled",
        "uncommitted",
        "edge",
        "old",
    ):
        raw.context("r", context_id)
        raw.member("r", context_id, "ann", (LEARNER,))
    for context_id in ("unchanged", "unavailable", "too_large", "doubled"):
        raw.sync("r", context_id, "11-02", "complete")
    raw.sync("r", "unchanged", "11-20", "unchanged")
    raw.sync("r", "unavailable", "11-20 06:00", "unavailable", error_type="not_found")
    raw.sync("r", "too_large", "11-20", "too_large", error_type="too_large")
    raw.sync("r", "doubled", "11-20", "unchanged", error_type="duplicate_context")
    raw.sync("r", "linked", "11-19 12:00", "complete")
    raw.sync("r", "linked", "11-20", "failed", resource_link_id="link", error_type="refused")
    raw.sync("r", "uncommitted", "11-20", "complete", _dlt_load_id=BROKEN_OFF)
    raw.sync("r", "edge", "11-19 00:00", "complete")
    raw.sync("r", "old", "11-18 23:59", "complete")
    raw.context("r", "gone", delisted_at=moment("11-15"))
    raw.member("r", "gone", "ann", (LEARNER,))
    raw.sync("r", "gone", "11-14", "complete")


def identities(raw: RawTables) -> None:
    """Add courses of registration `i` whose key changed, or whose URL another course shares."""
    raw.context("i", "platform", memberships_url=url("i", "catalogue"))
    raw.member("i", "platform", "ann", (LEARNER,))
    raw.sync("i", "catalogue", "11-18", "failed", error_type="unreachable")
    raw.sync("i", "platform", "11-19 12:00", "complete", memberships_url=url("i", "catalogue"))
    raw.sync("i", "catalogue", "11-20", "failed", error_type="throttled")
    raw.context("i", "before", memberships_url=url("i", "shared"))
    raw.context("i", "after", memberships_url=url("i", "shared"))
    raw.sync("i", "before", "11-01", "complete", memberships_url=url("i", "shared"))
    raw.sync("i", "after", "11-20", "complete", memberships_url=url("i", "shared"))
    raw.context("j", "catalogue", memberships_url=url("i", "catalogue"))


def filters(raw: RawTables) -> None:
    """Add courses of registration `f`, each with everybody on it and read with another role filter."""
    for context_id, role in {
        "everybody": None,
        "learner": LEARNER,
        "non_credit": NON_CREDIT_LEARNER,
        "instructor": INSTRUCTOR,
        "assistant": TEACHING_ASSISTANT,
        "mentor": MENTOR,
        "strange": "urn:example:role#Stranger",
    }.items():
        raw.context("f", context_id)
        for user_id, held in {
            "ann": LEARNER,
            "eve": INSTRUCTOR,
            "kim": TEACHING_ASSISTANT,
            "gil": MENTOR,
        }.items():
            raw.member("f", context_id, user_id, (held,))
        raw.sync("f", context_id, "11-20", "complete", role_filter=role)
    raw.context("f", "unchanged")
    filtered = raw.sync("f", "unchanged", "11-19 12:00", "complete", role_filter=LEARNER)
    raw.sync("f", "unchanged", "11-20", "unchanged", roster_sync_id=filtered)
    raw.context("f", "lifted")
    raw.sync("f", "lifted", "11-19 12:00", "complete", role_filter=LEARNER)
    raw.sync("f", "lifted", "11-20", "complete")


def oddities(raw: RawTables) -> None:
    """Add course `odd` of registration `o` with odd statuses and roles."""
    raw.context("o", "odd")
    raw.sync("o", "odd", "11-20", "complete")
    raw.member("o", "odd", "suspended", (LEARNER,), status="Suspended")
    raw.member("o", "odd", "stateless", (LEARNER,), status=None)
    raw.member("o", "odd", "roleless", ())
    raw.member("o", "odd", "dangling", ("urn:example:never#Listed",))
    raw.member("o", "odd", "mislabelled", (CONTEXT_ROLE.replace("#", "/Learner#") + "Instructor",))
    raw.member(
        "o",
        "odd",
        "school_teacher",
        (CONTEXT_ROLE.replace("membership", "institution/person") + "Instructor",),
    )
    raw.member("o", "odd", "grader", (CONTEXT_ROLE.replace("#", "/Instructor#") + "Grader",))
    raw.member("o", "odd", "resting_assistant", (INSTRUCTOR, TEACHING_ASSISTANT), status="Inactive")
    raw.member("o", "odd", "resting_mentor", (MENTOR,), status="Inactive")
    raw.member("o", "odd", "preview", (INSTRUCTOR, MENTOR, TEACHING_ASSISTANT, TEST_USER))
    raw.member("o", "odd", "resting_preview", (LEARNER, TEST_USER), status="Inactive")
    for role in ("ContentDeveloper", "Administrator", "Manager", "Officer", "Member"):
        raw.member("o", "odd", role.lower(), (CONTEXT_ROLE + role,))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the cases' database, and the working directory of their build."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def built(home: Path) -> Built:
    """Build the models over every case."""
    path = every_case().write(home / "rosters.duckdb")

    return build(Warehouse(adapter="duckdb", path=path), work_dir=home, as_of=AS_OF)


@pytest.fixture(scope="module")
def query(home: Path, built: Built) -> Query:
    """Return a function that asks the built database."""
    assert built.models
    return lambda text: rows(home / "rosters.duckdb", text)


def counts(query: Query, registration: str, context_id: str) -> dict[str, int | None]:
    """Return the counts of one course."""
    key = context_key(registration, context_id)
    (row,) = query(f"select {', '.join(COUNTS)} from lti.active_learners where context_key = '{key}'")
    return dict(zip(COUNTS, row, strict=True))


def state(query: Query, registration: str, context_id: str) -> Row:
    """Return a course's state, last complete reading and last attempt."""
    key = context_key(registration, context_id)
    (row,) = query(
        f"select sync_state, last_complete_at, last_attempt_at from lti.courses where context_key = '{key}'"
    )
    return row


# --- what an active learner is


@pytest.mark.parametrize(
    ("course", "expected"),
    [
        (("a", "busy"), (4, 1, 1, 3, 1, 1, 10, 1, "fresh", "11-20 12:00")),
        (("a", "empty"), (0, 0, 0, 0, 0, 0, 0, 0, "fresh", "11-20 12:00")),
        (("a", "never"), (None, None, None, None, None, None, None, None, "never", None)),
        (("a", "stale"), (1, 0, 0, 0, 0, 0, 1, 0, "stale", "11-10 12:00")),
        (("a", "failing"), (1, 0, 0, 0, 0, 0, 1, 0, "failing", "11-10 12:00")),
        (("b", "busy"), (1, 0, 0, 0, 0, 0, 1, 0, "fresh", "11-20 12:00")),
    ],
)
def test_active_learners_gives_the_hand_made_answers(
    query: Query, course: tuple[str, str], expected: Row
) -> None:
    """Each hand-made course has the counts that were worked out by hand."""
    key = context_key(*course)

    found = query(f"select * from lti.active_learners where context_key = '{key}'")

    label = course[1].upper()
    at = moment(expected[-1]) if expected[-1] else None
    assert [(course[0], key, course[1], label, f"The {course[1]} course", *expected[:-1], at)] == found


def test_active_learners_has_the_columns_of_the_contract(query: Query) -> None:
    """The columns stand in the contract's order."""
    described = query("describe lti.active_learners")

    keys = ("registration", "context_key", "context_id", "label", "title")
    assert [*keys, *COUNTS, "sync_state", "last_complete_at"] == [row[0] for row in described]


def test_those_who_count_are_named(query: Query) -> None:
    """Ann, dan, hal and ned count in the busy course, and nobody else."""
    key = context_key("a", "busy")

    found = query(
        f"select user_id from lti.current_memberships "
        f"where context_key = '{key}' and counts_as_active_learner order by user_id"
    )

    assert found == [("ann",), ("dan",), ("hal",), ("ned",)]


@pytest.mark.parametrize(
    ("user_id", "flags"),
    [
        ("ann", {"is_learner", "counts_as_active_learner"}),
        ("bob", {"is_learner"}),
        ("dan", {"is_learner", "is_instructor", "is_staff", "counts_as_active_learner"}),
        ("eve", {"is_instructor", "is_staff"}),
        ("fay", {"is_learner", "is_test_user"}),
        ("gil", {"is_mentor"}),
        ("hal", {"is_learner", "counts_as_active_learner"}),
        ("ivy", set()),
        ("kim", {"is_instructor", "is_teaching_assistant", "is_staff"}),
        ("lee", {"has_unknown_role"}),
        ("ned", {"is_learner", "counts_as_active_learner"}),
    ],
)
def test_roles_fold_into_flags(query: Query, user_id: str, flags: set[str]) -> None:
    """Each hand-made member of the busy course has just these flags."""
    names = [row[0] for row in query("describe lti.current_memberships") if row[1] == "BOOLEAN"]
    key = context_key("a", "busy")

    (found,) = query(
        f"select {', '.join(names)} from lti.current_memberships "
        f"where context_key = '{key}' and user_id = '{user_id}'"
    )

    assert flags == {name for name, holds in zip(names, found, strict=True) if holds}
    assert None not in found


def test_a_deleted_membership_is_on_no_roster(query: Query) -> None:
    """Cat, whose status is Deleted, is not in current_memberships."""
    assert query("select * from lti.current_memberships where user_id = 'cat'") == []


def test_odd_statuses_and_roles_count_as_the_rules_say(query: Query) -> None:
    """Unknown and missing statuses are not active; inactive staff are members only, test users nothing."""
    assert counts(query, "o", "odd") == {
        "active_learners": 1,  # mislabelled: Learner#Instructor is a learner
        "active_learners_also_staff": 0,
        "inactive_learners": 0,  # the preview student rests, too
        "active_staff": 5,  # grader and the four officers of other kinds
        "teaching_assistants": 0,
        "mentors": 0,
        "members": 14,
        "unknown_roles": 1,  # a role without a row in roles is unknown
    }


# --- how well a roster is known


@pytest.mark.parametrize(
    ("course", "expected"),
    [
        (("a", "never"), ("never", None, "11-20 12:00")),
        (("a", "failing"), ("failing", "11-10 12:00", "11-20 12:00")),
        (("r", "unchanged"), ("fresh", "11-20", "11-20")),
        (("r", "unavailable"), ("failing", "11-02", "11-20 06:00")),
        (("r", "too_large"), ("failing", "11-02", "11-20")),
        (("r", "linked"), ("fresh", "11-19 12:00", "11-19 12:00")),
        (("r", "doubled"), ("stale", "11-02", "11-02")),
        (("r", "uncommitted"), ("never", None, None)),
        (("r", "edge"), ("fresh", "11-19", "11-19")),
        (("r", "old"), ("stale", "11-18 23:59", "11-18 23:59")),
        (("r", "gone"), ("stale", "11-14", "11-14")),
        (("i", "platform"), ("failing", "11-19 12:00", "11-20")),
        (("i", "before"), ("stale", "11-01", "11-01")),
        (("i", "after"), ("fresh", "11-20", "11-20")),
        (("j", "catalogue"), ("never", None, None)),
    ],
)
def test_a_course_has_the_state_of_its_own_committed_attempts(
    query: Query, course: tuple[str, str], expected: tuple[str, str | None, str | None]
) -> None:
    """Links, doubled entries, others at the URL and uncommitted loads say nothing; an earlier id does."""
    times = [moment(at) if at else None for at in expected[1:]]

    assert (expected[0], *times) == state(query, *course)


def test_an_uncommitted_reading_gives_no_counts(query: Query) -> None:
    """A course whose only reading is in a load that broke off was never read."""
    assert {None} == set(counts(query, "r", "uncommitted").values())


def test_a_delisted_course_leaves_active_learners_alone(query: Query) -> None:
    """A delisted course is still in courses and current_memberships, and no more in active_learners."""
    key = context_key("r", "gone")

    found = [
        len(query(f"select * from lti.{model} where context_key = '{key}'"))
        for model in ("courses", "current_memberships", "active_learners", "course_staffing")
    ]

    assert found == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("context_id", "seen"),
    [
        ("everybody", dict(zip(COUNTS, (1, 0, 0, 2, 1, 1, 4, 0), strict=True))),
        ("learner", {"active_learners": 1, "active_learners_also_staff": 0, "inactive_learners": 0}),
        ("non_credit", {}),
        ("instructor", {"teaching_assistants": 1}),
        ("assistant", {"teaching_assistants": 1}),
        ("mentor", {"mentors": 1}),
        ("strange", {}),
        ("unchanged", {"active_learners": 0, "active_learners_also_staff": 0, "inactive_learners": 0}),
        ("lifted", dict.fromkeys(COUNTS, 0)),
    ],
)
def test_a_count_that_the_role_filter_cannot_see_is_null(
    query: Query, context_id: str, seen: dict[str, int]
) -> None:
    """Only what the filter of the roster in force shows whole is counted."""
    assert dict.fromkeys(COUNTS) | seen == counts(query, "f", context_id)


def test_staffing_is_a_ratio_or_null(query: Query) -> None:
    """Four learners and three staff are 1.33; without staff, or unread, the ratio is NULL."""
    found = query(
        "select context_id, round(learners_per_staff, 2) from lti.course_staffing "
        "where registration = 'a' order by context_id"
    )

    assert found == [("busy", 1.33), ("empty", None), ("failing", None), ("never", None), ("stale", None)]


def test_freshness_counts_the_courses_of_each_registration(query: Query) -> None:
    """Courses are counted by state, delisted ones left out, with the failure that still stands."""
    found = query("select * from lti.sync_freshness where registration in ('a', 'b', 'i', 'r') order by 1")

    assert found == [
        ("a", 5, 2, 1, 1, 1, moment("11-10 12:00"), "unreachable"),
        ("b", 1, 1, 0, 0, 0, moment("11-20 12:00"), None),
        ("i", 3, 1, 1, 1, 0, moment("11-01"), "throttled"),
        ("r", 8, 3, 2, 2, 1, moment("11-02"), "not_found"),
    ]


# --- the project


def test_every_column_of_every_mart_is_described_in_the_warehouse(query: Query) -> None:
    """The descriptions of models and columns stand as comments in the database."""
    bare = query(
        "select table_name, column_name from duckdb_columns() where schema_name = 'lti' "
        f"and table_name in {MARTS} and comment is null"
    )

    assert bare == []
    for kind, marts in (("tables", TABLES), ("views", VIEWS)):
        described = query(
            f"select {kind[:-1]}_name from duckdb_{kind}() "
            "where schema_name = 'lti' and comment <> '' order by all"
        )
        assert [name for (name,) in described] == sorted(marts)


def test_every_raw_column_is_described_in_the_warehouse(query: Query) -> None:
    """What the loader says of tables and columns stands as comments on them, which dlt does not write."""
    found = query(
        "select table_name, column_name, comment from duckdb_columns() where schema_name = 'lti_raw'"
    )
    tables = query("select table_name, comment from duckdb_tables() where schema_name = 'lti_raw'")

    said = {(table, column): comment for table, column, comment in found if not table.startswith("_dlt")}
    described = {(table.name, column.name): column.description for table in RAW for column in table.columns}
    assert said == {name: described[name] for name in said}
    assert dict(tables) == {table.name: table.description for table in RAW if table.name in dict(tables)} | {
        "_dlt_loads": "The loads that dlt committed."
    }


def test_every_model_describes_the_columns_that_it_has(query: Query) -> None:
    """The properties of each model name its columns, all of them, in any order."""
    documents = [yaml.safe_load(path.read_text()) for path in models.PROJECT.glob("models/**/*.yml")]
    described = {
        (model["name"], column["name"])
        for document in documents
        for model in document.get("models", ())
        for column in model["columns"]
        if column["description"]
    }

    found = query("select table_name, column_name from information_schema.columns where table_schema = 'lti'")

    assert described == set(found)


def test_the_models_land_in_the_schema_that_was_asked_for(query: Query) -> None:
    """The schema is exactly `lti`, and holds the marts."""
    found = query("select distinct schema_name from duckdb_views() where view_name = 'active_learners'")

    assert found == [("lti",)]


def test_two_builds_give_the_same(home: Path, query: Query) -> None:
    """A second build at the same moment changes no row and leaves no table behind."""
    everything = [f"select * from lti.{mart} order by all" for mart in MARTS]
    names = "select table_name from information_schema.tables where table_schema = 'lti' order by 1"
    before = [query(text) for text in (*everything, names)]

    build(Warehouse(adapter="duckdb", path=home / "rosters.duckdb"), work_dir=home, as_of=AS_OF)

    assert before == [query(text) for text in (*everything, names)]


def test_no_table_stands_between_the_raw_tables_and_the_rosters(query: Query) -> None:
    """All that int_lti__memberships is made of are views, so that one statement sees all at one moment.

    The one table, of marks, says which courses it is made of, and nothing of what is in them.
    """
    kept = {name for (name,) in query("select table_name from duckdb_tables() where schema_name = 'lti'")}
    refs = re.compile(r"(?<!depends_on: \{\{ )ref\('(\w+)'\)")
    texts = {path.stem: path.read_text() for path in models.PROJECT.glob("models/**/*.sql")}
    parents, below = {"int_lti__memberships"}, set[str]()
    while parents:
        below |= parents
        parents = {parent for name in parents for parent in refs.findall(texts[name])} - below

    assert {"stg_lti__memberships", "stg_lti__membership_roles", "stg_lti__membership_log"} < below
    assert below & kept == {"int_lti__memberships", "int_lti__roster_marks"}
    # And it is made of no roster older than the attempts: those are taken first.
    assert "-- depends_on: {{ ref('int_lti__telling_syncs') }}" in texts["int_lti__roster_marks"]


def dbt(
    home: Path,
    path: Path,
    *command: str,
    project: Path = models.PROJECT,
    attach: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Run dbt with an analyst's words, on a database of our making, and return what it says."""
    from dbt.cli.main import dbtRunner

    folder = home / "dbt"
    warehouse = Warehouse(adapter="duckdb", path=path)
    models.write_profile(folder, models.target(warehouse, "analytics", home) | {"attach": list(attach)})
    places = ["--project-dir", project, "--profiles-dir", folder]
    if command[0] != "deps":
        places += ["--target-path", folder / "target"]
    quiet = ["--no-version-check", "--no-send-anonymous-usage-stats", "--log-path", folder / "logs"]

    said = io.StringIO()
    with models.apart(warehouse), contextlib.redirect_stdout(said):
        answer = dbtRunner().invoke([*command, *map(str, [*places, *quiet])])
        models.release(warehouse)

    assert answer.success, (answer.exception, said.getvalue())
    return said.getvalue()


@pytest.mark.slow
def test_the_unit_tests_of_the_project_hold(tmp_path: Path) -> None:
    """dbt's own unit tests pass, each over rows given in its file; the documentation builds after them."""
    path = hand_made().write(tmp_path / "rosters.duckdb")

    said = dbt(tmp_path, path, "build")

    passed = re.search(r"(\d+) unit tests", said)
    assert passed
    assert int(passed[1]) >= 25
    # A project that uses ours as a package does not own the raw tables: they are as they were.
    assert (
        rows(
            path, "select comment from duckdb_tables() where comment is not null and schema_name = 'lti_raw'"
        )
        == []
    )

    dbt(tmp_path, path, "docs", "generate")

    catalog = json.loads((tmp_path / "dbt" / "target" / "catalog.json").read_text())
    assert {f"model.lti_rosters.{mart}" for mart in MARTS} <= set(catalog["nodes"])
    assert "source.lti_rosters.lti_raw.memberships" in catalog["sources"]
    assert (tmp_path / "dbt" / "target" / "index.html").exists()


@pytest.mark.slow
def test_the_raw_tables_have_a_freshness(tmp_path: Path) -> None:
    """`dbt source freshness` warns where the last attempt is older than a night and a half."""
    path = hand_made().write(tmp_path / "rosters.duckdb")
    with duckdb.connect(str(path)) as connection:
        connection.execute("update lti_raw.roster_syncs set finished_at = now() - interval 37 hour")

    said = dbt(tmp_path, path, "source", "freshness")

    assert re.search(r"WARN freshness of lti_raw.roster_syncs", said), said


@pytest.mark.slow
def test_an_analysts_project_uses_ours_as_a_package(tmp_path: Path) -> None:
    """With the README's lines: raw tables of another database and schema, models in a schema of the analyst's."""
    raw = hand_made().write(tmp_path / "loaded.duckdb", schema="rosters_raw")
    path = tmp_path / "warehouse.duckdb"
    readme = (models.PROJECT.parents[2] / "README.md").read_text()
    packages, settings = re.findall(
        r"```yaml\n(.*?)```", readme.split("## From your own dbt project")[1], re.DOTALL
    )[:2]
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    given = packages.replace("/path/to/lti_rosters/dbt", str(models.PROJECT))
    (project / "packages.yml").write_text(given)
    (project / "models" / "totals.sql").write_text(
        "select registration, sum(active_learners) as total"
        " from {{ ref('lti_rosters', 'active_learners') }} group by registration"
    )
    (project / "dbt_project.yml").write_text(
        f"name: mine\nversion: 1.0.0\nconfig-version: 2\nprofile: lti_rosters\n{settings}"
    )
    attached = [{"path": str(raw), "alias": "loaded", "read_only": True}]
    dbt(tmp_path, path, "deps", project=project)

    said = dbt(
        tmp_path, path, "build", "--exclude-resource-type", "unit_test", project=project, attach=attached
    )

    assert "DeprecationsSummary" not in said
    assert rows(path, "select * from analytics.totals order by all") == [("a", 6), ("b", 1)]
    named = "table_name in ('courses', 'totals')"
    schemas = f"select distinct table_schema from information_schema.tables where {named} order by 1"
    assert rows(path, schemas) == [("analytics",), ("analytics_rosters",)]
    bare = rows(raw, "select table_name from duckdb_tables() where comment is not null")
    assert bare == []  # the raw tables belong to another project: no comment was written, nor could be

    # The SQL is tried on no rows, as where an analyst's change is checked; the next build makes them anew.
    dbt(
        *(tmp_path, path, "run", "--empty", "--select", "int_lti__memberships"),
        project=project,
        attach=attached,
    )
    assert rows(path, "select count(*) from analytics_rosters.int_lti__memberships") == [(0,)]

    # Kept tables are not dbt's, which would add every row at every build.
    with (project / "dbt_project.yml").open("a") as file:
        file.write("    intermediate:\n      history:\n        +materialized: incremental\n")
    with pytest.raises(AssertionError):
        dbt(tmp_path, path, "run", "--select", "int_lti__history_rosters", project=project, attach=attached)
    assert "cannot be materialized as incremental" in (tmp_path / "dbt" / "logs" / "dbt.log").read_text()


def appended() -> RawTables:
    """Return tables of a lake: two rosters of course `moved`, an emptied one, doubles, a load that broke off."""
    raw = RawTables()
    lake: dict[str, Any] = {"standing": ()}
    for context_id in ("moved", "emptied"):
        raw.context("l", context_id, title="Before", _dlt_load_id="1600000000.5")
        raw.context("l", context_id, title="After", _dlt_load_id=COMMITTED)
        raw.context("l", context_id, title="Broken off", _dlt_load_id=BROKEN_OFF)
    raw.rows["_dlt_loads"].append({"load_id": "1600000000.5", "status": 0, "inserted_at": moment("11-01")})
    people = {"ann": (LEARNER,), "bob": (LEARNER,)}
    after = {"ann": (LEARNER, INSTRUCTOR), "eve": (LEARNER,)}
    for context_id, at, held, load in (
        ("moved", "11-18", people, "1600000000.5"),
        ("moved", "11-20", after, COMMITTED),
        ("moved", "11-20 20:00", {"zoe": (LEARNER,)}, BROKEN_OFF),
        ("emptied", "11-18", people, "1600000000.5"),
        ("emptied", "11-20", {}, COMMITTED),
    ):
        begun = {name: len(table) for name, table in raw.rows.items()}
        sync_id = raw.roster("l", context_id, at, held, **lake)
        for user_id, roles in held.items():
            raw.member("l", context_id, user_id, roles, sync_id=sync_id)
        for name, table in raw.rows.items():
            for row in table[begun[name] :]:
                row["_dlt_load_id"] = load
    # The last attempt failed and names the roster in force.
    in_force = next(
        row["sync_id"] for row in raw.rows["roster_syncs"] if row["finished_at"] == moment("11-20")
    )
    raw.sync("l", "moved", "11-20 22:00", "failed", roster_sync_id=in_force, error_type="throttled")
    for name, table in raw.rows.items():
        if name != "_dlt_loads":
            for row in table:
                row.setdefault("_dlt_load_id", COMMITTED)
            table.extend([dict(row) for row in table])  # a package that was loaded twice
    return raw


@pytest.mark.slow
def test_tables_that_were_appended_to_give_what_a_merge_would(tmp_path: Path) -> None:
    """Doubles, earlier rosters and loads that broke off are passed over; an emptied course is empty."""
    path = appended().write(tmp_path / "rosters.duckdb")
    settings = json.dumps({"raw_tables_are_appended": True, "as_of": AS_OF.isoformat()})

    dbt(tmp_path, path, "build", "--exclude-resource-type", "unit_test", "--vars", settings)

    found = rows(
        path,
        "select context_id, title, active_learners, active_staff, members, sync_state"
        " from analytics.active_learners order by all",
    )
    assert found == [("emptied", "After", 0, 0, 0, "fresh"), ("moved", "After", 2, 1, 2, "failing")]
    changes = rows(
        path,
        "select user_id, change from analytics.roster_changes"
        " where context_id = 'moved' and not is_first_reading order by all",
    )
    assert changes == [("ann", "role_changed"), ("bob", "left"), ("eve", "joined")]


def test_no_dialect_of_one_engine_is_in_the_models() -> None:
    """No cast by colons, no filter clause, no function that only one engine knows."""
    forbidden = re.compile(
        r"::|\bfilter \(|\bqualify\b|\bilike\b|\bdistinct on\b|\bnow\(|current_timestamp|group by \d"
    )

    found = [path.name for path in models.PROJECT.rglob("*.sql") if forbidden.search(path.read_text())]

    assert found == []


# --- the runner


def snapshot(folder: Path) -> dict[Path, float]:
    """Return every file under *folder* with the time of its last change."""
    return {path: path.stat().st_mtime for path in folder.rglob("*")}


@pytest.fixture
def place(home: Path) -> Path:
    """Return where a test may write its database; always the same, so that dbt parses once."""
    folder = home / "place"
    folder.mkdir(exist_ok=True)
    (folder / "rosters.duckdb").unlink(missing_ok=True)
    return folder


def small(folder: Path, **fields: Any) -> Path:
    """Write a database with one course read on 11-20 and one learner in it."""
    raw = RawTables()
    raw.context("a", "only")
    raw.member("a", "only", "ann", (LEARNER,), **fields)
    raw.sync("a", "only", "11-20", "complete")
    return raw.write(folder / "rosters.duckdb")


def test_the_build_keeps_to_itself(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It prints nothing, leaves directory and environment alone, and writes to its working directory only."""
    path = small(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("DBT_EMPTY", "true")  # a setting for another project: would build every model empty
    package, environment = snapshot(models.PROJECT), dict(os.environ)

    build(Warehouse(adapter="duckdb", path=path), work_dir=tmp_path / "work", as_of=AS_OF)

    assert capfd.readouterr() == ("", "")
    assert package == snapshot(models.PROJECT)
    assert environment == dict(os.environ)
    assert tmp_path / "elsewhere" == Path.cwd()
    assert list(Path.cwd().iterdir()) == []
    assert rows(path, "select active_learners from lti.active_learners") == [(1,)]


def test_the_profile_is_its_owners_alone(tmp_path: Path) -> None:
    """profiles.yml has mode 0600, also where a wider one stood before, and holds no password."""
    (tmp_path / "profiles.yml").write_text("")
    warehouse = Warehouse(adapter="postgres", host="db", user="u", password="hunter2", database="d")

    models.write_profile(tmp_path, models.target(warehouse, "lti", tmp_path))

    profile = tmp_path / "profiles.yml"
    assert stat.S_IMODE(profile.stat().st_mode) == 0o600
    assert "hunter2" not in profile.read_text() + repr(warehouse)


def test_hours_may_differ_by_registration(place: Path) -> None:
    """stale_after_hours takes a mapping of registrations with a default."""
    raw = RawTables()
    for registration in ("slow", "quick", "other"):
        raw.context(registration, "only")
        raw.sync(registration, "only", "11-20 12:00", "complete")
    path = raw.write(place / "rosters.duckdb")

    build(
        Warehouse(adapter="duckdb", path=path),
        work_dir=place,
        as_of=datetime(2026, 11, 21),  # a moment without zone is UTC
        stale_after_hours={"slow": 720, "quick": 11.5, "default": 13},
    )

    found = rows(path, "select registration, sync_state from lti.courses order by 1")
    assert found == [("other", "fresh"), ("quick", "stale"), ("slow", "fresh")]


def test_only_what_is_selected_is_built(place: Path) -> None:
    """*select* takes dbt's syntax; freshness is judged at the build's start when no moment is given."""
    path = small(place)

    built = build(Warehouse(adapter="duckdb", path=path), work_dir=place, select=["+courses"])

    assert "courses" in {model.name for model in built.models}
    assert "active_learners" not in {model.name for model in built.models}
    assert {"pass"} == {test.status for test in built.tests}


def test_a_warehouse_where_every_first_reading_failed_can_be_built(place: Path) -> None:
    """dlt creates a table with its first row: without memberships every course shows `never`."""
    raw = RawTables()
    raw.context("a", "only")
    raw.sync("a", "only", "11-20", "failed", error_type="refused")
    tables = ("memberships", "membership_roles", "membership_log", "roles", "registrations")
    path = raw.write(place / "rosters.duckdb", without=tables)

    build(Warehouse(adapter="duckdb", path=path), work_dir=place, as_of=AS_OF)

    found = rows(path, "select sync_state, active_learners, members from lti.active_learners")
    assert found == [("never", None, None)]


MEMBERS = ("memberships", "membership_roles", "membership_log", "roles")


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (MEMBERS, "memberships"),
        (("membership_roles", "membership_log", "roles"), "membership_roles"),
        (("roles",), "roles"),
    ],
)
def test_a_missing_table_is_no_empty_course(place: Path, missing: Sequence[str], named: str) -> None:
    """Twelve people were read, and no table has them, or their roles: the build fails and names the table."""
    raw = RawTables()
    raw.context("a", "only")
    raw.roster("a", "only", "11-20", {f"u{number}": (LEARNER,) for number in range(12)})
    path = raw.write(place / "rosters.duckdb", without=missing)

    with pytest.raises(DestinationError) as caught:
        build(Warehouse(adapter="duckdb", path=path), work_dir=place, as_of=AS_OF)

    assert str(caught.value).startswith(f"A raw table is missing: there is no lti_raw.{named}, though ")
    assert caught.value.remedy == "Load every table, without selecting resources: lti-rosters run --full"
    assert "\n" not in str(caught.value)
    assert rows(path, "select * from duckdb_tables() where table_name = 'active_learners'") == []


@pytest.mark.parametrize(
    ("missing", "status", "counted"),
    [
        (("membership_roles",), "Active", (12, 12)),
        (("memberships",), "Active", (12, 12)),
        (("roles",), "Deleted", (0, 0)),
        (MEMBERS, None, (None, None)),
    ],
)
def test_what_nobody_misses_may_be_missing(
    place: Path, missing: Sequence[str], status: str | None, counted: Row
) -> None:
    """What the log has is taken from there; and nothing is missed of empty rosters, or by who is on none."""
    raw = RawTables()
    raw.context("a", "only")
    raw.context("a", "emptied")
    raw.roster("a", "emptied", "11-10", {"ann": (LEARNER,)})
    raw.roster("a", "emptied", "11-20", {})
    if status == "Active":
        raw.roster("a", "only", "11-20", {f"u{number}": (LEARNER,) for number in range(12)})
    if status == "Deleted":
        raw.sync("a", "only", "11-20", "complete", sync_id="s", member_count=0)
        raw.member("a", "only", "ann", (LEARNER,), status=status)
    path = raw.write(place / "rosters.duckdb", without=missing)

    build(Warehouse(adapter="duckdb", path=path), work_dir=place, as_of=AS_OF)

    found = rows(path, "select context_id, active_learners, members from lti.active_learners order by 1")
    assert found == [("emptied", 0, 0), ("only", *counted)]


def test_nothing_loaded_is_said_with_the_way_on(tmp_path: Path) -> None:
    """A database without raw tables, and no database at all, give the same short error."""
    empty = tmp_path / "empty.duckdb"
    duckdb.connect(str(empty)).close()

    for path in (empty, tmp_path / "missing.duckdb"):
        with pytest.raises(DestinationError) as caught:
            build(Warehouse(adapter="duckdb", path=path), work_dir=tmp_path)

        assert str(caught.value) == "No roster has been loaded yet. Run: lti-rosters run"
    assert not (tmp_path / "missing.duckdb").exists()


def test_a_failing_model_is_named(place: Path) -> None:
    """The error names the model, says what the warehouse said, and where to read on."""
    path = small(place)
    with duckdb.connect(str(path)) as connection:
        connection.execute("alter table lti_raw.memberships alter status type struct(a int) using null")

    with pytest.raises(DestinationError, match=r"The model stg_lti__memberships failed: .*lower") as caught:
        build(Warehouse(adapter="duckdb", path=path), work_dir=place, as_of=AS_OF)

    assert str(place / "dbt" / "logs" / "dbt.log") in caught.value.remedy
    assert "lti-rosters models" in caught.value.remedy


def test_the_log_tells_what_went_wrong_without_secrets(place: Path) -> None:
    """What dbt says of a build, but for its small talk, is at the log's end, and no password is."""
    path = small(place)
    with duckdb.connect(str(path)) as connection:
        connection.execute("alter table lti_raw.memberships alter status type struct(a int) using null")

    path_of_log = place / "dbt" / "logs" / "dbt.log"
    before = path_of_log.read_text() if path_of_log.exists() else ""  # of other tests' builds
    for _ in range(2):
        with pytest.raises(DestinationError, match="stg_lti__memberships failed"):
            build(
                Warehouse(adapter="duckdb", path=path, password="stg_lti__contexts"),
                work_dir=place,
                as_of=AS_OF,
            )

    log = path_of_log.read_text().removeprefix(before)
    assert log.count("Running with dbt") == 2
    assert re.search(r"ERROR\b.*No function matches .*lower", log, re.DOTALL)
    assert "model lti.*****" in log
    assert "stg_lti__contexts" not in log
    assert "DEBUG" not in log
    assert "debug" not in log


@pytest.mark.parametrize(("mart", "column"), [("courses", "label"), ("current_memberships", "email")])
@pytest.mark.parametrize("change", ["type", "missing"])
def test_a_mart_keeps_its_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mart: str, column: str, change: str
) -> None:
    """A table or view of other columns than are documented, or of other types, is not built."""
    project = tmp_path / "project"
    shutil.copytree(models.PROJECT, project)
    (described,) = project.glob(f"models/**/{mart}.yml")
    text = described.read_text()
    start = text.index(f"- name: {column}\n")
    end = text.index("data_type: text", start)
    other = (
        f"{text[start:end]}data_type: bigint" if change == "type" else text[start:end].replace(column, "x", 1)
    )
    described.write_text(text[:start] + other + text[end + len("data_type: text") * (change == "type") :])
    monkeypatch.setattr(models, "PROJECT", project)

    with pytest.raises(DestinationError, match=f"The model {mart} failed: .*contract"):
        build(Warehouse(adapter="duckdb", path=small(tmp_path)), work_dir=tmp_path, as_of=AS_OF)


def test_a_failing_test_is_named_without_a_members_data(place: Path) -> None:
    """A membership that stands twice fails the grain of current_memberships; the person is not named."""
    path = small(place)
    with duckdb.connect(str(path)) as connection:
        connection.execute("insert into lti_raw.memberships from lti_raw.memberships")

    with pytest.raises(DestinationError, match="The test current_memberships_grain failed") as caught:
        build(Warehouse(adapter="duckdb", path=path), work_dir=place, as_of=AS_OF)

    assert "ann" not in str(caught.value).lower().replace("cannot", "")


def test_a_membership_without_a_course_is_a_warning(place: Path) -> None:
    """A membership whose context is not in yet does not fail the build."""
    raw = RawTables()
    raw.context("a", "only")
    raw.member("a", "missing", "ann", (LEARNER,))
    path = raw.write(place / "rosters.duckdb")

    built = build(Warehouse(adapter="duckdb", path=path), work_dir=place, as_of=AS_OF)

    assert built.warnings == ("current_memberships_have_a_course: Got 1 result, configured to warn if != 0",)


def found_by(test: str, work_dir: Path, path: Path) -> list[Row]:
    """Return what the test of quality found in the last build: keys and names alone, no people."""
    (compiled,) = work_dir.glob(f"dbt/target/compiled/**/{test}.sql")
    return rows(path, f"select * from ({compiled.read_text()}) as found order by all")


def failing_courses(raw: RawTables) -> set[str]:
    """Add courses of registration `f` whose readings fail, and return those for which three days have passed."""
    raw.context("f", "weekly")  # read eight days ago, and failed once since
    raw.roster("f", "weekly", "11-12 22:00", {"ann": (LEARNER,)})
    raw.sync("f", "weekly", "11-20 23:40", "failed", error_type="unreachable")
    raw.context("f", "never")  # a wrong setup: failed from the start, every night
    raw.context("f", "tried_once")
    raw.sync("f", "tried_once", "11-20 12:00", "failed", error_type="refused")
    raw.context("f", "untried")
    raw.context("f", "nightly")  # failing since after its last reading, not since the failures before it
    raw.sync("f", "nightly", "11-10 00:00", "failed", error_type="timeout")
    raw.roster("f", "nightly", "11-17 20:00", {"ann": (LEARNER,)})
    raw.context("f", "mended")
    raw.context("f", "without")  # the platform never offered a roster
    raw.context("f", "renamed", memberships_url=url("f", "catalogue"))  # failed under the catalogue's id
    raw.context("f", "gone", delisted_at=moment("11-18"))
    raw.roster("f", "gone", "11-01", {"ann": (LEARNER,)})
    raw.context("f", "edge")  # three days to the second are not yet longer
    raw.roster("f", "edge", "11-17", {"ann": (LEARNER,)})
    raw.sync("f", "edge", "11-18 00:00", "failed", error_type="timeout")
    for day in range(11, 21):
        for context_id in ("never", "mended", "catalogue", "gone"):
            raw.sync("f", context_id, f"11-{day} 01:00", "failed", error_type="refused")
        raw.sync("f", "without", f"11-{day} 01:00", "unavailable", error_type="not_found")
    for day in (17, 18, 19, 20):
        raw.sync("f", "nightly", f"11-{day} 23:00", "unavailable", error_type="not_found")
    raw.roster("f", "mended", "11-20 20:00", {"ann": (LEARNER,)})
    return {"never", "nightly", "renamed"}


def shrinking_courses(raw: RawTables) -> set[str]:
    """Add courses of registration `s`, each with its rosters, and return those that lost more than half."""
    crowd = {f"u{number}": (LEARNER,) for number in range(12)}
    rosters: dict[str, list[tuple[str, int]]] = {
        "shrunk": [("11-10", 12), ("11-20", 5)],
        "half": [("11-10", 12), ("11-20", 6)],
        "long_ago": [("11-10", 12), ("11-18", 5)],
        "few": [("11-10", 9), ("11-20", 0)],
        "recovered": [("11-10", 12), ("11-19 12:00", 1), ("11-20", 12)],
        "over_two_nights": [("11-10", 12), ("11-19 12:00", 7), ("11-20 12:00", 3)],
        "new": [("11-19 12:00", 12), ("11-20", 3)],
        "gone": [("11-10", 12), ("11-20", 0)],
    }
    for context_id, readings in rosters.items():
        raw.context("s", context_id, delisted_at=moment("11-20") if context_id == "gone" else None)
        for at, left in readings:
            raw.roster("s", context_id, at, dict(list(crowd.items())[:left]))
    raw.context("s", "filtered")
    raw.roster("s", "filtered", "11-10", crowd)
    raw.roster("s", "filtered", "11-20", {}, role_filter=MENTOR)
    return {"shrunk", "over_two_nights"}


def test_what_is_odd_in_the_rosters_is_a_warning_each(place: Path) -> None:
    """Courses failing for days, rosters shrunk by half, a role that nobody knows; and what is no such thing."""
    raw = RawTables()
    failing, shrunk = failing_courses(raw), shrinking_courses(raw)
    for context_id, role, delisted_at in (("open", "Gardener", None), ("gone", "Poet", moment("11-18"))):
        raw.context("u", context_id, delisted_at=delisted_at)
        raw.roster("u", context_id, "11-20", {"ann": (LEARNER, f"urn:example:role#{role}")})
    raw.rows["roles"].append({"role_uri": "urn:example:role#Poet", "vocabulary": "unknown"})
    path = raw.write(place / "rosters.duckdb")

    built = build(Warehouse(adapter="duckdb", path=path), work_dir=place, as_of=AS_OF)

    found = {test.name: found_by(test.name, place, path) for test in built.quality}
    names = {row["context_key"]: row["context_id"] for row in raw.rows["contexts"]}
    assert sorted(names[row[0]] for row in found["courses_failing_for_days"]) == sorted(failing)
    assert sorted(names[row[0]] for row in found["rosters_shrunk_by_half"]) == sorted(shrunk)
    assert found["unknown_roles_held"] == [("urn:example:role#Gardener",)]
    assert {test.status for test in built.quality} == {"warn"}
    assert sorted((test.finding, test.count) for test in built.quality) == [
        ("Courses whose readings have failed for days (see lti.courses)", 3),
        ("Rosters that shrank to less than half (see lti.roster_changes)", 2),
        ("Unknown roles that people hold (see lti_raw.roles)", 1),
    ]
    assert built.warnings == ()


def is_free(path: Path) -> bool:
    """Return whether another process can open the database for writing."""
    program = f"import duckdb; duckdb.connect({str(path)!r})"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "fault",
    [
        "",
        "drop table lti_raw.roster_syncs",
        "alter table lti_raw.roster_syncs alter finished_at type int using 0",
    ],
)
def test_the_file_is_free_after_a_build(place: Path, fault: str) -> None:
    """Whether the build succeeds or fails, another process can open the database at once."""
    path = small(place)
    with duckdb.connect(str(path)) as connection:
        connection.execute(fault or "select 1")

    with pytest.raises(DestinationError) if fault else contextlib.nullcontext():
        build(Warehouse(adapter="duckdb", path=path), work_dir=place, as_of=AS_OF)

    assert is_free(path)


def test_a_file_that_another_process_holds_is_told(place: Path) -> None:
    """DuckDB has one writer: the error says that the file is in use."""
    path = small(place)
    program = (
        f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()

        with pytest.raises(DestinationError, match="lock") as caught:
            build(Warehouse(adapter="duckdb", path=path), work_dir=place, as_of=AS_OF)

        other.communicate()
    assert "The models could not be built" in str(caught.value)


def test_a_file_named_like_a_schema_is_refused(tmp_path: Path) -> None:
    """DuckDB could not tell the file from the schema: the error asks for another name."""
    with pytest.raises(ConfigurationError, match="named like a schema"):
        build(Warehouse(adapter="duckdb", path=tmp_path / "lti.duckdb"), work_dir=tmp_path)


def test_an_odd_path_is_no_hindrance(tmp_path: Path) -> None:
    """Blanks, a hyphen and letters beyond ASCII in the path are fine."""
    folder = tmp_path / "Größe 5"
    folder.mkdir()
    path = small(folder).rename(folder / "my-own rosters.duckdb")

    build(Warehouse(adapter="duckdb", path=path), work_dir=folder, as_of=AS_OF)

    assert rows(path, "select sync_state from lti.courses") == [("fresh",)]


def test_missing_dbt_is_said_with_the_extra(tmp_path: Path) -> None:
    """Without dbt the error names the extra that brings it; importing the module needs no dbt."""
    program = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'dbt': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from pathlib import Path\n"
        "from lti_rosters.runs.models import Warehouse, build\n"
        "build(Warehouse(adapter='duckdb', path=Path('x.duckdb')), work_dir=Path())\n"
    )

    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    last = answer.stderr.strip().splitlines()[-1]
    assert last.startswith("lti_rosters.errors.ConfigurationError: dbt")
    assert last.endswith('pip install "lti-rosters[duckdb]"')
