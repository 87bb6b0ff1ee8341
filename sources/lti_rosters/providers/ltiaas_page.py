"""One page as LTIAAS sends it: the container of NRPS in camelCase, with the next page in the body."""

from functools import lru_cache
from typing import Any

from ..errors import MalformedError
from .body import BOM, VENDOR, decode
from .container import Page, read_container
from .container import read_page as read_empty
from .member import NAMED_FIELDS

IDENTIFYING = ("userId", "user_id", "roles", "status")  # a member that names one of these twice is malformed
NAMES = {name.replace("_", ""): name for name in NAMED_FIELDS}  # by their letters alone


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
