"""Garbage collection: seldom, because neither what is read nor what dlt and dbt are made of is garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Objects made between two collections. Python's own 700 has it walk every member again and again, for nothing:
# a seventh of the CPU of a large load.
THRESHOLDS = (500_000, 20, 100)


def collect_rarely() -> None:
    """Collect seldom for the rest of this process, which must be ours alone."""
    gc.set_threshold(*THRESHOLDS)


def collect_no_more() -> None:
    """Spare the end of this process a collection of all there is, a tenth of the CPU of a small load."""
    gc.freeze()


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Collect seldom inside the block; the process's own thresholds hold again after it."""
    before = gc.get_threshold()
    collect_rarely()
    try:
        yield
    finally:
        gc.set_threshold(*before)
