"""Rosters of resource links: read beside the course's own, a subset that decides nothing about it (NRPS §3).

A platform need not offer them: one that refuses or ignores the link's id is told of, and nothing has failed.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ..catalogue.catalogue import ContextEntry
from ..errors import (
    DestinationError,
    Interrupted,
    LtiRostersError,
    MalformedError,
    NotFoundError,
    RefusedError,
    ScopeError,
)
from ..providers.container import Member, Sheet
from ..roles import held
from ..tables.link_ledger import LinkKey, LinkLedger, linked
from ..web.transport import Effort
from .fingerprint import context_key
from .reader import SILENCE, Reader
from .roster import Reading, Roster, read_pages, read_roster
from .sync import COMPLETE, DUPLICATE_CONTEXT, READ, UNAVAILABLE, UNCHANGED, Sync, now, stored_url

# Failures of a course that its links share: the same address, the same token, the same platform.
SHARED = SILENCE | {"configuration", "refused", "scope", "not_found"}
IGNORED = (
    "the platform seems to ignore the resource link's id: it answered with the whole course and no message."
)


@dataclass(frozen=True, slots=True)
class _InForce:
    """The roster in force of one link (roster.Previous)."""

    links: LinkLedger
    key: LinkKey
    is_full: bool

    @property
    def roster_hash(self) -> str | None:
        known = self.links.in_force.get(self.key)
        return None if known is None or self.is_full else known.roster_hash

    def people(self) -> frozenset[int]:
        return frozenset(hash(member.user_id) for member in self.members())

    def members(self) -> list[Member]:
        # Rows of a load that broke off half way are nobody's roster.
        return self.links.members(self.key) if self.key in self.links.in_force else []


@dataclass(slots=True)
class LinkReader:
    """Reads the links of the courses that *reader* reads; safe to share between threads."""

    reader: Reader
    links: LinkLedger
    _taken: set[LinkKey] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, entry: ContextEntry, course: Sync) -> Sync:
        """Read the link that *entry* names, after its *course*; raises nothing but Interrupted."""
        options = self.reader.registration.options
        sync = Sync(
            facts=replace(course.facts, memberships_url=stored_url(entry.memberships_url)),
            where=entry.where,
            effort=Effort(self.reader.clock() + options.roster_timeout),
            role_filter=options.role,
            resource_link_id=entry.resource_link_id,
        )
        try:
            self._read(entry, course, sync)
        except (Interrupted, DestinationError):
            raise
        except LtiRostersError as error:
            sync.fail(error, page_read=sync.pages_read > 0)
            if _is_refused(error, course) and not sync.pages_read:
                sync.outcome = UNAVAILABLE
        except Exception as error:  # one failure stays one failure, a fault of our own included
            self.reader.note_bug(sync, error)
        if sync.roster_sync_id is None and (known := self.links.in_force.get(_key(sync))):
            sync.roster_sync_id = known.sync_id
        sync.finished_at = now()
        return sync

    def _read(self, entry: ContextEntry, course: Sync, sync: Sync) -> None:
        if course.outcome not in READ and course.error_type in SHARED:
            sync.outcome, sync.error_type = course.outcome, course.error_type
            sync.http_status, sync.exit_status = course.http_status, course.exit_status
            sync.error = f"not asked: its course could not be read. {course.error}"
            return
        rules = self.reader.rules
        messages: set[bool] = set()

        def told(context_id: str | None) -> None:
            if context_id is not None:
                self._name(sync, course, context_id)

        def walk(*, sends_role: bool) -> Reading:
            link = sync.resource_link_id
            sheets = self.reader.pages(entry, sync.effort, resource_link_id=link, sends_role=sends_role)
            return read_pages(_bare(sheets, sync, messages), rules, on_context=told)

        def in_force(_: str | None) -> _InForce:
            return _InForce(self.links, _key(sync), self.reader.is_full)

        sends = self.reader.sends_role(course.facts.context_key)
        roster = read_roster(walk, in_force, rules, sends_role=sends)
        if not self._is_first(_key(sync)):
            sync.outcome, sync.error_type = UNCHANGED, DUPLICATE_CONTEXT
            sync.error = (
                "an earlier entry of the catalogue is the same resource link; this one was not needed."
            )
            return
        sync.roster = roster
        sync.outcome = UNCHANGED if roster.is_unchanged else COMPLETE
        if not roster.is_unchanged:
            sync.roster_sync_id = sync.sync_id
        if True not in messages and _is_whole(roster, course):
            sync.error = IGNORED

    def _name(self, sync: Sync, course: Sync, context_id: str) -> None:
        """Hold the link to its course; where that could not be read, the platform's word counts alone."""
        if context_id == sync.facts.context_id:
            return
        if course.outcome in READ:
            raise MalformedError("the roster of the resource link is that of another context.")
        key = context_key(sync.facts.registration, context_id)
        sync.facts = replace(sync.facts, context_key=key, context_id=context_id)

    def _is_first(self, key: LinkKey) -> bool:
        with self._lock:
            is_first = key not in self._taken
            self._taken.add(key)
        return is_first


def _key(sync: Sync) -> LinkKey:
    return LinkKey(sync.facts.context_key, sync.resource_link_id or "")


def _bare(sheets: Iterator[Sheet], sync: Sync, messages: set[bool]) -> Iterator[Sheet]:
    """Leave of every member what is stored of a link's: the rest is the course's to tell (E143).

    Whether pages came with and without a message is noted in *messages*: no mode of privacy hides that.
    """
    for sheet in sheets:
        sync.pages_read += 1
        messages.add(sheet.page.has_message)
        members = [_stored(member) for member in sheet.page.members]
        yield sheet._replace(page=replace(sheet.page, members=members), differences_url=None)


def _stored(member: Member) -> Member:
    roles = [uri for uri, _ in held(member.roles).roles]
    return linked(member.user_id, member.status, roles, member.message)


def _is_refused(error: LtiRostersError, course: Sync) -> bool:
    """Whether the platform serves the course and refuses the link alone (NRPS §3.1 prescribes no status)."""
    if course.outcome not in READ or isinstance(error, ScopeError):
        return False
    if isinstance(error, NotFoundError | RefusedError):
        return True
    return isinstance(error, MalformedError) and error.http_status is not None and error.http_status < 500


def _is_whole(roster: Roster, course: Sync) -> bool:
    """Whether this looks like the course's roster once more: everybody who is on it, and somebody is."""
    if not roster.rows or course.roster is None:
        return False
    people = {member.user_id for member, _ in roster.rows}
    return people == {member.user_id for member, _ in course.roster.rows}
