"""A roster page by page, in the memory of one page, with the guards of a whole reading that need no more."""

from collections.abc import Iterator

from ..catalogue.catalogue import ContextEntry
from ..errors import NotFoundError, TooLargeError
from ..providers.container import Page
from ..web.transport import Effort
from .reader import Reader
from .roster import (
    MOST_EMPTY_PAGES,
    Reading,
    check_malformed,
    looped,
    on_roster,
    take_context,
    take_empty_body,
)


def stream(
    reader: Reader, entry: ContextEntry, resource_link_id: str | None = None
) -> Iterator[tuple[Page, str | None]]:
    """Yield each page with the context id as far as it is known; raises what ends the walk early."""
    if entry.memberships_url is None:
        raise NotFoundError(f"{entry.unavailable or 'there is no roster service'}.", where=entry.where)
    rules, reading = reader.rules, Reading(context_id=None)
    effort = Effort(reader.clock() + reader.registration.options.roster_timeout)
    seen: set[int] = set()  # hashes of the links followed: eight bytes and some for each page
    people, shown, fruitless, before = 0, 0, 0, frozenset[str]()
    # The role is not sent: what a platform's filter leaves out could never be told here (filtering.py).
    for sheet in reader.pages(entry, effort, resource_link_id=resource_link_id, sends_role=False):
        page = sheet.page
        reading.pages += 1
        reading.malformed += page.malformed
        if page.empty_body:
            take_empty_body(reading, rules)
        take_context(reading, page)
        people += len(page.members)
        shown += len(on_roster(page.members, rules.role)) if rules.role else len(page.members)
        if rules.max_members is not None and shown > rules.max_members:
            raise TooLargeError(f"the roster has more than {rules.max_members} members.")
        now = frozenset(member.user_id for member in page.members)
        fruitless = 0 if now - before else fruitless + 1
        yield page, reading.context_id or entry.context_id
        if sheet.next_url is None:
            break
        if hash(sheet.next_url) in seen or fruitless > MOST_EMPTY_PAGES:
            raise looped("a next link that was followed before, or pages that bring nobody new")
        if reading.pages >= rules.max_pages:
            raise TooLargeError(
                f"the roster has more than {rules.max_pages} pages.", remedy="Raise max_pages."
            )
        seen.add(hash(sheet.next_url))
        before = now
    check_malformed(reading, people)
