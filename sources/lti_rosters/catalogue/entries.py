"""One row of a catalogue, in whatever form it comes, read to the context that it names."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from ..errors import ConfigurationError
from ..web.urls import check_url

URL = "memberships_url"
ALIASES = {"context_memberships_url": URL}  # the claim's own name for it
COLUMNS = (URL, "context_id", "label", "title", "resource_link_id", "service_key", "ltik")
ADDRESSES = {
    "nrps": (URL,),
    "ltiaas": ("service_key", "ltik", URL),
}  # by provider: one of them finds the roster
HEADERS = {
    "nrps": (URL, "context_id", "label", "title", "resource_link_id"),
    "ltiaas": ("context_id", "service_key", "ltik", "label", "title", "resource_link_id"),
}  # by provider: the columns of a new file
CLAIMS = (
    "https://purl.imsglobal.org/spec/lti",
    "http://purl.imsglobal.org/spec/lti",
)  # how the names of a launch's claims begin
OIDC = frozenset({"iss", "aud", "sub"})  # claims of any ID token
JWT = re.compile(r"\s*eyJ[\w-]+\.[\w-]+\.[\w-]*\s*")
SIGNED = (
    "this is a signed token (JWT); write the claims that your tool verified, as a JSON object, not the token."
)
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Sender:
    """Who launched: the platform, the tool there (a token may be for several), and which deployment of it."""

    issuer: str | None = None
    client_ids: tuple[str, ...] = ()
    deployment_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextEntry:
    """A context of the catalogue. *where* it stands; *unavailable*: why its roster is not offered, if so."""

    memberships_url: str | None = field(default=None, repr=False)  # may carry a secret
    context_id: str | None = None
    label: str | None = None
    title: str | None = None
    resource_link_id: str | None = None
    service_key: str | None = field(default=None, repr=False)
    ltik: str | None = field(default=None, repr=False)
    where: str = ""
    unavailable: str | None = None
    platform: str | None = None  # which LMS behind an LTIAAS account, where an ID token tells
    launched_at: float | None = field(
        default=None, repr=False, compare=False
    )  # of a launch: its iat, in seconds
    sender: Sender | None = field(default=None, repr=False, compare=False)  # of a launch

    @property
    def address(self) -> str | None:
        """What finds the roster; None if nothing does."""
        return self.memberships_url or self.service_key or self.ltik

    @property
    def is_launch(self) -> bool:
        """Whether the claims of a launch told of it."""
        return self.launched_at is not None

    def at(self, memberships_url: str | None) -> "ContextEntry":
        """Return the same context, offered at *memberships_url*."""
        return replace(self, memberships_url=memberships_url, unavailable=None)


class BadRowError(Exception):
    """A row that names no context; becomes a fault of the catalogue."""


def entry(row: Any, where: str, provider: str) -> ContextEntry:
    """Read *row*: a URL, a table, or an entry. Raises BadRowError."""
    if isinstance(row, ContextEntry):
        check_address(row.memberships_url)
        return row
    if isinstance(row, str):
        _refuse_signed([row])
        return _table({URL: row}, where, provider)
    if not isinstance(row, Mapping):
        raise BadRowError(f"a URL or a table is needed, not {_kind(row)}.")
    return _table(row, where, provider)


def is_row(table: Mapping[Any, Any]) -> bool:
    """Tell whether *table* is a row: one with a column that we know."""
    return any(name in COLUMNS or name in ALIASES for name in table)


def _table(row: Mapping[Any, Any], where: str, provider: str) -> ContextEntry:
    named = {ALIASES.get(name, name): value for name, value in row.items() if isinstance(name, str)}
    values: dict[str, Any] = {name: text_of(named[name], name) for name in COLUMNS if name in named}
    check_address(values.get(URL))
    addresses = ADDRESSES[provider]
    if not any(values.get(name) for name in addresses):
        _refuse_signed(row.values())
        if row.keys() & OIDC:
            raise BadRowError("these are not the claims of an LTI launch: none begins with " + CLAIMS[0])
        raise BadRowError(f"{' or '.join(addresses)} is missing.")
    return ContextEntry(**values, where=where)


def check_address(url: str | None) -> None:
    """Raise BadRowError for a memberships URL that no token may go to."""
    if url is None:
        return
    try:
        check_url(url, URL)
    except ConfigurationError as error:
        raise BadRowError(f"{error.what} {error.remedy}".strip()) from None


def _refuse_signed(values: Iterable[Any]) -> None:
    if any(isinstance(value, str) and JWT.fullmatch(value) for value in values):
        raise BadRowError(SIGNED)


def text_of(value: Any, what: str) -> str | None:
    """Return *value* as text: ids are, and numbers and UUIDs stand for them; blank and not-a-number are none.

    NUL and lone surrogates, which no warehouse stores, become U+FFFD (design §3). Raises BadRowError.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        return UNSTORABLE.sub("\ufffd", value.strip()) or None
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))  # a column of ids with gaps, as data frames and databases give it
    if isinstance(value, int | UUID) and not isinstance(value, bool):
        return str(value)
    raise BadRowError(f"{what} is {_kind(value)}; a text is needed.")


def _kind(value: Any) -> str:
    return {dict: "a table", list: "a list", bool: "true or false"}.get(type(value), type(value).__name__)
