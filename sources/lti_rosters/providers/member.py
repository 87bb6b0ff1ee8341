"""One membership: read tolerantly, understood strictly, merged when listed twice (NRPS §2.2)."""

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import repeat
from operator import itemgetter
from typing import Any, NamedTuple

from ..errors import MalformedError
from .body import VENDOR, json_text

STATUSES = {"active": "Active", "inactive": "Inactive", "deleted": "Deleted", "": "Active"}  # NRPS §2.3
TEXT_FIELDS = (
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "email",
    "picture",
    "lis_person_sourcedid",
    "lti11_legacy_user_id",
)
NAMED_FIELDS = frozenset({"user_id", "status", "roles", "message", *TEXT_FIELDS})
PLAIN_FIELDS = NAMED_FIELDS - {"message"}
TEXT_TYPES = frozenset({str, type(None)})
NO_TEXT = (bool, list, dict)
NEW = tuple.__new__


class Member(NamedTuple):
    """One membership as sent, with clean texts; *extra* and *message* are JSON texts.

    *status* is Active, Inactive, Deleted or an unknown value as sent; *roles* are as sent, without blanks and
    doubles. A field that is missing, null or "" is None. *extra* holds what the standard doesn't name.
    """

    user_id: str
    status: str
    roles: tuple[str, ...]
    name: str | None
    given_name: str | None
    family_name: str | None
    middle_name: str | None
    email: str | None
    picture: str | None
    lis_person_sourcedid: str | None
    lti11_legacy_user_id: str | None
    extra: str | None
    message: str | None


def read_members(entries: list[Any]) -> list[Member]:
    """Read the members of a page in their order; those without a usable user_id are left out."""
    alike = _alike(entries)
    if alike is not None:
        return alike
    seen: dict[tuple[Any, ...], tuple[str, ...]] = {}  # a page holds few different lists of roles
    return [
        member
        for entry in entries
        if isinstance(entry, dict) and (member := _member(entry, seen)) is not None
    ]


def _alike(entries: list[Any]) -> list[Member] | None:
    """Read a page whose members all have the same fields of the standard, with nothing odd in them.

    Most pages are such. They are read field by field instead of member by member, in half the time; None leaves a
    page to be read one by one.
    """
    if {*map(type, entries)} != {dict} or len({*map(len, entries)}) != 1:
        return None
    names = tuple(entries[0])
    if "user_id" not in names or len(names) < 2 or not PLAIN_FIELDS.issuperset(names):
        return None
    nothing = (None,) * len(entries)
    try:
        columns = dict(zip(names, zip(*map(_getter(names), entries), strict=True), strict=True))
        roles = _role_lists(columns.get("roles", nothing))
    except (KeyError, TypeError):  # other fields; a list or an object among the roles
        return None
    people, statuses = columns["user_id"], columns.get("status", nothing)
    texts = [columns.get(name, nothing) for name in TEXT_FIELDS]
    if roles is None or not _are_texts(people) or "" in people or any(map(str.isspace, people)):
        return None
    if not all(
        column is nothing or _are_texts(column) or TEXT_TYPES.issuperset(map(type, column))
        for column in (statuses, *texts)
    ):
        return None
    read = {status: _status(status) for status in {*statuses}}
    filled = [
        [text or None for text in column] if column is not nothing and "" in column else column
        for column in texts
    ]
    rows = zip(people, map(read.__getitem__, statuses), roles, *filled, nothing, nothing, strict=True)
    return [*map(NEW, repeat(Member), rows)]


def _are_texts(column: tuple[Any, ...]) -> bool:
    """Whether all of *column* is text: joining finds it out in half the time that looking at each type takes."""
    try:
        "".join(column)
    except TypeError:
        return False
    return True


