"""The raw tables: every column once, with its type and what it says (design §3); rows become Arrow here."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa

TEXT, NUMBER, FLAG, MOMENT = "text", "bigint", "bool", "timestamp"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a raw table; *type* is dlt's name of it, a key is never null."""

    name: str
    type: str
    description: str
    is_key: bool = False
    is_nullable: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """One raw table; *scope* are the columns whose values in a load say which rows it replaces."""

    name: str
    description: str
    columns: tuple[Column, ...]
    scope: tuple[str, ...] = ()
    marker: str | None = None  # the key column that is empty in a marker row

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that make a row."""
        return tuple(column.name for column in self.columns if column.is_key)


def _key(name: str, description: str) -> Column:
    return Column(name, TEXT, description, is_key=True, is_nullable=False)


def _owned(*columns: Column, is_key: bool = False) -> tuple[Column, ...]:
    """The columns that every table about a course begins with."""
    return (
        Column("context_key", TEXT, CONTEXT_KEY, is_key=is_key, is_nullable=False),
        Column("registration", TEXT, REGISTRATION),
        Column("context_id", TEXT, CONTEXT_ID),
        *columns,
        LOAD,
    )


REGISTRATION = "Name of the registration in the settings."
CONTEXT_ID = "The course's id as the platform sends it: case-sensitive, unique only within a registration."
CONTEXT_KEY = (
    "First 32 hex digits of SHA-256 over registration, byte 0x1F and context_id; for joins and merges."
)
USER_ID = "The person's id as the platform sends it (the `sub` of launches): case-sensitive, unique only within a registration."
SYNC_ID = "The sync that wrote the row: key of roster_syncs."
LOAD = Column("_dlt_load_id", TEXT, "The load that wrote the row: key of _dlt_loads.")

MEMBERSHIPS = Table(
    "memberships",
    "Who is on each roster now: one row per course and person.",
    _owned(
        _key("user_id", USER_ID),
        Column("status", TEXT, "Active, Inactive, or a value the standard doesn't know, as sent."),
        Column(
            "primary_role",
            TEXT,
            "The first that holds of teaching_assistant, instructor, content_developer, administrator, manager, officer, mentor, learner, member, other.",
        ),
        Column("name", TEXT, "Full name."),
        Column("given_name", TEXT, "Given names."),
        Column("family_name", TEXT, "Family names."),
        Column("middle_name", TEXT, "Middle names."),
        Column("email", TEXT, "Mail address; neither guaranteed nor unique."),
        Column("picture", TEXT, "URL of a picture."),
        Column("lis_person_sourcedid", TEXT, "The person's id in the student information system."),
        Column("lti11_legacy_user_id", TEXT, "The person's id in LTI 1.1."),
        Column("extra", TEXT, "Fields that the standard doesn't name, as a JSON object."),
        Column("sync_id", TEXT, SYNC_ID),
        Column("synced_at", MOMENT, "When the reading that wrote the row ended (UTC)."),
        Column("row_hash", TEXT, "Hash over what is stored of the membership."),
        is_key=True,
    ),
    scope=("context_key",),
    marker="user_id",
)

MEMBERSHIP_ROLES = Table(
    "membership_roles",
    "The roles people hold now: one row per course, person and role.",
    _owned(
        _key("user_id", USER_ID),
        _key("role_uri", "The canonical URI of the role; as sent where it is unknown. Key of roles."),
        Column("raw_role", TEXT, "The role as the platform sent it."),
        Column("sync_id", TEXT, SYNC_ID),
        is_key=True,
    ),
    scope=("context_key",),
    marker="user_id",
)

MEMBERSHIP_LOG = Table(
    "membership_log",
    "The history: for every changed complete roster one row per member; no names, no mail.",
    (
        _key("sync_id", SYNC_ID),
        _key("user_id", USER_ID),
        *_owned(
            Column("observed_at", MOMENT, "When the reading that saw it ended (UTC)."),
            Column("status", TEXT, "Active, Inactive, or a value the standard doesn't know, as sent."),
            Column("roles", TEXT, "Canonical role URIs, sorted, as a JSON list."),
            Column("primary_role", TEXT, "As in memberships."),
            Column(
                "is_active_learner",
                FLAG,
                "Status Active, a context Learner role or a sub-role of it, no test user.",
            ),
        ),
    ),
    scope=("sync_id",),
)

ROLES = Table(
    "roles",
    "The role vocabulary of LTI, and every unknown role seen.",
    (
        _key("role_uri", "The role."),
        Column("registration", TEXT, "Where an unknown role was first seen; NULL for the vocabulary."),
        Column("vocabulary", TEXT, "system, institution, context, lti or unknown."),
        Column("principal_role", TEXT, "The role itself, or the one that a sub-role belongs to."),
        Column("sub_role", TEXT, "The sub-role, where it is one."),
        Column("is_core", FLAG, "Whether the vocabulary calls it a core role."),
        Column("is_deprecated", FLAG, "Whether it is an old or non-standard form."),
        Column("canonical_uri", TEXT, "The current form; the role itself where it is current or unknown."),
        LOAD,
    ),
)

CONTEXTS = Table(
    "contexts",
    "The catalogue: one row per course.",
    _owned(
        Column("label", TEXT, "Course code."),
        Column("title", TEXT, "Course title."),
        Column("types", TEXT, "Context types, as a JSON list."),
        Column("memberships_url", TEXT, "Where its roster is read, secrets removed."),
        Column("first_seen_at", MOMENT, "When it was first in the catalogue of a run (UTC)."),
        Column("delisted_at", MOMENT, "When a run over the whole catalogue no longer found it (UTC)."),
        is_key=True,
    ),
    scope=("context_key",),
    marker="context_id",
)

ROSTER_SYNCS = Table(
    "roster_syncs",
    "One row per attempt to read one roster.",
    (
        _key("sync_id", "The attempt."),
        *_owned(
            Column("resource_link_id", TEXT, "The resource link whose roster it was; NULL for a course's."),
            Column("started_at", MOMENT, "When it began (UTC)."),
            Column("finished_at", MOMENT, "When it ended (UTC)."),
            Column("outcome", TEXT, "complete, unchanged, failed, unavailable or too_large."),
            Column("mode", TEXT, "full or differences."),
            Column("memberships_url", TEXT, "What was asked, secrets removed."),
            Column("member_count", NUMBER, "Members on the roster, where it was read."),
            Column("page_count", NUMBER, "Pages of the deciding reading."),
            Column("request_count", NUMBER, "Requests of all readings, tokens and repeats included."),
            Column("readings", NUMBER, "How often the roster was walked (twice to confirm departures)."),
            Column("retries", NUMBER, "Requests made again."),
            Column("throttles", NUMBER, "Answers that asked to slow down."),
            Column("departures", NUMBER, "People who left with it."),
            Column("roster_hash", TEXT, "Hash of the roster as stored."),
            Column(
                "roster_sync_id", TEXT, "The sync whose rows are the roster in force after it; NULL if none."
            ),
            Column("role_filter", TEXT, "The role that the roster was restricted to."),
            Column("differences_url", TEXT, "The platform's link to what changes from here on."),
            Column(
                "error_type",
                TEXT,
                "Why it failed: configuration, refused, scope, unreachable, throttled, not_found, malformed, looped, other_host, too_large, timeout, duplicate_context or bug.",
            ),
            Column("error", TEXT, "What happened and what to do; never a secret, never a member."),
            Column("http_status", NUMBER, "The platform's last status, where one decided."),
            Column("malformed_members", NUMBER, "Members that could not be read and were set aside."),
            Column("duplicate_members", NUMBER, "Times somebody was listed again."),
        ),
    ),
)

RESOURCE_LINK_MEMBERSHIPS = Table(
    "resource_link_memberships",
    "Who reaches each resource link now: one row per course, link and person; says nothing about the course.",
    _owned(
        _key("resource_link_id", "The link's id as launches carry it; unique only within a registration."),
        _key("user_id", USER_ID),
        Column("status", TEXT, "As in memberships."),
        Column("roles", TEXT, "Canonical role URIs, sorted, as a JSON list."),
        Column(
            "message",
            TEXT,
            "The claims of a launch of the link by this person, as JSON as sent; NULL where none were sent.",
        ),
        is_key=True,
    ),
    scope=("context_key", "resource_link_id"),
    marker="user_id",
)

REGISTRATIONS = Table(
    "registrations",
    "The registrations that were read; never a secret.",
    (
        _key("registration", REGISTRATION),
        Column("provider", TEXT, "nrps or ltiaas."),
        Column("issuer", TEXT, "The platform's issuer."),
        Column("client_id", TEXT, "The tool's client id there."),
        Column("deployment_id", TEXT, "The deployment, where one is set."),
        Column("identity", TEXT, "How its members are stored: keep, pseudonymize or drop; NULL means keep."),
        Column("identity_key_id", TEXT, "The key of the pseudonyms; NULL where there are none."),
        Column(
            "identity_key_check", TEXT, "Tells one secret under that id from another; says nothing of it."
        ),
        LOAD,
    ),
)

# Not loaded by dlt: `erase` writes it in the transaction that takes the person away.
SUPPRESSIONS = Table(
    "suppressions",
    "People who were erased: no later run brings them back. Never who.",
    (
        _key("registration", REGISTRATION),
        _key(
            "person_mac",
            "A MAC of the person's id as the platform sends it; no pseudonym, and none can be made of it.",
        ),
        Column("key_id", TEXT, "The key of the MAC."),
        Column("key_check", TEXT, "Tells one secret under that id from another; says nothing of it."),
        Column("erased_at", MOMENT, "When it was (UTC)."),
        LOAD,
    ),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        MEMBERSHIPS,
        MEMBERSHIP_ROLES,
        MEMBERSHIP_LOG,
        ROLES,
        CONTEXTS,
        ROSTER_SYNCS,
        RESOURCE_LINK_MEMBERSHIPS,
        REGISTRATIONS,
    )
}


@cache
def arrow_schema(name: str) -> pa.Schema:
    """The Arrow schema of the raw table *name*."""
    types: dict[str, Callable[[], pa.DataType]] = {
        TEXT: pa.string,
        NUMBER: pa.int64,
        FLAG: pa.bool_,
        MOMENT: lambda: pa.timestamp("us", "UTC"),
    }
    return pa.schema(
        [
            pa.field(column.name, types[column.type](), nullable=column.is_nullable)
            for column in TABLES[name].columns
        ]
    )


def arrow_table(name: str, columns: Sequence[Sequence[Any] | pa.Array]) -> pa.Table:
    """Build the Arrow table *name* from one list or array per column, in the order of its schema.

    An array of text may be encoded as a dictionary.
    """
    fields = list(arrow_schema(name))
    arrays = [
        values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, type=field.type)
        for values, field in zip(columns, fields, strict=True)
    ]
    schema = [field.with_type(array.type) for field, array in zip(fields, arrays, strict=True)]
    return pa.table(arrays, schema=pa.schema(schema))


def arrow_rows(name: str, rows: Iterable[Sequence[Any]]) -> pa.Table:
    """Build the Arrow table *name* from rows, each with one value per column."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return arrow_table(name, columns or [[] for _ in arrow_schema(name)])
