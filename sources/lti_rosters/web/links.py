"""Web links in HTTP headers: where the next page and the differences are (RFC 8288; NRPS §2.4.2, §2.4.3)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import MalformedError

NEXT = "next"

# Each pattern is tried at one place only and never steps back, so reading takes linear time.
SEPARATORS = re.compile(r"[ \t,]*+")
TARGET = re.compile(r"<([^>]*+)>")
PARAMETER = re.compile(
    r"""[ \t]*+;[ \t]*+
        (?P<name>[^\s=;,<>"]*+)[ \t]*+
        (?:=[ \t]*+(?:
            "(?P<quoted>(?:[^"\\]++|\\.)*+)"
          | '(?P<single>[^'"<>;,]*+)'(?=[ \t]*+(?:[;,]|$))
          | (?P<token>[^\s";,]*+(?:[ \t]++[^\s";,=]++)*+)
        ))?""",
    re.VERBOSE | re.DOTALL,
)
END = re.compile(r"[ \t]*+(?:,|$)")
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
REFERENCE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:)?(//[^/?#]*)?([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Link:
    """One link of a response: an absolute *target*, its case and escapes as sent; relations in lower case."""

    target: str
    rels: frozenset[str]


def read_links(headers: Sequence[str], base: str) -> list[Link]:
    """Read every `Link` header of a response whose URL is *base*.

    A link with an `anchor` that speaks of another resource is left out. What follows a fault in a header is
    left out too, unless the letters "next" stand in it: then MalformedError, for a next page that is
    overlooked would cut the roster.
    """
    return [link for header in headers for link in _header(header, base)]


def target(links: Sequence[Link], rel: str) -> str | None:
    """Give the target of the link with relation *rel*, None without one.

    Two different targets for "next" raise MalformedError; for other relations the first counts.
    """
    found = [link.target for link in links if rel in link.rels]
    if rel == NEXT and len(set(found)) > 1:
        raise MalformedError(
            "the Link headers name two different next pages.",
            remedy="Report it to the platform's vendor: a response has one next page at most (NRPS 2.4.2).",
        )
    return found[0] if found else None


def _header(header: str, base: str) -> list[Link]:
    links: list[Link] = []
    position = _skip(header, 0)
    while position < len(header):
        start = position
        opening = TARGET.match(header, start)
        if opening is None:
            return _broken(header, start, links)
        parameters, position = _parameters(header, opening.end())
        closing = END.match(header, position)
        if closing is None:
            return _broken(header, start, links)
        if _same_resource(parameters.get("anchor", ""), base):
            links.append(Link(_resolve(base, opening[1].strip()), _rels(parameters.get("rel", ""))))
        position = _skip(header, closing.end())
    return links


def _parameters(header: str, position: int) -> tuple[dict[str, str], int]:
    """Read the parameters from *position* on; the first of a name counts (RFC 8288 §3.3)."""
    parameters: dict[str, str] = {}
    while found := PARAMETER.match(header, position):
        quoted, single, token = found["quoted"], found["single"], found["token"]
        value = single if single is not None else token
        if quoted is not None:
            value = ESCAPED.sub(r"\1", quoted)
        if value is not None:
            parameters.setdefault(found["name"].lower(), value.strip())
        position = found.end()
    return parameters, position


def _broken(header: str, start: int, links: list[Link]) -> list[Link]:
    if NEXT in header[start:].lower():
        raise MalformedError(
            "a Link header cannot be read and may name a next page.",
            remedy="Report it to the platform's vendor: the header does not follow RFC 8288.",
        )
    return links


def _rels(value: str) -> frozenset[str]:
    """Split a `rel`; stray quotes are overlooked, and commas between plain names (in a URI they count)."""
    names = (value if ":" in value else value.replace(",", " ")).lower().split()
    return frozenset(name.strip("'\"") for name in names)


def _same_resource(anchor: str, base: str) -> bool:
    return _resolve(base, anchor).partition("#")[0] == base.partition("#")[0]


def _resolve(base: str, reference: str) -> str:
    """Resolve *reference* (RFC 3986 §5.2.2); an absolute URL stays untouched, nothing is escaped anew."""
    scheme, host, path, query, fragment = _split(reference)
    if scheme:
        return reference
    base_scheme, base_host, base_path, base_query, _ = _split(base)
    if host:
        return base_scheme + reference
    if not path:
        return base_scheme + base_host + base_path + (query or base_query) + fragment
    if not path.startswith("/"):
        path = (base_path[: base_path.rfind("/") + 1] or "/") + path
    return base_scheme + base_host + _without_dots(path) + query + fragment


def _split(reference: str) -> tuple[str, str, str, str, str]:
    found = REFERENCE.match(reference)
    scheme, host, path, query, fragment = found.groups("") if found else ("", "", reference, "", "")
    return scheme, host, path, query, fragment


def _without_dots(path: str) -> str:
    """Remove the segments "." and ".." of an absolute path (RFC 3986 §5.2.4)."""
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def _skip(header: str, position: int) -> int:
    found = SEPARATORS.match(header, position)
    return found.end() if found else position
