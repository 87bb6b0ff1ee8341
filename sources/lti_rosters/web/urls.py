"""URLs as text: their origin, what may be asked, what may be stored, and parameters added to them.

Nothing here opens a connection, and nothing rewrites a URL beyond what it says: platforms compare theirs
byte for byte (NRPS §2.4.2: a next link is used as it came).
"""

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote, unquote, unquote_plus, urlsplit

from ..errors import ConfigurationError

PORTS = {"https": 443, "http": 80}
SCHEMES = tuple(PORTS)

# Names of query parameters that carry a secret, as lower-case letters and digits only ("access_token" and
# "accessToken" are "accesstoken"). Names such as placement_id, keyword, course_code and course_key are not.
SECRET_NAME = re.compile(
    r".*(token|secret|signature|passw|credential|assertion|bearer|jwt|ltik|sesskey|authoriz).*"
    r"|(o?auth|.*oauth.*|basicauth|authkey|authcode)"
    r"|(.*(api|access|service|private|auth|session|client|consumer|shared|account|subscription|app))?key"
    r"|(code|sig|hmac|pwd|pass|pw|(j|php|asp|user)?sess(ion)?(id)?)"
)
ENCODED_OBJECT = re.compile(r"eyJ[\w-]+\.[\w-]+\.")  # a JWT: a secret under whatever name
NESTING = 3  # how deep a URL within a parameter of a URL is looked into

_PLAIN = re.compile(r"https://[a-z0-9][a-z0-9.-]*(:[1-9]\d{0,3})?(/[!-\[\]-~]*)?")  # nearly all URLs
_MORE = re.compile("[@?#;]")  # what is before none of these is scheme, host and path
_AUTHORITY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:)?//([^/?#]*)")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff\\]")
_HOST = re.compile(r"[^\s%/?#@:\[\]\u3002\uff0e\uff61]+|[0-9A-Fa-f:.]+")  # no dot but the plain one


def origin(url: str) -> str:
    """Return `scheme://host:port` of *url*: lower case, the default port written out, no user.

    Raises ValueError for what is not an absolute http or https URL with a host that every reader of URLs
    understands alike: no backslash, white space or control character, no percent sign in the host.
    """
    if _UNPRINTABLE.search(url):
        raise ValueError("a URL holds no white space, backslash or control character")
    found = _AUTHORITY.match(url)
    return _origin(found[0] if found else url)


@lru_cache(maxsize=1024)
def _origin(url: str) -> str:
    """The same for a *url* that ends with its host and port: few, of which each is asked for many times."""
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port
    if parts.scheme not in PORTS:
        raise ValueError("the scheme is neither https nor http")
    is_disguised = host is not None and host.isascii() and not parts.netloc.isascii()  # U+212A is a k
    if not host or is_disguised or not _HOST.fullmatch(host):
        raise ValueError("there is no host that can be read")
    if port == 0:
        raise ValueError("there is no port 0, and who connects takes it for none")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{PORTS[parts.scheme] if port is None else port}"


@lru_cache(maxsize=1024)
def is_loopback(url: str) -> bool:
    """Tell whether the host of *url* is this machine: 127.0.0.0/8, ::1 or localhost."""
    return _is_own(urlsplit(url).hostname or "")


