"""What a platform answered, as far as the headers and the status tell: whether and when to ask again."""

import email.utils
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC

from .fields import Fields

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
A_MOMENT = 1_000_000_000.0  # seconds; more than that is no wait but a moment of Unix time


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response: *url* is the one that answered, after redirects; *body* is decoded and bounded.

    Its repr shows neither members nor what a URL may carry.
    """

    status: int
    headers: Fields = field(repr=False)
    body: bytes = field(repr=False)
    url: str = field(repr=False)


def is_throttled(answer: Answer) -> bool:
    """Whether *answer* asks us to slow down: 429, or Canvas's 403 with its text or an empty bucket."""
    if answer.status == 429:
        return True
    if answer.status != 403:
        return False
    units = units_left(answer.headers)
    return b"rate limit exceeded" in answer.body[:2_000].lower() or (units is not None and units <= 0)


def units_left(headers: Mapping[str, str]) -> float | None:
    """What Canvas's cost bucket still holds; None for a count per day (Blackboard), with its limit beside."""
    left = headers.get("x-rate-limit-remaining")
    if left is None or "x-rate-limit-limit" in headers:
        return None
    try:
        return float(left)
    except ValueError:
        return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as the platform tells them; None where it does not, or not so that it can be read.

    Retry-After in seconds or as a date (RFC 9110 §10.2.3), by the platform's own clock where it shows one;
    else X-Rate-Limit-Reset (Blackboard) in seconds, or as a moment of Unix time.
    """
    value = headers.get("retry-after", "").strip()
    if SECONDS.fullmatch(value):
        return float(value)
    moment = moment_of(value)
    if moment is not None:
        here = moment_of(headers.get("date", ""))
        return max(0.0, moment - (time.time() if here is None else here))
    reset = headers.get("x-rate-limit-reset", "").strip()
    if not SECONDS.fullmatch(reset):
        return None
    seconds = float(reset)
    return seconds if seconds < A_MOMENT else max(0.0, seconds - time.time())


def moment_of(value: str) -> float | None:
    """Unix time of a date of HTTP (RFC 9110 §5.6.7); None for what is no date. Without a zone it is UTC."""
    try:
        moment = email.utils.parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def is_passing(answer: Answer) -> bool:
    """Whether *answer* is one of the moment: asking again may bring another."""
    return answer.status in RETRIED or is_throttled(answer)
