"""How fast one registration is asked: few at once, fewer when throttled, never while told to wait."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

from ..errors import Interrupted

# Canvas charges 50 units up front for every concurrent call and gives back about 10 a second
# (its request_throttle.rb); a bucket below these figures refuses the next calls.
UNITS_PER_CALL = 50.0
UNITS_PER_SECOND = 10.0
SENT_AWAY = 3  # rosters in a row told to come back too late: then it is meant for all of the registration
GLANCE = 0.5  # seconds between two looks whether the run was asked to stop: an interrupt notifies nobody


class Held(Exception):  # noqa: N818 - the transport makes an error of it
    """The platform asked to be left alone for more *seconds* than may be waited."""

    def __init__(self, seconds: float) -> None:
        """Note the *seconds* that are left."""
        super().__init__(seconds)
        self.seconds = seconds


class Pace:
    """The turns of one registration: so many at once, halved when throttled, regrown by one a round.

    A turn bears a ticket, the number of halvings when it began: the throttles of one round halve once.
    """

    def __init__(
        self, most: int, *, stop: threading.Event, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with *most* at once; *clock* counts seconds."""
        self.limit = most
        self._most = most
        self._stop = stop
        self._clock = clock
        self._in_flight = 0
        self._halvings = 0
        self._since_change = 0
        self._not_before = 0.0
        self._told_until = 0.0
        self._sent_away = 0
        self._changed = threading.Condition()

    def turn(self, patience: float, deadline: float) -> "Turn":
        """A turn, to be waited for and held by a `with`, which gets its ticket.

        Raises Held where the platform asked for a wait of more than *patience* seconds or beyond *deadline*,
        TimeoutError when the *deadline* passes meanwhile, Interrupted when the run stops.
        """
        return Turn(self, patience, deadline)

    def begin(self, patience: float, deadline: float) -> int:
        """Begin a turn and return its ticket; raises what `turn` does."""
        with self._changed:
            self._take(patience, deadline)
            return self._halvings

    def end(self) -> None:
        """End a turn."""
        with self._changed:
            self._in_flight -= 1
            self._changed.notify()

    def served(self, units_left: float | None) -> None:
        """Note an answer that was no throttle; *units_left* is what a cost bucket still holds, if it says."""
        with self._changed:
            self._since_change += 1
            self._sent_away = 0
            if units_left is not None and units_left < UNITS_PER_CALL * (self.limit + 1):
                self._slow_down(units_left)
            elif self._since_change >= self.limit < self._most:
                self.limit += 1
                self._since_change = 0
                self._changed.notify()

    def throttled(self, ticket: int) -> None:
        """Halve the requests at once, unless that was done since the turn with this *ticket* began."""
        with self._changed:
            if ticket == self._halvings:
                self.limit = max(1, self.limit // 2)
                self._halvings += 1
            self._since_change = 0

    def hold(self, seconds: float, *, is_told: bool) -> None:
        """Begin no turn for *seconds*; *is_told*: the platform asked for that, nobody asks any sooner."""
        with self._changed:
            until = self._clock() + seconds
            self._not_before = max(self._not_before, until)
            if is_told:
                self._told_until = max(self._told_until, until)

    def send_away(self, seconds: float) -> None:
        """Note that a roster was told to wait for more *seconds* than it may.

        It may be meant for this roster alone, so the others still ask; where several are told so in a row,
        none does.
        """
        with self._changed:
            self._sent_away += 1
            if self._sent_away >= SENT_AWAY:
                self._told_until = max(self._told_until, self._clock() + seconds)

    def _slow_down(self, units_left: float) -> None:
        """So few at once that their charges fit into what is left, however many of them it knows already."""
        self.limit = max(1, min(self.limit, int(max(0.0, units_left) // UNITS_PER_CALL)))
        self._since_change = 0
        short = UNITS_PER_CALL - units_left
        if short > 0:
            pause = min(short, UNITS_PER_CALL) / UNITS_PER_SECOND
            self._not_before = max(self._not_before, self._clock() + pause)

    def _take(self, patience: float, deadline: float) -> None:
        while not self._stop.is_set():
            now = self._clock()
            told = self._told_until - now
            if told > patience or (told > 0 and self._told_until > deadline):
                raise Held(told)
            wait = self._not_before - now
            if wait <= 0 and self._in_flight < self.limit:
                self._in_flight += 1
                return
            if now >= deadline:
                raise TimeoutError
            self._changed.wait(min(wait, GLANCE) if wait > 0 else GLANCE)
        raise Interrupted


class Turn:
    """One turn, held by a `with`."""

    __slots__ = ("_deadline", "_pace", "_patience")

    def __init__(self, pace: Pace, patience: float, deadline: float) -> None:
        self._pace = pace
        self._patience = patience
        self._deadline = deadline

    def __enter__(self) -> int:
        return self._pace.begin(self._patience, self._deadline)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pace.end()
