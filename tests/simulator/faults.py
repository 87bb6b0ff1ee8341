"""What may go wrong with one course in one night, and what must come of it whatever happens.

A fault is a script for the reference platform; it is made anew for every run, so that it begins afresh.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from lti_rosters.reference.platform import MEDIA_TYPE, Course, Exchange, ReferencePlatform, Reply
from simulator.campus import Campus, TrueCourse
from simulator.manners import Kind, doubled, entry, junk, sent

Must = Literal["read", "fail"]
Script = Callable[[Exchange], Reply | None]
CUT = 60  # bytes that still come: fewer than any roster has, compressed too
BLINK = 32  # people from which a roster that shrinks to a quarter is a large drop


@dataclass
class Evening:
    """One course in one night, as faults see it."""

    campus: Campus
    truth: TrueCourse
    course: Course
    kind: Kind
    platform: ReferencePlatform
    night: int
    chance: random.Random
    held: int  # people on the roster in force
    malformed: int = 0  # members that cannot be read
    is_moved: bool = False  # whether the list moved while it was read
    fault: str = "no fault"

    @property
    def pages(self) -> int:
        """How many pages its roster has."""
        members = len(self.course.members)
        return -(-members // self.kind.page_size) if self.kind.page_size else min(1, members)


@dataclass(frozen=True, slots=True)
class Fault:
    """*make* sets the evening up and returns the script; *pages* and *held* are the least that it needs."""

    name: str
    must: Must
    make: Callable[[Evening], Script | None]
    pages: int = 1
    held: int = 0
    with_differences: bool = True
    is_move: bool = False


def at(page: int, change: Callable[[Exchange], Reply | None], *, times: int | None = None) -> Script:
    """Play *change* when the *page*-th page is asked for, at most so many *times*."""
    left = [times]

    def script(exchange: Exchange) -> Reply | None:
        if exchange.page != page or left[0] == 0:
            return None
        if left[0] is not None:
            left[0] -= 1
        return change(exchange)

    return script


def _served(change: Callable[[Reply, Exchange], Reply], *, times: int | None = None) -> Any:
    """A fault that changes an answer on one page, where the platform would have answered at all."""

    def make(evening: Evening) -> Script:
        def changed(exchange: Exchange) -> Reply | None:
            reply = exchange.serve()
            return change(reply, exchange) if reply.status == 200 and reply.body else reply

        return at(_some_page(evening), changed, times=times)

    return make


def _some_page(evening: Evening) -> int:
    """Any page; the first of differences, which may have no other."""
    return 1 if evening.kind.has_differences else evening.chance.randint(1, evening.pages)


def _cut(reply: Reply, _: Exchange) -> Reply:
    return replace(reply, cut_after=min(CUT, len(reply.body) // 2))


def _half(reply: Reply, _: Exchange) -> Reply:
    return replace(reply, body=reply.body[: len(reply.body) // 2])


def _fixed(reply: Reply) -> Callable[[Reply, Exchange], Reply]:
    return lambda _served, _exchange: reply


def _elsewhere(reply: Reply, _: Exchange) -> Reply:
    return _linked(reply, "https://elsewhere.example/roster?page=2")


def _linked(reply: Reply, url: str) -> Reply:
    others = [(name, value) for name, value in reply.headers if name.lower() != "link"]
    return replace(reply, headers=[("Link", f'<{url}>; rel="next"'), *others])


def _last_page_leads_to_first(evening: Evening) -> Script:
    first = [""]

    def script(exchange: Exchange) -> Reply | None:
        first[0] = first[0] or evening.platform.origin + exchange.target
        reply = exchange.serve()
        is_last = exchange.page >= evening.pages
        return _linked(reply, first[0]) if is_last and reply.status == 200 else reply

    return script


def _other_context(evening: Evening) -> Script:
    def change(exchange: Exchange) -> Reply | None:
        reply = exchange.serve()
        if reply.status != 200:
            return reply
        container = json.loads(reply.body)
        container["context"]["id"] = "another course"
        return replace(reply, body=json.dumps(container).encode())

    return at(evening.chance.randint(2, evening.pages), change)


def _gone_midway(evening: Evening) -> Script:
    return at(evening.chance.randint(2, evening.pages), lambda _: Reply(404, [], b"gone"))


def _revoked(evening: Evening) -> Script:
    def change(exchange: Exchange) -> Reply | None:
        evening.platform.revoke_all()
        return exchange.serve()

    return at(_some_page(evening), change, times=1)


def _throttled(times: int | None) -> Callable[[Evening], Script]:
    def make(evening: Evening) -> Script:
        return at(_some_page(evening), lambda _: evening.platform.throttled(0), times=times)

    return make


def _blinks(share: int) -> Callable[[Evening], Script]:
    """The first answer shows nobody, or a small part of the roster, as if that were all."""

    def make(evening: Evening) -> Script:
        def change(exchange: Exchange) -> Reply | None:
            if exchange.serve().status != 200:
                return None
            shown = evening.course.members[: len(evening.course.members) // share] if share else []
            course = evening.course
            context = {"id": course.context_id, "label": course.label, "title": course.title}
            body = json.dumps({"id": exchange.target, "context": context, "members": shown})
            return Reply(200, [("Content-Type", MEDIA_TYPE)], body.encode())

        return at(1, change, times=1)

    return make


def _doubled(evening: Evening) -> None:
    evening.course.members = doubled(evening.course.members, evening.kind, evening.chance)


def _junk(evening: Evening) -> None:
    evening.malformed = evening.chance.randint(1, 5)
    evening.course.members = junk(evening.course.members, evening.malformed, evening.chance)


def _much_junk(evening: Evening) -> None:
    members = evening.course.members
    evening.course.members = junk(members, 6 + len(members) // 8, evening.chance)


# Rosters that move while they are read


Move = Callable[[Evening], None]


def _somebody_leaves(evening: Evening) -> None:
    """Somebody of the first page leaves: all others move up, one of them past the reader."""
    members = evening.course.members
    first = [str(member["user_id"]) for member in members[: evening.kind.page_size]]
    user_id = evening.chance.choice(first)
    evening.course.members = [member for member in members if str(member["user_id"]) != user_id]
    evening.truth.drop(user_id)


def _somebody_joins(evening: Evening) -> None:
    """Somebody joins on the first page: all others move down, one of them is shown again."""
    found = evening.campus.newcomer(evening.truth)
    if found is None:
        return
    evening.truth.join(*found)
    evening.course.members = [entry(*found, evening.kind, evening.night), *evening.course.members]


def _somebody_rises(evening: Evening) -> None:
    """Somebody of the last page comes first, as one who was renamed: no page shows them any more."""
    evening.course.members = [evening.course.members[-1], *evening.course.members[:-1]]


def _all_shuffled(evening: Evening) -> None:
    """The platform sorts by something else from here on."""
    members = [*evening.course.members]
    evening.chance.shuffle(members)
    evening.course.members = members


def _moves(*walks: Sequence[Move]) -> Callable[[Evening], Script]:
    """While the n-th walk asks for its second page, the n-th of *walks* happen."""

    def make(evening: Evening) -> Script:
        walk, due = [0], list(walks)

        def script(exchange: Exchange) -> Reply | None:
            walk[0] += exchange.page == 1
            if exchange.page == 2 and due and walk[0] > len(walks) - len(due):
                evening.is_moved = True
                for move in due.pop(0):
                    move(evening)
            return None

        return script

    return make


HTML = Reply(200, [("Content-Type", "text/html")], b"<!DOCTYPE html><html><body>Sign in</body></html>")
FAULTS = (
    Fault("cut once", "read", _served(_cut, times=1)),
    Fault("cut for good", "fail", _served(_cut)),
    Fault("reset for good", "fail", _served(_fixed(Reply(reset=True)))),
    Fault("half of the JSON", "fail", _served(_half)),
    Fault("502 once", "read", _served(_fixed(Reply(502)), times=1)),
    Fault("500 for good", "fail", _served(_fixed(Reply(500)))),
    Fault("login page", "fail", _served(_fixed(HTML))),
    Fault("next link to another host", "fail", _served(_elsewhere)),
    Fault("paging in a circle", "fail", _last_page_leads_to_first, pages=2, with_differences=False),
    Fault("another course on a later page", "fail", _other_context, pages=2, with_differences=False),
    Fault("404 in mid-roster", "fail", _gone_midway, pages=2, with_differences=False),
    Fault("token revoked in mid-roster", "read", _revoked),
    Fault("throttled once", "read", _throttled(1)),
    Fault("throttled for good", "fail", _throttled(None)),
    Fault("looks empty once", "read", _blinks(0), held=1, with_differences=False),
    Fault("looks short once", "read", _blinks(4), held=BLINK, with_differences=False),
    Fault("members doubled", "read", _doubled),
    Fault("odd members", "read", _junk, with_differences=False),
    Fault("too many odd members", "fail", _much_junk, with_differences=False),
)
MOVES = tuple(
    Fault(f"moves: {name}", "read", _moves(*walks), pages=2, is_move=True)
    for name, walks in {
        "somebody leaves": [[_somebody_leaves]],
        "somebody leaves twice": [[_somebody_leaves], [_somebody_leaves]],
        "somebody joins": [[_somebody_joins]],
        "somebody joins twice": [[_somebody_joins], [_somebody_joins]],
        "one joins, one leaves": [[_somebody_joins, _somebody_leaves]],
        "somebody rises": [[_somebody_rises]],
        "somebody rises twice": [[_somebody_rises], [_somebody_rises]],
        "another order": [[_all_shuffled]],
    }.items()
)


def chosen(evening: Evening, share: float) -> Fault | None:
    """A fault for this evening, or none; *share* of the evenings have one."""
    if evening.chance.random() >= share:
        return None
    pool = FAULTS if evening.chance.random() < 0.6 else MOVES
    fit = [
        fault
        for fault in pool
        if evening.pages >= fault.pages
        and evening.held >= fault.held
        and (fault.with_differences or not evening.kind.has_differences)
        and not (fault.is_move and evening.kind.is_shuffled)
    ]
    return evening.chance.choice(fit) if fit else None


def dress(evening: Evening) -> None:
    """Have the platform offer the course as it truly is."""
    course, truth = evening.course, evening.truth
    course.label, course.title = truth.label, truth.title
    course.members = sent(truth.roster, evening.kind, evening.night, evening.chance)
    course.script = None if truth.is_offered else lambda _: Reply(404, [], b"no such course")
