"""What a run is to read: the courses of each registration's catalogue, and what is wrong with it."""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..catalogue.catalogue import Catalogue, ContextEntry, read_catalogue
from ..catalogue.ltiaas import unused_keys
from ..errors import ConfigurationError, LtiRostersError
from ..providers.container import Sheet
from ..providers.ltiaas import located
from ..settings.registration import Registration
from ..settings.registration_settings import PROVIDERS
from ..settings.settings import Settings
from ..tables.ledger import ContextFacts, Ledger
from ..web.transport import Effort
from ..web.urls import origin
from .claims import Claims
from .reader import Reader
from .sync import stored_url


@dataclass(slots=True)
class Plan:
    """What is to be read of one registration; *failure* is why nothing of it can be."""

    registration: Registration
    entries: list[ContextEntry] = field(default_factory=list)
    is_whole: bool = True  # whether the entries are the whole catalogue of the registration
    faults: tuple[str, ...] = ()  # rows of the catalogue that could not be read
    failure: LtiRostersError | None = None
    # Of the entries that have some.
    links: Mapping[ContextEntry, Sequence[ContextEntry]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()  # rows that are passed over

    @property
    def has_links(self) -> bool:
        """Whether a resource link is to be read."""
        return bool(self.links) and any(entry in self.links for entry in self.entries)

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
    chosen = list(dict.fromkeys(of_course[0] for of_course in courses))
    links = {of_course[0]: asked for of_course in courses if (asked := _asked_links(of_course))}
    warnings = unused_keys(courses) if registration.provider == "ltiaas" else ()
    is_whole = catalogue.is_whole and failure is None
    return Plan(registration, chosen, is_whole, tuple(catalogue.faults), failure, links, warnings)


def _asked_links(of_course: Sequence[ContextEntry]) -> list[ContextEntry]:
    return [each for each in of_course if each.resource_link_id is not None and not each.is_launch]


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
    shared = shared_urls(plan.entries)
    return Reader(plan.registration, no_pages, ledger, Claims(threading.Event()), shared_urls=shared).facts


def no_pages(
    entry: ContextEntry,
    effort: Effort,
    differences_url: str | None = None,
    *,
    resource_link_id: str | None = None,
    sends_role: bool = True,
) -> Iterator[Sheet]:
    """What a reader has for its pages that only tells what is known of an entry."""
    raise NotImplementedError


def shared_urls(entries: Sequence[ContextEntry]) -> frozenset[str]:
    """The URLs, as stored, that several entries have: what told them apart was a secret and is not stored."""
    urls = Counter(stored_url(entry.memberships_url) for entry in entries)
    return frozenset(url for url, times in urls.items() if url is not None and times > 1)