@lru_cache(maxsize=256)
def _getter(names: tuple[str, ...]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    """How to take the fields *names*, two or more, of a member."""
    return itemgetter(*names)


def _role_lists(column: tuple[Any, ...]) -> list[tuple[str, ...]] | None:
    types = {*map(type, column)}
    if types == {list}:
        return [*map(_names_of, map(tuple, column))]
    return [()] * len(column) if types == {type(None)} else None


def merge(first: Member, second: Member) -> Member:
    """Make one member of two listings of the same user: roles united, Active wins, else the last value.

    Of *extra* the last value of each key counts; MalformedError if it is nested too deeply.
    """
    later = [new if new is not None else old for old, new in zip(first[3:11], second[3:11], strict=True)]
    return Member._make(
        (
            first.user_id,
            "Active" if "Active" in (first.status, second.status) else second.status,
            tuple(dict.fromkeys(first.roles + second.roles)),
            *later,
            _united(first.extra, second.extra),
            first.message if second.message is None else second.message,
        )
    )


def _united(first: str | None, second: str | None) -> str | None:
    if first is None or second is None or first == second:
        return first if second is None else second
    try:
        return json_text(json.loads(first) | json.loads(second), sort=True)
    except RecursionError:
        raise MalformedError("a member's fields are nested too deeply.", remedy=VENDOR) from None


def _member(entry: dict[str, Any], seen: dict[tuple[Any, ...], tuple[str, ...]]) -> Member | None:
    """Read one member; None for one without a usable user_id. Written for speed: rosters are large."""
    get = entry.get
    user_id = get("user_id")
    if type(user_id) is not str:
        user_id = whole_number(user_id)
    if not user_id or user_id.isspace():
        return None
    status = get("status")
    texts = [*map(get, TEXT_FIELDS)]
    extra = None
    if not TEXT_TYPES.issuperset(map(type, texts)):
        extra = _extra(entry, texts)
        texts = [*map(text_or_none, texts)]
    elif not NAMED_FIELDS.issuperset(entry):
        extra = _extra(entry, ())
    if "" in texts:
        texts = [text or None for text in texts]
    message = get("message")
    fields = (
        user_id,
        status if status == "Active" else _status(status),
        _roles(get("roles"), seen),
        *texts,
        extra,
        None if message is None else json_text(message, sort=False),
    )
    return NEW(Member, fields)  # what _make does, without counting them again


def _status(value: object) -> str:
    """Read a status without regard to case and spaces; missing or blank means Active (NRPS §2.3)."""
    if value is None:
        return "Active"
    if isinstance(value, str):
        return STATUSES.get(value.strip().lower(), value)
    return json_text(value, sort=True)


def _roles(value: object, seen: dict[tuple[Any, ...], tuple[str, ...]]) -> tuple[str, ...]:
    if type(value) is not list:
        return read_names(value)
    key = tuple(value)
    try:
        known = seen.get(key)
    except TypeError:  # a list or an object among the roles
        return read_names(value)
    if known is None:
        known = seen[key] = _names_of(key)
    return known


@lru_cache(maxsize=4096)
def _names_of(key: tuple[Any, ...]) -> tuple[str, ...]:
    """What the few lists of roles come to that all pages together hold."""
    return read_names([*key])


def read_names(value: object) -> tuple[str, ...]:
    """Read a list of names: a text is split at commas, a list within the list is opened once.

    What is no text is left out, and so are blanks and doubles; the order stays.
    """
    entries: list[Any] = value.split(",") if isinstance(value, str) else []
    if isinstance(value, list):
        for entry in value:
            entries.extend(entry if isinstance(entry, list) else [entry])
    stripped = [entry.strip() for entry in entries if isinstance(entry, str)]
    return tuple(dict.fromkeys(name for name in stripped if name))


def _extra(entry: dict[str, Any], texts: Iterable[Any]) -> str | None:
    """The fields that the standard doesn't name, and named ones that hold neither text nor number."""
    kept = {key: entry[key] for key in entry.keys() - NAMED_FIELDS}
    kept |= {key: text for key, text in zip(TEXT_FIELDS, texts, strict=False) if isinstance(text, NO_TEXT)}
    return json_text(kept, sort=True) if kept else None


def text_or_none(value: object) -> str | None:
    """Read a text or a number as text; None for "" and for everything else."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, float) and not value.is_integer():
        return repr(value)
    return whole_number(value)


def whole_number(value: object) -> str | None:
    """A whole number as text without exponent, None for everything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
