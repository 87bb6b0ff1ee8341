"""The steps that every provider has: one page of one roster, where it goes on, clocks, the platform's manners."""

import re
from collections.abc import Iterable

from ..catalogue.catalogue import ContextEntry
from ..errors import LoopedError, MalformedError, NotFoundError, OtherHostError, RefusedError
from ..providers.auth import BACKDATED, clock_skew
from ..providers.container import Sheet
from ..providers.member import Member
from ..providers.nrps import MEDIA_TYPE
from ..providers.opened import pages_of
from ..roles import matches, read_role
from ..rosters.reader import rules_of
from ..rosters.roster import Reading, read_pages
from ..settings.identity import Identity
from ..web.urls import origin
from .platforms import hint
from .step import Finding, Found, warning
from .visit import Procedure, Visit

MOST_TRIED = 3  # courses that are not there any more, before that counts as the platform's answer
CLOSE = 5.0  # seconds between two clocks that may be the network's
ROUND = frozenset({50, 75, 100, 200, 250, 500, 1000})  # sizes of pages: a roster of just that size is a doubt
ASSERTIONS = "Set it right (NTP): assertions from the future, and expired ones, are refused."
MEDIA = re.compile(r"[a-z0-9.+/-]{1,80}")


def roster(visit: Visit) -> Found:
    """Read the first page of one course, the first of the catalogue that is there."""
    entries = [entry for entry in visit.plan.entries if entry.address and not entry.unavailable]
    if not entries:
        return Found(detail="the catalogue has no course with a roster service", is_skipped=True)
    gone: list[Finding] = []
    for number, entry in enumerate(entries[:MOST_TRIED], 1):
        try:
            visit.sheet = first_page(visit, entry)
        except NotFoundError as error:
            if number == min(MOST_TRIED, len(entries)):
                raise
            told = f"{entry.where}: {error.what}"
            gone.append(warning(NotFoundError, told, error.remedy))
            continue
        return judged(visit, visit.sheet, gone)
    raise NotFoundError(
        "no course was there.", where=visit.registration.name
    )  # pragma: no cover - raised above


def link(visit: Visit, *, has_header: bool = True) -> Found:
    """Look where the first page says that the roster goes on; nothing is followed.

    What stands in a header may be lost on the way; *has_header* tells whether it does.
    """
    sheet, heard = visit.sheet, visit.heard(token=False)
    if sheet is None or heard is None:
        return Found(is_skipped=True)
    if sheet.next_url is None:
        doubts = _doubts(visit, sheet) if has_header else ()
        return Found(detail="no next page", findings=tuple(doubts))
    try:
        place = origin(sheet.next_url)
    except ValueError:
        raise MalformedError("the next link is no URL.", where=visit.registration.name) from None
    if place not in visit.transport.origins:
        host = place.partition("://")[2].rpartition(":")[0]
        raise OtherHostError(
            f"the next page is on another host, {host[:80]}. Not followed.",
            where=visit.registration.name,
            remedy="Add it to allow_hosts of the registration if that is right.",
        )
    if sheet.next_url == heard.call.url:
        raise LoopedError(
            "the next page is the same page again.",
            where=visit.registration.name,
            remedy='Set repeated_next = "end" if the last page of this platform repeats its link.',
        )
    return Found(detail="a next page, on an allowed host")


def clock(visit: Visit, *, remedy: str = ASSERTIONS) -> Found:
    """Compare this machine's clock with the Date of what was answered (a second exact)."""
    heard = [each for each in (visit.heard(token=True), visit.heard(token=False)) if each is not None]
    skews = [skew for each in heard if (skew := clock_skew(each.answer, each.at)) is not None]
    if not skews:
        return Found(detail="no answer showed a Date", is_skipped=True)
    skew = skews[0]
    side = "ahead of" if skew > 0 else "behind"
    detail = f"{abs(skew):.0f} s {side} the platform"
    facts = {"skew_seconds": round(skew, 1)}
    if abs(skew) <= CLOSE:
        return Found(detail="within seconds of the platform", facts=facts)
    what = f"this machine's clock is {detail}'s."
    is_fault = "token" in visit.failed and abs(skew) > BACKDATED
    error = RefusedError(what, where=visit.registration.name, remedy=remedy)
    told = hint(visit.product, "clock", error.error_type) if skew > 0 else ""
    return Found(detail=detail, findings=(Finding(error=error, is_fault=is_fault, hint=told),), facts=facts)


