"""A response body as JSON: from bytes to one clean, unambiguous object, or a fault that says what it was."""

import json
import re
from functools import cache
from itertools import repeat
from typing import Any, NoReturn

import orjson

from ..errors import MalformedError

BOM = b"\xef\xbb\xbf"
IDENTIFYING = ("user_id", "roles", "status")  # a member that names one of these twice is malformed
REPLACEMENT = "\ufffd"
UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # NUL and lone surrogates, which warehouses refuse

# Integers beyond 64 bits, which orjson turns into floats: 19 digits and more where a value can stand.
DIGITS = bytes(48 if chr(byte).isdigit() else 32 for byte in range(128)) + b" " * 128
LONG_RUN = b"0" * 19
LONG_NUMBER = re.compile(rb"[:\[,]\s*-?[0-9]{19}")

MEMBERS = b'"members":'
ESCAPE = b"\\"
ESCAPED_LETTERS = (b"\\u005", b"\\u006", b"\\u007")  # a key could be written with these to look like another

CHECK = "Is memberships_url that of the roster service, and is the service on for this tool?"
VENDOR = "Try again; if it stays so, report it to the platform's vendor."


class _Doubled(dict[str, Any]):
    """An object in which the keys *doubled* appear more than once, with different values."""

    doubled: frozenset[str] = frozenset()


def decode(body: bytes, identifying: tuple[str, ...] = IDENTIFYING) -> dict[str, Any]:
    """Read the JSON object in *body*, as UTF-8 whatever its content type says; NUL and lone surrogates go.

    A member that says two things about one of *identifying* becomes None. Raises MalformedError, with
    nothing of the body in it, for whatever is not one JSON object or says two things about the context.
    """
    body = body.removeprefix(BOM)
    try:
        container = _fast(body, identifying)
        return _tolerant(body, identifying) if container is None else container
    except RecursionError:
        raise MalformedError("the platform answered JSON that is nested too deeply.", remedy=VENDOR) from None


