"""How a run shows that it goes on, on stderr: a line per registration on a terminal, log lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..rosters.planning import Plan
from ..rosters.sync import BROKEN, Sync
from .run import Watcher

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LOG_EVERY = 10.0  # seconds between two log lines of a registration
STEPS = {
    "wait": "Another run is at work in this directory: waiting for it to end.",
    "wait_load": "Another run is loading into this warehouse: waiting for it to end.",
    "wait_models": "Another run is building the models of this warehouse: waiting for it to end.",
    "read": "Reading rosters …",
    "models": "Building the models …",
}


@contextmanager
def shown(kind: str) -> Iterator[Watcher]:
    """Give a watcher that shows progress: `bar`, `log`, `none`, or `auto` by whether stderr is a terminal."""
    chosen = ("bar" if sys.stderr.isatty() else "log") if kind == "auto" else kind
    if chosen == "none":
        yield Watcher()
        return
    if chosen == "log":
        yield _Lines(_say).watcher()
        return
    # Only for bars: to import what draws them takes as long as to read a hundred courses.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[failed]}"), console=console, transient=True) as progress:
        yield _Bars(progress).watcher()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._failed: Counter[str] = Counter()

    def watcher(self) -> Watcher:
        return Watcher(on_plan=self._plan, on_sync=self._sync, on_step=self._step)

    def _plan(self, made: Sequence[Plan]) -> None:
        for plan in made:
            name = plan.registration.name
            self._tasks[name] = self._progress.add_task(name, total=len(plan.entries), failed="")

    def _sync(self, sync: Sync) -> None:
        name = sync.facts.registration
        self._failed[name] += sync.outcome in BROKEN
        advance = 0 if sync.is_link else 1
        failed = f"{self._failed[name]} failed" if self._failed[name] else ""
        self._progress.update(self._tasks[name], advance=advance, failed=failed)

    def _step(self, step: str) -> None:
        self._progress.console.print(STEPS[step])


class _Lines:
    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._totals: dict[str, int] = {}
        self._done: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._said: dict[str, float] = {}

    def watcher(self) -> Watcher:
        return Watcher(on_plan=self._plan, on_sync=self._sync, on_step=lambda step: self._say(STEPS[step]))

    def _plan(self, made: Sequence[Plan]) -> None:
        self._totals = {plan.registration.name: len(plan.entries) for plan in made}
        self._said = dict.fromkeys(self._totals, time.monotonic())

    def _sync(self, sync: Sync) -> None:
        name = sync.facts.registration
        self._done[name] += not sync.is_link
        self._failed[name] += sync.outcome in BROKEN
        is_last = not sync.is_link and self._done[name] == self._totals[name]
        if is_last or time.monotonic() - self._said[name] >= LOG_EVERY:
            self._said[name] = time.monotonic()
            self._say(
                f"{name}: {self._done[name]} of {self._totals[name]} courses, {self._failed[name]} failed"
            )
