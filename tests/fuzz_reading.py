"""Fuzz the readers of bodies and headers: `python tests/fuzz_reading.py --seconds 30 [--seed 1]`.

Samples of every platform are broken in random ways. A reader may answer with MalformedError and nothing
else; what it reads must be storable, whole, and what the standard library's JSON reader sees. Prints the
number of inputs tried; on a failure prints the input and the seed, and exits with 1.
"""

import argparse
import json
import random
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lti_rosters.errors import MalformedError
from lti_rosters.providers.body import clean, decode
from lti_rosters.providers.container import merge, read_page
from lti_rosters.roles import held
from lti_rosters.web.links import read_links, target

BODIES = [path.read_bytes() for path in sorted((Path(__file__).parent / "platforms").glob("*.json"))]
HEADERS = [
    '<https://a.example/m?page=1&per_page=50>; rel="current",<https://a.example/m?page=2>; rel="next"',
    '<https://a.example/nrps?limit=2&since=17>; rel="differences", <?limit=2&offset=2>; rel=next',
    '</a;b,c>;title="x, \\"y; rel=first";rel=\'next last\';anchor="#m"; title*=UTF-8\'\'x%20',
]
ODD_VALUES = [
    None,
    True,
    0,
    -1,
    1.5,
    1e300,
    10**30,
    "",
    " ",
    "\0",
    "\ud800",
    "Active",
    [],
    {},
    ["Learner", 1],
    {"a": [{}]},
]
BODY_TOKENS = [
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\x00",
    b"\xff",
    b"\\u0000",
    b"\\ud800",
    b"1e999",
]
BODY_TOKENS += [
    b"NaN",
    b"-",
    b"\\u006d",
    b'"members":',
    b'"user_id":1,',
    b'"context":{"id":1},',
    b'"id":2,',
    b"<html>",
]
HEADER_TOKENS = [
    "<",
    ">",
    ";",
    ",",
    "=",
    '"',
    "'",
    "\\",
    " ",
    "rel",
    "next",
    "rel=next",
    "anchor=",
    "\t",
    "é",
    "://",
    "..",
]


Text = TypeVar("Text", bytes, str)


class DoubledError(Exception):
    """The body names a key twice, with different values: what must come of it depends on the place."""


def mutated(text: Text, tokens: list[Text], dice: random.Random) -> Text:
    """Cut, double and insert pieces of *text*."""
    for _ in range(dice.randint(1, 4)):
        start, end = sorted(dice.randint(0, len(text)) for _ in range(2))
        end = min(end, start + dice.choice([1, 4, 40, 4000]))
        match dice.randrange(4):
            case 0:
                text = text[:start] + text[end:]
            case 1:
                text = text[:end] + text[start:]
            case 2:
                text = text[:start]
            case _:
                text = text[:start] + dice.choice(tokens) + text[start:]
    return text


def distorted(value: Any, dice: random.Random) -> Any:
    """Put odd values in the place of some values of a JSON value."""
    if dice.random() < 0.05:
        return dice.choice(ODD_VALUES)
    if isinstance(value, dict):
        kept = {key: distorted(each, dice) for key, each in value.items() if dice.random() > 0.02}
        return kept | ({dice.choice(["error", "x\0", "types"]): None} if dice.random() < 0.05 else {})
    return [distorted(each, dice) for each in value] if isinstance(value, list) else value


def a_body(dice: random.Random) -> bytes:
    """One body: a platform's sample, broken in its values, in its bytes, or both."""
    body = dice.choice(BODIES)
    if dice.random() < 0.7:
        body = json.dumps(distorted(json.loads(body), dice), ensure_ascii=dice.random() < 0.5).encode(
            "utf-8", "surrogatepass"
        )
    return mutated(body, BODY_TOKENS, dice) if dice.random() < 0.6 else body


def check_body(body: bytes) -> None:
    """Read a body, and compare with what the standard library reads where that is sure of it."""
    page = refused = None
    try:
        page = read_page(body)
    except MalformedError as error:
        refused = error
    if page is None or refused is not None:
        assert refused is not None and refused.remedy and "Learner" not in str(refused)  # noqa: PT018
        return
    for member in page.members:
        "".join(text for text in (*member[:2], *member[3:], *member.roles) if text).encode()
        assert merge(member, member) == member
        assert held(member.roles).unknown <= len(member.roles)
        for text in (member.extra, member.message):
            assert text is None or json.loads(text) is not None
    if page.empty_body:
        return
    expected = oracle(body)
    if expected is not None:
        assert decode(body) == expected
        assert len(page.members) + page.malformed == len(expected["members"])


def oracle(body: bytes) -> Any:
    """What the standard library reads; None where it refuses or a key stands twice."""

    def single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise DoubledError
        return dict(pairs)

    try:
        return clean(json.loads(body.decode(), object_pairs_hook=single))
    except (ValueError, DoubledError):
        return None


def check_doubled(body: bytes) -> None:
    """A body with a second, different context or list of members must never be read."""
    try:
        container = json.loads(body)
    except ValueError:
        return
    key, other = (b"context", b'{"id":"other"}') if len(body) % 2 else (b"members", b"[]")
    if not isinstance(container, dict) or key.decode() not in container:
        return
    if container[key.decode()] == json.loads(other):
        return
    second = b'"' + key + b'":' + other
    for text in (body.strip()[:-1] + b"," + second + b"}", b"{" + second + b"," + body.strip()[1:]):
        try:
            read_page(text)
        except MalformedError:
            continue
        raise AssertionError("a container that says two things was read")


def check_header(header: str) -> None:
    """Read a header; a next page is one, and nothing that says next is overlooked silently."""
    base = "https://lms.example.edu/m?limit=50"
    try:
        links = read_links([header], base)
        target(links, "next")
    except MalformedError:
        return
    assert all(rel == rel.lower() for link in links for rel in link.rels)
    assert read_links([header, header], base) == links * 2


def run(seconds: float, seed: int) -> int:
    """Try inputs until the time is over; 1 after a failure."""
    dice = random.Random(seed)
    end = time.monotonic() + seconds
    tried = 0
    while time.monotonic() < end:
        body, header = a_body(dice), mutated(dice.choice(HEADERS), HEADER_TOKENS, dice)
        checks: list[tuple[Callable[[Any], None], Any]] = [
            (check_body, body), (check_doubled, body), (check_header, header),
        ]  # fmt: skip
        for check, given in checks:
            tried += 1
            try:
                check(given)
            except Exception:
                traceback.print_exc()
                print(f"failed with seed {seed} at input {tried}, {check.__name__}:\n{given!r}")
                return 1
    print(f"{tried} inputs tried in {seconds:g} s with seed {seed}, no failure")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fuzz the readers of bodies and headers.")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=None, help="by default a new one each time")
    options = parser.parse_args()
    sys.exit(run(options.seconds, random.randrange(2**32) if options.seed is None else options.seed))
