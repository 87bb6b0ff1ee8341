"""Raw tables made by hand in a DuckDB file, with the columns and types that dlt gives them."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

CONTEXT_ROLE = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
TEACHING_ASSISTANT = "http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant"
NON_CREDIT_LEARNER = "http://purl.imsglobal.org/vocab/lis/v2/membership/Learner#NonCreditLearner"
INSTITUTION_STUDENT = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Student"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"
LEARNER = CONTEXT_ROLE + "Learner"
INSTRUCTOR = CONTEXT_ROLE + "Instructor"
MENTOR = CONTEXT_ROLE + "Mentor"
UNKNOWN = "urn:example:role#Gardener"

COMMITTED = "1700000000.1"
BROKEN_OFF = "1700000000.2"

TABLES = {
    "contexts": """
        context_key text not null, registration text, context_id text, label text, title text, types
        text, memberships_url text, first_seen_at timestamptz, delisted_at timestamptz, _dlt_load_id
        text
    """,
    "memberships": """
        context_key text not null, user_id text not null, registration text, context_id text, status
        text, primary_role text, name text, given_name text, family_name text, middle_name text,
        email text, picture text, lis_person_sourcedid text, lti11_legacy_user_id text, extra text,
        sync_id text, synced_at timestamptz, row_hash text, _dlt_load_id text
    """,
    "membership_roles": """
        context_key text not null, user_id text not null, role_uri text not null, registration text,
        context_id text, raw_role text, sync_id text, _dlt_load_id text
    """,
    "membership_log": """
        sync_id text not null, user_id text not null, context_key text, registration text,
        context_id text, observed_at timestamptz, status text, roles text, primary_role text,
        is_active_learner boolean, _dlt_load_id text
    """,
    "roles": """
        role_uri text not null, vocabulary text, principal_role text, sub_role text, is_core
        boolean, is_deprecated boolean, canonical_uri text, _dlt_load_id text
    """,
    "registrations": """
        registration text not null, provider text, issuer text, client_id text, deployment_id text,
        identity text, identity_key_id text, identity_key_check text, _dlt_load_id text
    """,
    "roster_syncs": """
        sync_id text not null, context_key text, registration text, context_id text,
        resource_link_id text, started_at timestamptz, finished_at timestamptz, outcome text, mode
        text, memberships_url text, member_count bigint, page_count bigint, request_count bigint,
        readings bigint, retries bigint, throttles bigint, departures bigint, roster_hash text,
        roster_sync_id text, role_filter text, differences_url text, error_type text, error text,
        http_status bigint, malformed_members bigint, duplicate_members bigint, _dlt_load_id text
    """,
    "_dlt_loads": """
        load_id text not null, schema_name text, status bigint not null, inserted_at timestamptz not
        null, schema_version_hash text
    """,
}

ROLES = (
    (LEARNER, "context", "Learner", None),
    (NON_CREDIT_LEARNER, "context", "Learner", "NonCreditLearner"),
    (CONTEXT_ROLE.replace("#", "/Learner#") + "Instructor", "context", "Learner", "Instructor"),
    (INSTRUCTOR, "context", "Instructor", None),
    (TEACHING_ASSISTANT, "context", "Instructor", "TeachingAssistant"),
    (CONTEXT_ROLE.replace("#", "/Instructor#") + "Grader", "context", "Instructor", "Grader"),
    (MENTOR, "context", "Mentor", None),
    (CONTEXT_ROLE + "ContentDeveloper", "context", "ContentDeveloper", None),
    (CONTEXT_ROLE + "Administrator", "context", "Administrator", None),
    (CONTEXT_ROLE + "Manager", "context", "Manager", None),
    (CONTEXT_ROLE + "Officer", "context", "Officer", None),
    (CONTEXT_ROLE + "Member", "context", "Member", None),
    (INSTITUTION_STUDENT, "institution", "Student", None),
    (
        "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Instructor",
        "institution",
        "Instructor",
        None,
    ),
    (TEST_USER, "lti", "TestUser", None),
    (UNKNOWN, "unknown", None, None),
)


def context_key(registration: str, context_id: str) -> str:
    """Return the key of a context as the raw tables carry it."""
    return hashlib.sha256(f"{registration}\x1f{context_id}".encode()).hexdigest()[:32]


def moment(text: str) -> datetime:
    """Return `11-20 12:00` as a moment of 2026 in UTC."""
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=UTC)


def url(registration: str, context_id: str) -> str:
    """Return the roster's URL of a context."""
    return f"https://{registration}.example/{context_id}/names_and_roles"


