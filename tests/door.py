"""Helpers for tests of transport and tokens: a door to a server on loopback, and time that need not pass."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from lti_rosters.keys.signing import SigningKey, public_jwk
from lti_rosters.providers.auth import Tokens
from lti_rosters.providers.nrps import Connection
from lti_rosters.reference.platform import ReferencePlatform
from lti_rosters.reference.server import Reply, Request, Server
from lti_rosters.settings.registration import Options, Registration
from lti_rosters.web.answer import Answer
from lti_rosters.web.pace import Pace
from lti_rosters.web.transport import Bounds, Call, Effort, Transport
from lti_rosters.web.urls import origin
from patience import PATIENCE

TOKEN = "tkn-0123456789-abcdefghij-secret"


class Hurry(threading.Event):
    """A stop event whose waits take no time: they are noted, and the clock is put on."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._skipped = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        """Pass *timeout* seconds at once."""
        self.waits.append(timeout or 0.0)
        self._skipped += timeout or 0.0
        return self.is_set()

    def clock(self) -> float:
        """Monotonic seconds, those that were skipped included."""
        return time.monotonic() + self._skipped


@dataclass
class Recorder:
    """A server that keeps every request; *answer* makes the replies, a list of them is used up one by one."""

    answer: Callable[[Request], Reply] | list[Reply]
    requests: list[Request] = field(default_factory=list)
    server: Server = field(init=False)

    def __post_init__(self) -> None:
        self.server = Server(self._answer)

    def __enter__(self) -> "Recorder":
        self.server.__enter__()
        return self

    def __exit__(self, *told: object) -> None:
        self.server.__exit__(*told)

    @property
    def origin(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server.port}"

    def _answer(self, request: Request) -> Reply:
        self.requests.append(request)
        return self.answer.pop(0) if isinstance(self.answer, list) else self.answer(request)


@contextmanager
def door(
    *urls: str, most: int = 8, stop: threading.Event | None = None, **bounds: float
) -> Iterator[Transport]:
    """A transport to the origins of *urls*, closed in the end; *bounds* are fields of Bounds."""
    stop = stop or Hurry()
    clock = stop.clock if isinstance(stop, Hurry) else time.monotonic
    transport = Transport(
        where="school",
        origins=frozenset(map(origin, urls)),
        bounds=Bounds(**bounds),
        pace=Pace(most, stop=stop, clock=clock),
        stop=stop,
        clock=clock,
    )
    try:
        yield transport
    finally:
        transport.close()


def effort(seconds: float = 60.0, *, is_probe: bool = False) -> Effort:
    """An effort whose deadline is that many *seconds* from now."""
    return Effort(time.monotonic() + seconds, is_probe=is_probe)


def get(url: str, token: str = TOKEN) -> Call:
    """A request as the roster's provider makes it."""
    return Call("GET", url, lambda: {"authorization": f"Bearer {token}", "accept": "application/json"})


def post(url: str, body: bytes = b"client_assertion=aaaa.bbbb.cccc") -> Call:
    """A request as the token's reader makes it."""
    return Call("POST", url, lambda: {"content-type": "application/x-www-form-urlencoded"}, lambda: body)


def read(transport: Transport, url: str, spent: Effort | None = None) -> Answer:
    """Make one GET."""
    return transport.exchange(get(url), spent or effort())


def at_once(count: int, act: Callable[[int], object]) -> list[object]:
    """Do *act* in *count* threads that begin together; returns results, or the exceptions, in order."""
    barrier = threading.Barrier(count)

    def one(number: int) -> object:
        barrier.wait(PATIENCE)
        try:
            return act(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def registered(platform: ReferencePlatform, key: SigningKey, **options: object) -> Registration:
    """The tool's registration with *platform*, under the name `school`."""
    return Registration(
        name="school",
        issuer=platform.issuer,
        client_id=platform.client_id,
        token_url=platform.token_url,
        audience=platform.audience,
        key=key,
        options=Options(**options),
    )


def opened(key: SigningKey, manner: object, **told: object) -> ReferencePlatform:
    """A reference platform that knows the tool's *key*."""
    return ReferencePlatform(manner, tool_keys=[public_jwk(key)], **told)


@contextmanager
def connected(registration: Registration, **told: object) -> Iterator[Connection]:
    """A connection to the platform of *registration*, with its tokens."""
    with door(registration.token_url, **told) as transport:
        tokens = Tokens(registration, transport, clock=transport.clock)
        yield Connection(registration.name, transport, tokens)


def json_reply(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, [("Content-Type", "application/json"), *(headers or {}).items()], body)
