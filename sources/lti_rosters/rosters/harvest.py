"""One run over the rosters of all registrations: side by side, each course isolated, each with its outcome."""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime

from ..catalogue.catalogue import Catalogue, ContextEntry, read_catalogue
from ..catalogue.ltiaas import unused_keys
from ..errors import ConfigurationError, LtiRostersError
from ..providers.container import Sheet
from ..providers.ltiaas import located
from ..providers.opened import connect, pages_of
from ..settings.identity import Identity
from ..settings.registration import Registration
from ..settings.registration_settings import PROVIDERS
from ..settings.settings import Settings
from ..tables.ledger import ContextFacts, Ledger
from ..tables.link_ledger import LinkKey, LinkLedger, Standing, read_links
from ..web.pace import Pace
from ..web.transport import MEGABYTE, Bounds, Effort, Transport
from ..web.urls import origin
from .claims import Claims
from .crew import Crew, Outcome
from .linked import LinkReader
from .reader import Reader
from .sync import BROKEN, Sync, now, stored_url

MOST_AT_ONCE = 256  # rosters of all registrations together; each has a thread and a connection
FILES_PER_ROSTER = 3  # of what the process may open: the connection, and room for dlt and the destination
WAITING = 8  # complete rosters that wait to be written; more threads wait with theirs


@dataclass(slots=True)
class Plan:
    """What is to be read of one registration; *failure* is why nothing of it can be."""

    registration: Registration
    entries: list[ContextEntry] = field(default_factory=list)
    is_whole: bool = True  # whether the entries are the whole catalogue of the registration
    faults: tuple[str, ...] = ()  # rows of the catalogue that could not be read
    failure: LtiRostersError | None = None
    links: Mapping[ContextEntry, Sequence[ContextEntry]] = field(default_factory=dict)  # of each entry
    warnings: tuple[str, ...] = ()  # rows that are passed over

    @property
    def has_links(self) -> bool:
        """Whether a resource link is to be read."""
        return any(self.links.get(entry) for entry in self.entries)

    def origins(self) -> frozenset[str]:
        """Return the origins that may get the registration's token: its own, and those of its catalogue.

        An LTIAAS account's key goes to its own address alone (E140).
        """
        if self.registration.provider == "ltiaas":
            return self.registration.origins()
        of_entries = {origin(entry.memberships_url) for entry in self.entries if entry.memberships_url}
        return self.registration.origins() | of_entries


def plans(settings: Settings) -> list[Plan]:
    """Read every catalogue; what is wrong with one registration stays with it."""
    made = [_plan(registration, registration.contexts, None) for registration in settings.registrations]
    made += [
        _plan(Registration(name=name), settings.faulty_contexts.get(name, ()), settings.error(name))
        for name in settings.faulty
    ]
    return made


def _plan(registration: Registration, contexts: object, failure: LtiRostersError | None) -> Plan:
    try:
        catalogue = _catalogue(registration, contexts, failure)
    except ConfigurationError as error:
        catalogue, failure = Catalogue(), failure or error
    except Exception as error:  # of code of others too: what makes one catalogue fail leaves the rest alone
        catalogue, failure = Catalogue(), failure or _bug(registration, error)
    entries = catalogue.entries
    if registration.provider == "ltiaas":
        entries = [located(entry, registration.base_url) for entry in entries]
    courses = _courses(entries)
    links = {
        of_course[0]: [each for each in of_course if each.resource_link_id is not None and not each.is_launch]
        for of_course in courses
    }
    warnings = unused_keys(courses) if registration.provider == "ltiaas" else ()
    is_whole = catalogue.is_whole and failure is None
    return Plan(registration, list(links), is_whole, tuple(catalogue.faults), failure, links, warnings)


def _bug(registration: Registration, error: Exception) -> LtiRostersError:
    """Name the kind of what nobody foresaw; its text may quote the catalogue."""
    return LtiRostersError(
        f"an unexpected {type(error).__name__} while its catalogue was read.",
        where=registration.name,
        remedy="Please report it; the other registrations are read.",
    )


