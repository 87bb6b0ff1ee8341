"""One run at a time in a working directory; the lock of a process that died is free."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import BusyError


@contextmanager
def alone(directory: Path, *, is_patient: bool, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of *directory*; if another run holds it, say so (*on_wait*) and wait, or raise BusyError."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / "run.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if not is_patient:
            raise BusyError(
                "another run is at work in this directory.",
                where=directory.name,
                remedy="Leave out --no-wait to wait for it.",
            ) from None
        on_wait()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