def manners(visit: Visit) -> Found:
    """Tell how the platform does things: never a member, never a word of one."""
    sheet, heard = visit.sheet, visit.heard(token=False)
    if sheet is None or heard is None:
        return Found(is_skipped=True)
    members = sheet.page.members
    media = heard.answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    facts = {
        "page_members": len(members),
        "has_next": sheet.next_url is not None,
        "role_form": role_form(members),
        "offers_differences": sheet.differences_url is not None,
        "media_type": media if MEDIA.fullmatch(media) else None,
        "sends_names": any(member.name or member.family_name for member in members),
        "sends_mail": any(member.email for member in members),
        "names_context": sheet.page.context_id is not None,
    }
    sent = [
        word for word, is_sent in (("names", facts["sends_names"]), ("mail", facts["sends_mail"])) if is_sent
    ]
    kind = "NRPS media type" if media == MEDIA_TYPE else facts["media_type"] or "no media type"
    detail = (
        f"{len(members):,} members {'on the first page' if facts['has_next'] else 'in one page'}, "
        f"roles as {facts['role_form']}, {'differences' if facts['offers_differences'] else 'no differences'}, "
        f"{' and '.join(sent) or 'neither names nor mail'}, {kind}"
    )
    return Found(detail=detail, findings=tuple(_filter_doubts(visit, members)), facts=facts)


COMMON = (
    Procedure("roster", roster, needs=("settings", "key", "token", "scope")),
    Procedure("link", link, needs=("roster",)),
    Procedure("clock", clock),
    Procedure("manners", manners, needs=("roster",)),
)


def role_form(members: Iterable[Member]) -> str:
    """Say in which form roles are sent: full URIs, short names, URNs, or several of them."""
    roles = {role for member in members for role in member.roles}
    forms = {_form(role) for role in roles}
    return " and ".join(sorted(forms)) or "none"


def _form(role: str) -> str:
    if role.lower().startswith(("http://", "https://")):
        return "full URIs"
    return "URNs" if role.lower().startswith("urn:") else "short names"


def first_page(visit: Visit, entry: ContextEntry) -> Sheet:
    """Read the first page of *entry*. Raises as the provider does."""
    pages = pages_of(visit.registration, visit.connection)(entry, visit.effort)
    for sheet in pages:
        return sheet
    raise MalformedError("no page came.", where=visit.registration.name)


def judged(visit: Visit, sheet: Sheet, gone: Iterable[Finding] = ()) -> Found:
    """Judge the page as a run would the whole roster."""
    reading: Reading = read_pages([sheet._replace(next_url=None)], rules_of(visit.registration, Identity()))
    count = len(reading.members)
    findings = list(gone)
    if reading.malformed:
        findings.append(
            warning(MalformedError, f"{reading.malformed} of the page's members have no usable user_id.")
        )
    if not count and sheet.next_url is None:
        empty = MalformedError(
            "the roster is empty.",
            where=visit.registration.name,
            remedy="Is anybody enrolled in that course?",
        )
        findings.append(Finding(error=empty, is_fault=False, hint=hint(visit.product, "roster", "empty")))
    return Found(detail=f"{count:,} members read", findings=tuple(findings), facts={"members": count})


def _doubts(visit: Visit, sheet: Sheet) -> Iterable[Finding]:
    """A page that is just full and has no link may be all that a proxy let through."""
    count = len(sheet.page.members) + sheet.page.malformed
    asked = visit.registration.options.page_size
    if count and (count == asked or (asked is None and count in ROUND)):
        yield warning(
            MalformedError,
            f"the page has just {count} members and no Link header names a next one.",
            "Has the course more? Then something on the way strips the header, and rosters would be cut.",
        )


def _filter_doubts(visit: Visit, members: list[Member]) -> Iterable[Finding]:
    role = visit.registration.options.role
    if role is None:
        return
    others = sum(not matches(role, (read_role(raw).canonical_uri for raw in each.roles)) for each in members)
    if others:
        yield warning(
            MalformedError,
            f"the platform does not apply the role filter ({others} of {len(members)} members have other roles).",
            "Nothing is to be done: it is applied here too; it only saves no time.",
        )
