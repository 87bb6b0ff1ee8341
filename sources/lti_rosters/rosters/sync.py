"""A sync: one attempt to read one roster, how it ended and what it brought."""

import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..errors import LtiRostersError, NotFoundError, TooLargeError
from ..tables.ledger import ContextFacts
from ..web.transport import Effort
from ..web.urls import carries_secret, without_secrets
from .roster import Roster

COMPLETE, UNCHANGED, FAILED = "complete", "unchanged", "failed"
UNAVAILABLE, TOO_LARGE = "unavailable", "too_large"
READ = frozenset({COMPLETE, UNCHANGED})
BROKEN = frozenset({FAILED, TOO_LARGE})  # unavailable is neither read nor broken (design §6)
DUPLICATE_CONTEXT = "duplicate_context"
FULL, DIFFERENCES = "full", "differences"


def now() -> datetime:
    """This moment in UTC."""
    return datetime.now(UTC)


def new_sync_id() -> str:
    """An id of its own: 12 hex digits of Unix time in milliseconds, then 12 of chance.

    Those of one run begin alike, so that a warehouse packs them into half the bytes that pure chance takes.
    They are no secret, so the chance is Python's own: to ask the system for some lets another thread go first.
    """
    return f"{time.time_ns() // 1_000_000:012x}{random.getrandbits(48):012x}"


@dataclass(slots=True, kw_only=True)
class Sync:
    """One row of `roster_syncs`, and for a complete one its roster.

    *facts* is what the row of `contexts` is to be; *placeholder* the key of the row that it replaces, if any.
    """

    facts: ContextFacts
    where: str  # the catalogue entry, for messages
    outcome: str = FAILED
    mode: str = FULL
    sync_id: str = field(default_factory=new_sync_id)
    started_at: datetime = field(default_factory=now)
    finished_at: datetime = field(default_factory=now)
    effort: Effort = field(default_factory=lambda: Effort(0.0))
    roster: Roster | None = None
    placeholder: str | None = None
    roster_sync_id: str | None = None
    role_filter: str | None = None
    resource_link_id: str | None = None
    error_type: str | None = None
    error: str | None = None
    failure: LtiRostersError | None = field(default=None, repr=False)
    http_status: int | None = None
    exit_status: int | None = None
    pages_read: int = 0
    is_never_read: bool = False  # no complete reading of this context is known, not even this one

    @property
    def is_link(self) -> bool:
        """Whether it is of a resource link, and so says nothing about the course."""
        return self.resource_link_id is not None

    @property
    def is_duplicate(self) -> bool:
        """Whether an earlier entry of the catalogue speaks for its context."""
        return self.error_type == DUPLICATE_CONTEXT

    def fail(self, error: LtiRostersError, *, page_read: bool) -> None:
        """Note *error*; a roster that is not offered at all is `unavailable`, one that stops half way failed."""
        self.outcome, self.failure = FAILED, error
        if isinstance(error, NotFoundError) and not page_read:
            self.outcome = UNAVAILABLE
        elif isinstance(error, TooLargeError):
            self.outcome = TOO_LARGE
        self.error_type, self.error = error.error_type, str(error)
        self.http_status, self.exit_status = error.http_status, error.exit_status

    def row(self) -> tuple[Any, ...]:
        """The row of `roster_syncs`, in the order of its columns, without the load id."""
        facts, roster = self.facts, self.roster
        reading = roster.reading if roster else None
        differences_url = reading.differences_url if reading else None
        if differences_url is not None and carries_secret(differences_url):
            differences_url = (
                None  # a URL that carries a secret is not stored, so differences are not used there
            )
        return (
            self.sync_id,
            facts.context_key,
            facts.registration,
            facts.context_id,
            self.resource_link_id,
            self.started_at,
            self.finished_at,
            self.outcome,
            self.mode,
            facts.memberships_url,
            len(roster.rows) if roster else None,
            reading.pages if reading else None,
            self.effort.requests,
            roster.readings if roster else None,
            self.effort.retries,
            self.effort.throttles,
            roster.departures if roster else None,
            roster.roster_hash if roster else None,
            self.roster_sync_id,
            self.role_filter,
            differences_url,
            self.error_type,
            self.error,
            self.http_status,
            reading.malformed if reading else None,
            reading.doubles if reading else None,
        )


def stored_url(url: str | None) -> str | None:
    """A memberships URL as it may be stored: without userinfo and without the secrets of its query."""
    return None if url is None else without_secrets(url)
