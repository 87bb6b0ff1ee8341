"""A build in the middle of a load: every roster is from before or from after, never half of each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lti_rosters.runs.models import Warehouse, build
from models.raw_tables import (
    BROKEN_OFF,
    INSTRUCTOR,
    LEARNER,
    TEACHING_ASSISTANT,
    TEST_USER,
    UNKNOWN,
    RawTables,
    context_key,
    moment,
)

MEMBERS, ROLES = ("memberships",), ("membership_roles",)
BOTH = MEMBERS + ROLES
QUOTED = 'urn:example:role#"Quoted"'
OLD = {"ann": (LEARNER,), "eve": (INSTRUCTOR,), "gus": ()}
NEW = {"ann": (LEARNER, TEACHING_ASSISTANT), "bob": (LEARNER,), "gus": ()}
BEFORE = [("ann", "learner"), ("eve", "instructor"), ("gus", "other")]
AFTER = [("ann", "teaching_assistant"), ("bob", "learner"), ("gus", "other")]
FLAGS = "is_learner, is_instructor, is_teaching_assistant, is_staff, is_test_user, has_unknown_role"
Row = tuple[Any, ...]


def course(
    raw: RawTables,
    context_id: str,
    old: Mapping[str, tuple[str, ...]] | None,
    new: Mapping[str, tuple[str, ...]],
    merged: tuple[str, ...],
) -> None:
    """Add a course with a committed *old* roster, and a *new* one of a load that has merged some tables."""
    raw.context("m", context_id)
    if old is not None:
        raw.roster("m", context_id, "11-19", old)
    raw.roster("m", context_id, "11-20", new, standing=merged, _dlt_load_id=BROKEN_OFF)


def courses() -> RawTables:
    """Return a course for each state in which a load can be found."""
    raw = RawTables()
    for state, merged in {"nothing": (), "members": MEMBERS, "roles": ROLES, "both": BOTH}.items():
        course(raw, f"changed_{state}", OLD, NEW, merged)
        course(raw, f"first_{state}", None, NEW, merged)
        course(raw, f"emptied_{state}", OLD, {}, merged)
        course(raw, f"filled_{state}", {}, NEW, merged)
        course(raw, f"roleless_{state}", {"gus": ()}, {"hob": ()}, merged)
    course(
        raw, "odd", {"lee": (UNKNOWN, LEARNER), "may": (QUOTED,), "nat": (LEARNER, TEST_USER)}, {}, MEMBERS
    )
    course(raw, "unlogged", OLD, NEW, MEMBERS)
    first = next(row for row in raw.rows["roster_syncs"] if row["context_id"] == "unlogged")
    first["member_count"] = 9
    raw.rows["roles"].append({"role_uri": QUOTED, "vocabulary": "unknown"})
    return raw


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the database in which the models were built over every state."""
    home = tmp_path_factory.mktemp("half")
    path = courses().write(home / "rosters.duckdb")
    warehouse = Warehouse(adapter="duckdb", path=path)
    build(warehouse, work_dir=home, as_of=moment("11-21"), select=["+current_memberships"])
    return path


def members(path: Path, context_id: str, columns: str) -> list[Row]:
    """Return columns of a course's current members."""
    with duckdb.connect(str(path)) as connection:
        return connection.execute(
            f"select {columns} from lti.current_memberships where context_key = ? order by user_id",
            [context_key("m", context_id)],
        ).fetchall()


@pytest.mark.parametrize(
    ("context_id", "expected"),
    [
        ("changed_nothing", BEFORE),
        ("changed_members", BEFORE),
        ("changed_roles", BEFORE),
        ("changed_both", AFTER),
        ("first_nothing", []),
        ("first_members", []),
        ("first_roles", []),
        ("first_both", AFTER),
        ("emptied_nothing", BEFORE),
        ("emptied_members", BEFORE),
        ("emptied_roles", BEFORE),
        ("emptied_both", []),
        ("filled_nothing", []),
        ("filled_members", []),
        ("filled_roles", []),
        ("filled_both", AFTER),
        ("roleless_nothing", [("gus", "other")]),
        ("roleless_members", [("gus", "other")]),
        ("roleless_roles", [("gus", "other")]),
        ("unlogged", []),
    ],
)
def test_a_roster_is_from_before_or_from_after(path: Path, context_id: str, expected: list[Row]) -> None:
    """Whichever of the two tables a load has merged; with both it is after; without a whole one, nobody."""
    assert members(path, context_id, "user_id, primary_role") == expected


@pytest.mark.parametrize("state", ["nothing", "members", "roles", "both"])
def test_the_flags_are_those_of_the_roster_shown(path: Path, state: str) -> None:
    """Roles of the log fold into the same flags as roles of their own table."""
    found = {
        user_id: {name.strip() for name, holds in zip(FLAGS.split(","), flags, strict=True) if holds}
        for user_id, *flags in members(path, f"changed_{state}", f"user_id, {FLAGS}")
    }

    staff = {"is_instructor", "is_staff"}
    if state == "both":
        assistant = staff | {"is_learner", "is_teaching_assistant"}
        assert found == {"ann": assistant, "bob": {"is_learner"}, "gus": set()}
    else:
        assert found == {"ann": {"is_learner"}, "eve": staff, "gus": set()}


def test_odd_roles_of_the_log_count_as_they_do_elsewhere(path: Path) -> None:
    """A role that nobody knows, or that JSON escapes, is unknown and takes nothing from others."""
    found = members(
        path, "odd", "user_id, has_unknown_role, is_learner, is_test_user, counts_as_active_learner"
    )

    assert found == [
        ("lee", True, True, False, True),
        ("may", True, False, False, False),
        ("nat", False, True, True, False),
    ]


def test_names_are_those_that_stand(path: Path) -> None:
    """The log holds none: who is in memberships is named, who was already removed is not."""
    assert members(path, "changed_members", "user_id, name") == [
        ("ann", "Ann"),
        ("eve", None),
        ("gus", "Gus"),
    ]
    assert members(path, "changed_roles", "name") == [("Ann",), ("Eve",), ("Gus",)]


def test_what_is_shown_names_its_own_sync(path: Path) -> None:
    """Sync and time are the roster's, not those of the rows that another load brought."""
    assert {row[0] for row in members(path, "changed_members", "synced_at::date::text")} == {"2026-11-19"}
    assert {row[0] for row in members(path, "changed_members", "sync_id like '%11-19%'")} == {True}
