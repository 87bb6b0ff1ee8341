"""What a provider offers to the reader: the one place that knows which there are."""

from collections.abc import Iterator
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from ..catalogue.catalogue import ContextEntry
from ..errors import ConfigurationError
from ..settings.registration import Registration
from ..web.transport import Effort, Transport
from . import ltiaas, nrps
from .auth import Tokens
from .container import Sheet


class Pages(Protocol):
    """What a provider offers: the pages of one roster, or of the differences at a URL that it named."""

    def __call__(
        self,
        entry: ContextEntry,
        effort: Effort,
        differences_url: str | None = None,
        *,
        resource_link_id: str | None = None,
        sends_role: bool = True,
    ) -> Iterator[Sheet]:
        """Walk the pages of *entry*: of its course, or of the resource link *resource_link_id* in it.

        The platform is asked to apply the registration's role filter, unless *sends_role* is false.
        """
        ...


Connection = nrps.Connection | ltiaas.Account


def connect(registration: Registration, transport: Transport) -> Connection:
    """What it takes to ask the platform of *registration*, as its provider has it."""
    if registration.provider == "ltiaas":
        return ltiaas.Account(
            registration.name, transport, registration.base_url or "", registration.api_key or ""
        )
    return nrps.Connection(registration.name, transport, Tokens(registration, transport))


def pages_of(registration: Registration, connection: Connection) -> Pages:
    """How the pages of an entry of *registration* are read through *connection*."""

    def pages(
        entry: ContextEntry,
        effort: Effort,
        differences_url: str | None = None,
        *,
        resource_link_id: str | None = None,
        sends_role: bool = True,
    ) -> Iterator[Sheet]:
        parameters = _sent(registration, resource_link_id, sends_role=sends_role)
        if isinstance(connection, ltiaas.Account):  # which names no differences
            return ltiaas.pages(connection, entry, effort, parameters=parameters)
        if differences_url is not None:
            return nrps.pages(connection, differences_url, effort)  # complete as it is: nothing is added
        url = entry.memberships_url or ""
        if resource_link_id is not None:
            _check_link(url, resource_link_id, entry.where)
        return nrps.pages(connection, url, effort, parameters=parameters)

    return pages


def _sent(registration: Registration, resource_link_id: str | None, *, sends_role: bool) -> dict[str, str]:
    """What is asked of the first page (NRPS §2.4.1, §2.4.2, §3).

    The role goes as its full URI: it is the one form that Canvas, TAO, Moodle and LTIAAS all know (E66).
    """
    options = registration.options
    limit = str(options.page_size) if options.page_size else None
    given = {"role": options.role if sends_role else None, "limit": limit, "rlid": resource_link_id}
    return {name: value for name, value in given.items() if value}


def _check_link(url: str, resource_link_id: str, where: str) -> None:
    """Refuse to ask for a link at the address of another: the address would win (NRPS §3: one rlid)."""
    own = [value for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True) if name == "rlid"]
    if own and own != [resource_link_id]:
        raise ConfigurationError(
            "memberships_url has the rlid of another resource link than resource_link_id.",
            where=where,
            remedy="Take rlid out of memberships_url.",
        )
