"""What may happen to the rows of a course between two builds, each to a course of its own."""

from collections.abc import Callable
from typing import Any

from models.raw_tables import (
    BROKEN_OFF,
    INSTRUCTOR,
    LEARNER,
    MENTOR,
    TEACHING_ASSISTANT,
    UNKNOWN,
    RawTables,
    context_key,
)

MARTS = ("current_memberships", "active_learners", "course_staffing", "courses")
PEOPLE = {"ann": (LEARNER,), "bob": (LEARNER, MENTOR), "eve": (INSTRUCTOR,)}
# Columns of memberships that current_memberships shows, whatever else may be known of a person.
SHOWN = (
    *("registration", "context_id", "status", "primary_role", "name", "given_name", "family_name", "email"),
    "synced_at",
)
OTHER, LATER = "'other'", "synced_at + interval '1 day'"
Row = tuple[Any, ...]


def course(name: str) -> str:
    """The condition that a row is of this course."""
    return f"context_key = '{context_key('k', name)}'"


def update(table: str, setting: str, name: str, person: str = "user_id is not null") -> str:
    """The statement that changes a column of the raw rows of a course."""
    return f"update lti_raw.{table} set {setting} where {course(name)} and {person}"


# What may happen to a course between two builds, in SQL of both engines.
CHANGES = {
    **{
        f"column_{column}": [
            update(
                "memberships",
                f"{column} = {LATER if column == 'synced_at' else OTHER}",
                f"column_{column}",
                "user_id = 'ann'",
            )
        ]
        for column in SHOWN
    },
    "other_sync": [update(table, "sync_id = 'other'", "other_sync") for table in ("memberships", "membership_roles")],
    "swapped": [
        update(
            "memberships",
            "name = case user_id when 'ann' then 'Bob' else 'Ann' end",
            "swapped",
            "user_id in ('ann', 'bob')",
        )
    ],
    "renamed": [update("memberships", "user_id = 'zoe'", "renamed", "user_id = 'ann'")],
    "deleted": [update("memberships", "status = 'Deleted'", "deleted", "user_id = 'bob'")],
    "erased": [
        f"delete from lti_raw.{table} where {course('erased')} and user_id = 'ann'"
        for table in ("memberships", "membership_roles", "membership_log")
    ],
    "role_taken": [f"delete from lti_raw.membership_roles where {course('role_taken')} and role_uri = '{MENTOR}'"],
    "role_given": [update("membership_roles", f"role_uri = '{TEACHING_ASSISTANT}'", "role_given", "user_id = 'eve'")],
    "emptied": [
        f"delete from lti_raw.{table} where {course('emptied')}" for table in ("memberships", "membership_roles")
    ],
    "roles_lost": [f"delete from lti_raw.membership_roles where {course('roles_lost')}"],
    "retitled": [f"update lti_raw.contexts set title = 'Another', label = null where {course('retitled')}"],
    "delisted": [f"update lti_raw.contexts set delisted_at = '2026-11-20 00:00:00+00:00' where {course('delisted')}"],
    "unlisted": [f"delete from lti_raw.contexts where {course('unlisted')}"],
    "half": [update("memberships", "sync_id = 'next'", "half", "user_id = 'ann'")],
    # Both rows of a role that stands twice, of which an exclusive or would see nothing.
    "role_twice": [f"delete from lti_raw.membership_roles where {course('role_twice')} and role_uri = '{MENTOR}'"],
    # Roles that name no sync are those of no roster: the log says who holds which.
    "role_unsynced": [update("membership_log", "status = 'Inactive'", "role_unsynced", "user_id = 'ann'")],
    # Half of each at the first build already: what heals it is not in the two tables.
    "committed": [f"update lti_raw._dlt_loads set status = 0 where load_id = '{BROKEN_OFF}'"],
    "vocabulary": [f"update lti_raw.roles set principal_role = 'Learner' where role_uri = '{MENTOR}'"],
}  # fmt: skip
HEALED = ("half", "roles_lost")  # the log has what they were, and that is shown
QUIET = ("quiet", "unchanged", "failed")


def before() -> RawTables:
    """A course for each change, and some to which nothing happens."""
    raw = RawTables()
    for name in (*CHANGES, *QUIET):
        raw.context("k", name)
        people = (
            PEOPLE if name in CHANGES and name != "vocabulary" else {"ann": (LEARNER,), "lee": (UNKNOWN,)}
        )
        raw.roster("k", name, "11-19", PEOPLE if name == "vocabulary" else people)
    new = {"ann": (MENTOR,), "kim": (LEARNER,)}
    raw.roster("k", "committed", "11-20", new, standing=("memberships",), _dlt_load_id=BROKEN_OFF)
    roles = raw.rows["membership_roles"]
    doubled = context_key("k", "role_twice")
    roles += [row for row in roles if row["context_key"] == doubled and row["role_uri"] == MENTOR]
    for row in roles:
        if row["context_key"] == context_key("k", "role_unsynced"):
            row["sync_id"] = None
    raw.sync("k", "unchanged", "11-20", "unchanged")
    raw.sync("k", "failed", "11-20", "failed", error_type="timeout")
    return raw


def contents(ask: Callable[[str], list[Row]]) -> dict[str, list[Row]]:
    """Every row of the marts that speak of now; NULL is not ordered alike everywhere."""
    return {mart: sorted(ask(f"select * from lti.{mart}"), key=repr) for mart in MARTS}
