"""The threads that read one registration: each takes the next catalogue entry, reads it, hands its syncs over."""

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence

from ..catalogue.catalogue import ContextEntry
from ..errors import Interrupted
from .linked import LinkReader
from .reader import Reader
from .sync import Sync

Outcome = Sync | BaseException | None  # None: a crew is done


class Crew:
    """Reads *entries* with up to *size* threads into *syncs*, which holds them back when it is full."""

    def __init__(
        self,
        reader: Reader,
        entries: Sequence[ContextEntry],
        links: LinkReader,
        links_of: Mapping[ContextEntry, Sequence[ContextEntry]],
        *,
        size: int,
        syncs: "queue.Queue[Outcome]",
        stop: threading.Event,
    ) -> None:
        self._reader = reader
        self._entries: Iterator[tuple[int, ContextEntry]] = iter(enumerate(entries))
        self._links = links
        self._links_of = links_of
        self._syncs = syncs
        self._stop = stop
        self._lock = threading.Lock()
        self._left = min(size, len(entries))
        self._threads = [
            threading.Thread(target=self._work, name=f"{reader.registration.name}-{number}", daemon=True)
            for number in range(self._left)
        ]

    def start(self) -> None:
        """Begin to read; every crew hands over one None when it is done."""
        for thread in self._threads:
            thread.start()
        if not self._threads:
            self._hand_over(None)

    def join(self) -> None:
        """Wait until every thread has ended; set the stop event before to make that soon."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _work(self) -> None:
        try:
            while (taken := self._take()) is not None:
                self._read(*taken)
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

    def _read(self, index: int, entry: ContextEntry) -> None:
        """Read a course, then its resource links, each handed over as soon as it is read."""
        course = self._reader.read(index, entry)
        self._hand_over(course)
        for link in self._links_of.get(entry, ()):
            if self._stop.is_set():
                return
            self._hand_over(self._links.read(link, course))

    def _take(self) -> tuple[int, ContextEntry] | None:
        """The next entry; taken and begun under one lock, so that entries begin in catalogue order."""
        with self._lock:
            if self._stop.is_set():
                return None
            taken = next(self._entries, None)
            if taken is not None:
                self._reader.claims.begin(taken[0])
            return taken

    def _hand_over(self, outcome: Outcome) -> None:
        self._syncs.put(outcome)
