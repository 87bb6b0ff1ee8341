"""One row of a catalogue, in whatever form it comes, read to the context that it names."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import ConfigurationError
from ..web.urls import check_url

NRPS_CLAIM = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
CONTEXT_CLAIM = "https://purl.imsglobal.org/spec/lti/claim/context"
DEPLOYMENT_CLAIM = "https://purl.imsglobal.org/spec/lti/claim/deployment_id"
LINK_CLAIM = "https://purl.imsglobal.org/spec/lti/claim/resource_link"
CLAIMS = (
    "https://purl.imsglobal.org/spec/lti",
    "http://purl.imsglobal.org/spec/lti",
)  # how claims' names begin
VERSION = "2.0"  # of the service, in service_versions (NRPS §3.6.1.1)

URL = "memberships_url"
ALIASES = {"context_memberships_url": URL}  # the claim's own name for it
COLUMNS = (URL, "context_id", "label", "title", "resource_link_id", "service_key", "ltik")
ADDRESSES = {
    "nrps": (URL,),
    "ltiaas": ("service_key", "ltik", URL),
}  # by provider: one of them finds the roster


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
    deployment_id: str | None = field(default=None, compare=False)  # of a launch
    where: str = ""
    unavailable: str | None = None
    platform: str | None = None  # which LMS behind an LTIAAS account, where an ID token tells
    launched_at: float | None = field(
        default=None, repr=False, compare=False
    )  # of a launch: its iat, in seconds

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
    """Read *row*: a URL, a table, the claims of a launch, or an entry. Raises BadRowError."""
    if isinstance(row, ContextEntry):
        _check(row.memberships_url)
        return row
    if isinstance(row, str):
        return _table({URL: row}, where, provider)
    if not isinstance(row, Mapping):
        raise BadRowError(f"a URL or a table is needed, not {_kind(row)}.")
    if _is_launch(row):
        return _launch(row, where)
    return _table(row, where, provider)


def is_row(table: Mapping[Any, Any]) -> bool:
    """Tell whether *table* is a row: one with a column that we know, or the claims of a launch."""
    return _is_launch(table) or any(name in COLUMNS or name in ALIASES for name in table)


def _is_launch(row: Mapping[Any, Any]) -> bool:
    return any(isinstance(name, str) and name.startswith(CLAIMS) for name in row)


def _table(row: Mapping[Any, Any], where: str, provider: str) -> ContextEntry:
    named = {ALIASES.get(name, name): value for name, value in row.items() if isinstance(name, str)}
    values: dict[str, Any] = {name: _id(named[name], name) for name in COLUMNS if name in named}
    _check(values.get(URL))
    addresses = ADDRESSES[provider]
    if not any(values.get(name) for name in addresses):
        raise BadRowError(f"{' or '.join(addresses)} is missing.")
    return ContextEntry(**values, where=where)


def _launch(claims: Mapping[Any, Any], where: str) -> ContextEntry:
    """Read the claims of a launch (LTI Core §5.3); version 2.0 of the service counts (NRPS §3.6.1.1)."""
    service = claims.get(NRPS_CLAIM)
    context = _object(claims.get(CONTEXT_CLAIM))
    link = _object(claims.get(LINK_CLAIM))
    url, why = _service(service)
    _check(url)
    issued = claims.get("iat")
    return ContextEntry(
        memberships_url=url,
        context_id=_id(context.get("id"), "the context's id"),
        label=_id(context.get("label"), "the context's label"),
        title=_id(context.get("title"), "the context's title"),
        resource_link_id=_id(link.get("id"), "the resource link's id"),
        deployment_id=_id(claims.get(DEPLOYMENT_CLAIM), "the deployment's id"),
        where=where,
        unavailable=why,
        launched_at=float(issued) if isinstance(issued, int | float) else 0.0,
    )


def _service(claim: Any) -> tuple[str | None, str | None]:
    """Return the URL that *claim* offers, or why it offers none."""
    service = _object(claim)
    if not service:
        return None, "the launch carries no claim of the roster service"
    url = _id(service.get("context_memberships_url"), "context_memberships_url")
    if url is None:
        return None, "the launch's claim of the roster service has no URL"
    versions = service.get("service_versions", service.get("service_version"))
    listed = versions if isinstance(versions, list) else [versions]
    if versions is not None and VERSION not in map(str, listed):
        return None, f"the roster service is not offered in version {VERSION}"
    return url, None


def _object(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _check(url: str | None) -> None:
    if url is None:
        return
    try:
        check_url(url, URL)
    except ConfigurationError as error:
        raise BadRowError(f"{error.what} {error.remedy}".strip()) from None


def _id(value: Any, what: str) -> str | None:
    """Return *value* as text: ids are, and numbers stand for them; blank and not-a-number are none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a column of ids with gaps, as data frames give it
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BadRowError(f"{what} is {_kind(value)}; a text is needed.")


def _kind(value: Any) -> str:
    return {dict: "a table", list: "a list", bool: "true or false"}.get(type(value), type(value).__name__)
