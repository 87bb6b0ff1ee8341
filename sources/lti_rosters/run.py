"""A run: take the lock, finish what is pending, read the rosters, load them, build the models."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlt

from . import models
from .destination import WORKING_DIRECTORY, drain, load, open_pipeline, tidy, warehouse
from .errors import LtiRostersError
from .harvest import Harvest, Plan, narrowed, plans
from .ledger import read_ledger
from .lock import alone
from .settings import Settings, read_settings
from .source import lti_rosters
from .summary import Journal, error_document
from .sync import Sync


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to run; the options of `lti-rosters run`."""

    registrations: Sequence[str] = ()
    context_ids: Sequence[str] = ()
    limit: int | None = None
    destination: str | None = None
    is_dry: bool = False
    is_full: bool = False
    is_fail_fast: bool = False
    is_patient: bool = True
    with_models: bool = True
    database: str = "rosters.duckdb"
    directory: Path = field(default_factory=Path.cwd)
    command: str = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """Who is told what goes on, as it does; each does nothing by default."""

    on_plan: Callable[[Sequence[Plan]], None] = lambda made: None
    on_sync: Callable[[Sync], None] = lambda sync: None
    on_step: Callable[[str], None] = lambda step: None


def run(
    order: Order,
    *,
    settings: Settings | None = None,
    watcher: Watcher | None = None,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """Carry out *order* and return its document (`result.schema.json`); its `exit_status` is design §6's.

    Nothing is raised for what goes wrong: the document's `error` tells it. Set *stop* to end early: what is
    complete is loaded.
    """
    return _Run(order, settings, watcher or Watcher(), stop or threading.Event()).document()


class _Run:
    def __init__(
        self, order: Order, settings: Settings | None, watcher: Watcher, stop: threading.Event
    ) -> None:
        self._order = order
        self._settings = settings
        self._watcher = watcher
        self._stop = stop
        self._journal = Journal(order.command)
        self._more: dict[str, Any] = {"destination": None, "load_ids": [], "models": [], "is_dry": order.is_dry}

    def document(self) -> dict[str, Any]:
        try:
            self._work()
        except LtiRostersError as error:
            failed = self._journal.document(**self._more)
            return {**failed, "error": error_document(error), "exit_status": error.exit_status}
        return self._journal.document(**self._more)

    def _work(self) -> None:
        order = self._order
        settings = self._settings or read_settings(only=order.registrations)
        self._journal.warnings += settings.unknown
        working = order.directory / WORKING_DIRECTORY
        with tidy(), alone(working, is_patient=order.is_patient, on_wait=self._say_waiting):
            pipeline = open_pipeline(order.destination, order.directory, database=order.database)
            self._more["destination"] = pipeline.destination.destination_name
            if order.is_dry:
                self._read_only(settings, pipeline)
                return
            if drain(pipeline, order.directory):
                self._journal.warnings.append("A load that an earlier run had left unfinished was finished first.")
            self._load(settings, pipeline)
            self._journal.is_interrupted = self._stop.is_set()
            if order.with_models and not self._journal.is_interrupted:
                self._build(settings, pipeline)

    def _load(self, settings: Settings, pipeline: dlt.Pipeline) -> None:
        order = self._order
        self._watcher.on_step("read")
        source = lti_rosters(
            settings=settings,
            context_ids=order.context_ids,
            limit=order.limit,
            full=order.is_full,
            fail_fast=order.is_fail_fast,
            stop=self._stop,
            on_plan=self._planned,
            on_sync=self._synced,
        )
        self._more["load_ids"] = load(pipeline, source)

    def _read_only(self, settings: Settings, pipeline: dlt.Pipeline) -> None:
        """Read every roster against what is loaded, and write nothing."""
        order = self._order
        made = plans(settings)
        ledger = read_ledger(pipeline.sql_client(), [plan.registration.name for plan in made])
        chosen = narrowed(made, ledger, context_ids=order.context_ids, limit=order.limit)
        harvest = Harvest(chosen, ledger, self._stop, is_full=order.is_full, is_fail_fast=order.is_fail_fast)
        self._planned(chosen)
        for sync in harvest.syncs():
            self._synced(sync)
        self._journal.is_interrupted = self._stop.is_set()

    def _build(self, settings: Settings, pipeline: dlt.Pipeline) -> None:
        place = warehouse(pipeline)
        if place is None:
            name = pipeline.destination.destination_name
            self._journal.warnings.append(f"The models are not built in {name}; the raw tables are loaded.")
            return
        self._watcher.on_step("models")
        built = models.build(
            place,
            work_dir=self._order.directory / WORKING_DIRECTORY,
            stale_after_hours=_stale_after(settings),
        )
        self._more["models"] = [
            {"name": each.name, "status": each.status, "seconds": round(each.seconds, 3)} for each in built.models
        ]
        self._journal.warnings += built.warnings

    def _planned(self, made: Sequence[Plan]) -> None:
        self._journal.planned(made)
        self._watcher.on_plan(made)

    def _synced(self, sync: Sync) -> None:
        self._journal.synced(sync)
        self._watcher.on_sync(sync)

    def _say_waiting(self) -> None:
        self._watcher.on_step("wait")


def _stale_after(settings: Settings) -> Mapping[str, float]:
    hours = {each.name: float(each.options.stale_after_hours) for each in settings.registrations}
    return {"default": 48.0, **hours}
