"""A run: take the lock, finish what is pending, read the rosters, load them, build the models."""

import logging
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlt

from . import models
from .destination import WORKING_DIRECTORY, asked, drain, load, open_pipeline, tidy, warehouse
from .errors import ConfigurationError, DestinationError, Interrupted, LtiRostersError
from .harvest import Harvest, Plan, narrowed, plans
from .ledger import Ledger, read_ledger
from .lock import alone
from .settings import Settings, read_settings
from .source import lti_rosters
from .summary import Journal, error_document
from .sync import Sync

log = logging.getLogger(__name__)


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
    database: Path | None = None  # a DuckDB file, whatever the settings say of one
    directory: Path = field(default_factory=Path.cwd)
    command: str = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """Who is told what goes on, as it does; each does nothing by default."""

    on_plan: Callable[[Sequence[Plan]], None] = lambda _: None
    on_sync: Callable[[Sync], None] = lambda _: None
    on_step: Callable[[str], None] = lambda _: None


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
        self._can_build = False
        self._more: dict[str, Any] = {
            "destination": None,
            "load_ids": [],
            "models": [],
            "is_dry": order.is_dry,
        }

    def document(self) -> dict[str, Any]:
        """Do the work and tell what came of it, whatever that is."""
        try:
            self._work()
        except LtiRostersError as error:
            return self._broken_off(error)
        except (Interrupted, KeyboardInterrupt):
            self._journal.is_interrupted = True
        except Exception as error:
            return self._broken_off(unforeseen(error))
        return self._journal.document(**self._more)

    def _broken_off(self, error: LtiRostersError) -> dict[str, Any]:
        told = self._journal.document(**self._more)
        return {**told, "error": error_document(error), "exit_status": error.exit_status}

    def _work(self) -> None:
        order = self._order
        settings = self._settings or read_settings(only=order.registrations)
        self._journal.warnings += settings.unknown
        working = order.directory / WORKING_DIRECTORY
        with tidy(), alone(working, is_patient=order.is_patient, on_wait=self._say_waiting, stop=self._stop):
            if order.is_dry:
                self._read_only(settings)
                return
            pipeline = open_pipeline(order.destination, order.directory, database=order.database)
            self._more["destination"] = pipeline.destination.destination_name
            if drain(pipeline, order.directory):
                self._journal.warnings.append(
                    "A load that an earlier run had left unfinished was finished first."
                )
            self._load(settings, pipeline)
            self._journal.is_interrupted = self._stop.is_set()
            if order.with_models and self._can_build and not self._journal.is_interrupted:
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

    def _read_only(self, settings: Settings) -> None:
        """Read every roster against what is loaded, and write nothing, not even dlt's own working files."""
        order = self._order
        self._watcher.on_step("read")
        made = plans(settings)
        with tempfile.TemporaryDirectory() as elsewhere:
            pipeline = open_pipeline(
                order.destination, order.directory, database=order.database, working=Path(elsewhere)
            )
            self._more["destination"] = pipeline.destination.destination_name
            ledger = read_ledger(asked(pipeline), [plan.registration.name for plan in made])
            self._read_against(ledger, made)

    def _read_against(self, ledger: Ledger, made: Sequence[Plan]) -> None:
        order = self._order
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
        try:
            built = models.build(
                place,
                work_dir=self._order.directory / WORKING_DIRECTORY,
                stale_after_hours=_stale_after(settings),
            )
        except DestinationError as error:
            if self._journal.contexts or models.NOTHING_LOADED not in error.what:
                raise
            self._journal.warnings.append("The models are not built: there is no course yet.")
            return
        self._more["models"] = [
            {"name": each.name, "status": each.status, "seconds": round(each.seconds, 3)}
            for each in built.models
        ]
        self._journal.warnings += built.warnings

    def _planned(self, made: Sequence[Plan]) -> None:
        self._check_contexts(made)
        # Where no registration has even a catalogue, nothing is written that a model could show.
        self._can_build = any(plan.entries or plan.failure is None for plan in made)
        self._journal.planned(made)
        self._watcher.on_plan(made)

    def _check_contexts(self, made: Sequence[Plan]) -> None:
        """Refuse --context where it names nothing: a run that reads nothing would look like a good one."""
        if self._order.context_ids and not any(plan.entries or plan.failure for plan in made):
            named = ", ".join(self._order.context_ids[:3])
            raise ConfigurationError(
                f"no course of the catalogue has the context_id {named}.",
                where="--context",
                remedy="It is the platform's id as in lti_raw.contexts, or the catalogue's; case matters.",
            )

    def _synced(self, sync: Sync) -> None:
        self._journal.synced(sync)
        self._watcher.on_sync(sync)

    def _say_waiting(self) -> None:
        self._watcher.on_step("wait")


def unforeseen(error: Exception) -> LtiRostersError:
    """A fault of our own as an error: its kind and place, not its text, which may quote a member."""
    log.debug("unexpected:\n%s", "".join(traceback.format_tb(error.__traceback__)))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return LtiRostersError(
        f"an unexpected {type(error).__name__} in {frame.name}, line {frame.lineno}.",
        where=Path(frame.filename).stem,
        remedy="Please report it; LTI_ROSTERS_DEBUG=1 shows the way to it.",
    )


def _stale_after(settings: Settings) -> Mapping[str, float]:
    hours = {each.name: float(each.options.stale_after_hours) for each in settings.registrations}
    return {"default": 48.0, **hours}
