"""Reads the rosters of one registration: each catalogue entry becomes one sync, whatever happens to it."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from ..catalogue.catalogue import ContextEntry
from ..errors import (
    DestinationError,
    Interrupted,
    LtiRostersError,
    MalformedError,
    NotFoundError,
    UnreachableError,
)
from ..privacy.door import guarded
from ..privacy.protector import Protector
from ..providers.container import Member, Sheet
from ..providers.opened import Pages
from ..settings.identity import Identity
from ..settings.registration import Registration
from ..tables.ledger import ContextFacts, Ledger
from ..web.transport import Effort
from .claims import Claims
from .differences import FALLBACK, applied, check_at_rest
from .filtering import sends_role
from .fingerprint import context_key
from .roster import Reading, Roster, Rules, is_large_drop, read_pages, read_roster
from .sync import COMPLETE, DIFFERENCES, DUPLICATE_CONTEXT, READ, UNCHANGED, Sync, now, stored_url

log = logging.getLogger(__name__)

SILENT = 10  # courses in a row without an answer: from then on each is asked once, without repeats
GIVEN_UP = 30  # courses in a row: from then on one a minute is asked, the others fail without a request
PROBING_PAUSE = 60.0  # seconds
SILENCE = frozenset({"unreachable", "timeout", "throttled"})  # error types


class _DuplicateContext(Exception):  # noqa: N818 - not an error of the reading
    """An earlier entry of the catalogue is the same context."""


@dataclass(frozen=True, slots=True)
class _InForce:
    """The roster in force of one context (roster.Previous), asked of the ledger only when needed."""

    ledger: Ledger
    key: str
    is_full: bool

    @property
    def roster_hash(self) -> str | None:
        known = self.ledger.in_force.get(self.key)
        return None if known is None or self.is_full else known.roster_hash

    def people(self) -> frozenset[int]:
        return self.ledger.people(self.key)

    def members(self) -> list[Member]:
        return self.ledger.members(self.key)


@dataclass(slots=True)
class Reader:
    """Reads entries of one *registration* through *pages*; safe to share between threads."""

    registration: Registration
    pages: Pages
    ledger: Ledger
    claims: Claims
    is_full: bool = False  # write even what is unchanged
    shared_urls: frozenset[str] = (
        frozenset()
    )  # as stored, of several entries: they tell no course from another
    identity: Identity = Identity()  # noqa: RUF009 - frozen
    clock: Callable[[], float] = time.monotonic
    rules: Rules = field(init=False)  # what shapes and bounds every reading of this registration
    _by_url: dict[str, ContextFacts] = field(default_factory=dict)
    _silent: int = 0
    _probe_at: float = 0.0

    def __post_init__(self) -> None:
        # Here, so that there is no way around it: whatever this reader is asked, it sees members as they may be.
        suppressed = self.ledger.suppressed.get(self.registration.name, ())
        self.pages = guarded(self.pages, Protector(self.identity, self.registration.name, suppressed))
        self.rules = rules_of(self.registration, self.identity)
        # A URL that names another course now was a delisted one's before: the listed one goes first.
        for facts in sorted(self.ledger.contexts.values(), key=lambda facts: facts.delisted_at is not None):
            if facts.registration == self.registration.name and facts.memberships_url:
                self._by_url.setdefault(facts.memberships_url, facts)

    def facts(self, entry: ContextEntry) -> ContextFacts:
        """What is known of *entry* before it is read: its row of `contexts`, or the catalogue's own words."""
        url = stored_url(entry.memberships_url)
        known = self._by_url.get(url) if url and url not in self.shared_urls else None
        context_id = entry.context_id or url or entry.where
        key = context_key(self.registration.name, context_id)
        known = known or self.ledger.contexts.get(key)
        if known is not None:
            return replace(known, memberships_url=url or known.memberships_url, delisted_at=None)
        return ContextFacts(
            key, self.registration.name, context_id, entry.label, entry.title, None, url, first_seen_at=now()
        )

    def failed(self, entry: ContextEntry, error: LtiRostersError) -> Sync:
        """The sync of an *entry* that could not even be asked for."""
        sync = self._sync(entry, Effort(0.0))
        sync.fail(error, page_read=True)
        return sync

    def read(self, index: int, entry: ContextEntry) -> Sync:
        """Read the roster of *entry*, the *index*-th of the catalogue; raises nothing but Interrupted."""
        is_probe = self._silent >= SILENT
        effort = Effort(self.clock() + self.registration.options.roster_timeout, is_probe=is_probe)
        sync = self._sync(entry, effort)
        before = sync.facts
        try:
            self._check_silence()
            self._read(index, entry, sync)
        except (Interrupted, DestinationError):
            raise
        except _DuplicateContext:
            self._note_duplicate(sync)
        except LtiRostersError as error:
            if self._is_spoken_for(index, sync):
                self._note_duplicate(sync)
            else:
                sync.fail(error, page_read=sync.pages_read > 0)
        except Exception as error:  # one failure stays one failure, a fault of our own included
            self.note_bug(sync, error)
        finally:
            self.claims.tell(index, None)
        if sync.outcome not in READ:
            self._keep_identity(sync, before)
        self._silent = self._silent + 1 if sync.error_type in SILENCE else 0
        sync.finished_at = now()
        return sync

    def _is_spoken_for(self, index: int, sync: Sync) -> bool:
        """Whether an earlier entry is the context that this one fails to read: then its failure says nothing."""
        self.claims.tell(index, None)
        return not self.claims.is_first(index, sync.facts.context_id)

    def _check_silence(self) -> None:
        """Spare a platform that has answered nobody for long, and the other registrations the waiting for it."""
        if self._silent < GIVEN_UP:
            return
        if self.clock() < self._probe_at:
            raise UnreachableError(
                f"not asked: the platform answered none of the last {GIVEN_UP} courses.",
                where=self.registration.name,
                remedy="The next run tries again.",
            )
        self._probe_at = self.clock() + PROBING_PAUSE

    def _sync(self, entry: ContextEntry, effort: Effort) -> Sync:
        facts = self.facts(entry)
        in_force = self.ledger.in_force.get(facts.context_key)
        return Sync(
            facts=facts,
            where=entry.where,
            effort=effort,
            role_filter=self.registration.options.role,
            roster_sync_id=in_force.sync_id if in_force else None,
            is_never_read=in_force is None,
        )

    def _read(self, index: int, entry: ContextEntry, sync: Sync) -> None:
        if entry.memberships_url is None:
            reason = entry.unavailable or "the launch names no roster service"
            raise NotFoundError(f"{reason}.", where=entry.where)
        rules = self.rules

        def told(context_id: str | None) -> None:
            if context_id is not None:
                self._rename(sync, context_id)
            if self.claims.tell(index, sync.facts.context_id):
                raise _DuplicateContext

        def walk(*, sends_role: bool) -> Reading:
            sheets = self.pages(entry, sync.effort, sends_role=sends_role)
            return read_pages(_counted(sheets, sync), rules, on_context=told)

        roster = self._from_differences(entry, sync, rules, told)
        if roster is None:
            sends = self.sends_role(sync.facts.context_key)
            roster = read_roster(walk, lambda _: self._in_force(sync), rules, sends_role=sends)
        if not self.claims.is_first(index, sync.facts.context_id):
            raise _DuplicateContext
        self._take_context(sync, roster.reading, entry)
        sync.roster = roster
        sync.is_never_read = False
        sync.outcome = UNCHANGED if roster.is_unchanged else COMPLETE
        if not roster.is_unchanged:
            sync.roster_sync_id = sync.sync_id

    def sends_role(self, context_key: str) -> bool:
        """Whether a reading of that course, or of a link of it, begins with the platform's own filter."""
        return sends_role(self.registration.options, self.ledger, context_key, is_full=self.is_full)

    def _in_force(self, sync: Sync) -> _InForce:
        return _InForce(self.ledger, sync.facts.context_key, self.is_full)

    def _from_differences(
        self, entry: ContextEntry, sync: Sync, rules: Rules, told: Callable[[str | None], None]
    ) -> Roster | None:
        """The roster as its differences make it; None where it has to be read in full (design §5)."""
        url = self._differences_url(sync)
        if url is None:
            return None

        told(None)
        context_id = sync.facts.context_id

        def same(named: str | None) -> None:
            if named not in (None, context_id):
                raise MalformedError("the differences are those of another context.")

        def changed() -> Reading:
            return read_pages(_counted(self.pages(entry, sync.effort, url), sync), rules, on_context=same)

        def walk(*, sends_role: bool) -> Reading:
            del sends_role  # the link is asked as it was given
            changes = changed()
            if changes.pages > 1:  # such a list may move too, and what it skips is never told again
                check_at_rest(changes, changed())
            changes.differences_url = changes.differences_url or url
            return applied(self.ledger.members(sync.facts.context_key), changes)

        roster: Roster | None
        try:
            roster = read_roster(
                walk, lambda _: self._in_force(sync), replace(rules, confirm_departures=False)
            )
        except FALLBACK:
            roster = None
        if roster is None or is_large_drop(roster):  # which only a second look may confirm
            sync.pages_read = 0
            return None
        sync.mode = DIFFERENCES
        return roster

    def _differences_url(self, sync: Sync) -> str | None:
        """The link to use: of a sound roster, read under the same filter, and in full not too long ago."""
        options = self.registration.options
        if not options.use_differences or self.is_full:
            return None
        last = self.ledger.last_readings.get(sync.facts.context_key)
        in_force = self.ledger.in_force.get(sync.facts.context_key)
        if last is None or last.full_at is None:
            return None
        is_due = now() - last.full_at >= timedelta(days=options.full_every)
        is_sound = in_force is not None and in_force.roster_hash is not None
        return last.differences_url if is_sound and not is_due and last.role_filter == options.role else None

    def _rename(self, sync: Sync, context_id: str) -> None:
        """The platform's id wins over the catalogue's (design §3, identity of a context)."""
        before = sync.facts
        if context_id == before.context_id:
            return
        key = context_key(self.registration.name, context_id)
        if key == before.context_key:
            return
        known = self.ledger.contexts.get(key)
        # What is known of another course that was read says nothing of this one.
        own = (
            replace(before, label=None, title=None, types=None)
            if before.context_key in self.ledger.in_force
            else before
        )
        sync.facts = replace(own, context_key=key, context_id=context_id)
        if known is not None:  # it has moved to another URL, under which nothing of it is known
            sync.facts.first_seen_at = known.first_seen_at
            sync.facts.label = known.label or own.label
            sync.facts.title = known.title or own.title
            sync.facts.types = known.types or own.types
        # A row under the catalogue's id stands only until the first reading; a course that was read stays.
        if before.context_key in self.ledger.contexts and before.context_key not in self.ledger.in_force:
            sync.placeholder = before.context_key
        in_force = self.ledger.in_force.get(key)
        sync.roster_sync_id = in_force.sync_id if in_force else None
        sync.is_never_read = in_force is None

    def _keep_identity(self, sync: Sync, before: ContextFacts) -> None:
        """After a failure: a context never read keeps the catalogue's id until a complete reading (design §3)."""
        if sync.facts.context_key not in self.ledger.in_force:
            sync.facts, sync.placeholder = before, None
            in_force = self.ledger.in_force.get(before.context_key)
            sync.roster_sync_id = in_force.sync_id if in_force else None
            sync.is_never_read = in_force is None

    def _take_context(self, sync: Sync, reading: Reading, entry: ContextEntry) -> None:
        """What the course is called: the platform's word, else the catalogue's, else what was known."""
        facts = sync.facts  # this sync's own
        facts.label = reading.label or entry.label or facts.label
        facts.title = reading.title or entry.title or facts.title
        if reading.types:
            facts.types = json.dumps(list(reading.types))

    def _note_duplicate(self, sync: Sync) -> None:
        sync.outcome, sync.roster, sync.is_never_read = UNCHANGED, None, False
        sync.error_type = DUPLICATE_CONTEXT
        sync.error = "an earlier entry of the catalogue is the same context; this one was not needed."

    def note_bug(self, sync: Sync, error: Exception) -> None:
        """Fail *sync* over an *error* that nobody foresaw; the roster stays as it was."""
        # The text of an unforeseen error may quote a member, so only its kind and place are told.
        kind = type(error).__name__
        frame = error.__traceback__
        while frame and frame.tb_next:
            frame = frame.tb_next
        place = f"{frame.tb_frame.f_code.co_name}, line {frame.tb_lineno}" if frame else "?"
        sync.fail(
            LtiRostersError(
                f"an unexpected {kind} in {place}.",
                where=self.registration.name,
                remedy="Please report it; nothing of this roster was changed.",
            ),
            page_read=True,
        )
        log.debug("unexpected %s in %s", kind, place)


def _counted(sheets: Iterator[Sheet], sync: Sync) -> Iterator[Sheet]:
    for sheet in sheets:
        sync.pages_read += 1
        yield sheet


def rules_of(registration: Registration, identity: Identity) -> Rules:
    """What shapes and bounds the reading of the rosters of *registration*."""
    options = registration.options
    return Rules(
        max_members=options.max_members,
        max_pages=options.max_pages,
        zero_bytes=options.zero_bytes,
        repeated_next=options.repeated_next,
        confirm_departures=options.confirm_departures,
        role=options.role,
        identity=identity.mode,
        key_id=identity.data_key_id,
    )
