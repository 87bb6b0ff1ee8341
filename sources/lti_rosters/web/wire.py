"""The sockets below httpx: no wait outlasts a request's deadline or a stop of the run, and nothing is logged.

A timeout of httpx runs anew with every byte, so a platform that drips its headers would hold a thread for
days; and its engine logs response headers, where links may carry secrets. Both are mended here.
"""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import httpcore

from ..errors import Interrupted

SLICE = 0.5  # seconds between two looks whether the run was asked to stop
LOGGERS = ("connection", "http11", "http2", "proxy", "socks")  # of httpcore; filters are not inherited


class Watch(logging.Filter):
    """What bounds the waits of the current thread; as a filter it drops what is logged meanwhile."""

    def __init__(self, stop: threading.Event) -> None:
        """*stop* is set when the run is to end."""
        super().__init__()
        self._stop = stop
        self._here = threading.local()

    def until(self, deadline: float) -> "_Bound":
        """Bound every wait of this thread inside a `with` by *deadline* (seconds of time.monotonic)."""
        return _Bound(self._here, deadline)

    def left(self) -> float:
        """Seconds that this thread may still wait; raises Interrupted when the run is asked to stop."""
        if self._stop.is_set():
            raise Interrupted
        deadline: float | None = getattr(self._here, "deadline", None)
        return SLICE if deadline is None else deadline - time.monotonic()

    def filter(self, _record: logging.LogRecord) -> bool:
        """Let through what others log, who use the same libraries in the same process."""
        return not hasattr(self._here, "deadline")

    def silence(self) -> None:
        """Keep the requests of this watch out of httpcore's own log."""
        for name in LOGGERS:
            logging.getLogger(f"httpcore.{name}").addFilter(self)

    def release(self) -> None:
        """Undo `silence`."""
        for name in LOGGERS:
            logging.getLogger(f"httpcore.{name}").removeFilter(self)


class _Bound:
    """The deadline of one thread, while it is inside."""

    __slots__ = ("_deadline", "_here")

    def __init__(self, here: threading.local, deadline: float) -> None:
        self._here = here
        self._deadline = deadline

    def __enter__(self) -> None:
        self._here.deadline = self._deadline

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._here.deadline


class Backend(httpcore.NetworkBackend):
    """httpcore's plain sockets, each of them watched."""

    def __init__(self, watch: Watch) -> None:
        """*watch* bounds their waits."""
        self._watch = watch
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect; a name that no name server can be asked for is one that does not resolve."""
        try:
            stream = self._sockets.connect_tcp(host, port, timeout, local_address, socket_options)
        except UnicodeError as error:  # from Python's IDNA codec: an empty or overlong label
            raise httpcore.ConnectError("the host's name cannot be resolved") from error
        return _Stream(stream, self._watch, stream.get_extra_info("socket"))


class _Stream(httpcore.NetworkStream):
    """A stream of httpcore's, or its *plain* socket, where what the stream reads is what comes there."""

    def __init__(
        self, stream: httpcore.NetworkStream, watch: Watch, plain: socket.socket | None = None
    ) -> None:
        self._stream = stream
        self._watch = watch
        self._socket = plain

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what comes within *timeout* seconds, in slices short enough to notice a stop."""
        left = self._watch.left() if timeout is None else min(timeout, self._watch.left())
        ends = time.monotonic() + left
        while left > 0:
            try:
                return self._read(max_bytes, min(left, SLICE))
            except httpcore.ReadTimeout:
                left = min(ends - time.monotonic(), self._watch.left())
        raise httpcore.ReadTimeout("no byte came in time")

    def _read(self, max_bytes: int, timeout: float) -> bytes:
        if self._socket is None:
            return self._stream.read(max_bytes, timeout)
        try:
            _bound(self._socket, timeout)
            return self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._socket is None:
            self._stream.write(buffer, timeout)
            return
        try:
            ends = None if timeout is None else time.monotonic() + timeout
            sent = _sent(self._socket, buffer, SLICE if timeout is None else min(SLICE, timeout))
            if sent < len(buffer):
                _bound(self._socket, None if ends is None else max(0.001, ends - time.monotonic()))
                self._socket.sendall(buffer[sent:])
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, timeout)
        # TLS through TLS, to a proxy and on, is no socket's: what comes there is still to be opened.
        is_first = self._socket is not None and not isinstance(self._socket, ssl.SSLSocket)
        return _Stream(secured, self._watch, secured.get_extra_info("socket") if is_first else None)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _bound(plain: socket.socket, timeout: float | None) -> None:
    """Set the timeout of a socket, unless it has that: to set it asks the system, twice for each request."""
    if plain.gettimeout() != timeout:
        plain.settimeout(timeout)


def _sent(plain: socket.socket, buffer: bytes, timeout: float) -> int:
    """Send what goes out at once, under the bound that reading sets as well: nearly always that is all of it."""
    _bound(plain, timeout)
    try:
        return plain.send(buffer)
    except TimeoutError:
        return 0
