"""What each setting must be, and how its value is read from TOML, from the environment or from Python.

A reader takes a value as found and returns it as it is used, or raises `Wrong` with what it must be.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigurationError
from ..web.urls import check_url, origin, without_secrets, without_userinfo
from .lookup import PLACEHOLDER

Reader = Callable[[Any], Any]

TRUE = frozenset({"true", "yes", "on", "1"})
FALSE = frozenset({"false", "no", "off", "0"})
LONGEST_TEXT = 1000  # characters of an id or URL in the settings; LTI's ids have 255 (Core §5.3.3)
LONGEST_SHOWN = 60  # characters of a wrong value in a message
OWN_CLAIMS = {  # claims of the assertion that a fixed value would break, and what to use instead
    "aud": "use audience",
    "exp": "it is made anew for every assertion",
    "iat": "it is made anew for every assertion",
    "jti": "it is made anew for every assertion",
}

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_KEY = re.compile(r"-----BEGIN|PRIVATE KEY|MII[A-Za-z0-9+/]{20}")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s/:@?#*%\\]+)(:\d{1,5})?")


class Wrong(Exception):  # noqa: N818  (never leaves the settings: it becomes a Fault)
    """A value is not what the setting must be; *must* is the rest of "it must be …", or a sentence."""

    def __init__(self, must: str, *, is_sentence: bool = False) -> None:
        """Say what the value *must* be."""
        super().__init__(must)
        self.must = must
        self.is_sentence = is_sentence


@dataclass(frozen=True, slots=True)
class Field:
    """A setting of a registration: its *reader*, and a *hint* where an operator finds the value."""

    name: str
    reader: Reader
    is_secret: bool = False
    hint: str = ""


def text(value: Any) -> str:
    """Read a text; a number, which TOML and vaults may make of an id, is one."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Wrong("a text")
    read = str(value).strip()
    if _CONTROL.search(read) or len(read) > LONGEST_TEXT:
        raise Wrong(f"a text of one line, of {LONGEST_TEXT} characters at most")
    if _KEY.search(read):
        raise Wrong("it looks like a private key; private_key is the setting for it.", is_sentence=True)
    return "" if read == PLACEHOLDER else read


def secret(value: Any) -> str:
    """Read a secret text as it is."""
    if isinstance(value, Mapping):  # a JWK as a TOML table
        return json.dumps(dict(value))
    if not isinstance(value, str):
        raise Wrong("a text")
    return "" if value.strip() == PLACEHOLDER else value.strip()


def url(value: Any) -> str:
    """Read an absolute URL, https or on loopback; a user in it is left out."""
    read = text(value)
    if read:
        _checked(read)
    return without_userinfo(read)


def issuer(value: Any) -> str:
    """Read an issuer: a URL without query and fragment (LTI Core §2, OpenID Connect §2)."""
    read = url(value)
    if "?" in read or "#" in read:
        raise Wrong("a URL without query and fragment")
    return read


def _checked(read: str) -> None:
    try:
        check_url(read, "it")
    except ConfigurationError as error:
        raise Wrong(f"{error.what} {error.remedy}".strip(), is_sentence=True) from None


def whole(low: int, high: int | None = None) -> Reader:
    """Make a reader of whole numbers from *low* to *high*."""
    must = f"a whole number, {low} or more" if high is None else f"a whole number from {low} to {high}"

    def read(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,15}\s*", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Wrong(must)
        number: int = value
        if number < low or (high is not None and number > high):
            raise Wrong(must)
        return number

    return read


def seconds(*, zero: bool = False) -> Reader:
    """Make a reader of spans of time; *zero*: none at all is one."""
    must = "a number of seconds, 0 or more" if zero else "a number of seconds above 0"

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Wrong(must)
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise Wrong(must) from None
        if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
            raise Wrong(must)
        return number

    return read


def flag(value: Any) -> bool:
    """Read true or false."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in TRUE | FALSE:
        raise Wrong("true or false")
    return word in TRUE


def choice(*values: str) -> Reader:
    """Make a reader of one of *values*."""

    def read(value: Any) -> str:
        word = value.strip().lower() if isinstance(value, str) else None
        if word not in values:
            raise Wrong(f"one of {', '.join(values)}")
        return word

    return read


def role(value: Any) -> str | None:
    """Read a role, short or as URI, to its canonical URI; blank is none."""
    from ..roles import role_filter  # here, since the vocabulary is only read when a role is asked for

    if not isinstance(value, str):
        raise Wrong("the name or URI of a role")
    if not value.strip():
        return None
    try:
        return role_filter(value.strip())
    except ConfigurationError as error:
        raise Wrong(f"{error.what} {error.remedy}".strip(), is_sentence=True) from None


def names(value: Any) -> tuple[str, ...]:
    """Read a list of texts: a list, a JSON list, or text separated by commas."""
    if isinstance(value, str):
        value = _json(value) if value.lstrip().startswith("[") else value.split(",")
    if not isinstance(value, list | tuple | set | frozenset) or not all(
        isinstance(each, str) for each in value
    ):
        raise Wrong("a list of texts")
    return tuple(each.strip() for each in value if each.strip())


def origins(value: Any) -> tuple[str, ...]:
    """Read origins (`https://host:8443`) and host names (https is meant) to origins."""
    return tuple(dict.fromkeys(_origin(each) for each in names(value)))


def _origin(entry: str) -> str:
    must = 'a list of origins ("https://files.example:8443") or host names, without path and wildcard'
    scheme, mark, rest = entry.partition("://")
    host = (rest if mark else scheme).removesuffix("/")
    if not _HOST.fullmatch(host):
        raise Wrong(must)
    address = f"{scheme if mark else 'https'}://{host}"
    _checked(address)
    try:
        return origin(address)
    except ValueError:
        raise Wrong(must) from None


def claims(value: Any) -> dict[str, Any]:
    """Read further claims of the assertion: a table, or a JSON object."""
    if isinstance(value, str):
        value = _json(value)
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise Wrong("a table of claims")
    for name, instead in OWN_CLAIMS.items():
        if name in value:
            raise Wrong(f"it may not set {name}: {instead}.", is_sentence=True)
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise Wrong("a table of texts, numbers, lists and tables") from None
    return plain


def _json(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def shown(value: Any) -> str:
    """Return *value* for a message: short, of one line, without what a URL hides, never key material."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)[:LONGEST_SHOWN]
    if not isinstance(value, str):
        return (
            "a table"
            if isinstance(value, Mapping)
            else "a list"
            if isinstance(value, list | tuple)
            else "no text"
        )
    if _KEY.search(value) or "eyJ" in value or _CONTROL.search(value) or len(value) > LONGEST_SHOWN * 3:
        return f"a text of {len(value)} characters"
    plain = without_secrets(value)
    return f'"{plain}"' if len(plain) <= LONGEST_SHOWN else f'"{plain[:LONGEST_SHOWN]}…"'
