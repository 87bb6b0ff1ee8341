"""One roster: read from its first page to its last, guarded, confirmed where somebody seems to have left.

A roster is complete or it is an error; nothing in between leaves this module.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import LoopedError, MalformedError, TooLargeError
from ..providers.container import Member, Page, Sheet, merge
from ..roles import matches
from .fingerprint import roster_hash, row_hash

MOST_MALFORMED, MALFORMED_SHARE = 5, 10  # more than five and more than a tenth: not the roster that was meant
MOST_EMPTY_PAGES = 10  # in a row; NRPS §2.4.2 allows an empty page with a next link, not a road of them
LARGE_DROP, LARGE_DROP_SHARE = 20, 3  # people, and the part of the roster (a third)
MOST_READINGS = 4  # of a list that moves whenever it is read; most are at rest the second time


class Previous(Protocol):
    """The roster in force, as the destination holds it."""

    @property
    def roster_hash(self) -> str | None:
        """Its hash; None where there is none, or where it must be written again."""
        ...

    def people(self) -> frozenset[int]:
        """`hash()` of the user id of everybody on it."""
        ...

    def members(self) -> list[Member]:
        """Everybody on it, with every field."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What shapes and bounds the reading of a roster (design §5)."""

    max_members: int | None = None
    max_pages: int = 50_000
    zero_bytes: str = "fail"
    repeated_next: str = "fail"
    confirm_departures: bool = True
    role: str | None = None
    identity: str = "keep"
    key_id: str | None = None  # of the pseudonyms


@dataclass(slots=True)
class Reading:
    """One walk through the pages; complete once `read_pages` has returned it."""

    context_id: str | None = None
    label: str | None = None
    title: str | None = None
    types: tuple[str, ...] = ()
    members: dict[str, Member] = field(default_factory=dict)
    pages: int = 0
    malformed: int = 0
    doubles: int = 0
    holders: set[str] = field(default_factory=set)  # of the role asked for, where their number is bounded
    is_unstable: bool = False  # somebody stood on two pages: the list moved while it was walked
    differences_url: str | None = None


@dataclass(frozen=True, slots=True)
class Roster:
    """A complete roster and what its reading showed; *rows* are its members with their row hashes."""

    reading: Reading
    rows: list[tuple[Member, str]]
    roster_hash: str
    is_unchanged: bool
    readings: int
    departures: int = 0
    arrivals: int = 0
    before: int = 0  # how many the roster in force has that this reading could have shown
    shown: int = 0  # how many it did show


class Read(Protocol):
    """One walk through the pages."""

    def __call__(self, *, sends_role: bool) -> Reading:
        """Walk them; with *sends_role* the platform is asked to apply the role filter."""
        ...


def read_roster(
    read: Read, previous_of: Callable[[str | None], Previous], rules: Rules, *, sends_role: bool = False
) -> Roster:
    """Read a roster and, where a departure has to be confirmed, read it again (design §5).

    What *read* raises is raised: then the roster failed and nothing of it counts. *previous_of* gives the roster
    in force of the context id that the platform named. With *sends_role* the first reading is filtered by the
    platform. That saves pages and decides nothing: where it shows any change, the roster is read without.
    """
    reading, is_filtered = _first(read, sends_role=sends_role)
    order = [*reading.members]
    previous = previous_of(reading.context_id)
    roster = _roster(reading, previous, rules, readings=1)
    if is_filtered and not roster.is_unchanged:
        whole = read(sends_role=False)
        order = [*whole.members]
        reading = _united(reading, whole)
        roster = _roster(reading, previous, rules, readings=2)
    if roster.is_unchanged or not rules.confirm_departures or not _is_doubtful(roster):
        return roster
    return _confirmed(read, reading, previous, rules, roster.readings, order)


def _first(read: Read, *, sends_role: bool) -> tuple[Reading, bool]:
    """The first reading, and whether the platform filtered it; where that goes wrong it is asked without.

    A platform may refuse the parameter. One that loses it on the next link repeats on later pages whom the first
    showed, which looks like paging without an end.
    """
    if sends_role:
        try:
            return read(sends_role=True), True
        except (LoopedError, MalformedError):
            pass
    return read(sends_role=False), False


