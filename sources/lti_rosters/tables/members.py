"""Members as an Arrow table for whoever reads a course without a pipeline."""

from collections.abc import Iterable

import pyarrow as pa

from ..providers.container import Member
from ..providers.member import TEXT_FIELDS
from ..roles import held

COLUMNS = ("registration", "context_id", "user_id", "status", "roles", "primary_role", "is_active_learner")
LAST = ("extra", "message")


def member_table(registration: str, context_id: str | None, members: Iterable[Member]) -> pa.Table:
    """Build the table of *members*: every column is text, but `roles` (a list of texts) and the flag.

    The columns are those of `memberships` where they have its names; `roles` are canonical URIs.
    """
    rows = [_row(registration, context_id, member) for member in members]
    texts = pa.string()
    types = {"roles": pa.list_(texts), "is_active_learner": pa.bool_()}
    names = (*COLUMNS, *TEXT_FIELDS, *LAST)
    schema = pa.schema([(name, types.get(name, texts)) for name in names])
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=schema)


def _row(registration: str, context_id: str | None, member: Member) -> tuple[object, ...]:
    has = held(member.roles)
    is_active = member.status == "Active" and has.is_learner and not has.is_test_user
    roles = [uri for uri, _ in has.roles]
    start = (registration, context_id, member.user_id, member.status, roles, has.primary_role, is_active)
    return (*start, *member[3:11], member.extra, member.message)
