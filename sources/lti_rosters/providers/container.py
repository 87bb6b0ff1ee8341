"""The membership container: what one response says, read tolerantly and understood strictly (NRPS §2)."""

from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

from ..errors import MalformedError
from .body import BOM, CHECK, VENDOR
from .body import decode as decode
from .codes import shown
from .member import Member as Member
from .member import merge as merge
from .member import read_members, read_names, text_or_none, whole_number

_message_of = attrgetter("message")


@dataclass(frozen=True, slots=True)
class Page:
    """What one response carries; *malformed* counts the members that were set aside.

    *empty_body* tells that the body had no byte, or white space alone: then everything else is empty.
    *has_message* tells whether somebody's `message` came (NRPS §3.2), whatever of it may stay.
    """

    context_id: str | None
    label: str | None
    title: str | None
    types: tuple[str, ...]
    members: list[Member]
    malformed: int
    empty_body: bool
    has_message: bool = False


class Sheet(NamedTuple):
    """One page as read, and where the platform says to go on: absolute URLs, None where it offers none."""

    page: Page
    next_url: str | None
    differences_url: str | None


def read_page(body: bytes) -> Page:
    """Read the body of one response; MalformedError if it is not a membership container."""
    content = body.removeprefix(BOM)
    if not content or content.isspace():
        return Page(None, None, None, (), [], malformed=0, empty_body=True)
    return read_container(decode(content))


def read_container(container: dict[str, Any]) -> Page:
    """Read a container that `decode` gave; MalformedError if it is something else (NRPS §2.1)."""
    entries = _entries(container)
    context = container.get("context")
    if context is None:
        context = {}
    if not isinstance(context, dict):
        raise MalformedError("the container's context is not an object.", remedy=VENDOR)
    try:
        members = read_members(entries)
    except RecursionError:
        raise MalformedError("a member's fields are nested too deeply.", remedy=VENDOR) from None
    return Page(
        context_id=_context_id(context.get("id")),
        label=text_or_none(context.get("label")),
        title=text_or_none(context.get("title")),
        types=read_names(context.get("type") or context.get("types")),
        members=members,
        malformed=len(entries) - len(members),
        empty_body=False,
        has_message=any(map(_message_of, members)),  # as JSON text, which is never empty
    )


def _entries(container: dict[str, Any]) -> list[Any]:
    """The list of members as sent, or MalformedError with what came in its stead."""
    entries = container.get("members")
    if not entries and (error := container.get("error") or container.get("errors")):
        code = _error_code(error)
        told = f" ({code})" if code else ""
        raise MalformedError(f"the platform answered an error{told} with status 200.", remedy=CHECK)
    if isinstance(entries, list):
        return entries
    if "pageOf" in container:
        raise MalformedError(
            "the platform answered a version 1 membership container (JSON-LD).",
            remedy="Register the tool as LTI 1.3 and use the memberships URL of the NRPS 2.0 claim.",
        )
    lack = "has no members" if entries is None else "has members that are not a list"
    raise MalformedError(f"the platform's answer {lack}, so it is not a roster.", remedy=CHECK)


def _error_code(error: object) -> str | None:
    """The code of an error body; anything else could name a person and is never shown."""
    if isinstance(error, list) and error:
        error = error[0]
    if isinstance(error, dict):
        error = error.get("code") or error.get("error")
    return shown(error)


def _context_id(value: object) -> str | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    read = value if isinstance(value, str) else whole_number(value)
    if read is None:
        raise MalformedError(
            "the container's context has an id that is neither text nor number.", remedy=VENDOR
        )
    return read