def _confirmed(
    read: Read, reading: Reading, previous: Previous, rules: Rules, done: int, order: list[str]
) -> Roster:
    """Read again, after *done* readings the last of which had its members in *order*, until it is clear who is missing.

    That is when nobody is any more, or when a list at rest shows who is.
    A list that never rests shows who came, not who left: then whoever is missing stays.
    Somebody on two pages means that somebody else may have been on none: in every reading where pages are cut
    from another order each time (Sakai). Doubles in the order of the reading before are but two enrolments.
    """
    last = done + MOST_READINGS - 1
    for readings in range(done + 1, last + 1):
        again = read(sends_role=False)
        before, order = order, [*again.members]
        is_at_rest = not again.is_unstable or order == before
        reading = _united(reading, again)
        roster = _roster(reading, previous, rules, readings=readings)
        if is_at_rest or not roster.departures:
            return roster
    return _roster(reading, previous, rules, readings=last, holds_back=True)


def read_pages(
    sheets: Iterable[Sheet], rules: Rules, *, on_context: Callable[[str | None], None] = lambda _: None
) -> Reading:
    """Walk *sheets* to their end. *on_context* hears the context id of the first page, and of the first that tells one.

    Raises LoopedError, TooLargeError and MalformedError where the walk cannot be trusted to be whole.
    """
    reading = Reading()
    seen: set[str] = set()
    led_here: str | None = None
    fruitless = 0  # pages in a row
    for sheet in sheets:
        page, was_named = sheet.page, reading.context_id is not None
        brought = _take(reading, page, rules)
        if reading.pages == 1:
            reading.differences_url = sheet.differences_url
        if reading.pages == 1 or (reading.context_id is not None and not was_named):
            on_context(reading.context_id)
        if sheet.next_url is None:
            break
        if sheet.next_url in seen:
            # Its own link is the end where the settings say so; a link further back leaves pages unseen.
            if rules.repeated_next == "end" and sheet.next_url == led_here:
                break
            raise looped("a next link that was followed before")
        seen.add(sheet.next_url)
        led_here = sheet.next_url
        fruitless = 0 if brought else fruitless + 1
        if (page.members and not brought and not page.malformed) or fruitless > MOST_EMPTY_PAGES:
            raise looped("pages that bring nobody new")
        if reading.pages >= rules.max_pages:
            raise TooLargeError(
                f"the roster has more than {rules.max_pages} pages.", remedy="Raise max_pages."
            )
    check_malformed(reading, len(reading.members))
    return reading


def _take(reading: Reading, page: Page, rules: Rules) -> bool:
    """Add *page* to *reading*; return whether it brought somebody new."""
    reading.pages += 1
    if page.empty_body:
        take_empty_body(reading, rules)
        return False
    take_context(reading, page)
    reading.malformed += page.malformed
    members, before = reading.members, len(reading.members)
    counts_holders = rules.role is not None and rules.max_members is not None
    listed = {member.user_id: member for member in page.members}
    doubles = 0
    if len(listed) == len(page.members) and members.keys().isdisjoint(listed):
        members.update(listed)
    else:
        for member in page.members:
            known = members.get(member.user_id)
            members[member.user_id] = member if known is None else merge(known, member)
            doubles += known is not None
    if counts_holders:
        reading.holders.update(user_id for user_id in listed if _matches(members[user_id], rules.role))
    brought = len(members) - before
    reading.doubles += doubles
    within = len(page.members) - len(listed)  # doubles of one page: several enrolments of one person
    if before and doubles > within:
        reading.is_unstable = True
    _check_size(len(reading.holders) if counts_holders else len(members), rules)
    return brought > 0


def _check_size(members: int, rules: Rules) -> None:
    """A larger roster is refused, never cut (design §5, max_members)."""
    if rules.max_members is not None and members > rules.max_members:
        raise TooLargeError(
            f"the roster has more than {rules.max_members} members.", remedy="Raise max_members to read it."
        )


def take_empty_body(reading: Reading, rules: Rules) -> None:
    """Raise MalformedError where a first page without a byte is no empty course."""
    if reading.pages == 1 and rules.zero_bytes != "empty":
        raise MalformedError(
            "the platform answered with no byte at all; whether the course is empty cannot be told.",
            remedy='Set zero_bytes = "empty" if this platform answers an empty course so.',
        )


def take_context(reading: Reading, page: Page) -> None:
    """The context as the first page that names it has it; another one later fails the roster (design §3)."""
    if page.context_id is None:
        return
    if reading.context_id is None:
        reading.context_id = page.context_id
        reading.label, reading.title, reading.types = page.label, page.title, page.types
    elif reading.context_id != page.context_id:
        raise MalformedError("the context id changes from one page to another: two courses in one roster.")