class RawTables:
    """Rows for the raw tables; write() makes the database file."""

    def __init__(self) -> None:
        """Begin with the vocabulary and one committed load."""
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        for role_uri, vocabulary, principal_role, sub_role in ROLES:
            row = {"role_uri": role_uri, "vocabulary": vocabulary, "canonical_uri": role_uri}
            self.rows["roles"].append(row | {"principal_role": principal_role, "sub_role": sub_role})
        for load_id, status in ((COMMITTED, 0), (BROKEN_OFF, 1)):
            self.rows["_dlt_loads"].append(
                {"load_id": load_id, "status": status, "inserted_at": moment("11-20")}
            )

    def context(self, registration: str, context_id: str, **fields: Any) -> str:
        """Add a course (and its registration), and return its key."""
        key = context_key(registration, context_id)
        keys = {"context_key": key, "registration": registration, "context_id": context_id}
        words = {"label": context_id.upper(), "title": f"The {context_id} course"}
        self.rows["contexts"].append(
            keys | words | {"memberships_url": url(registration, context_id)} | fields
        )
        if not any(row["registration"] == registration for row in self.rows["registrations"]):
            self.rows["registrations"].append({"registration": registration, "provider": "nrps"})
        return key

    def member(
        self, registration: str, context_id: str, user_id: str, roles: Iterable[str], **fields: Any
    ) -> None:
        """Add a person to a course's roster; rows of both tables carry one sync, as after a whole load."""
        keys = {"registration": registration, "context_id": context_id, "user_id": user_id}
        keys["context_key"] = context_key(registration, context_id)
        defaults = {"status": "Active", "name": user_id.title(), "sync_id": "s", "synced_at": moment("11-20")}
        row = keys | defaults | fields
        self.rows["memberships"].append(row)
        self.rows["membership_roles"].extend(
            keys | {"role_uri": role, "raw_role": role, "sync_id": row["sync_id"]} for role in roles
        )

    def sync(self, registration: str, context_id: str, at: str, outcome: str, **fields: Any) -> str:
        """Add an attempt to read a course's roster that ended *at*, and return its id."""
        sync_id = f"{registration}/{context_id}/{at}/{len(self.rows['roster_syncs'])}"
        row = {
            "sync_id": sync_id,
            "context_key": context_key(registration, context_id),
            "registration": registration,
            "context_id": context_id,
            "started_at": moment(at),
            "finished_at": moment(at),
            "outcome": outcome,
            "memberships_url": url(registration, context_id),
            "roster_sync_id": sync_id if outcome == "complete" else None,
            "_dlt_load_id": COMMITTED,
        }
        self.rows["roster_syncs"].append(row | fields)
        return sync_id

    def roster(
        self,
        registration: str,
        context_id: str,
        at: str,
        people: Mapping[str, Sequence[str]],
        *,
        statuses: Mapping[str, str] | None = None,
        standing: Sequence[str] = ("memberships", "membership_roles"),
        **fields: Any,
    ) -> str:
        """Add a complete reading of *people* and their roles, logged, and merged into *standing* tables."""
        given = {"member_count": len(people)} | fields
        sync_id = self.sync(registration, context_id, at, "complete", **given)
        sync = self.rows["roster_syncs"][-1]
        keys = {name: sync[name] for name in ("registration", "context_id", "context_key")}
        for table in standing:
            self.rows[table] = [row for row in self.rows[table] if row["context_key"] != keys["context_key"]]
        for user_id, roles in people.items():
            status = (statuses or {}).get(user_id, "Active")
            row = keys | {"user_id": user_id, "sync_id": sync_id}
            told = {"status": status, "primary_role": primary_role(roles)}
            if "memberships" in standing:
                more = {"name": user_id.title(), "synced_at": sync["finished_at"]}
                self.rows["memberships"].append(row | told | more)
            if "membership_roles" in standing:
                self.rows["membership_roles"].extend(row | {"role_uri": role} for role in roles)
            logged = {"roles": json.dumps(sorted(roles)), "observed_at": sync["finished_at"]}
            logged["is_active_learner"] = status == "Active" and is_learner(roles)
            self.rows["membership_log"].append(row | told | logged)
        return sync_id

    def write(self, path: Path, *, schema: str = "lti_raw", without: Sequence[str] = ()) -> Path:
        """Write the tables, but for those named, into a DuckDB file and return its path; models stay."""
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"create schema if not exists {schema}")
            for table, columns in TABLES.items():
                if table not in without:
                    connection.execute(f"create or replace table {schema}.{table} ({columns})")
                    insert(connection, f"{schema}.{table}", self.rows[table])
        return path


