"""One run at a time in a working directory; the lock of a process that died is free."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import BusyError, DestinationError, Interrupted
from .working import PRIVATE_FILE, make_private

RUN = "run.lock"
CATALOGUE = "catalogue.lock"  # of the commands that write a catalogue: a run, which reads it, may go on
POLL = 0.2  # seconds between two looks at a lock that another run holds


@contextmanager
def alone(
    directory: Path,
    *,
    is_patient: bool,
    on_wait: Callable[[], None] = lambda: None,
    stop: threading.Event | None = None,
    name: str = RUN,
) -> Iterator[None]:
    """Hold the lock *name* of *directory*; if it is held, say so (*on_wait*) and wait, or raise BusyError.

    Raises Interrupted when *stop* is set while it waits, and DestinationError where no lock can be made.
    """
    lock = FileLock(directory / name, mode=PRIVATE_FILE)
    try:
        make_private(directory)
        _acquire(lock, directory.name, None if not is_patient else on_wait, stop or threading.Event())
    except OSError as error:
        raise DestinationError(
            f"the working directory cannot be written ({type(error).__name__}).",
            where=directory.name,
            remedy="Run in a directory that you may write; nothing was read or changed.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, where: str, on_wait: Callable[[], None] | None, stop: threading.Event) -> None:
    try:
        lock.acquire(blocking=False)
        return
    except Timeout:
        if on_wait is None:
            raise BusyError(
                "another run is at work in this directory.",
                where=where,
                remedy="Leave out --no-wait to wait for it.",
            ) from None
    on_wait()
    while not stop.wait(POLL):
        try:
            lock.acquire(blocking=False)
            return
        except Timeout:
            continue
    raise Interrupted
