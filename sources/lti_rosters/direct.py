"""One course read from Python, without a pipeline: whole as an Arrow table, or page by page."""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike, fspath
from typing import Any

from pyarrow import Table

from .catalogue.entries import BadRowError, ContextEntry, text_of
from .errors import ConfigurationError, LtiRostersError
from .rosters.harvest import Harvest
from .rosters.planning import Plan, plans
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
        course: Its memberships URL, a row of a catalogue (a mapping: columns, the claims of a launch, an ID token of
            LTIAAS), or a `context_id`, as text or number, that stands in the registration's own catalogue.
        resource_link_id: Read who reaches this link instead, whatever link *course* names; `message` is filled then.
        suppressed: The `person_mac` of people to leave out, as `suppressions` of the raw dataset has them of this
            registration. No destination is looked at here, so nobody else keeps erased people out.
        settings: Settings of the registration (`issuer`, `client_id`, `token_url`, `private_key`, …; of an LTIAAS
            account `base_url` and `api_key`) and options (`role`, `page_size`, `identity`, …), each as in
            dlt's configuration and before what stands there; none of it need stand there.

    Raises:
        LtiRostersError: As the leaf that says why there is no complete roster; nothing is returned then.
    """
    link = _text(resource_link_id, "resource_link_id")
    syncs = list(_harvest(registration, course, link, suppressed, settings).syncs())
    (sync,) = [sync for sync in syncs if sync.resource_link_id == link]
    return member_table(registration, sync.facts.context_id, _members(sync, syncs))


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
    link = _text(resource_link_id, "resource_link_id")
    harvest = _harvest(registration, course, link, suppressed, settings)
    (plan,) = harvest.made
    with ExitStack() as stack:
        reader = harvest.reader(plan, stack)
        for page, context_id in stream(reader, plan.entries[0], link):
            yield member_table(registration, context_id, on_roster(page.members, reader.rules.role))


def _harvest(
    registration: str, course: Any, link: str | None, suppressed: Collection[str], arguments: dict[str, Any]
) -> Harvest:
    row = _row(course)
    context_id = None if row is not None else _text("" if course is None else course, "the course")
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
    entry = _entry(plan, context_id)
    plan.entries = [entry]
    plan.links = {} if link is None else {entry: [replace(entry, resource_link_id=link)]}
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


def _row(course: Any) -> Any:
    """The row that *course* is, or None for an id to be found in the catalogue."""
    if isinstance(course, str) and course.strip().lower().startswith(("https://", "http://")):
        return {"memberships_url": course}
    return dict(course) if isinstance(course, Mapping) else None


def _text(given: Any, what: str) -> str | None:
    """The id *given* as text, None for none; raises ConfigurationError for what is no id: it asks for nobody."""
    if given is None:
        return None
    try:
        text = text_of(given, what)
    except BadRowError as error:
        raise ConfigurationError(str(error)) from None
    if text is None:
        raise ConfigurationError(f"{what} is empty.")
    return text


def _entry(plan: Plan, context_id: str | None) -> ContextEntry:
    """The entry of *context_id* in the catalogue of *plan*; without one the only entry that there is."""
    entries = [entry for entry in plan.entries if context_id in (None, entry.context_id)]
    if entries:
        return entries[0]
    if plan.faults:
        raise ConfigurationError(plan.faults[0], where=plan.registration.name)
    raise ConfigurationError(
        "the catalogue has no such context_id.",
        where=plan.registration.name,
        remedy="Give its memberships URL, or a row of a catalogue.",
    )


def _members(sync: Sync, syncs: Sequence[Sync]) -> list[Any]:
    """Who is on the roster of *sync*; a link that was not asked for failed of what its course did."""
    if sync.outcome not in READ or sync.roster is None:
        failures = [each.failure for each in (sync, *syncs) if each.failure is not None]
        raise (
            failures[0]
            if failures
            else LtiRostersError(sync.error or "the roster was not read.", where=sync.where)
        )
    return [member for member, _ in sync.roster.rows]
