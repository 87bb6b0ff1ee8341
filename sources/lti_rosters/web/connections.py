"""The connections to the origins that are asked directly: one request at a time on each, kept for the next."""

import contextlib
import functools
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpcore
import httpx

from .reply import Reply
from .wire import Backend

IDLE = 30.0  # seconds for which an unused connection is kept
PIECE = 65_536  # bytes read at once
# What may be written (RFC 9110 §5): a line break in a token that a platform gave would be a header of its choosing.
TARGET = re.compile(rb"[!-~]+")
NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Request:
    """What goes out: *method* and *target* to *place*, the origin of its URL; *origin* is the same, taken apart.

    *target* is path and query byte for byte: httpx would normalise the link that a platform wrote (RFC 8288 §3).
    *timeout* bounds every wait, *connect_timeout* that for a connection; seconds.
    """

    method: str
    place: str = field(repr=False)
    origin: httpx.URL = field(repr=False)
    target: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    content: bytes = field(repr=False)
    connect_timeout: float
    timeout: float

    @property
    def head(self) -> Headers:
        """All headers: the host, those of the caller, the length of a content. UnicodeEncodeError beyond ASCII."""
        return _head(self.origin.netloc, self.headers, len(self.content))


class Connections:
    """The connections to the origins that are asked, the last used first; safe to share between threads."""

    def __init__(self, backend: Backend, certificates: Callable[[], ssl.SSLContext]) -> None:
        """*backend* opens sockets; *certificates* gives the authorities to trust."""
        self._backend = backend
        self._certificates = certificates
        self._idle: dict[str, list[tuple[float, httpcore.NetworkStream]]] = {}
        self._lock = threading.Lock()
        # The same for every page that is read with one token, which is kept no longer than the connections.
        self._lines = functools.lru_cache(maxsize=64)(_lines)

    def ask(self, request: Request) -> tuple[int, Headers, "Body"]:
        """Send *request* on a connection of its own; return status, headers and body.

        The body has to be closed. Both raise httpcore's errors.
        """
        message = self._written(request)
        place = request.place
        stream = self._taken(place) or self._opened(request.origin, request.connect_timeout)
        reply = Reply()
        try:
            with contextlib.suppress(
                httpcore.WriteError
            ):  # who refuses a request may answer before it is whole
                stream.write(message, request.timeout)
            while not reply.status:
                reply.feed(stream.read(PIECE, request.timeout))
        except BaseException:
            reply.close()
            stream.close()
            raise
        body = Body(stream, reply, request.timeout, lambda: self._back(place, stream))
        return reply.status, reply.headers, body

    def close(self) -> None:
        """Close every connection that is not in use."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for _, stream in (each for of_origin in idle.values() for each in of_origin):
            stream.close()

    def _written(self, request: Request) -> bytes:
        """*request* as it goes out; raises httpcore.LocalProtocolError where it is none."""
        if TARGET.fullmatch(request.target) is None:
            raise httpcore.LocalProtocolError("an illegal header")
        lines = self._lines(request.origin.netloc, request.headers, len(request.content))
        method = request.method.encode("ascii")
        return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (method, request.target, lines, request.content)

    def _taken(self, place: str) -> httpcore.NetworkStream | None:
        """A connection that waits; None where there is none that the platform has kept as well."""
        while True:
            with self._lock:
                waiting = self._idle.get(place)
                since, stream = waiting.pop() if waiting else (0.0, None)
            if stream is None:
                return None
            # What can be read before anything was asked is the end, or nothing that anybody waits for.
            if time.monotonic() - since < IDLE and not stream.get_extra_info("is_readable"):
                return stream
            stream.close()

    def _back(self, place: str, stream: httpcore.NetworkStream) -> None:
        with self._lock:
            self._idle.setdefault(place, []).append((time.monotonic(), stream))

    def _opened(self, url: httpx.URL, timeout: float) -> httpcore.NetworkStream:
        host = url.raw_host.decode("ascii")
        is_secure = url.scheme == "https"
        stream = self._backend.connect_tcp(host, url.port or (443 if is_secure else 80), timeout)
        return stream.start_tls(self._certificates(), host, timeout) if is_secure else stream


class Body:
    """The body of a response as it comes; its connection goes back when all of it was read."""

    def __init__(
        self, stream: httpcore.NetworkStream, reply: Reply, timeout: float, back: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._reply = reply
        self._timeout = timeout
        self._back = back

    def __iter__(self) -> Iterator[bytes]:
        reply = self._reply
        yield from reply.taken()
        while not reply.is_done:
            reply.feed(self._stream.read(PIECE, self._timeout))
            yield from reply.taken()

    def close(self) -> None:
        """Give the connection back, or close it where it cannot carry another request."""
        self._reply.close()
        if self._reply.is_done and self._reply.is_reusable:
            self._back()
        else:
            self._stream.close()


def _head(host: bytes, headers: tuple[tuple[str, str], ...], size: int) -> Headers:
    head = [(b"Host", host), *((name.encode("ascii"), value.encode("ascii")) for name, value in headers)]
    return [*head, (b"Content-Length", b"%d" % size)] if size else head


def _lines(host: bytes, headers: tuple[tuple[str, str], ...], size: int) -> bytes:
    """The lines of a request's headers; raises httpcore.LocalProtocolError where one could not be sent."""
    head = _head(host, headers, size)
    if not all(NAME.fullmatch(name) and VALUE.fullmatch(value) for name, value in head):
        raise httpcore.LocalProtocolError("an illegal header")
    return b"".join([b"%s: %s\r\n" % header for header in head])
