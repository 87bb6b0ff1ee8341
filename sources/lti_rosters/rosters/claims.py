"""Two catalogue entries that name one context: the first in the catalogue is in force, whichever answers first."""

import threading

from ..errors import Interrupted


class Claims:
    """Who speaks for a context id among the entries of one registration, numbered in catalogue order.

    Entries begin in order; each tells the context id of its first page, or that it ends without one. An entry
    is the first once no earlier one can still name the same context, so it waits for their first pages alone.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._untold: set[int] = set()
        self._first: dict[str, int] = {}
        self._told = threading.Condition()

    def begin(self, index: int) -> None:
        """Note that entry *index* is being read; call in catalogue order."""
        with self._told:
            self._untold.add(index)

    def tell(self, index: int, context_id: str | None) -> bool:
        """Note what entry *index* is (None: it never told); return whether an earlier one is the same."""
        with self._told:
            if index in self._untold:
                is_awaited = index == min(self._untold)  # only then does somebody's waiting come to an end
                self._untold.remove(index)
                if is_awaited:
                    self._told.notify_all()
            if context_id is None:
                return False
            first = min(index, self._first.get(context_id, index))
            self._first[context_id] = first
            return first < index

    def is_first(self, index: int, context_id: str) -> bool:
        """Whether entry *index* speaks for *context_id*; waits for what earlier ones are. Raises Interrupted."""
        with self._told:
            while any(earlier < index for earlier in self._untold):
                if self._stop.is_set():
                    raise Interrupted
                self._told.wait(0.5)  # an interrupt notifies nobody
            return self._first.get(context_id, index) == index
