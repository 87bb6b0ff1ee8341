"""One page as LTIAAS sends it: the container of NRPS in camelCase, with the next page in the body."""

import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from ..errors import MalformedError
from .body import BOM, VENDOR, decode
from .container import Page, read_container
from .container import read_page as read_empty
from .member import NAMED_FIELDS

IDENTIFYING = ("userId", "user_id", "roles", "status")  # a member that names one of these twice is malformed
NAMES = {name.replace("_", ""): name for name in NAMED_FIELDS}  # by their letters alone

ADDRESS = re.compile(r"https?://[^/?#]", re.IGNORECASE)
ENCODED_ADDRESS = re.compile(r"https?(%(25)*3A|:%(25)*2F)", re.IGNORECASE)
BEHIND_URL = re.compile(r"(?:^|&)url=(.+)", re.DOTALL)
ENCODED_QUERY = re.compile(r"%3[DF]", re.IGNORECASE)  # its `?` or a `=`


def read_page(body: bytes) -> tuple[Page, str | None]:
    """Read the body of one response: the page, and `next` as it came; None where the roster ends.

    Raises MalformedError if it is no membership container.
    """
    content = body.removeprefix(BOM)
    if not content or content.isspace():
        return read_empty(content), None
    container = decode(content, IDENTIFYING)
    members = container.get("members")
    if isinstance(members, list):
        container["members"] = [_member(each) if isinstance(each, dict) else each for each in members]
    return read_container(container), _next(container.get("next"))


def address_in(query: str) -> str | None:
    """Return the LMS's address that the parameter `url` of *query* holds; None where there is none.

    An address that is not encoded goes on to the end: cut at its own `&` it would lose parameters, and the roster
    members. Raises ValueError where it can't be told whether it is encoded, and for what is no address.
    """
    found = BEHIND_URL.search(query)
    if found is None:
        return None
    whole = found[1]
    value, more, _ = whole.partition("&")
    is_open = "=" in value
    if not ADDRESS.match(value):
        if is_open and (more or "?" in value):
            raise ValueError("encoded in part")
        address = bare(unquote(value, errors="strict"))  # what follows is LTIAAS's own
    elif not is_open and ENCODED_QUERY.search(value):
        address = unquote(value, errors="strict")  # RFC 3986 §3.4: `:`, `/` and `?` need not be encoded
    elif (more and "?" not in value) or (not more and "%26" in value):
        raise ValueError("encoded in part")
    else:
        address = whole
    if not ADDRESS.match(address):
        raise ValueError("no address of an LMS")
    return address


def bare(address: str) -> str:
    """Return *address* decoded, where it is encoded as if it were a parameter, once or more often.

    Raises ValueError where only a part of it is.
    """
    while ENCODED_ADDRESS.match(address):
        if "?" in address or "&" in address:
            raise ValueError("encoded in part")
        address = unquote(address, errors="strict")
    return address


def _next(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise MalformedError("the page's next is not a URL.", remedy=VENDOR)
    return value.strip() or None


def _member(sent: dict[str, Any]) -> dict[str, Any]:
    """The member under NRPS's names; what NRPS does not name keeps its own (it goes into `extra`).

    The documented spellings and those that differ in case or underscores alone are one field: what the LMS sent
    may be passed through as it was. Of two spellings with different values the id makes the member malformed.
    """
    renamed: dict[str, Any] = {}
    for key, value in sent.items():
        name = _name(key)
        if name in renamed and renamed[name] != value:
            if name == "user_id":
                return {}
            name = key
        renamed[name] = value
    return renamed


@lru_cache(maxsize=4096)
def _name(key: str) -> str:
    return NAMES.get(key.replace("_", "").lower(), key)
