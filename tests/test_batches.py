"""Rosters as Arrow tables: members and roles in their rows, a marker for each roster, the load id in all."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from lti_rosters.providers.member import read_members
from lti_rosters.rosters.fingerprint import row_hash
from lti_rosters.tables.batches import HANDFUL, Gatherer, Written

CONTEXT = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def written(number: int, *entries: dict[str, Any]) -> Written:
    """The roster of course *number* with the members *entries*, as a platform sends them."""
    rows = [(member, row_hash(member)) for member in read_members(list(entries))]
    return Written(f"key{number}", "campus", f"c{number}", f"sync{number}", NOON, rows)


def rows(table: str, *rosters: Written) -> list[dict[str, Any]]:
    """The rows of *table* that *rosters* become."""
    gatherer = Gatherer("load")
    batches = [batch for roster in rosters for batch in gatherer.add(roster)]
    return [row for batch in [*batches, *gatherer.flush()] for row in batch[table].to_pylist()]


ADA = {"user_id": "ada", "roles": ["Instructor"], "name": "Ada"}
BO = {"user_id": "bo", "roles": ["Learner", "Mentor"], "status": "Inactive", "email": "bo@school.example"}
CY = {"user_id": "cy", "roles": ["Learner"]}
ROBOT = {"user_id": "robot", "roles": ["Learner", TEST_USER]}


@pytest.mark.parametrize("table", ["memberships", "membership_roles"])
def test_every_roster_has_one_marker(table: str) -> None:
    """Each roster, an empty one too, brings one row without a user: it puts its course in scope."""
    found = rows(table, written(1, ADA, BO), written(2), written(3, CY))

    assert [row["context_key"] for row in found if row["user_id"] == ""] == ["key1", "key2", "key3"]


@pytest.mark.parametrize("sizes", [(0, HANDFUL - 1, 700, 0, 1, HANDFUL, 0), (2 * HANDFUL + 1,), (0, 0)])
def test_rosters_keep_their_order_and_their_members(sizes: tuple[int, ...]) -> None:
    """Whatever is made into columns at once: no member is lost between two handfuls, or goes to another course."""
    rosters = [
        written(number, *({"user_id": f"{number}-{each}", "roles": [f"r{each % 7}"]} for each in range(size)))
        for number, size in enumerate(sizes)
    ]
    people = [
        (f"key{number}", f"{number}-{each}", f"r{each % 7}")
        for number, size in enumerate(sizes)
        for each in range(size)
    ]
    markers = [(f"key{number}", "", None) for number in range(len(sizes))]

    of_members = [(row["context_key"], row["user_id"]) for row in rows("memberships", *rosters)]
    of_roles = [
        (row["context_key"], row["user_id"], row["raw_role"]) for row in rows("membership_roles", *rosters)
    ]
    of_log = [(row["context_key"], row["user_id"]) for row in rows("membership_log", *rosters)]
    hashes = [row["row_hash"] for row in rows("memberships", *rosters)]

    assert of_members == [each[:2] for each in people + markers]
    assert of_roles == people + markers
    assert of_log == [each[:2] for each in people]
    assert hashes == [each for roster in rosters for _, each in roster.rows] + [None] * len(sizes)


def test_members_stay_with_their_course() -> None:
    """Members of neighbouring rosters, an empty one between them, keep course, sync and values apart."""
    found = rows("memberships", written(1, ADA, BO), written(2), written(3, CY))

    assert {
        ("key1", "c1", "sync1", "ada", "Active", "instructor", "Ada", None),
        ("key1", "c1", "sync1", "bo", "Inactive", "mentor", None, "bo@school.example"),
        ("key3", "c3", "sync3", "cy", "Active", "learner", None, None),
    } == {
        tuple(
            row[name]
            for name in (
                "context_key",
                "context_id",
                "sync_id",
                "user_id",
                "status",
                "primary_role",
                "name",
                "email",
            )
        )
        for row in found
        if row["user_id"]
    }


def test_row_hashes_stay_with_their_members() -> None:
    """Every member carries its own hash, and a marker none."""
    roster = written(1, ADA, BO, CY)

    found = rows("memberships", written(0), roster)

    expected = {member.user_id: digest for member, digest in roster.rows}
    assert {**expected, "": None} == {row["user_id"]: row["row_hash"] for row in found}


def test_one_row_for_each_role() -> None:
    """Members with two roles, one and none bring two rows, one and none, with the role as sent."""
    nobody = {"user_id": "nobody", "roles": []}

    found = rows("membership_roles", written(1, BO, nobody), written(2, CY))

    assert {
        ("key1", "bo", f"{CONTEXT}Learner", "Learner"),
        ("key1", "bo", f"{CONTEXT}Mentor", "Mentor"),
        ("key2", "cy", f"{CONTEXT}Learner", "Learner"),
    } == {
        (row["context_key"], row["user_id"], row["role_uri"], row["raw_role"])
        for row in found
        if row["user_id"]
    }


def test_log_has_no_marker() -> None:
    """The history has a row for each member and none else."""
    found = rows("membership_log", written(1, ADA), written(2), written(3, CY))

    assert [(row["sync_id"], row["user_id"]) for row in found] == [("sync1", "ada"), ("sync3", "cy")]


def test_active_learners_of_the_log() -> None:
    """Active with a learner's role counts; teachers, inactive ones and test users don't."""
    found = rows("membership_log", written(1, ADA, BO, CY, ROBOT))

    assert [row["user_id"] for row in found if row["is_active_learner"]] == ["cy"]


def test_roles_of_the_log_are_sorted() -> None:
    """The log lists canonical roles in order, as JSON."""
    found = rows("membership_log", written(1, {"user_id": "x", "roles": ["Mentor", "Learner"]}))

    assert [f"{CONTEXT}Learner", f"{CONTEXT}Mentor"] == json.loads(found[0]["roles"])


@pytest.mark.parametrize("table", ["memberships", "membership_roles", "membership_log"])
def test_load_id_everywhere(table: str) -> None:
    """Every row, a marker too, tells its load."""
    found = rows(table, written(1, ADA), written(2))

    assert {"load"} == {row["_dlt_load_id"] for row in found}


def test_only_empty_rosters() -> None:
    """A batch of empty rosters is markers alone."""
    assert [row["user_id"] for row in rows("memberships", written(1), written(2))] == ["", ""]
