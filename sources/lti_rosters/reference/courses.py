"""A course of a reference platform: what the tests and the demo set up and change."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

Member = dict[str, Any]  # one membership as it will be sent (NRPS §2.2)


@dataclass(eq=False)
class Course:
    """One context; *members* are sent as they stand at each request, so a roster may change between pages.

    *key* names the course in its URL (default: *context_id*). *links* maps a resource link's id to the user
    ids that reach it, None for everybody. *script* plays faults: a callable that is given each exchange and
    returns a reply or None (answer normally), or a list of those, used up one per request.
    """

    context_id: str
    label: str | None = None
    title: str | None = None
    members: list[Member] = field(default_factory=list)
    types: list[str] | None = None
    links: dict[str, Collection[str] | None] = field(default_factory=dict)
    script: Any = None  # a Script; typed where exchanges are known
    key: str = ""
    # For each differences URL given out: the roster as it was, user id -> JSON.
    snapshots: dict[int, dict[str, str]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Name the course after its context, unless it has a name."""
        self.key = self.key or self.context_id


def member(user_id: Any, roles: Any = ("Learner",), *, status: Any = "Active", **fields: Any) -> Member:
    """A membership as it will be sent; *status* None leaves it out, *fields* are added as they are."""
    given: Member = {} if status is None else {"status": status}
    return {
        **given,
        "user_id": user_id,
        "roles": list(roles) if isinstance(roles, tuple) else roles,
        **fields,
    }


def user_id_of(member: Any) -> str:
    """The user id of a membership as text, of whatever a test put in its place its JSON."""
    return str(member.get("user_id")) if isinstance(member, dict) else json.dumps(member)