def _catalogue(registration: Registration, contexts: object, failure: LtiRostersError | None) -> Catalogue:
    """Read the catalogue; that of a registration with faults may be of either provider."""
    where = registration.name
    if failure is None:
        return read_catalogue(
            contexts, where=where, provider=registration.provider, tool=registration.sender()
        )
    read = [_lenient(contexts, where, provider) for provider in PROVIDERS]
    return max(read, key=lambda catalogue: len(catalogue.entries))


def _lenient(contexts: object, where: str, provider: str) -> Catalogue:
    try:
        return read_catalogue(contexts, where=where, provider=provider)
    except ConfigurationError:
        return Catalogue()


def _courses(entries: Sequence[ContextEntry]) -> list[list[ContextEntry]]:
    """The entries of each course: it is read by the first, and those of its resource links share its address.

    Every launch carries a link's id, so a launch asks for none: else each course were read once for every link
    that anybody ever opened. A row that names one does (design §3).
    """
    courses: dict[object, list[ContextEntry]] = {}
    for number, entry in enumerate(entries):
        courses.setdefault(entry.memberships_url or entry.context_id or number, []).append(entry)
    return list(courses.values())


def narrowed(
    made: Sequence[Plan], ledger: Ledger, *, context_ids: Collection[str], limit: int | None
) -> list[Plan]:
    """Restrict plans to *context_ids* (the catalogue's or the platform's) and to *limit* courses in all."""
    left = limit
    result = []
    for plan in made:
        entries = plan.entries
        if context_ids:
            facts_of = known_facts(plan, ledger)
            entries = [
                entry
                for entry in entries
                if entry.context_id in context_ids or facts_of(entry).context_id in context_ids
            ]
        if left is not None:
            entries = entries[:left]
            left -= len(entries)
        is_whole = plan.is_whole and len(entries) == len(plan.entries)
        result.append(replace(plan, entries=entries, is_whole=is_whole))
    return result


def known_facts(plan: Plan, ledger: Ledger) -> Callable[[ContextEntry], ContextFacts]:
    """How to tell what is known of an entry of *plan* before it is read."""
    shared = _shared_urls(plan.entries)
    return Reader(plan.registration, _no_pages, ledger, Claims(threading.Event()), shared_urls=shared).facts


def _no_pages(
    entry: ContextEntry,
    effort: Effort,
    differences_url: str | None = None,
    *,
    resource_link_id: str | None = None,
    sends_role: bool = True,
) -> Iterator[Sheet]:
    raise NotImplementedError  # this reader only tells what is known of an entry


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
        waiting: queue.Queue[Outcome] = queue.Queue(WAITING)
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
            _drain(waiting, crews)
            for transport in transports:
                transport.close()

    def _until_done(self, waiting: "queue.Queue[Outcome]", crews: int) -> Iterator[Sync]:
        while crews:
            if self.stop.is_set():
                self._halt.set()
            try:
                outcome = waiting.get(timeout=0.2)
            except queue.Empty:
                continue
            if outcome is None:
                crews -= 1
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                yield outcome

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
        reader = Reader(plan.registration, _no_pages, self.ledger, Claims(self._halt))
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
            shared_urls=_shared_urls(plan.entries),
            identity=self.identity,
        )

    def _crew(self, plan: Plan, transport: Transport, waiting: "queue.Queue[Outcome]") -> Crew:
        registration, reader = plan.registration, self._reader(plan, transport)
        size = _share(registration.options.concurrency, self.made)
        links = LinkReader(reader, self._links or LinkLedger(self.ledger))
        return Crew(reader, plan.entries, links, plan.links, size=size, syncs=waiting, stop=self._halt)


def _shared_urls(entries: Sequence[ContextEntry]) -> frozenset[str]:
    """The URLs, as stored, that several entries have: what told them apart was a secret and is not stored."""
    urls = Counter(stored_url(entry.memberships_url) for entry in entries)
    return frozenset(url for url, times in urls.items() if url is not None and times > 1)


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


def _drain(waiting: "queue.Queue[Outcome]", crews: Sequence[Crew]) -> None:
    """Let threads that wait to hand over go on, then wait for all of them."""
    enders = [threading.Thread(target=crew.join, daemon=True) for crew in crews]
    for ender in enders:
        ender.start()
    while any(ender.is_alive() for ender in enders):
        try:
            waiting.get(timeout=0.05)
        except queue.Empty:
            continue
