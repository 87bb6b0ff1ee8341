"""A JWKS read from its address as a platform reads it: without a token, bounded, from that one host."""

import re
import threading
import time
from dataclasses import dataclass, field

from ..errors import (
    LtiRostersError,
    MalformedError,
    NotFoundError,
    OtherHostError,
    RefusedError,
    RosterTimeoutError,
    TooLargeError,
)
from ..web.answer import Answer
from ..web.pace import Pace
from ..web.transport import MEGABYTE, Bounds, Call, Effort, Transport
from ..web.urls import check_url, origin

PATIENCE = 15.0  # seconds without a byte; platforms wait no longer for a set of keys
DEADLINE = 30.0  # seconds for all of it
MAX_AGE = re.compile(r"(?:^|[,\s])max-age=\"?(\d{1,9})")
HOSTED = "Host it where everybody may read it, without a login."


@dataclass(frozen=True, slots=True)
class Published:
    """What an address answered: the *body*, its media type, how long platforms may keep it (seconds)."""

    body: bytes = field(repr=False)
    media_type: str
    max_age: int | None
    is_redirected: bool


def read_published(
    url: str, *, where: str, timeout: float = PATIENCE, stop: threading.Event | None = None
) -> Published:
    """GET *url* and return what it answers with status 200.

    Raises ConfigurationError for a URL that may not be asked (http beyond loopback), else UnreachableError,
    RosterTimeoutError, ThrottledError, RefusedError, NotFoundError, OtherHostError, TooLargeError and
    MalformedError.
    """
    check_url(url, "the address of the JWKS")
    stop = stop or threading.Event()
    transport = Transport(
        where=where,
        origins=frozenset({origin(url)}),
        bounds=Bounds(timeout=timeout, max_body=MEGABYTE, max_attempts=1, max_wait=0.0),
        pace=Pace(1, stop=stop),
        stop=stop,
    )
    try:
        answer = transport.exchange(_call(url), Effort(time.monotonic() + DEADLINE))
    except LtiRostersError as error:
        raise _of_jwks(error, timeout) from error
    finally:
        transport.close()
    _check_status(answer, where)
    found = MAX_AGE.search(answer.headers.get("cache-control", "").lower())
    return Published(
        answer.body,
        answer.headers.get("content-type", ""),
        int(found[1]) if found else None,
        answer.url != url,
    )


def _call(url: str) -> Call:
    return Call("GET", url, lambda: {"accept": "application/json"})


def _of_jwks(error: LtiRostersError, timeout: float) -> LtiRostersError:
    """The same error in the words of a JWKS: the transport's speak of rosters and their settings."""
    texts = {
        OtherHostError: ("it redirects to another host.", "Give platforms the address that it ends at."),
        TooLargeError: ("its body is larger than 1 MB.", "A set of keys has a few thousand bytes."),
        RosterTimeoutError: (f"no answer came within {timeout:g} s.", "Platforms give up sooner."),
    }
    what, remedy = texts.get(type(error), (error.what, error.remedy))
    return type(error)(what, where=error.where, remedy=remedy, http_status=error.http_status)


def _check_status(answer: Answer, where: str) -> None:
    status = answer.status
    if status == 200:
        return
    what = f"the address answers {status} instead of a JWKS."
    if status in (404, 410):
        raise NotFoundError(
            what, where=where, remedy="Is it right, and is the file there?", http_status=status
        )
    if status in (401, 403):
        raise RefusedError(what, where=where, remedy=HOSTED, http_status=status)
    raise MalformedError(what, where=where, remedy=HOSTED, http_status=status)
