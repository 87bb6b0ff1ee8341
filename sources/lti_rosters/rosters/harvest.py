"""One run over the rosters of all registrations: side by side, each course isolated, each with its outcome."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime

from ..errors import LtiRostersError
from ..providers.opened import connect, pages_of
from ..settings.identity import Identity
from ..tables.ledger import ContextFacts, Ledger
from ..tables.link_ledger import LinkKey, LinkLedger, Standing, read_links
from ..web.pace import Pace
from ..web.transport import MEGABYTE, Bounds, Transport
from .claims import Claims
from .crew import Crew
from .handover import Handover
from .linked import LinkReader
from .planning import Plan, no_pages, shared_urls
from .reader import Reader
from .sync import BROKEN, Sync, now

MOST_AT_ONCE = 256  # rosters of all registrations together; each has a thread and a connection
FILES_PER_ROSTER = 3  # of what the process may open: the connection, and room for dlt and the destination
GLANCE = 0.2  # seconds between two looks at what was read, and whether the run was asked to stop


@dataclass(slots=True)
class Harvest:
    """The reading of *made* plans against what the *ledger* holds; `syncs` may be walked once."""

    made: Sequence[Plan]
    ledger: Ledger
    stop: threading.Event = field(default_factory=threading.Event)
    is_full: bool = False
    is_fail_fast: bool = False
    identity: Identity = Identity()  # noqa: RUF009 - frozen
    is_cut: bool = False  # whether it ended early: then nobody can tell what is gone
    _halt: threading.Event = field(default_factory=threading.Event)  # what the threads listen to
    _seen: set[str] = field(default_factory=set)
    _links: LinkLedger | None = None
    _seen_links: set[LinkKey] = field(default_factory=set)
    _unsettled: set[str] = field(default_factory=set)

    def syncs(self) -> Iterator[Sync]:
        """Yield every sync as it comes, in no order; an interrupt (*stop*) ends it early and cleanly."""
        waiting = Handover()
        crews: list[Crew] = []
        transports: list[Transport] = []
        self._links = read_links(
            self.ledger, [plan.registration.name for plan in self.made if plan.has_links]
        )
        try:
            for plan in self.made:
                if plan.failure is not None:
                    yield from map(self._noted, self._failures(plan, plan.failure))
                    continue
                transports.append(self._transport(plan))
                crews.append(self._crew(plan, transports[-1], waiting))
            if self.stop.is_set():
                self._halt.set()
            for crew in crews:
                crew.start()
            yield from map(self._noted, self._until_done(waiting, len(crews)))
            self.is_cut = self._halt.is_set()
        finally:
            self._halt.set()
            waiting.close()
            for crew in crews:
                crew.join()
            for transport in transports:
                transport.close()

    def _until_done(self, waiting: Handover, crews: int) -> Iterator[Sync]:
        while crews:
            taken = waiting.take(GLANCE)
            if self.stop.is_set():
                self._halt.set()
            while taken:
                outcome = taken.popleft()  # so that no roster outlasts its writing
                if outcome is None:
                    crews -= 1
                elif isinstance(outcome, BaseException):
                    raise outcome
                else:
                    yield outcome
                if self.stop.is_set():
                    self._halt.set()

    def delisted(self) -> Iterator[ContextFacts]:
        """Yield, after the syncs, the contexts that the whole catalogue of their registration no longer names."""
        if self.is_cut:
            return
        whole = self._whole()
        moment: datetime = now()
        for facts in self.ledger.contexts.values():
            is_gone = facts.registration in whole and facts.context_key not in self._seen
            if is_gone and facts.delisted_at is None:
                yield replace(facts, delisted_at=moment)

    def delisted_links(self) -> Iterator[tuple[LinkKey, Standing]]:
        """Yield, after the syncs, the resource links whose rows nobody asks for any more."""
        if self.is_cut or self._links is None:
            return
        whole = self._whole()
        for key, standing in self._links.standing.items():
            if standing.registration in whole and key not in self._seen_links:
                yield key, standing

    def _whole(self) -> set[str]:
        """The registrations whose catalogues tell what is gone."""
        return {plan.registration.name for plan in self.made if plan.is_whole} - self._unsettled

    def _noted(self, sync: Sync) -> Sync:
        if sync.resource_link_id is not None:
            self._seen_links.add(LinkKey(sync.facts.context_key, sync.resource_link_id))
        else:
            self._seen.add(sync.facts.context_key)
        if sync.is_never_read and sync.facts.context_key not in self.ledger.contexts:
            # A new entry that fails may be a known context that moved: then nobody can tell what is gone.
            self._unsettled.add(sync.facts.registration)
        if self.is_fail_fast and sync.outcome in BROKEN:
            self._halt.set()
        return sync

    def _failures(self, plan: Plan, failure: LtiRostersError) -> Iterator[Sync]:
        """One failed row per context of a registration that fails before reading (design §5)."""
        reader = Reader(plan.registration, no_pages, self.ledger, Claims(self._halt))
        for entry in plan.entries:
            yield reader.failed(entry, failure)

    def _transport(self, plan: Plan) -> Transport:
        registration = plan.registration
        options = registration.options
        return Transport(
            where=registration.name,
            origins=plan.origins(),
            bounds=Bounds(
                timeout=options.timeout,
                max_body=options.max_body_mb * MEGABYTE,
                max_attempts=options.max_attempts,
                max_wait=options.max_wait,
            ),
            pace=Pace(options.concurrency, stop=self._halt),
            stop=self._halt,
        )

    def reader(self, plan: Plan, stack: ExitStack) -> Reader:
        """A reader of *plan* outside of a run; its connections are closed with *stack*."""
        transport = self._transport(plan)
        stack.callback(transport.close)
        return self._reader(plan, transport)

    def _reader(self, plan: Plan, transport: Transport) -> Reader:
        registration = plan.registration
        return Reader(
            registration,
            pages_of(registration, connect(registration, transport)),
            self.ledger,
            Claims(self._halt),
            is_full=self.is_full,
            shared_urls=shared_urls(plan.entries),
            identity=self.identity,
        )

    def _crew(self, plan: Plan, transport: Transport, waiting: Handover) -> Crew:
        registration, reader = plan.registration, self._reader(plan, transport)
        size = _share(registration.options.concurrency, self.made)
        links = LinkReader(reader, self._links or LinkLedger(self.ledger))
        return Crew(
            reader,
            plan.entries,
            links,
            plan.links,
            size=size,
            syncs=waiting,
            stop=self._halt,
            is_fail_fast=self.is_fail_fast,
        )


def _share(concurrency: int, made: Sequence[Plan]) -> int:
    """How many rosters of one registration are read at once where all registrations want too many."""
    wanted = sum(plan.registration.options.concurrency for plan in made if plan.failure is None)
    bound = min(MOST_AT_ONCE, _open_files() // FILES_PER_ROSTER)
    return max(1, min(concurrency, concurrency * bound // max(1, wanted)))


def _open_files() -> int:
    """How many files and sockets this process may hold open."""
    try:
        import resource  # not on Windows
    except ImportError:
        return MOST_AT_ONCE * FILES_PER_ROSTER
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST_AT_ONCE * FILES_PER_ROSTER if limit == resource.RLIM_INFINITY else limit
