"""Pages of a reference platform's rosters: which part is asked for, and the links to the others."""

import json
import time
from typing import NamedTuple
from urllib.parse import quote, urlencode

from .courses import Course, Member, user_id_of
from .manners import Manner
from .server import Request


class Window(NamedTuple):
    """Which part of a list is asked for: *size* None means all of it."""

    size: int | None
    start: int


def window_of(manner: Manner, request: Request) -> Window:
    """Read page size and position from the query; what is no positive number counts as not given."""
    asked = dict(reversed(request.query))
    texts = [asked[name] for name in manner.size_names if name in asked]
    if texts and manner.zero_limit_loops and texts[0] == "0":
        return Window(0, 0)
    size = (natural(texts[0]) if texts else None) or manner.page_size
    if size is not None and manner.page_max is not None:
        size = min(size, manner.page_max)
    position = natural(asked.get(manner.position_name, ""))
    if manner.position_counts == "pages":
        return Window(size, ((position or 1) - 1) * (size or 0))
    return Window(size, position or 0)


def page_number(window: Window) -> int:
    """Which page a window is, the first is 1."""
    return window.start // window.size + 1 if window.size else 1


def natural(text: str) -> int | None:
    """A number from 1 up, None for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and int(text) > 0 else None


def links(
    manner: Manner, course: Course, request: Request, *, window: Window, total: int, origin: str
) -> str:
    """The Link header's value (RFC 8288), empty if there is none to send."""
    base = origin + request.path
    paging = {*manner.size_names, manner.position_name}
    kept = [(name, value) for name, value in request.query if name not in paging | manner.link_drops]

    def url(position: int) -> str:
        ours = manner.link_query.format(size=window.size, at=position)
        parts = [urlencode(kept, quote_via=quote), ours]
        return (
            f"{base}?{'&'.join(part for part in (parts if manner.link_keeps_first else parts[::-1]) if part)}"
        )

    targets = _targets(manner, window, total)
    found = [(rel, url(targets[rel])) for rel in manner.link_rels if rel in targets]
    if "differences" in manner.link_rels:
        at = manner.link_rels.index("differences")
        found.insert(
            min(at, len(found)), ("differences", _differences_url(manner, course, kept, window, base))
        )
    return manner.link_separator.join(f'<{target}>; rel="{rel}"' for rel, target in found)


def _targets(manner: Manner, window: Window, total: int) -> dict[str, int]:
    """The position that each relation points to."""
    size, start = window
    if size is None:
        return {}
    if size == 0:
        return {"next": 0}  # Sakai with limit=0: the same empty page for ever
    last = max(total - 1, 0) // size * size
    starts = {"current": start, "first": 0, "last": last}
    if start + size < total:
        starts["next"] = start + size
    elif manner.repeats_last_next and start:
        starts["next"] = start
    if start:
        starts["prev"] = max(start - size, 0)
    if manner.position_counts == "pages":
        return {rel: position // size + 1 for rel, position in starts.items()}
    return starts


# Differences (NRPS §2.4.3)


def _differences_url(
    manner: Manner, course: Course, kept: list[tuple[str, str]], window: Window, base: str
) -> str:
    """A URL for what will have changed after this answer; the roster as it is now is remembered for it."""
    now = {user_id_of(member): json.dumps(member, sort_keys=True) for member in list(course.members)}
    since = max(int(time.time() * 1000), max(course.snapshots, default=0) + 1)  # milliseconds, never twice
    last = course.snapshots[max(course.snapshots)] if course.snapshots else None
    course.snapshots[since] = last if last == now else now  # pages of one reading share one copy
    query = [(name, value) for name, value in kept if name != "since"]
    if manner.style == "tao" and window.size is not None:
        query.append(("limit", str(window.size)))
    return f"{base}?{urlencode([*query, ('since', str(since))], quote_via=quote)}"


def changes(manner: Manner, course: Course, since: str) -> list[Member] | None:
    """Memberships added or changed since then, and those that left; None if *since* is unknown."""
    then = course.snapshots.get(natural(since) or 0)
    if then is None:
        return None
    members = list(course.members)
    changed = [
        member for member in members if then.get(user_id_of(member)) != json.dumps(member, sort_keys=True)
    ]
    if not manner.reports_deleted:
        return changed
    present = {user_id_of(member) for member in members}
    gone = [json.loads(text) for user_id, text in then.items() if user_id not in present]
    return [{**member, "status": "Deleted"} for member in gone] + changed
