"""The steps of an account of LTIAAS: its API key, what comes with it, whether rosters are offered, then the roster."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..catalogue.catalogue import ContextEntry
from ..errors import (
    ConfigurationError,
    LtiRostersError,
    MalformedError,
    NotFoundError,
    RefusedError,
    ScopeError,
    TooLargeError,
)
from ..providers.container import Sheet
from ..providers.ltiaas import BEARER, LTIK, SERVICE, scheme_of
from ..providers.ltiaas_errors import CODES, OF_SCHEME, is_of_lms
from .rosters import MOST_TRIED, clock, first_page, judged, link, manners
from .step import Finding, Found, warning
from .visit import Heard, Procedure, Visit

MOST_STALE = 10  # courses of which only the keys are refused: an old catalogue begins with such
WORDS = {SERVICE: "service keys", LTIK: "ltiks", BEARER: "the API key alone"}
# Of what came back these say that the account was let in; whatever else came says nothing of any key.
LET_IN = (NotFoundError, ScopeError, MalformedError, TooLargeError)
EXPLAINED = frozenset(remedy for _, _, remedy in CODES.values())
CLOCK = "Set it right (NTP): the moments in the tables are this machine's."


@dataclass(frozen=True, slots=True)
class Try:
    """A course that was asked for by *scheme*: its first page, or the *error* in its place."""

    scheme: str
    entry: ContextEntry = field(repr=False)
    sheet: Sheet | None = field(default=None, repr=False)
    heard: Heard | None = field(default=None, repr=False)
    error: LtiRostersError | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the API key or what came with it was refused; the LMS is asked only once both are accepted."""
        is_let_in = isinstance(self.error, ScopeError) or is_of_lms(self.error)
        return isinstance(self.error, RefusedError) and not is_let_in

    @property
    def is_explained(self) -> bool:
        """Whether LTIAAS's own code told what it was."""
        return self.error is not None and self.error.remedy in EXPLAINED

    @property
    def is_withheld(self) -> bool:
        """Whether the keys were accepted and the course has no roster, or the LMS gives it to nobody."""
        return isinstance(self.error, NotFoundError) or is_of_lms(self.error)


def api_key(visit: Visit) -> Found:
    """Ask for the first page of a few courses, each way that the catalogue has; one that is let in proves the key."""
    entries = [entry for entry in visit.plan.entries if entry.address and not entry.unavailable]
    if not entries:
        return Found(detail="the catalogue has no course to try it with", is_skipped=True)
    for scheme in WORDS:
        for number, entry in enumerate(_spread([each for each in entries if scheme_of(each) == scheme])):
            if number >= MOST_TRIED and not _are_stale(visit, scheme):
                break
            tried = _try(visit, scheme, entry)
            visit.tries.append(tried)
            if tried.sheet is not None:
                break
    let_in = list(dict.fromkeys(tried.scheme for tried in _tries(visit) if not tried.is_refused))
    refused = next((tried.error for tried in _tries(visit) if tried.is_refused), None)
    if not let_in and refused is not None:
        raise refused
    shown = " and ".join(WORDS[scheme] for scheme in let_in)
    return Found(detail=f"accepted with {shown}", facts={"accepted": let_in})


def keys(visit: Visit) -> Found:
    """Tell which of the keys that were tried are refused beside others that are not, and which will not last."""
    tries = list(_tries(visit))
    if not tries:
        return Found(is_skipped=True)
    findings = [Finding(error=_stale(tried)) for tried in tries if tried.is_refused]
    schemes = {scheme_of(entry) for entry in visit.plan.entries if entry.address and not entry.unavailable}
    if LTIK in schemes:
        ltiks = "the catalogue has ltiks, which hold for 24 hours."
        findings.append(
            warning(ConfigurationError, ltiks, "Store services.serviceKey of the launches instead.")
        )
    if BEARER in schemes:
        alone = (
            "the catalogue has courses without a service key; to ask with the API key alone is unverified."
        )
        findings.append(warning(ConfigurationError, alone, OF_SCHEME[BEARER]))
    refused = sum(tried.is_refused for tried in tries)
    facts = {"tried": len(tries), "refused": refused}
    return Found(
        detail=f"{len(tries) - refused} of {len(tries)} accepted", findings=tuple(findings), facts=facts
    )


