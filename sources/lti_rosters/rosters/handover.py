"""From the threads that read to the one that writes: rosters are handed over by the handful, not one by one."""

import threading
import time
from collections import deque

from .sync import BROKEN, Sync

Outcome = Sync | BaseException | None  # None: a crew is done

# Of two threads that both have work one runs at a time, and to wake the other costs more than the reading of a small
# course: so the writer sleeps until there is enough to do, or for a moment.
ENOUGH = 2_000  # members that wait, each roster counted as one more
MOST = 2 * ENOUGH  # that wait before those who read wait, too
FEWEST = 8  # rosters that may wait, whatever their size


class Handover:
    """Holds back what was read until it is taken, a handful at once; safe to share between threads."""

    def __init__(self) -> None:
        self._waiting: deque[Outcome] = deque()
        self._size = 0
        self._is_urgent = False
        self._is_closed = False
        self._at_work = 0.0  # seconds between what was taken and the next taking
        self._since: float | None = None  # when that began which is not over
        lock = threading.Lock()
        self._due = threading.Condition(lock)
        self._room = threading.Condition(lock)

    def put(self, outcome: Outcome) -> None:
        """Add *outcome*; a sync waits while too much waits already. After `close` it is dropped."""
        with self._room:
            while isinstance(outcome, Sync) and self._is_full() and not self._is_closed:
                self._room.wait()
            if self._is_closed:
                return
            self._waiting.append(outcome)
            self._size += _size(outcome)
            # What is the end, or may have to end all, is not left waiting.
            self._is_urgent = self._is_urgent or not isinstance(outcome, Sync) or outcome.outcome in BROKEN
            if self._is_due():
                self._due.notify()

    def take(self, seconds: float) -> deque[Outcome]:
        """Return a handful of what waits, once that is enough or urgent, or after *seconds*; in the order of `put`.

        Of large rosters that is one: while one is written, no more of them are in memory than may wait.
        """
        with self._due:
            self._at_work, self._since = self._seconds_at_work(), None
            if not self._is_due():
                self._due.wait(seconds)
            taken, size = deque[Outcome](), 0
            while self._waiting and size < ENOUGH:
                taken.append(self._waiting.popleft())
                size += _size(taken[-1])
            self._size -= size
            self._is_urgent = self._is_urgent and bool(self._waiting)
            self._since = time.monotonic()
            self._room.notify_all()
            return taken

    def at_work(self) -> float:
        """Seconds for which whoever takes was at work with it, up to now, rather than waiting for more."""
        with self._due:
            return self._seconds_at_work()

    def close(self) -> None:
        """Drop what waits and whatever is still put: nobody takes it any more."""
        with self._room:
            self._is_closed = True
            self._waiting.clear()
            self._size = 0
            self._room.notify_all()

    def _is_due(self) -> bool:
        return self._is_urgent or self._size >= ENOUGH

    def _is_full(self) -> bool:
        return self._size >= MOST and len(self._waiting) >= FEWEST

    def _seconds_at_work(self) -> float:
        return self._at_work + (0.0 if self._since is None else time.monotonic() - self._since)


def _size(outcome: Outcome) -> int:
    """How much of what may wait *outcome* is: the members that it holds, whether they stay on the roster or not."""
    if not isinstance(outcome, Sync) or outcome.roster is None:
        return 1
    return 1 + max(len(outcome.roster.rows), len(outcome.roster.reading.members))
