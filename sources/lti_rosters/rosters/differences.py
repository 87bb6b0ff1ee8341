"""Differences: what a platform says has changed, applied to the roster in force (NRPS §2.4.3)."""

from collections.abc import Iterable

from ..errors import (
    LoopedError,
    MalformedError,
    NotFoundError,
    RefusedError,
    TooLargeError,
    UnreachableError,
)
from ..providers.container import Member
from .roster import Reading

# An answer that cannot be used says nothing of the roster: it is read in full instead. A link that leaves the
# registration's origins is no such answer: there the roster fails (design §7).
FALLBACK = (LoopedError, MalformedError, NotFoundError, RefusedError, TooLargeError, UnreachableError)


def check_at_rest(first: Reading, second: Reading) -> None:
    """Raise MalformedError unless two readings of the same differences show the same."""
    if [*first.members.values()] != [*second.members.values()] or first.malformed != second.malformed:
        raise MalformedError("the differences moved while they were read.")


def applied(in_force: Iterable[Member], changes: Reading) -> Reading:
    """Return the roster that *changes* make of the one *in_force*, as if it had been read.

    Every entry is the present state of one membership: `Deleted` is not on the roster, anything else replaces
    what was there. Raises MalformedError when an entry could not be read: its change would be lost.
    """
    if changes.malformed:
        raise MalformedError("an entry of the differences cannot be read.")
    members = {member.user_id: member for member in in_force}
    for user_id, member in changes.members.items():
        if member.status == "Deleted":
            members.pop(user_id, None)
        else:
            members[user_id] = member
    return Reading(
        context_id=changes.context_id,
        label=changes.label,
        title=changes.title,
        types=changes.types,
        members=members,
        pages=changes.pages,
        doubles=changes.doubles,
        differences_url=changes.differences_url,
    )
