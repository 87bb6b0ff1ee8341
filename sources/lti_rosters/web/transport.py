"""Talking to one registration's platform: hosts pinned, calls repeated, pace kept, bodies bounded."""

import itertools
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import httpx

from ..errors import (
    Interrupted,
    LoopedError,
    LtiRostersError,
    MalformedError,
    OtherHostError,
    RosterTimeoutError,
    ThrottledError,
    TooLargeError,
    UnreachableError,
)
from . import http, inflate
from .answer import Answer, is_passing, is_throttled, retry_after, units_left
from .connections import Request
from .pace import Held, Pace
from .urls import origin

REDIRECTS = frozenset({301, 302, 303, 307, 308})
REPOSTED = frozenset({307, 308})  # the redirects that keep method and body (RFC 9110 §15.4)
MOST_REDIRECTS = 5
CONNECT_TIMEOUT = 10.0  # seconds; a platform that is up accepts a connection in far less
BACKOFF = 1.0  # seconds before the second attempt at most, doubled for each further one, all of it jittered
THROTTLED_BACKOFF = 1.0  # seconds, likewise, where a throttle does not say how long (Canvas)
LONGEST_BACKOFF = 30.0  # seconds
LONGEST_HOST = 80  # characters of a host's name in a message: a link may hold any number
MEGABYTE = 1_000_000
OWN_HEADERS = (("user-agent", http.USER_AGENT), ("accept-encoding", "gzip"))


