"""A run: take the lock, finish what is pending, read the rosters, load them, build the models."""

import logging
import os
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlt

from ..errors import ConfigurationError, DestinationError, Interrupted, LtiRostersError
from ..privacy.agreement import check_agreement
from ..rosters.harvest import Harvest
from ..rosters.planning import Plan, narrowed, plans
from ..rosters.sync import Sync
from ..settings.identity import Identity
from ..settings.settings import NO_REGISTRATION, Settings, read_settings
from ..source import lti_rosters
from ..tables.batches import plain_memory
from ..tables.ledger import Ledger, read_ledger
from . import models
from .destination import (
    PIPELINE,
    WORKING_DIRECTORY,
    asked,
    drain,
    load,
    open_pipeline,
    own_staging,
    tidy,
    warehouse,
)
from .lease import sole_builder
from .lock import alone
from .summary import Journal, error_document
from .working import heal, private

log = logging.getLogger(__name__)

DEFAULT_STALE = 48.0  # hours, of registrations that are not in the settings


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
    is_models_only: bool = False  # nothing is read or loaded
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
        return documented(self._journal, self._more, self._work)

    def _work(self) -> None:
        order = self._order
        settings = self._settings or (
            settings_of_models() if order.is_models_only else read_settings(only=order.registrations)
        )
        self._journal.warnings += settings.unknown
        working = order.directory / WORKING_DIRECTORY
        with (
            quiet(),
            tidy(),
            private(),
            plain_memory(),
            alone(working, is_patient=order.is_patient, on_wait=self._say_waiting, stop=self._stop),
        ):
            if order.is_dry:
                self._read_only(settings)
                return
            with own_staging(working):
                self._read_and_write(settings, working)

    def _read_and_write(self, settings: Settings, working: Path) -> None:
        order = self._order
        self._journal.warnings += heal(working / PIPELINE)
        pipeline = open_pipeline(order.destination, order.directory, database=order.database)
        self._more["destination"] = pipeline.destination.destination_name
        if order.is_models_only:
            self._build_alone(settings, pipeline)
            return
        if order.with_models and (place := warehouse(pipeline)) is not None:
            models.check_installed(place)  # told before anything is read
        self._journal.warnings += drain(pipeline, order.directory, on_wait=self._say_loading)
        self._load(settings, pipeline)
        self._journal.is_interrupted = self._stop.is_set()
        if order.with_models and self._can_build and not self._journal.is_interrupted:
            self._build(settings, pipeline)

    def _load(self, settings: Settings, pipeline: dlt.Pipeline) -> None:
        order = self._order
        self._watcher.on_step("read")
        if order.context_ids:
            made = plans(settings)
            self._check_contexts(made, _ledger(pipeline, made))
        look = ExitStack()

        def planned(made: Sequence[Plan]) -> None:
            look.close()  # others may read from the file, or write to it, while rosters are read
            self._planned(made)

        source = lti_rosters(
            settings=settings,
            context_ids=order.context_ids,
            limit=order.limit,
            full=order.is_full,
            fail_fast=order.is_fail_fast,
            stop=self._stop,
            on_plan=planned,
            on_sync=self._synced,
            on_delisted=self._journal.delisted,
        )
        self._more["load_ids"] = load(
            pipeline, source, settings.handling, look=look, on_wait=self._say_loading
        )

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
            ledger = _ledger(pipeline, made)
            self._check_contexts(made, ledger)
            check_agreement(settings.handling, ledger.held, ledger.suppression_keys)
            self._read_against(ledger, made, settings.handling)

    def _read_against(self, ledger: Ledger, made: Sequence[Plan], identity: Identity) -> None:
        order = self._order
        chosen = narrowed(made, ledger, context_ids=order.context_ids, limit=order.limit)
        harvest = Harvest(
            chosen,
            ledger,
            self._stop,
            is_full=order.is_full,
            is_fail_fast=order.is_fail_fast,
            identity=identity,
        )
        self._planned(chosen)
        for sync in harvest.syncs():
            self._synced(sync)
        for facts in harvest.delisted():
            self._journal.delisted(facts.registration)
        self._journal.is_interrupted = self._stop.is_set()

    def _build_alone(self, settings: Settings, pipeline: dlt.Pipeline) -> None:
        """Build the models of what is loaded; where there is none to build, that is an error."""
        if warehouse(pipeline) is None:
            raise ConfigurationError(
                f"the models are not built in {pipeline.destination.destination_name}.",
                where="destination",
                remedy="They are built in DuckDB and PostgreSQL.",
            )
        self._journal.warnings += [
            f"The settings of {name} have faults: its rosters count as stale after {DEFAULT_STALE:.0f} hours."
            for name in settings.faulty
        ]
        self._build(settings, pipeline)

    def _build(self, settings: Settings, pipeline: dlt.Pipeline) -> None:
        self._watcher.on_step("models")
        try:
            with sole_builder(pipeline, on_wait=lambda: self._watcher.on_step("wait_models")):
                build_models(self._journal, self._more, pipeline, self._order.directory, settings)
        except DestinationError as error:
            if (
                self._order.is_models_only
                or self._journal.contexts
                or models.NOTHING_LOADED not in error.what
            ):
                raise
            self._journal.warnings.append("The models are not built: there is no course yet.")

    def _planned(self, made: Sequence[Plan]) -> None:
        # Where no registration has even a catalogue, nothing is written that a model could show.
        self._can_build = any(plan.entries or plan.failure is None for plan in made)
        self._journal.planned(made)
        self._watcher.on_plan(made)

    def _check_contexts(self, made: Sequence[Plan], ledger: Ledger) -> None:
        """Refuse each --context that names nothing: a run that does not read it would look like a good one."""
        if any(plan.failure for plan in made):
            return  # what its catalogue has is unknown
        absent = [
            each
            for each in dict.fromkeys(self._order.context_ids)
            if not any(plan.entries for plan in narrowed(made, ledger, context_ids=[each], limit=None))
        ]
        if absent:
            raise ConfigurationError(
                f"no course of the catalogue has the context_id {', '.join(absent)}.",
                where="--context",
                remedy="It is the platform's id as in lti_raw.contexts, or the catalogue's; case matters.",
            )

    def _synced(self, sync: Sync) -> None:
        self._journal.synced(sync)
        self._watcher.on_sync(sync)

    def _say_waiting(self) -> None:
        self._watcher.on_step("wait")

    def _say_loading(self) -> None:
        self._watcher.on_step("wait_load")


