"""The provider for LTIAAS, a service that speaks LTI for its accounts: its memberships API, page by page.

Facts: its public reference, guides and SDK (docs.ltiaas.com, 2025-07). What comes out is what `nrps` yields.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urljoin, urlsplit

from ..catalogue.catalogue import ContextEntry
from ..errors import ConfigurationError, MalformedError
from ..web.answer import Answer
from ..web.transport import Call, Effort, Transport
from ..web.urls import origin, with_parameters
from .body import VENDOR
from .container import Sheet
from .ltiaas_errors import check_status
from .ltiaas_page import address_in, bare, read_page

ENDPOINT = "/api/memberships"
SERVICE, LTIK, BEARER = "SERVICE-AUTH-V1", "LTIK-AUTH-V2", "Bearer"
RENAMED = {
    "rlid": "resourceLinkId"
}  # its names of the parameters of NRPS §2.4 and §3; the others are the same


@dataclass(frozen=True, slots=True)
class Account:
    """What it takes to ask one account: *base_url* and *api_key*; *where* names the registration in errors."""

    where: str
    transport: Transport
    base_url: str
    api_key: str = field(repr=False)

    @property
    def endpoint(self) -> str:
        """The address of every roster."""
        return self.base_url.rstrip("/") + ENDPOINT


def pages(
    account: Account, entry: ContextEntry, effort: Effort, *, parameters: Mapping[str, str] | None = None
) -> Iterator[Sheet]:
    """Read the pages of the roster that *entry* names, to the one without `next`.

    *parameters* bear the names of NRPS. Raises what `Transport.exchange` raises, and RefusedError, ScopeError,
    NotFoundError, TooLargeError, MalformedError, ConfigurationError; each with LTIAAS's own code where it came.
    """
    scheme, authorization = _authorization(account, entry)
    following: str | None = _first(account, entry, scheme, parameters or {})
    while following is not None:
        answer = _read(account, following, authorization, scheme, effort)
        page, told = read_page(answer.body)
        following = None if told is None else _next(account, told)
        yield Sheet(page, following, None)


def located(entry: ContextEntry, base_url: str | None) -> ContextEntry:
    """Return *entry* with an address that tells its context from all others, without its secrets.

    LTIAAS has one address for every roster, so the context's id stands behind it, or a fingerprint of the key.
    """
    key = entry.service_key or entry.ltik
    if entry.memberships_url is not None or key is None or base_url is None:
        return entry
    if entry.context_id is not None:
        what = f"context={quote(entry.context_id, safe='')}"
    else:
        what = f"entry={hashlib.sha256(key.encode()).hexdigest()[:16]}"
    return entry.at(f"{base_url.rstrip('/')}{ENDPOINT}?{what}")


def scheme_of(entry: ContextEntry) -> str:
    """How *entry* is asked for: a service key never expires, a ltik does after a day; Bearer is unverified."""
    if entry.service_key is not None:
        return SERVICE
    return LTIK if entry.ltik is not None else BEARER


def _authorization(account: Account, entry: ContextEntry) -> tuple[str, str]:
    scheme = scheme_of(entry)
    key = entry.service_key if scheme == SERVICE else entry.ltik
    value = account.api_key if scheme == BEARER else f"{account.api_key}:{key}"
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigurationError(
            "the API key, service key or ltik holds characters that none has.",
            where=entry.where or account.where,
            remedy="Copy it again, without spaces and line breaks.",
        )
    return scheme, f"{scheme} {value}"


def _first(account: Account, entry: ContextEntry, scheme: str, parameters: Mapping[str, str]) -> str:
    """The address of the first page. With `url` LTIAAS ignores all else, so there the LMS's own takes it."""
    if scheme == BEARER:
        return _at(account, with_parameters(entry.memberships_url or "", parameters))
    return with_parameters(
        account.endpoint, {RENAMED.get(name, name): value for name, value in parameters.items()}
    )


def _at(account: Account, url: str) -> str:
    """The address at which LTIAAS fetches the page *url* of the LMS."""
    return with_parameters(account.endpoint, {"url": url})


def _next(account: Account, told: str) -> str:
    """The address of the page *told* by `next`: always of this account, for the API key goes nowhere else.

    It is the LMS's address or LTIAAS's own around it; either way it is followed through `url` (E140).
    """
    try:
        absolute = urljoin(account.endpoint, bare(told))
        parts = urlsplit(absolute)
        inner = address_in(parts.query) if parts.path.endswith(ENDPOINT) else None
        if inner is not None:
            return _at(account, inner)
        if origin(absolute) == origin(account.endpoint):
            return absolute
    except ValueError:
        raise MalformedError("the page's next is no URL.", where=account.where, remedy=VENDOR) from None
    return _at(account, absolute)


def _read(account: Account, url: str, authorization: str, scheme: str, effort: Effort) -> Answer:
    headers = {"authorization": authorization, "accept": "application/json"}
    answer = account.transport.exchange(Call("GET", url, lambda: headers), effort)
    check_status(answer, account.where, scheme)
    return answer
