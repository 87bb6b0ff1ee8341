"""The threads that read one registration: each takes the next catalogue entry, reads it, hands its syncs over."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from ..catalogue.catalogue import ContextEntry
from ..errors import Interrupted
from .handover import Handover, Outcome
from .linked import LinkReader
from .reader import Reader
from .sync import BROKEN, Sync

GLANCE = 0.02  # seconds before one more thread joins
BUSY = 0.5  # of a core: who reads with more than that waits little for the platform, and the next would wait for them


class Clock:
    """The CPU that one thread takes, made by itself and read by the others."""

    def __init__(self) -> None:
        self._noted = time.thread_time()
        self._id: int | None = None
        with suppress(AttributeError, OSError):  # macOS and Windows have none: there the last note counts
            self._id = time.pthread_getcpuclockid(threading.get_ident())

    def note(self) -> None:
        """Note what the thread took so far; to be called by itself."""
        self._noted = time.thread_time()

    def seconds(self) -> float:
        """Seconds of CPU that it took, up to now or up to the last note."""
        if self._id is not None:
            with suppress(OSError):  # the thread has ended
                return time.clock_gettime(self._id)
        return self._noted


class Crew:
    """Reads *entries* with up to *size* threads into *syncs*, which holds them back when it is full.

    They begin one after the other, each while those before it rather wait than work, and the writer does: of threads
    that all have work one runs at a time, and to take turns costs them a fifth more.
    """

    def __init__(
        self,
        reader: Reader,
        entries: Sequence[ContextEntry],
        links: LinkReader,
        links_of: Mapping[ContextEntry, Sequence[ContextEntry]],
        *,
        size: int,
        syncs: Handover,
        stop: threading.Event,
        is_fail_fast: bool = False,
    ) -> None:
        self._reader = reader
        self._entries: Iterator[tuple[int, ContextEntry]] = iter(enumerate(entries))
        self._links = links
        self._links_of = links_of
        self._syncs = syncs
        self._stop = stop
        self._is_fail_fast = is_fail_fast
        self._lock = threading.Lock()
        self._size = min(size, len(entries))
        self._left = 0  # threads that have begun and not ended
        self._is_taken = False  # whether every entry is
        self._threads: list[threading.Thread] = []
        self._clocks: list[Clock] = []  # of each thread

    def start(self) -> None:
        """Begin to read; every crew hands over one None when it is done."""
        if self._size:
            self._begin_one()
        else:
            self._hand_over(None)

    def join(self) -> None:
        """Wait until every thread has ended; set the stop event before to make that soon."""
        for thread in self._threads:  # grows while it is walked
            if thread.ident is not None:  # else the machine had none left to start
                thread.join()

    def _begin_one(self) -> None:
        number = len(self._threads)
        name = f"{self._reader.registration.name}-{number}"
        thread = threading.Thread(target=self._work, args=(number,), name=name, daemon=True)
        with self._lock:
            self._left += 1
        self._threads.append(thread)
        thread.start()

    def _work(self, number: int) -> None:
        clock = Clock()
        self._clocks.append(clock)
        try:
            if number:
                self._wait_for_need()
            if len(self._threads) < self._size and not self._is_over():
                self._begin_one()
            while (taken := self._take()) is not None:
                self._read(*taken)
                clock.note()
        except Interrupted:
            pass  # what is not finished writes no row (design §3)
        except BaseException as error:  # handed to the thread that waits, or it would wait for ever
            self._hand_over(error)
        finally:
            with self._lock:
                self._left -= 1
                is_last = self._left == 0
            if is_last:
                self._hand_over(None)

    def _wait_for_need(self) -> None:
        """Wait while those who began before keep a core busy with what they read, or the writer does."""
        while not self._is_over():
            before, began = self._spent(), time.monotonic()
            self._stop.wait(GLANCE)
            if self._spent() - before < BUSY * (time.monotonic() - began):
                return

    def _spent(self) -> float:
        """Seconds that reading took so far, and the writing of what was read: one more reader shortens neither."""
        return sum(clock.seconds() for clock in self._clocks) + self._syncs.at_work()

    def _is_over(self) -> bool:
        return self._is_taken or self._stop.is_set()

    def _read(self, index: int, entry: ContextEntry) -> None:
        """Read a course, then its resource links, each handed over as soon as it is read."""
        course = self._reader.read(index, entry)
        self._hand_over(course)
        for link in self._links_of.get(entry, ()) if self._links_of else ():
            if self._stop.is_set():
                return
            self._hand_over(self._links.read(link, course))

    def _take(self) -> tuple[int, ContextEntry] | None:
        """The next entry; taken and begun under one lock, so that entries begin in catalogue order."""
        with self._lock:
            if self._stop.is_set():
                return None
            taken = next(self._entries, None)
            self._is_taken = taken is None
            if taken is not None:
                self._reader.claims.begin(taken[0])
            return taken

    def _hand_over(self, outcome: Outcome) -> None:
        if self._is_fail_fast and isinstance(outcome, Sync) and outcome.outcome in BROKEN:
            self._stop.set()
        self._syncs.put(outcome)
