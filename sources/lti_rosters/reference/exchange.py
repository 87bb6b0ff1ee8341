"""One request and its answer to be, as scripts see it and as it is recorded."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from .courses import Course
from .server import Reply, Request

Kind = Literal["token", "roster", "other"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request as a script sees it, and as it is recorded.

    *page* is the number of the page asked for, *attempt* counts the requests for this very target so far;
    both begin with 1. `serve()` makes the answer that would be given without a script:
    change it with `replace`.
    """

    request: Request
    kind: Kind
    course: Course | None
    page: int
    attempt: int
    serve: Callable[[], Reply] = field(repr=False, compare=False)

    @property
    def method(self) -> str:
        """GET, POST, …"""
        return self.request.method

    @property
    def target(self) -> str:
        """Path and query as they came."""
        return self.request.target

    @property
    def path(self) -> str:
        """The path alone, as it came."""
        return self.request.path

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters, decoded; the first of doubles."""
        return dict(reversed(self.request.query))

    @property
    def headers(self) -> dict[str, str]:
        """The headers, names in lower case; the first of doubles."""
        return {name.lower(): value for name, value in reversed(self.request.headers)}

    @property
    def at(self) -> float:
        """When it came: time.monotonic(), seconds."""
        return self.request.at

    @property
    def body(self) -> bytes:
        """The body that came with it."""
        return self.request.body


Step = Reply | Callable[[Exchange], Reply | None] | None
Script = Callable[[Exchange], Reply | None] | list[Step]


class Records:
    """Every exchange so far, in order of arrival; safe to use from many threads."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._exchanges: list[Exchange] = []
        self._attempts: Counter[str] = Counter()

    def add(
        self, request: Request, kind: Kind, *, course: Course | None, page: int, serve: Callable[[], Reply]
    ) -> Exchange:
        """Record a request, and number it among those for the same target."""
        with self._lock:
            self._attempts[request.target] += 1
            exchange = Exchange(request, kind, course, page, self._attempts[request.target], serve)
            self._exchanges.append(exchange)
        return exchange

    def read(self, kind: Kind | None = None) -> list[Exchange]:
        """The exchanges so far, those of one *kind* alone if given."""
        with self._lock:
            return [exchange for exchange in self._exchanges if kind in (None, exchange.kind)]

    def forget(self) -> None:
        """Forget them all; attempts count from 1 again."""
        with self._lock:
            self._exchanges.clear()
            self._attempts.clear()
