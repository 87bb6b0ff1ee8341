"""Replays recorded exchanges over a real socket: the bytes of a real platform, in front of our own client.

    with Replay("40_three", "41_empty") as replay:
        school.register("moodle", replay)

What is changed on the way is told in `wire/README.md`.
"""

import email.utils
import socketserver
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

FOLDER = Path(__file__).parent / "wire" / "moodle43"
RECORDED = "http://127.0.0.1:8081"
TOKEN = "01_token_ok"


@dataclass(frozen=True, slots=True)
class Recording:
    """One exchange: the request as it was made, the response as it came."""

    name: str
    method: str
    url: str
    sent: Mapping[str, str]  # the request's headers
    status_line: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    @property
    def target(self) -> str:
        """Path and query of the request."""
        return self.url.removeprefix(RECORDED)

    def answer(self, origin: str, *, is_dated: bool) -> bytes:
        """The response as bytes, with *origin* for the recorded one, and now as date unless *is_dated*."""
        lines = [self.status_line]
        for name, value in self.headers:
            if name.lower() == b"date" and not is_dated:
                value = email.utils.formatdate(usegmt=True).encode()
            lines.append(name + b": " + value.replace(RECORDED.encode(), origin.encode()))
        escaped = (RECORDED.replace("/", "\\/").encode(), origin.replace("/", "\\/").encode())
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body.replace(*escaped)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]  # names in lower case
    form: Mapping[str, list[str]]


@cache
def recording(name: str) -> Recording:
    """Read the exchange *name*."""
    request, response, body = (FOLDER / f"{name}.http").read_bytes().split(b"\n\n", 2)
    _, asked, *sent = request.decode().splitlines()
    method, url = asked.removeprefix("> ").split(" ")
    pairs = [line.removeprefix("> ").partition(": ") for line in sent]
    status_line, *headers = (line.removeprefix(b"< ").rstrip(b"\r") for line in response.splitlines())
    named = [line.partition(b":") for line in headers]
    return Recording(
        name,
        method,
        url,
        {name: value for name, _, value in pairs},
        status_line,
        [(name, value.strip()) for name, _, value in named],
        body,
    )


class Replay:
    """A platform that answers what was recorded; it looks to a `School` like any other.

    Each target answers with the recordings given for it, one after the other, the last one for ever.
    """

    issuer = "https://moodle.example"
    client_id = "recorded"

    def __init__(self, *names: str, token: Sequence[str] = (TOKEN,), is_dated: bool = False) -> None:
        """Answer each of the rosters *names* where it was recorded, and the token endpoint with *token*."""
        self.asked: list[Asked] = []
        self.strangers: list[str] = []  # targets that nobody prepared
        self._is_dated = is_dated
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.replay = self
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.token_url = self.origin + recording(TOKEN).target
        self.audience = self.token_url
        self.courses: dict[str, str] = {}  # a course's number to its target
        self._answers: dict[str, list[str]] = {}
        self.answer(recording(TOKEN).target, *token)
        for name in names:
            self.answer(recording(name).target, name)
            if "from=" not in recording(name).target:
                self.add(recording(name).target)

    def add(self, target: str) -> str:
        """Put the course of *target* into the catalogue, without the query; returns its number."""
        path = target.partition("?")[0]
        number = path.split("/")[5]
        self.courses[number] = path
        return number

    def answer(self, target: str, *names: str) -> None:
        """Answer *target* with these recordings from now on."""
        self._answers[target] = list(names)

    def grant(self, *names: str) -> None:
        """Answer the token endpoint with these recordings from now on."""
        self.answer(recording(TOKEN).target, *names)

    def memberships_url(self, number: str) -> str:
        """The roster's URL of a course."""
        return self.origin + self.courses[number]

    @property
    def roster_requests(self) -> list[Asked]:
        """The requests to rosters so far."""
        return [asked for asked in self.asked if asked.method == "GET"]

    def __enter__(self) -> Self:
        """Begin to answer."""
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Stop; nobody may have asked for what was not recorded."""
        self._server.shutdown()
        self._server.server_close()
        assert kind is not None or not self.strangers, self.strangers

    def reply(self, asked: Asked) -> bytes:
        """What is answered to *asked*."""
        with self._lock:
            self.asked.append(asked)
            names = self._answers.get(asked.target)
            if not names:
                self.strangers.append(asked.target)
                return b"HTTP/1.0 404 Not recorded\r\nContent-Length: 0\r\n\r\n"
            name = names.pop(0) if len(names) > 1 else names[0]
        return recording(name).answer(self.origin, is_dated=self._is_dated)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128
    replay: Replay


class _Handler(socketserver.StreamRequestHandler):
    server: _Server
    timeout = 10  # seconds

    def handle(self) -> None:
        """Answer one request and close, as the recorded server did."""
        line = self.rfile.readline().decode("ascii").split()
        if len(line) != 3:
            return
        headers: dict[str, str] = {}
        while (each := self.rfile.readline().decode("ascii").strip()) != "":
            name, _, value = each.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", "0"))).decode("ascii")
        asked = Asked(line[0], line[1], headers, parse_qs(body))
        self.wfile.write(self.server.replay.reply(asked))


def path_of(url: str) -> str:
    """Path and query of *url*."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")