def check_malformed(reading: Reading, people: int) -> None:
    """Raise MalformedError where too many members beside *people* were set aside (design §3)."""
    total = people + reading.malformed
    if reading.malformed > MOST_MALFORMED and reading.malformed * MALFORMED_SHARE > total:
        raise MalformedError(f"{reading.malformed} of {total} members cannot be read.")


def looped(what: str) -> LoopedError:
    """The error for paging that does not end: *what* it does."""
    return LoopedError(
        f"the platform's paging does not come to an end: {what}.",
        remedy='Set repeated_next = "end" if its last page repeats its own link; else report it to the platform.',
    )


def _roster(
    reading: Reading, previous: Previous, rules: Rules, *, readings: int, holds_back: bool = False
) -> Roster:
    """Filter, compare with the roster in force, add whom this reading says nothing about.

    Who is missing stays where *holds_back* says so, and where as many entries could not be read: each of them
    may be one of the missing.
    """
    on_it = on_roster(reading.members.values(), rules.role)
    rows = [(member, row_hash(member)) for member in on_it]
    content = _content(rows, rules)
    if content == previous.roster_hash:
        return Roster(reading, rows, content, is_unchanged=True, readings=readings)
    seen, others = _split(previous.members(), rules.role) if rules.role else (None, [])
    before = previous.people() if seen is None else frozenset(hash(member.user_id) for member in seen)
    now = {hash(member.user_id) for member in on_it} if before else set()  # where nobody was, all arrived
    departures = len(before - now)
    if departures and (holds_back or departures <= reading.malformed):
        held_back = previous.members() if seen is None else seen
        rows += _absent(held_back, on_it)
        departures, content = 0, _content(rows, rules)
    _check_size(len(rows), rules)  # of whom the role is asked for alone: the others are as they were
    rows += _absent(others, on_it)
    return Roster(
        reading,
        rows,
        content,
        content == previous.roster_hash,
        readings,
        departures=departures,
        arrivals=len(now - before) if before else len(on_it),
        before=len(before),
        shown=len(on_it),
    )


def on_roster(members: Iterable[Member], role: str | None) -> list[Member]:
    """Those of *members* who are on the roster, under the filter *role* if there is one."""
    on_it = [member for member in members if member.status != "Deleted"]
    return on_it if role is None else [member for member in on_it if _matches(member, role)]


def _content(rows: Iterable[tuple[Member, str]], rules: Rules) -> str:
    return roster_hash([hashed for _, hashed in rows], (rules.identity, rules.key_id, rules.role))


def _absent(members: Sequence[Member], on_it: Iterable[Member]) -> list[tuple[Member, str]]:
    """Those of *members* who are not *on_it*, as rows."""
    if not members:
        return []
    present = {member.user_id for member in on_it}
    return [(member, row_hash(member)) for member in members if member.user_id not in present]


def _split(members: list[Member], role: str) -> tuple[list[Member], list[Member]]:
    """Whom a reading filtered by *role* can show, and whom it says nothing about (design §5, role filter)."""
    seen = [member for member in members if _matches(member, role)]
    return seen, [member for member in members if not _matches(member, role)]


def _matches(member: Member, role: str | None) -> bool:
    return role is None or matches(role, member.roles)


def _is_doubtful(roster: Roster) -> bool:
    """Whether a second reading has to confirm the first (design §5, departures).

    A list that moved under its own paging is read again as well: who was shifted off a page is nowhere else.
    A large drop that the reading without the filter bears out has been seen twice.
    """
    if roster.reading.pages > 1 and (roster.departures or roster.reading.is_unstable):
        return True
    return roster.readings == 1 and is_large_drop(roster)


def is_large_drop(roster: Roster) -> bool:
    """Whether twenty people and a third of the roster are gone, or everybody is (design §5, departures)."""
    is_large = roster.departures >= LARGE_DROP and roster.departures * LARGE_DROP_SHARE >= roster.before
    is_emptied = roster.before > 0 and roster.shown == 0
    return is_large or is_emptied


def _united(first: Reading, second: Reading) -> Reading:
    """Who is in either of two complete readings, with the second's values where it has them (design §5)."""
    if first.context_id != second.context_id:
        raise MalformedError("the context id changed between two readings of the same roster.")
    # Deleted is "not on the roster": in one reading alone it takes nobody away.
    on_it = {user_id: member for user_id, member in second.members.items() if member.status != "Deleted"}
    second.members = first.members | on_it
    second.differences_url = first.differences_url  # whom the first alone saw may have left since
    return second