def json_text(value: object, *, sort: bool) -> str:
    """Write *value*, from a body that `decode` read, as compact JSON text without lone surrogates."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort else None).decode()
    except TypeError:  # an integer beyond 64 bits, a lone surrogate, more than 254 levels
        return json.dumps(clean(value), ensure_ascii=False, sort_keys=sort, separators=(",", ":"))


def clean(value: Any) -> Any:
    """Put U+FFFD for every NUL and lone surrogate in the texts and keys of a JSON value."""
    if isinstance(value, str):
        return UNSTORABLE.sub(REPLACEMENT, value)
    if isinstance(value, dict):
        return {clean(key): clean(each) for key, each in value.items()}
    if isinstance(value, list):
        return [clean(each) for each in value]
    return value


def _fast(body: bytes, identifying: tuple[str, ...]) -> dict[str, Any] | None:
    """Read a body that holds nothing odd; None leaves it to the tolerant reader."""
    try:
        container = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if type(container) is not dict:
        return None
    if ESCAPE not in body and _is_as_written(body, container):
        return container
    if not _is_unambiguous(body, container, identifying) or _holds_long_number(body):
        return None
    return clean(container) if ESCAPE in body and b"\\u0000" in body else container


def _is_as_written(body: bytes, container: dict[str, Any]) -> bool:
    """Whether the members stand in *body* just as we would write them: then no key of theirs stands twice there.

    So nearly every platform writes them, and to write them and compare costs less than to count their keys. What
    stands around them is read once more.
    """
    entries = container.get("members")
    start = body.find(MEMBERS) + len(MEMBERS)
    if start < len(MEMBERS) or type(entries) is not list:
        return False
    try:
        # The first by itself: a body in another layout is not written whole to find that out.
        if entries and not body.startswith(orjson.dumps(entries[0]), start + 1):
            return False
        members = orjson.dumps(entries)
    except TypeError:  # more than 254 levels
        return False
    if not body.startswith(members, start):
        return False
    frame = body[:start] + b"null" + body[start + len(members) :]
    try:
        read = _load(frame.decode())
    except ValueError:
        return False
    if type(read) is not dict or type(read.get("context")) is _Doubled or _holds_long_number(frame):
        return False
    # That null is the value of the container's own key: then the members are, in the body.
    return read == {**container, "members": None}


def _holds_long_number(body: bytes) -> bool:
    return LONG_RUN in body.translate(DIGITS) and LONG_NUMBER.search(body) is not None


def _is_unambiguous(body: bytes, container: dict[str, Any], identifying: tuple[str, ...]) -> bool:
    """Tell cheaply that no key that matters stands twice; False where only a slow reading can tell."""
    members = container.get("members")
    if type(members) is not list or (ESCAPE in body and any(letter in body for letter in ESCAPED_LETTERS)):
        return False
    try:
        for key in identifying:
            if body.count(f'"{key}"'.encode()) != sum(map(dict.__contains__, members, repeat(key))):
                return False
        return _frame_is_unambiguous(body, container)
    except (LookupError, TypeError, ValueError):  # a member that is no object; a frame cut in the wrong place
        return False


def _frame_is_unambiguous(body: bytes, container: dict[str, Any]) -> bool:
    """Read what stands before and after the members once more, noticing doubled keys."""
    start = body.find(b'"members"')
    if body.find(b'"members"', start + 1) >= 0:
        return False
    frames = [_load((body[:start] + b'"members":null}').decode())]
    later = next((key for key in container if key not in frames[0]), None)
    if later is not None:
        rest = body[body.find(json.dumps(later, ensure_ascii=False).encode()) :]
        frames.append(_load("{" + rest.decode()))
    if any(type(frame) is not dict or type(frame.get("context")) is _Doubled for frame in frames):
        return False
    pairs = [pair for frame in frames for pair in frame.items() if pair[0] != "members"]
    return len(pairs) + 1 == len(container) and all(container[key] == value for key, value in pairs)


def _tolerant(body: bytes, identifying: tuple[str, ...]) -> dict[str, Any]:
    """Read with the standard library: slower, exact, and able to name the fault."""
    text = body.decode("utf-8", "surrogateescape")
    try:
        container = _load(text)
    except ValueError as error:
        container = _fault(text, error)
    if isinstance(container, MalformedError):
        raise container  # out here, so that no cause hangs on it: json's carries the body, and so the members
    if not isinstance(container, dict):
        kind = "list" if isinstance(container, list) else "value"
        raise MalformedError(f"the platform answered a JSON {kind} where an object is due.", remedy=CHECK)
    for part, name in ((container, "container"), (container.get("context"), "context")):
        if isinstance(part, _Doubled):
            raise MalformedError(
                f"the {name} names a key twice, with different values.",
                remedy=VENDOR,
            )
    if isinstance(members := container.get("members"), list):
        container["members"] = [None if _is_ambiguous(member, identifying) else member for member in members]
    cleaned: dict[str, Any] = clean(container)
    return cleaned


def _is_ambiguous(member: object, identifying: tuple[str, ...]) -> bool:
    return isinstance(member, _Doubled) and not member.doubled.isdisjoint(identifying)


def _load(text: str) -> Any:
    """Load JSON; raw control characters in a text are let pass, NaN and Infinity are not."""
    return _decoder().decode(text)


@cache
def _decoder() -> json.JSONDecoder:
    """Made once: to make one costs more than the reading of what stands around the members."""
    return json.JSONDecoder(
        strict=False, object_pairs_hook=_object, parse_constant=_refuse, parse_float=_finite
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) == len(pairs):
        return read
    first: dict[str, Any] = {}
    differing = frozenset(key for key, value in pairs if first.setdefault(key, value) != value)
    if not differing:
        return read
    found = _Doubled(read)
    found.doubled = differing
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number beyond all bounds")
    return number


def _fault(text: str, error: ValueError) -> MalformedError:
    """Name what the body looks like, without showing any of it."""
    start, end = text[:1000].lstrip().lower(), text[-1000:].rstrip()
    if start.startswith(("<!doctype html", "<html")):
        what = "an HTML page with status 200, likely a login page"
        return MalformedError(
            f"the platform answered {what}.",
            remedy="Check that the memberships URL is that of the roster service, not of a page for people.",
        )
    if start.startswith("<"):
        return MalformedError("the platform answered HTML or XML instead of JSON.", remedy=CHECK)
    if not start.startswith(("{", "[")):
        return MalformedError("the platform answered a text that is not JSON.", remedy=CHECK)
    if isinstance(error, json.JSONDecodeError):
        if error.msg == "Extra data":
            return MalformedError(
                "the platform answered more than one JSON value in one body.", remedy=VENDOR
            )
        if not end.endswith(("}", "]")) or error.pos >= len(text.rstrip()) or "Unterminated" in error.msg:
            return MalformedError("the platform answered JSON that breaks off.", remedy=VENDOR)
        what = f"JSON with a fault at character {error.pos}"
        return MalformedError(f"the platform answered {what}.", remedy=VENDOR)
    return MalformedError("the platform answered JSON with a number that cannot be read.", remedy=VENDOR)