def documented(journal: Journal, more: dict[str, Any], work: Callable[[], None]) -> dict[str, Any]:
    """Do *work* and return the document of *journal* and *more*, which it fills; nothing is raised."""
    try:
        work()
    except LtiRostersError as error:
        return _broken_off(journal, more, error)
    except (Interrupted, KeyboardInterrupt):
        journal.is_interrupted = True
    except Exception as error:
        return _broken_off(journal, more, unforeseen(error))
    return journal.document(**more)


def _broken_off(journal: Journal, more: Mapping[str, Any], error: LtiRostersError) -> dict[str, Any]:
    told = journal.document(**more)
    return {**told, "error": error_document(error), "exit_status": error.exit_status}


def build_models(
    journal: Journal, more: dict[str, Any], pipeline: dlt.Pipeline, directory: Path, settings: Settings
) -> None:
    """Build the models where *pipeline* loads to, and tell of it in *journal* and *more*; warn where they cannot be."""
    place = warehouse(pipeline)
    if place is None:
        name = pipeline.destination.destination_name
        journal.warnings.append(f"The models are not built in {name}; the raw tables are loaded.")
        return
    built = models.build(
        place, work_dir=directory / WORKING_DIRECTORY, stale_after_hours=_stale_after(settings)
    )
    more["models"] = [
        {"name": each.name, "status": each.status, "seconds": round(each.seconds, 3)} for each in built.models
    ]
    more["quality"] = [
        {"name": each.name, "status": each.status, "count": each.count, "finding": each.finding}
        for each in built.quality
    ]
    journal.warnings += built.warnings


def unforeseen(error: Exception) -> LtiRostersError:
    """A fault of our own as an error: its kind and place, not its text, which may quote a member."""
    log.debug("unexpected:\n%s", "".join(traceback.format_tb(error.__traceback__)))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return LtiRostersError(
        f"an unexpected {type(error).__name__} in {frame.name}, line {frame.lineno}.",
        where=Path(frame.filename).stem,
        remedy="Please report it; LTI_ROSTERS_DEBUG=1 shows the way to it.",
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep dlt's log still, whose errors quote rows, unless the environment asks for it (RUNTIME__LOG_LEVEL).

    dlt takes its level when it is imported, so `tidy` comes too late for whoever imported it before.
    """
    logger = logging.getLogger("dlt")
    before = logger.level
    if "RUNTIME__LOG_LEVEL" not in os.environ:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _ledger(pipeline: dlt.Pipeline, made: Sequence[Plan]) -> Ledger:
    """What the destination has committed of the registrations of *made*."""
    return read_ledger(asked(pipeline), [plan.registration.name for plan in made])


def settings_of_models() -> Settings:
    """The settings, or none where no registration is set: the models are built of what is loaded."""
    try:
        return read_settings()
    except ConfigurationError as error:
        if not error.what.startswith(NO_REGISTRATION):
            raise
        return Settings("keep", ())


def _stale_after(settings: Settings) -> Mapping[str, float]:
    hours = {each.name: float(each.options.stale_after_hours) for each in settings.registrations}
    return {"default": DEFAULT_STALE, **hours}