def service(visit: Visit) -> Found:
    """Tell whether rosters are offered: by the flags of stored ID tokens, and by what LTIAAS answered."""
    courses = visit.plan.entries
    withheld = sum(bool(entry.unavailable) for entry in courses)
    facts = {"contexts": len(courses), "unavailable": withheld}
    if inactive := next((t.error for t in _tries(visit) if isinstance(t.error, ScopeError)), None):
        raise inactive
    gone = [(tried, tried.error) for tried in _tries(visit) if tried.error and tried.is_withheld]
    if gone and not any(tried.sheet for tried in _tries(visit)):
        raise gone[0][1]
    findings = [
        warning(type(error), f"{tried.entry.where}: {error.what}", error.remedy) for tried, error in gone
    ]
    if courses and withheld == len(courses):
        none = "no ID token of the catalogue offers a roster (services.namesAndRoles.available)."
        remedy = "Activate the names and roles service in the LMS's registration of the tool, then launch it again."
        findings.append(warning(NotFoundError, none, remedy))
    if not courses:
        return Found(is_skipped=True)
    told = f", for {withheld:,} of {len(courses):,} courses it is not" if withheld else ""
    return Found(detail=f"offered{told}", findings=tuple(findings), facts=facts)


def roster(visit: Visit) -> Found:
    """Judge the first page that was read."""
    for tried in _tries(visit):
        if tried.sheet is not None:
            visit.sheet, visit.answered = tried.sheet, tried.heard
            return judged(visit, tried.sheet)
    for tried in _tries(visit):
        if tried.error is not None and not tried.is_refused:
            raise tried.error
    return Found(detail="the catalogue has no course with a roster service", is_skipped=True)


STEPS = (
    Procedure("api_key", api_key),
    Procedure("keys", keys, needs=("api_key",)),
    Procedure("service", service, needs=("api_key",)),
    Procedure("roster", roster, needs=("settings", "api_key", "service")),
    Procedure("link", lambda visit: link(visit, has_header=False), needs=("roster",)),
    Procedure("clock", lambda visit: clock(visit, remedy=CLOCK)),
    Procedure("manners", manners, needs=("roster",)),
)


def _spread(entries: Sequence[ContextEntry]) -> list[ContextEntry]:
    """The first of *entries*, then some from the end, where the newest may be, back to the beginning."""
    first, rest = entries[:MOST_TRIED], entries[MOST_TRIED:]
    further = min(len(rest), MOST_STALE - MOST_TRIED)
    return [*first, *(rest[-1 - at * len(rest) // further] for at in range(further))]


def _are_stale(visit: Visit, scheme: str) -> bool:
    """Whether nothing but refusals has come that may be of the courses' own keys."""
    tries = [tried for tried in _tries(visit) if tried.scheme == scheme]
    return scheme != BEARER and all(tried.is_refused and not tried.is_explained for tried in tries)


def _try(visit: Visit, scheme: str, entry: ContextEntry) -> Try:
    """Ask once. Raises what says nothing of a key: out of reach, throttled, interrupted."""
    try:
        sheet = first_page(visit, entry)
    except (RefusedError, *LET_IN) as error:
        return Try(scheme, entry, error=error)
    return Try(scheme, entry, sheet, visit.heard(token=False))


def _tries(visit: Visit) -> Iterator[Try]:
    yield from (tried for tried in visit.tries if isinstance(tried, Try))


def _stale(tried: Try) -> RefusedError:
    """The refusal of one course where others were let in: the API key is right, so it is what came with it."""
    error = tried.error or RefusedError("refused.")
    remedy = error.remedy if tried.is_explained else OF_SCHEME[tried.scheme]
    what = f"{tried.entry.where}: {error.what} Others were accepted, so api_key is right."
    return RefusedError(what, remedy=remedy, http_status=error.http_status)