def is_learner(roles: Iterable[str]) -> bool:
    """Return whether a member with these roles is a learner of the course and no test user."""
    kinds = {role: kind for role, *kind in ROLES}
    held = [kinds.get(role, ["unknown", None, None]) for role in roles]
    return any(kind[:2] == ["context", "Learner"] for kind in held) and TEST_USER not in roles


def primary_role(roles: Iterable[str]) -> str:
    """Return the role to show, of the few that the cases hold."""
    names = {TEACHING_ASSISTANT: "teaching_assistant", INSTRUCTOR: "instructor", MENTOR: "mentor"}
    names |= {LEARNER: "learner", NON_CREDIT_LEARNER: "learner"}
    return next((name for role, name in names.items() if role in roles), "other")


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that name some of a table's columns."""
    if rows:
        names = dict.fromkeys(name for row in rows for name in row)
        given = pa.table({name: [row.get(name) for row in rows] for name in names})
        connection.register("given", given)
        connection.execute(f"insert into {table} by name select * from given")


def hand_made() -> RawTables:
    """Return the courses of the definition of an active learner, as of 2026-11-21 00:00 UTC."""
    raw = RawTables()
    for context_id in ("busy", "empty", "never", "stale", "failing"):
        raw.context("a", context_id)
    raw.context("b", "busy")
    people: dict[str, tuple[str, ...]] = {
        "ann": (LEARNER,),
        "bob": (LEARNER,),
        "cat": (LEARNER,),
        "dan": (LEARNER, INSTRUCTOR),
        "eve": (INSTRUCTOR,),
        "fay": (LEARNER, TEST_USER),
        "gil": (MENTOR,),
        "hal": (NON_CREDIT_LEARNER,),
        "ivy": (INSTITUTION_STUDENT,),
        "kim": (TEACHING_ASSISTANT,),
        "lee": (UNKNOWN,),
        "ned": (LEARNER, NON_CREDIT_LEARNER),
    }
    statuses = {"bob": "Inactive", "cat": "Deleted"}
    for user_id, roles in people.items():
        raw.member("a", "busy", user_id, roles, status=statuses.get(user_id, "Active"))
    raw.member("b", "busy", "ann", (LEARNER,))
    raw.member("a", "stale", "zed", (LEARNER,))
    raw.member("a", "failing", "zoe", (LEARNER,))
    raw.sync("a", "busy", "11-20 12:00", "complete")
    raw.sync("b", "busy", "11-20 12:00", "complete")
    raw.sync("a", "empty", "11-20 12:00", "complete")
    raw.sync("a", "never", "11-20 12:00", "failed", error_type="refused")
    raw.sync("a", "stale", "11-10 12:00", "complete")
    raw.sync("a", "failing", "11-10 12:00", "complete")
    raw.sync("a", "failing", "11-20 12:00", "failed", error_type="unreachable")
    return raw
