"""One course read from Python, without a pipeline: whole as an Arrow table, or page by page."""

import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike, fspath
from typing import Any

from pyarrow import Table

from .errors import ConfigurationError, LtiRostersError
from .rosters.harvest import Harvest, plans
from .rosters.roster import on_roster
from .rosters.streaming import stream
from .rosters.sync import READ, Sync
from .settings.lookup import REGISTRATIONS
from .settings.misspelt import not_there
from .settings.registration_settings import FIELDS, OPTIONS
from .settings.settings import explain, read_settings
from .tables.ledger import Ledger
from .tables.members import member_table

OF_IDENTITY = ("identity_secret", "identity_key_id")  # they hold for all registrations


def read_members(
    registration: str,
    course: Any,
    *,
    resource_link_id: str | None = None,
    suppressed: Collection[str] = (),
    **settings: Any,
) -> Table:
    """Return the members of one course as an Arrow table, once its roster is complete.

    Args:
        registration: The name of the registration in dlt's configuration, or any name where its settings are given
            here.
        course: Its memberships URL, a row of a catalogue (a mapping), or a `context_id` that stands in the
            registration's own catalogue.
        resource_link_id: Read who reaches this link instead; `message` is filled then.
        suppressed: The `person_mac` of people to leave out, as `suppressions` of the raw dataset has them of this
            registration. No destination is looked at here, so nobody else keeps erased people out.
        settings: Settings of the registration (`issuer`, `client_id`, `token_url`, `private_key`, …; of an LTIAAS
            account `base_url` and `api_key`) and options (`role`, `page_size`, `identity`, …), each as in
            dlt's configuration and before what stands there; none of it need stand there.

    Raises:
        LtiRostersError: As the leaf that says why there is no complete roster; nothing is returned then.
    """
    harvest = _harvest(registration, course, resource_link_id, suppressed, settings)
    syncs = list(harvest.syncs())
    (sync,) = [sync for sync in syncs if sync.resource_link_id == resource_link_id] or syncs[-1:]
    return member_table(registration, sync.facts.context_id, _members(sync))


def stream_members(
    registration: str,
    course: Any,
    *,
    resource_link_id: str | None = None,
    suppressed: Collection[str] = (),
    **settings: Any,
) -> Iterator[Table]:
    """Yield the members of one course page by page, in the memory of a page; arguments as in `read_members`.

    What has been yielded is no complete roster until the generator has ended without an error. Somebody whom the
    platform lists on two pages comes twice, and no departure is confirmed.

    Raises:
        LtiRostersError: As `read_members`, at whatever page it happens.
    """
    harvest = _harvest(registration, course, resource_link_id, suppressed, settings)
    (plan,) = harvest.made
    with ExitStack() as stack:
        reader = harvest.reader(plan, stack)
        for page, context_id in stream(reader, plan.entries[0], resource_link_id):
            yield member_table(registration, context_id, on_roster(page.members, reader.rules().role))


def _harvest(
    registration: str, course: Any, link: str | None, suppressed: Collection[str], arguments: dict[str, Any]
) -> Harvest:
    row = _row(course, link)
    contexts = None if row is None else {registration: [row]}
    options, given = _sorted(registration, arguments)
    settings = read_settings(contexts=contexts, overrides=options, only=[registration], given=given)
    for faults in settings.faulty.values():
        raise ConfigurationError(
            explain(faults), where=f'registration "{registration}"', remedy="Or give it as an argument."
        )
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


def _sorted(registration: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options among *arguments*, and the other settings as the table `[sources.lti_rosters]` that they make."""
    known = [*FIELDS, *OPTIONS, "identity", *OF_IDENTITY]
    if amiss := not_there("argument", arguments, known):
        raise ConfigurationError(" ".join(amiss), where=registration)
    of_registration = {
        name: value for name, value in arguments.items() if name in FIELDS and value is not None
    }
    of_all = {name: value for name, value in arguments.items() if name in OF_IDENTITY and value is not None}
    if of_registration:
        if of_registration.keys() & {"base_url", "api_key"}:  # which a registration of NRPS has not
            of_registration.setdefault("provider", "ltiaas")
        if isinstance(path := of_registration.get("private_key"), PathLike):
            of_registration["private_key"] = fspath(path)
        of_all[REGISTRATIONS] = {registration: of_registration}
    options = {name: value for name, value in arguments.items() if name in OPTIONS or name == "identity"}
    return options, of_all


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