@dataclass(slots=True)
class Effort:
    """What one roster may take and has cost: its *deadline* (monotonic seconds), counts of its requests.

    A probe asks once: the platform has not answered for a while, and repeats would only take time.
    """

    deadline: float
    is_probe: bool = False
    requests: int = 0
    retries: int = 0
    throttles: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """A request to be made, once or again: *headers* and *content* are asked for anew at every attempt."""

    method: str
    url: str = field(repr=False)
    headers: Callable[[], Mapping[str, str]] = field(repr=False)
    content: Callable[[], bytes] | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        """The host asked, for messages."""
        return _host(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The limits of design §5 that hold for every request; seconds, bytes, counts."""

    timeout: float = 60.0
    max_body: int = 256 * MEGABYTE
    max_attempts: int = 5
    max_wait: float = 300.0


@dataclass(slots=True)
class Transport:
    """Talks to the *origins* of one registration, named *where* in errors; safe to share between threads."""

    where: str
    origins: frozenset[str]
    bounds: Bounds
    pace: Pace
    stop: threading.Event
    clock: Callable[[], float] = time.monotonic
    _wire: http.Wire = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Set up the connections; raises ConfigurationError (http.Wire)."""
        is_secure = any(origin.startswith("https:") for origin in self.origins)
        self._wire = http.Wire(self.stop, is_secure=is_secure)

    def close(self) -> None:
        """Close every connection."""
        self._wire.close()

    def exchange(self, call: Call, effort: Effort) -> Answer:
        """Make *call*, again where that can help, and return its answer, whatever its status.

        Raises UnreachableError, RosterTimeoutError, ThrottledError, OtherHostError, LoopedError,
        TooLargeError, MalformedError, and Interrupted when the run is asked to stop.
        """
        for attempt in itertools.count(1):
            outcome = self._attempt(call, effort)
            if isinstance(outcome, Answer) and not is_passing(outcome):
                return outcome
            wait = self._wait(call, outcome, attempt, effort)
            effort.retries += 1
            if self.stop.wait(wait):
                raise Interrupted
        raise Interrupted  # pragma: no cover - the attempts are bounded by _wait

    def _attempt(self, call: Call, effort: Effort) -> Answer | httpx.TransportError:
        """One attempt, redirects followed; a fault of the connection is returned, to be weighed."""
        try:
            return self._follow(call, effort)
        except (httpx.InvalidURL, httpx.LocalProtocolError) as error:  # asking again changes nothing
            kind = type(error).__name__
            raise MalformedError(f"a URL cannot be asked ({kind}).", where=self.where) from error
        except TimeoutError:
            raise self._out_of_time() from None
        except Held as held:
            raise self._throttled(call, f"and wants no request for another {held.seconds:.0f} s") from None
        except httpx.TransportError as error:
            if http.is_certificate_fault(error):
                raise UnreachableError(
                    f"{call.host} shows a certificate that does not verify.",
                    where=self.where,
                    remedy="If an authority of your own signed it, name its file in SSL_CERT_FILE.",
                ) from error
            return error

    def _follow(self, call: Call, effort: Effort) -> Answer:
        url = call.url
        followed = REDIRECTS if call.content is None else REPOSTED
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._once(call, url, effort)
            location = answer.headers.get("location")
            if answer.status not in followed or location is None:
                return answer
            url = self._joined(url, location)
        raise LoopedError(f"{call.host} redirects more than {MOST_REDIRECTS} times.", where=self.where)

    def _joined(self, url: str, location: str) -> str:
        try:
            return urljoin(url, location)
        except ValueError as error:
            raise MalformedError("the platform redirects to what is no URL.", where=self.where) from error

    def _once(self, call: Call, url: str, effort: Effort) -> Answer:
        place = self._checked(url)
        with self.pace.turn(self.bounds.max_wait, effort.deadline) as ticket:
            request = self._request(call, place, url, effort)
            effort.requests += 1
            with self._wire.watch.until(effort.deadline):
                response = self._wire.ask(request)
                try:
                    body = self._body(response)
                finally:
                    response.close()
            answer = Answer(response.status, response.headers, body, url)
            if is_throttled(answer):
                effort.throttles += 1
                self.pace.throttled(ticket)
            else:
                self.pace.served(units_left(answer.headers))
        return answer

    def _checked(self, url: str) -> str:
        """The origin of *url*, one of the registration's: no token may leave them (design §7)."""
        try:
            found = origin(url)
        except ValueError as error:
            raise MalformedError("the platform sent a link that is no URL.", where=self.where) from error
        if found not in self.origins:
            raise OtherHostError(
                f"a link leads to another host, {_host(url)}. Not followed.",
                where=self.where,
                remedy="Add it to allow_hosts of the registration if that is right.",
            )
        return found

    def _request(self, call: Call, place: str, url: str, effort: Effort) -> Request:
        left = effort.deadline - self.clock()
        if left <= 0:
            raise self._out_of_time()
        seconds = min(self.bounds.timeout, left)
        return Request(
            call.method,
            place,
            http.address(place),  # without userinfo, which nobody asked us to send
            http.target(url),
            (*OWN_HEADERS, *call.headers().items()),
            call.content() if call.content else b"",
            connect_timeout=min(CONNECT_TIMEOUT, seconds),
            timeout=seconds,
        )

    def _body(self, response: http.Response) -> bytes:
        """Read and decode a body: bounded, and never cut unnoticed."""
        decoder = inflate.decoder(response.headers.get("content-encoding", ""))
        if decoder is None:
            raise MalformedError("a body came in a coding that was not asked for.", where=self.where)
        most, size, chunks = self.bounds.max_body, 0, []
        for raw in response.pieces():  # as it comes: a body that only drips must meet its deadline
            try:
                decoded = decoder.read(raw, most + 1 - size)
            except inflate.Damaged as error:
                raise httpx.RemoteProtocolError("a compressed body is damaged") from error
            size += sum(map(len, decoded))
            chunks += decoded
            if size > most:
                raise self._too_large(response.status)
        if decoder.is_cut:
            raise httpx.RemoteProtocolError("peer closed connection inside a compressed body")
        return b"".join(chunks)

    def _wait(
        self, call: Call, outcome: Answer | httpx.TransportError, attempt: int, effort: Effort
    ) -> float:
        """Return how many seconds to wait before the next attempt, or raise what the attempts end in."""
        if self.clock() >= effort.deadline:
            raise self._out_of_time()
        told = retry_after(outcome.headers) if isinstance(outcome, Answer) else None
        throttled = isinstance(outcome, Answer) and is_throttled(outcome)
        base = THROTTLED_BACKOFF if throttled else BACKOFF
        # Full jitter: no two workers come back at the same moment.
        jitter = random.uniform(0, min(LONGEST_BACKOFF, base * 2.0 ** (attempt - 1)))  # noqa: S311
        # Who is told 0 s, or a moment that has passed, still waits: five requests in a row help nobody.
        wait = jitter if told is None else max(told, jitter)
        is_too_long = told is not None and told > self.bounds.max_wait
        if throttled and is_too_long:
            self.pace.send_away(wait)
        elif throttled:  # the others of this registration wait with it
            self.pace.hold(wait, is_told=wait == told)
        most = 1 if effort.is_probe and not throttled else self.bounds.max_attempts
        if attempt >= most:
            raise self._given_up(call, outcome, f"after {attempt} attempt{'s' * (attempt > 1)}")
        if told is not None and (is_too_long or self.clock() + told > effort.deadline):
            raise self._given_up(call, outcome, f"and asks to wait {told:.0f} s, longer than allowed")
        return wait

    def _given_up(self, call: Call, outcome: Answer | httpx.TransportError, why: str) -> LtiRostersError:
        if isinstance(outcome, httpx.TransportError):
            return self._lost(call, outcome, why)
        if is_throttled(outcome):
            return self._throttled(call, f"({outcome.status}) {why}", outcome.status)
        return UnreachableError(
            f"{call.host} answered {outcome.status} {why}.",
            where=self.where,
            remedy="The platform is down or in maintenance; the next run tries again.",
            http_status=outcome.status,
        )

    def _throttled(self, call: Call, why: str, status: int | None = None) -> ThrottledError:
        return ThrottledError(
            f"{call.host} throttles us {why}.",
            where=self.where,
            remedy="Lower concurrency or run at a quieter hour; max_wait and max_attempts bound the waiting.",
            http_status=status,
        )

    def _lost(self, call: Call, error: httpx.TransportError, why: str) -> LtiRostersError:
        if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
            return RosterTimeoutError(
                f"{call.host} sent no byte for {self.bounds.timeout:g} s, {why}.",
                where=self.where,
                remedy="Raise timeout, or set page_size so that each answer is smaller.",
            )
        if isinstance(error, httpx.RemoteProtocolError):
            # Its text may quote what came over the wire, so it is not shown.
            if not _is_cut_off(error):
                return MalformedError(
                    f"{call.host} sent an answer that is not HTTP, {why}.", where=self.where
                )
            reason = "it breaks off its answers"
        else:
            reason = str(error)[:120] or type(error).__name__
        return UnreachableError(
            f"{call.host} cannot be reached ({reason}), {why}.",
            where=self.where,
            remedy="Check the URL, the network and the proxy; the next run tries again.",
        )

    def _out_of_time(self) -> RosterTimeoutError:
        return RosterTimeoutError(
            "the roster was not read within roster_timeout.",
            where=self.where,
            remedy="Raise roster_timeout, or set page_size.",
        )

    def _too_large(self, status: int) -> TooLargeError:
        return TooLargeError(
            f"one body is larger than {self.bounds.max_body // MEGABYTE} MB.",
            where=self.where,
            remedy="Raise max_body_mb, or set page_size.",
            http_status=status,
        )


def _host(url: str) -> str:
    try:
        host = urlsplit(url).hostname or "the platform"
    except ValueError:
        return "the platform"
    return host if len(host) <= LONGEST_HOST else host[:LONGEST_HOST] + "…"


def _is_cut_off(error: httpx.RemoteProtocolError) -> bool:
    text = str(error).lower()
    return "disconnected" in text or "closed connection" in text or "damaged" in text
