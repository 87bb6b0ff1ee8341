"""A small HTTP/1.1 server on loopback that can also misbehave on purpose.

It speaks HTTP by hand, so that a reply may be cut, dripped, reset or malformed to the byte.
"""

import socket
import socketserver
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import BinaryIO, Self
from urllib.parse import parse_qsl

CHUNK = 1024  # bytes of body in one chunk: small, so that even one page comes in several
POLL = 0.01  # seconds between two looks whether to stop: closing takes as long
NO_BODY = frozenset({204, 304})  # RFC 9110 §6.4.1


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came; *at* is time.monotonic() in seconds."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    at: float

    @property
    def path(self) -> str:
        """The target without its query, percent-encoding untouched."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query's parameters in order, decoded, blanks kept."""
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True)

    def header(self, name: str) -> str | None:
        """The first value of header *name* (case does not matter), None if absent."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class Reply:
    """What to send back, and how badly.

    *delay* seconds pass before the first byte and *drip* seconds between the bytes of the body. After
    *cut_after* bytes of the body the connection closes (with a reset when *reset* is set). *reset* alone
    resets the connection instead of answering. *raw* replaces the whole response, status line included, and
    then the connection closes.
    """

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    delay: float = 0.0
    cut_after: int | None = None
    chunked: bool = False
    drip: float = 0.0
    raw: bytes | None = None
    reset: bool = False
    reason: str | None = None

    def head(self, *, keep_alive: bool, now: float) -> bytes:
        """The status line and the headers, with what HTTP needs added where it is missing."""
        given = {name.lower() for name, _ in self.headers}
        lines = [f"HTTP/1.1 {self.status} {_reason(self.status) if self.reason is None else self.reason}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if "date" not in given:
            lines.append(f"Date: {formatdate(now, usegmt=True)}")
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
        elif "content-length" not in given and self.status not in NO_BODY:
            lines.append(f"Content-Length: {len(self.body)}")
        if not keep_alive:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")

    def payload(self) -> bytes:
        """The body as it goes over the wire: cut where it is to be cut, in chunks where asked."""
        body = self.body if self.cut_after is None else self.body[: self.cut_after]
        if not self.chunked:
            return body
        pieces = [body[at : at + CHUNK] for at in range(0, len(body), CHUNK)]
        coded = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        return coded if self.cut_after is not None else coded + b"0\r\n\r\n"


class Server:
    """Serve *answer* on a free port of 127.0.0.1, a thread per connection; *now* is the Date header's clock.

    An exception in *answer* becomes a 500 and is kept in *faults*: a test's mistake does not pass unseen.
    *in_flight* requests are being answered, delays included; *peak* is the most that were at once.
    """

    def __init__(self, answer: Callable[[Request], Reply], now: Callable[[], float] = time.time) -> None:
        """Take a port; nothing is answered before the server is entered."""
        self.answer = answer
        self.now = now
        self.stopped = threading.Event()
        self.faults: list[Exception] = []
        self.in_flight = 0
        self.peak = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = _Listener(self)
        self.port: int = self._listener.server_address[1]
        # A server that is never entered gives its port back when it is forgotten.
        weakref.finalize(self, self._listener.socket.close)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(POLL,), daemon=True)

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening and close every connection."""
        self.stopped.set()
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError):  # its own thread may have closed it by now
                connection.shutdown(socket.SHUT_RDWR)

    def converse(self, connection: socket.socket) -> None:
        """Answer one request after another until either side closes."""
        with self._lock:
            self._open.add(connection)
        reader = connection.makefile("rb")
        try:
            with suppress(OSError, ValueError):  # the client left or talks nonsense, or we are stopping
                for request in _requests(reader):
                    with self._counted():
                        goes_on = self._send(connection, request, self._answered(request))
                    if not goes_on:
                        break
        finally:
            with self._lock:
                self._open.discard(connection)
            reader.close()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
        try:
            yield
        finally:
            with self._lock:
                self.in_flight -= 1

    def _answered(self, request: Request) -> Reply:
        try:
            return self.answer(request)
        except Exception as error:  # a script of a test may raise anything
            self.faults.append(error)
            return Reply(500, [("Content-Type", "text/plain")], b"the reference platform failed")

    def _send(self, connection: socket.socket, request: Request, reply: Reply) -> bool:
        """Send *reply*; False when the connection is to be closed."""
        if reply.delay and self.stopped.wait(reply.delay):
            return False
        if reply.raw is not None:
            connection.sendall(reply.raw)
            return False
        if reply.reset and reply.cut_after is None:
            return _reset(connection)
        keep_alive = (request.header("Connection") or "").lower() != "close"
        head = reply.head(keep_alive=keep_alive, now=self.now())
        payload = b"" if request.method == "HEAD" else reply.payload()
        if reply.drip:
            self._drip(connection, head, payload, reply.drip)
        else:
            connection.sendall(head + payload)
        if reply.reset:
            time.sleep(0.02)  # a reset overtakes what is still in the client's buffer
            return _reset(connection)
        return keep_alive and reply.cut_after is None

    def _drip(self, connection: socket.socket, head: bytes, payload: bytes, pause: float) -> None:
        connection.sendall(head)
        for at in range(len(payload)):
            if self.stopped.wait(pause):
                return
            connection.sendall(payload[at : at + 1])


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, server: Server) -> None:
        self.owner = server
        super().__init__(("127.0.0.1", 0), _Connection)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        # The inherited one says goodbye before it closes, which would turn a reset into an orderly end.
        self.close_request(request)


class _Connection(socketserver.BaseRequestHandler):
    server: _Listener

    def handle(self) -> None:
        # Without this a small body waits for the acknowledgement of the one before it.
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.owner.converse(self.request)


def _requests(reader: BinaryIO) -> Iterator[Request]:
    """The requests of one connection, up to its end."""
    while line := reader.readline(65_537):
        if not line.strip():
            continue  # RFC 9112 §2.2: a stray empty line before a request is skipped
        method, target, _version = line.decode("latin-1").split(" ", 2)
        headers = tuple(_headers(reader))
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        yield Request(method, target, headers, reader.read(length), time.monotonic())


def _headers(reader: BinaryIO) -> Iterator[tuple[str, str]]:
    while (line := reader.readline(65_537)) not in (b"\r\n", b"\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        yield name, value.strip()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _reset(connection: socket.socket) -> bool:
    """Make the close that follows a reset; always False, for the connection is over."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False
