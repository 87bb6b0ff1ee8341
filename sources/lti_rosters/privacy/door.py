"""The one door that every page passes as it comes from a provider, before anything else sees a member."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ..providers.container import Sheet
from ..settings.identity import KEEP
from .protector import Protector

# What a differences link may add to the address that was asked: when, and how much. Anything else may be a cursor
# that holds somebody's id. `since` is the specification's own example (NRPS §2.4.3).
TIMES = frozenset({"since", "timestamp", "time"})
AMOUNTS = frozenset({"limit", "per_page", "page_size"})
TIME = re.compile(r"[0-9]{9,16}|[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]{5,15}(Z|[+-][0-9:]{4,5})?)?")
AMOUNT = re.compile(r"[0-9]{1,5}")


def guarded(pages: Callable[..., Iterator[Sheet]], protector: Protector) -> Callable[..., Iterator[Sheet]]:
    """Return *pages*, a provider's, with every member that it yields as *protector* lets them be."""
    if protector.is_idle:
        return pages

    def protected(entry: Any, *arguments: Any, **named: Any) -> Iterator[Sheet]:
        for sheet in pages(entry, *arguments, **named):
            page = replace(sheet.page, members=protector.members(sheet.page.members))
            link = sheet.differences_url
            if protector.identity.mode != KEEP and link and not is_harmless(link, entry.memberships_url):
                link = None  # it is stored: a full reading does without it
            yield sheet._replace(page=page, differences_url=link)

    return protected


def is_harmless(link: str, asked: str | None) -> bool:
    """Whether a differences *link* adds nothing to the address *asked* that could be of a member."""
    given, known = urlsplit(link), urlsplit(asked or "")
    if (given.netloc, given.path) != (known.netloc, known.path) or given.fragment:
        return False
    own = set(parse_qsl(known.query, keep_blank_values=True))
    added = [pair for pair in parse_qsl(given.query, keep_blank_values=True) if pair not in own]
    return all(_is_time_or_amount(name.lower(), value) for name, value in added)


def _is_time_or_amount(name: str, value: str) -> bool:
    if name in TIMES:
        return TIME.fullmatch(value) is not None
    return name in AMOUNTS and AMOUNT.fullmatch(value) is not None
