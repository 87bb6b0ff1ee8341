"""`lti-rosters check`: every registration side by side, step by step, told as one document."""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, Interrupted, LtiRostersError
from ..rosters.planning import Plan, plans
from ..runs.destination import tidy
from ..runs.run import quiet, unforeseen
from ..runs.summary import INTERRUPTED, MOST_FAILURES, PARTIAL, Journal, Tally, error_document
from ..settings.settings import Settings, read_settings
from .ltiaas import STEPS as LTIAAS
from .nrps import STEPS as NRPS
from .platforms import hint, product_of
from .rosters import COMMON
from .step import FAILED, NOT_TRIED, OK, WARNING, Finding, Found, Step, step_of, warning
from .visit import Procedure, Visit, open_visit
from .warehouse import try_destination

MOST_AT_ONCE = 16  # platforms; each visit is a handful of requests that mostly wait
SETTINGS, ROSTER = "settings", "roster"
MOST_ROWS = 5  # faults of a catalogue that are told

# The steps of each provider behind the settings; one that is not here has those that all share.
PROVIDERS: Mapping[str, Sequence[Procedure]] = {"nrps": NRPS, "ltiaas": LTIAAS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to check; the options of `lti-rosters check`. *destination*: None for `run`'s default."""

    registrations: Sequence[str] = ()
    with_destination: bool = False
    destination: str | None = None
    directory: Path = field(default_factory=Path.cwd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the visit to one platform came to."""

    plan: Plan
    product: str | None
    steps: Sequence[Step]
    counts: Mapping[str, int]

    @property
    def is_read(self) -> bool:
        """Whether a page of a roster was read."""
        return any(step.name == ROSTER and step.state in (OK, WARNING) for step in self.steps)


def check(
    order: Order, *, settings: Settings | None = None, stop: threading.Event | None = None
) -> dict[str, Any]:
    """Carry out *order* and return its document (`result.schema.json`), with the exit status of design §6.

    Nothing is raised for what goes wrong. Nothing is written, but by the try of the destination, which leaves
    nothing behind.
    """
    journal, stop = Journal("check"), stop or threading.Event()
    more: dict[str, Any] = {"destination": None, "load_ids": [], "models": [], "is_dry": True, "checks": {}}
    try:
        with quiet(), tidy():
            known = settings or read_settings(only=order.registrations)
            journal.warnings += known.unknown
            with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
                told = list(pool.map(lambda plan: _checked(plan, stop), plans(known)))
            more["checks"] = {each.plan.registration.name: _note(each, journal) for each in told}
            is_read = any(each.is_read for each in told)
            if order.with_destination and not stop.is_set():
                more["destination"], steps = try_destination(order.destination, order.directory)
                more["destination_steps"] = [step.document() for step in steps]
                _note_faults(journal, "destination", steps)
    except LtiRostersError as error:
        document = journal.document(**more)
        return {**document, "error": error_document(error), "exit_status": error.exit_status}
    except Exception as error:
        told_of = unforeseen(error)
        return {
            **journal.document(**more),
            "error": error_document(told_of),
            "exit_status": told_of.exit_status,
        }
    return {**journal.document(**more), "exit_status": _exit_status(journal, stop, is_read=is_read)}


def _exit_status(journal: Journal, stop: threading.Event, *, is_read: bool) -> int:
    if stop.is_set():
        return INTERRUPTED
    if not journal.causes:
        return 0
    return PARTIAL if is_read else min(journal.causes)


def _checked(plan: Plan, stop: threading.Event) -> Checked:
    """Visit the platform of *plan*; whatever happens there stays there."""
    registration = plan.registration
    product = product_of(registration)
    procedures = PROVIDERS.get(registration.provider, COMMON)
    first = step_of(SETTINGS, _settings(plan), seconds=0.0)
    steps = [first]
    if not (registration.token_url or registration.base_url):  # its settings cannot be used at all
        steps += [_not_tried(each) for each in procedures]
        return Checked(plan=plan, product=None, steps=steps, counts={})
    try:
        visit = open_visit(plan, product, stop)
    except LtiRostersError as error:
        found = Found(findings=(*first.findings, Finding(error=error)))
        steps = [step_of(SETTINGS, found, seconds=0.0), *map(_not_tried, procedures)]
        return Checked(plan=plan, product=product, steps=steps, counts={})
    if plan.failure is not None:
        visit.failed.add(SETTINGS)
    try:
        steps += [_step(each, visit) for each in procedures]
    finally:
        visit.transport.close()
    counts = {name: getattr(visit.effort, name) for name in ("requests", "retries", "throttles")}
    return Checked(plan=plan, product=product, steps=steps, counts=counts)


def _settings(plan: Plan) -> Found:
    """What the settings and the catalogue of one registration came to."""
    where = plan.registration.name
    if plan.failure is not None:
        return Found(findings=(Finding(error=plan.failure),))
    rows = [
        ConfigurationError(f"a row of the catalogue cannot be read: {fault}", where=where)
        for fault in plan.faults[:MOST_ROWS]
    ]
    if (left := len(plan.faults) - MOST_ROWS) > 0:
        rows.append(ConfigurationError(f"and {left} further rows of the catalogue.", where=where))
    findings = [Finding(error=row) for row in rows]
    findings += [warning(ConfigurationError, told) for told in plan.warnings]
    if not plan.entries and not rows:
        empty = ConfigurationError(
            "the catalogue has no course.", where=where, remedy="Nothing would be read: add courses to it."
        )
        findings.append(Finding(error=empty, is_fault=False))
    courses = len(plan.entries)
    detail = f"{plan.registration.provider}, {courses:,} course{'' if courses == 1 else 's'}"
    return Found(detail=detail, findings=tuple(findings), facts={"contexts": courses})


def _step(procedure: Procedure, visit: Visit) -> Step:
    """Go through one step, unless one that it needs failed."""
    name = procedure.name
    if visit.failed & {*procedure.needs} or visit.stop.is_set():
        visit.failed.add(name)
        return _not_tried(procedure)
    began = time.monotonic()
    try:
        found = procedure.act(visit)
    except Interrupted:
        visit.failed.add(name)
        return _not_tried(procedure)
    except LtiRostersError as error:
        told = hint(visit.product, name, error.error_type)
        found = Found(findings=(Finding(error=error, hint=told),))
    except Exception as error:  # one failure stays one failure, a fault of our own included
        found = Found(findings=(Finding(error=unforeseen(error)),))
    step = step_of(name, found, seconds=time.monotonic() - began)
    if step.state == FAILED:
        visit.failed.add(name)
    return step


def _not_tried(procedure: Procedure) -> Step:
    return Step(name=procedure.name, state=NOT_TRIED)


def _note(checked: Checked, journal: Journal) -> dict[str, Any]:
    """Count what was found in one visit, and return its item of `checks`."""
    registration = checked.plan.registration
    tally = journal.tallies.setdefault(registration.name, Tally())
    tally.contexts = len(checked.plan.entries)
    tally.counts.update(checked.counts)
    tally.faults = checked.plan.faults
    _note_faults(journal, registration.name, checked.steps)
    return {
        "provider": registration.provider,
        "platform": checked.product,
        "steps": [step.document() for step in checked.steps],
    }


def _note_faults(journal: Journal, name: str, steps: Sequence[Step]) -> None:
    for step in steps:
        for error in step.faults:
            journal.causes.add(error.exit_status)
            if len(journal.failures) < MOST_FAILURES:
                journal.failures.append(
                    {
                        "registration": name,
                        "context_id": None,
                        "resource_link_id": None,
                        "where": step.name,
                        "outcome": "failed",
                        "error_type": error.error_type,
                        "error": str(error),
                        "http_status": error.http_status,
                    }
                )
