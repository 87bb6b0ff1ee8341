"""Garbage collection while rosters are read: seldom, because what is read holds no cycles."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Objects made between two collections. Python's own 700 has it walk every member again and again, for nothing:
# a seventh of the CPU of a large load.
THRESHOLDS = (100_000, 20, 100)


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Collect seldom inside the block; the process's own thresholds hold again after it."""
    before = gc.get_threshold()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