@lru_cache(maxsize=1024)
def _is_own(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address == ipaddress.IPv6Address("::1") or (address.version == 4 and address.is_loopback)


def check_url(url: str, what: str) -> None:
    """Raise ConfigurationError unless *url* is absolute and https, or http on loopback (LTI security §3).

    *what* names the setting in the message, which shows the URL without its secrets, or not at all when
    the text is no URL (it may be a secret in the wrong place).
    """
    if _PLAIN.fullmatch(url):
        return
    if not url.lower().startswith(("https://", "http://")):
        raise ConfigurationError(f"{what} is not an absolute URL.", remedy="It must begin with https://")
    try:
        place = origin(url)
    except ValueError as error:
        raise ConfigurationError(f"{what} is not a URL that can be used: {_reason(error)}.") from None
    if not place.startswith("https:") and not is_loopback(place):
        raise ConfigurationError(
            f"{what} is {without_secrets(url)}: without TLS anybody on the way can read the token.",
            remedy="Use https:// (http:// is for this machine alone).",
        )


def _reason(error: ValueError) -> str:
    """Say why *error* came, in words that never repeat the URL (urllib's do)."""
    text = str(error)
    ours = ("a URL holds", "the scheme is", "there is no")
    return text if text.startswith(ours) else "its host or port cannot be read"


def without_userinfo(url: str) -> str:
    """Return *url* without `user:password@`."""
    found = _AUTHORITY.match(url)
    if not found or "@" not in found[2]:
        return url
    host = found[2].rpartition("@")[2]
    return f"{url[: found.start(2)]}{host}{url[found.end(2) :]}"


def without_secrets(url: str) -> str:
    """Return *url* as it may be stored and shown: no user, no fragment, no secret parameter (E150).

    What stays is byte for byte as it was. Never raises, whatever the text.
    """
    return url if _MORE.search(url) is None else _without_secrets(url, NESTING)


def carries_secret(url: str) -> bool:
    """Tell whether *url* would lose anything but its fragment in `without_secrets`."""
    return without_secrets(url) != url.partition("#")[0]


def _without_secrets(url: str, depth: int) -> str:
    bare = without_userinfo(url.partition("#")[0])
    path, mark, query = bare.partition("?")
    path = ";".join(
        piece for n, piece in enumerate(path.split(";")) if n == 0 or not _is_secret(piece, depth)
    )
    if not mark:
        return path
    kept = [piece for piece in (_open_part(pair, depth) for pair in query.split("&")) if piece is not None]
    if not kept:
        return path
    return f"{path}?{'&'.join(kept)}"


def _open_part(pair: str, depth: int) -> str | None:
    """Return what of *pair*, the text between two `&`, is no secret; None if nothing is.

    Some servers also separate by semicolons. A secret's own value may hold one, so all behind it goes too.
    """
    pieces = pair.split(";")
    secret = next((n for n, piece in enumerate(pieces) if _is_secret(piece, depth)), None)
    if secret is None:
        return pair
    return ";".join(pieces[:secret]) if secret else None


def _is_secret(pair: str, depth: int) -> bool:
    name, _, value = pair.partition("=")
    letters = re.sub(r"[^a-z0-9]", "", unquote_plus(name).lower())
    if SECRET_NAME.fullmatch(letters):
        return True
    return bool(ENCODED_OBJECT.search(name)) or _hides_secret(value, depth)


def _hides_secret(value: str, depth: int) -> bool:
    """Tell whether *value*, however often it is encoded, is a JWT or a URL that carries a secret."""
    for below in range(depth, 0, -1):
        plain = unquote(value)
        if ENCODED_OBJECT.search(plain):
            return True
        is_url = "?" in plain or "://" in plain
        if is_url and _without_secrets(plain, below - 1) != plain.partition("#")[0]:
            return True
        if plain == value:
            return False
        value = plain
    return False


def with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    """Return *url* with *parameters* behind its own query, which stays byte for byte as it was (E64).

    A parameter that the URL already has under that name is not added again (NRPS §3: one rlid).
    """
    bare, hash_mark, fragment = url.partition("#")
    base, _, query = bare.partition("?")
    present = {unquote_plus(pair.partition("=")[0]) for pair in query.split("&") if pair}
    added = "&".join(
        f"{_encoded(name)}={_encoded(value)}" for name, value in parameters.items() if name not in present
    )
    if not added:
        return url
    joint = "" if not query or query.endswith("&") else "&"
    return f"{base}?{query}{joint}{added}{hash_mark}{fragment}"


def _encoded(text: str) -> str:
    """Return *text* percent-encoded in full, so that a role's URI survives as one value."""
    return quote(text, safe="", errors="replace")
