"""One course read from Python, without a pipeline: whole as an Arrow table, or page by page."""

import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from pyarrow import Table

from .errors import ConfigurationError, LtiRostersError
from .rosters.harvest import Harvest, plans
from .rosters.roster import on_roster
from .rosters.streaming import stream
from .rosters.sync import READ, Sync
from .settings.settings import read_settings
from .tables.ledger import Ledger
from .tables.members import member_table


def read_members(
    registration: str,
    course: Any,
    *,
    resource_link_id: str | None = None,
    suppressed: Collection[str] = (),
    **options: Any,
) -> Table:
    """Return the members of one course as an Arrow table, once its roster is complete.

    Args:
        registration: The name of the registration in dlt's configuration.
        course: Its memberships URL, a row of a catalogue (a mapping), or a `context_id` that stands in the
            registration's own catalogue.
        resource_link_id: Read who reaches this link instead; `message` is filled then.
        suppressed: The `person_mac` of people to leave out, as `suppressions` of the raw dataset has them of this
            registration. No destination is looked at here, so nobody else keeps erased people out.
        options: Options of the settings (`role`, `page_size`, `max_members`, …).

    Raises:
        LtiRostersError: As the leaf that says why there is no complete roster; nothing is returned then.
    """
    harvest = _harvest(registration, course, resource_link_id, suppressed, options)
    syncs = list(harvest.syncs())
    (sync,) = [sync for sync in syncs if sync.resource_link_id == resource_link_id] or syncs[-1:]
    return member_table(registration, sync.facts.context_id, _members(sync))


def stream_members(
    registration: str,
    course: Any,
    *,
    resource_link_id: str | None = None,
    suppressed: Collection[str] = (),
    **options: Any,
) -> Iterator[Table]:
    """Yield the members of one course page by page, in the memory of a page; arguments as in `read_members`.

    What has been yielded is no complete roster until the generator has ended without an error. Somebody whom the
    platform lists on two pages comes twice, and no departure is confirmed.

    Raises:
        LtiRostersError: As `read_members`, at whatever page it happens.
    """
    harvest = _harvest(registration, course, resource_link_id, suppressed, options)
    (plan,) = harvest.made
    with ExitStack() as stack:
        reader = harvest.reader(plan, stack)
        for page, context_id in stream(reader, plan.entries[0], resource_link_id):
            yield member_table(registration, context_id, on_roster(page.members, reader.rules().role))


def _harvest(
    registration: str, course: Any, link: str | None, suppressed: Collection[str], options: dict[str, Any]
) -> Harvest:
    row = _row(course, link)
    contexts = None if row is None else {registration: [row]}
    settings = read_settings(contexts=contexts, overrides=options, only=[registration])
    for name in settings.faulty:
        raise settings.error(name)
    (plan,) = plans(settings)
    if plan.failure is not None:
        raise plan.failure
    if plan.faults:
        raise ConfigurationError(plan.faults[0])
    if row is None:
        plan.entries = [entry for entry in plan.entries if entry.context_id == str(course)][:1]
        plan.links = {entry: _links(entry, link) for entry in plan.entries}
    if not plan.entries:
        raise ConfigurationError(
            "the catalogue has no such context_id.",
            where=registration,
            remedy="Give its memberships URL, or a row of a catalogue.",
        )
    ledger = Ledger(suppressed={registration: set(suppressed)})
    return Harvest([plan], ledger, threading.Event(), identity=settings.handling)


def _row(course: Any, link: str | None) -> Any:
    """The row that *course* is, or None for an id to be found in the catalogue."""
    if isinstance(course, str) and not course.lower().startswith(("https://", "http://")):
        return None
    row = {"memberships_url": course} if isinstance(course, str) else dict(course)
    return row if link is None else {**row, "resource_link_id": link}


def _links(entry: Any, link: str | None) -> list[Any]:
    return [] if link is None else [replace(entry, resource_link_id=link)]


def _members(sync: Sync) -> list[Any]:
    if sync.outcome not in READ or sync.roster is None:
        raise sync.failure or LtiRostersError(sync.error or "the roster was not read.", where=sync.where)
    return [member for member, _ in sync.roster.rows]
