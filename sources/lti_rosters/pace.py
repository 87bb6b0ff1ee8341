"""How fast one registration is asked: few at once, fewer when throttled, never while told to wait."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import Interrupted

# Canvas charges 50 units up front for every concurrent call and gives back about 10 a second
# (its request_throttle.rb); a bucket below these figures refuses the next calls.
UNITS_PER_CALL = 50.0
UNITS_PER_SECOND = 10.0
LONGEST_PAUSE = 10.0  # seconds; a soft pause only slows down, a Retry-After is obeyed in full elsewhere


class Pace:
    """The turns of one registration: at most *most* requests at once, halved when throttled, regrown by one a round."""

    def __init__(
        self, most: int, *, stop: threading.Event, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit = most
        self._most = most
        self._stop = stop
        self._clock = clock
        self._in_flight = 0
        self._since_change = 0
        self._not_before = 0.0
        self._changed = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn and hold it; raises Interrupted when the run stops meanwhile."""
        self._take()
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify()

    def served(self, units_left: float | None) -> None:
        """Note an answer that was no throttle; *units_left* is what a cost bucket still holds, if it says."""
        with self._changed:
            self._since_change += 1
            if units_left is not None and units_left < UNITS_PER_CALL * (self.limit + 1):
                self._slow_down(units_left)
            elif self._since_change >= self.limit < self._most:
                self.limit += 1
                self._since_change = 0
                self._changed.notify()

    def throttled(self, wait: float) -> None:
        """Halve the requests at once (once per round of answers) and hold all of them back for *wait* seconds."""
        with self._changed:
            if self._since_change or self._not_before <= self._clock():
                self.limit = max(1, self.limit // 2)
            self._since_change = 0
            self._not_before = max(self._not_before, self._clock() + wait)

    def _slow_down(self, units_left: float) -> None:
        self.limit = max(1, min(self.limit, int(units_left // UNITS_PER_CALL)))
        self._since_change = 0
        short = 2 * UNITS_PER_CALL - units_left
        if short > 0:
            pause = min(LONGEST_PAUSE, short / UNITS_PER_SECOND)
            self._not_before = max(self._not_before, self._clock() + pause)

    def _take(self) -> None:
        with self._changed:
            while not self._stop.is_set():
                wait = self._not_before - self._clock()
                if wait <= 0 and self._in_flight < self.limit:
                    self._in_flight += 1
                    return
                # Woken every half second at the latest: an interrupt notifies nobody.
                self._changed.wait(min(wait, 0.5) if wait > 0 else 0.5)
        raise Interrupted
