"""`lti-rosters contexts add` and `contexts import`: rows for the catalogue's file, never at the cost of one there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..catalogue.catalogue import entries_of
from ..catalogue.editing import EditedFile, editable
from ..catalogue.entries import BadRowError, ContextEntry, entry
from ..catalogue.files import json_rows
from ..catalogue.ltiaas import is_id_token, read_id_token
from ..errors import ConfigurationError, UsageError
from ..settings.lookup import Lookup, Place
from ..settings.registration_settings import PROVIDERS, Reading
from ..settings.settings import registration_names

ADDED, CHANGED, KNOWN, SKIPPED = "added", "changed", "known", "skipped"


@dataclass(frozen=True, slots=True)
class Target:
    """The file that is the catalogue of a registration."""

    path: Path
    provider: str


class Change(NamedTuple):
    """What became of one row: *what* is `added`, `changed`, `known` or `skipped`; *course* is never an address."""

    where: str
    what: str
    course: str
    why: str


def target(registration: str) -> Target:
    """Return where rows of *registration* are written; it need not be complete yet.

    Raises UsageError where there is no such registration, ConfigurationError where its catalogue is no file.
    """
    lookup = Lookup.active()
    names, _ = registration_names(Reading(lookup, None))
    if registration not in names:
        raise UsageError(
            f'there is no registration "{registration}".',
            remedy=f"There is {', '.join(names) or 'none'}: see .dlt/config.toml.",
        )
    found = lookup.setting("contexts", registration) or lookup.setting("contexts")
    if found is None:
        raise ConfigurationError(
            "it has no catalogue yet.",
            where=registration,
            remedy=f'Set {Place("contexts", registration).toml()}, for example contexts = "courses.csv".',
        )
    path = editable(found.value)
    if path is None:
        raise ConfigurationError(
            "its catalogue is no CSV or JSONL file, so no row can be added here.",
            where=registration,
            remedy=f"Add it where the catalogue comes from: {found.place.toml()}.",
        )
    provider = lookup.setting("provider", registration) or lookup.setting("provider")
    named = str(provider.value) if provider else PROVIDERS[0]
    return Target(path, named if named in PROVIDERS else PROVIDERS[0])


def add(registration: str, row: Mapping[str, str | None]) -> Change:
    """Add *row* (columns of a catalogue) to the catalogue of *registration*, unless it is there already.

    Raises UsageError for a row that names no course, and what `target` raises.
    """
    there = target(registration)
    given = {name: value for name, value in row.items() if value}
    try:
        new = entry(given, "the command", there.provider)
    except BadRowError as error:
        raise UsageError(str(error), where=registration) from None
    file = EditedFile(there.path, there.provider)
    for known in entries_of(there.path, there.provider):
        if known is not None and _is_same(known, new):
            return Change(known.where, KNOWN, _name(new), "it is in the catalogue already")
    file.append(given)
    file.save()
    return Change(there.path.name, ADDED, _name(new), "")


def import_launches(registration: str, text: str, source: str) -> list[Change]:
    """Add the courses of launches, or give known ones the address of a newer launch; return what became of each.

    *text* holds claims of launches or ID tokens of LTIAAS, one JSON object a line or one list. What is no launch,
    or offers no roster, is skipped. Raises what `target` raises, and ConfigurationError for a file that cannot be
    read or written.
    """
    there = target(registration)
    file = EditedFile(there.path, there.provider)
    known = entries_of(there.path, there.provider)
    changes, launches = _launches(text, source, there.provider)
    for launch in launches:
        number = next((at for at, each in enumerate(known) if each and _is_course(each, launch)), None)
        old = None if number is None else known[number]
        if number is None or old is None:
            file.append(_row(launch, there.provider))
            known.append(launch)
            changes.append(Change(launch.where, ADDED, _name(launch), ""))
        elif old.address == launch.address:
            changes.append(Change(launch.where, KNOWN, _name(launch), "the catalogue has it"))
        elif old.is_launch and (old.launched_at or 0.0) > (launch.launched_at or 0.0):
            changes.append(Change(launch.where, SKIPPED, _name(launch), "the catalogue has a newer launch"))
        else:
            column = "service_key" if there.provider == "ltiaas" else "memberships_url"
            file.change(number, column, _row(launch, there.provider))
            known[number] = launch
            changes.append(Change(launch.where, CHANGED, _name(launch), "this launch has another address"))
    if any(change.what in (ADDED, CHANGED) for change in changes):
        file.save()
    return changes


def _launches(text: str, source: str, provider: str) -> tuple[list[Change], list[ContextEntry]]:
    """What is skipped at once, and of each course the newest launch."""
    changes: list[Change] = []
    newest: dict[str, ContextEntry] = {}
    for where, row in json_rows(text, source):
        try:
            launch = _launch(row, where, provider)
        except BadRowError as error:
            changes.append(Change(where, SKIPPED, "", str(error)))
            continue
        if launch.address is None:
            changes.append(Change(where, SKIPPED, _name(launch), launch.unavailable or "it has no address"))
            continue
        key = launch.context_id or launch.address
        other = newest.get(key)
        older = launch if other and (other.launched_at or 0.0) > (launch.launched_at or 0.0) else other
        if older is not launch:
            newest[key] = launch
        if older is not None:
            changes.append(
                Change(older.where, SKIPPED, _name(older), "there is a newer launch of the course")
            )
    return changes, list(newest.values())


def _launch(row: Any, where: str, provider: str) -> ContextEntry:
    if isinstance(row, BadRowError):
        raise row
    if isinstance(row, Mapping) and is_id_token(row):
        return read_id_token(row, where, provider)
    launch = entry(row, where, "nrps") if isinstance(row, Mapping) else None
    if launch is None or not launch.is_launch:
        raise BadRowError("it is no launch: claims of an LTI message are needed.")
    if provider != "nrps":
        raise BadRowError("an account of LTIAAS needs its own ID tokens, with a service key.")
    return launch


def _row(launch: ContextEntry, provider: str) -> dict[str, str]:
    named = {
        "memberships_url" if provider == "nrps" else "service_key": launch.address,
        "context_id": launch.context_id,
        "label": launch.label,
        "title": launch.title,
    }
    return {name: value for name, value in named.items() if value}


def _is_course(known: ContextEntry, launch: ContextEntry) -> bool:
    """Whether both are one course, whatever link of it the row is for."""
    if known.context_id and launch.context_id:
        return known.context_id == launch.context_id
    return known.address == launch.address


def _is_same(known: ContextEntry, new: ContextEntry) -> bool:
    return (known.address, known.resource_link_id) == (new.address, new.resource_link_id)


def _name(course: ContextEntry) -> str:
    return course.context_id or course.title or course.label or "a course without an id"


def counted(changes: Sequence[Change]) -> dict[str, int]:
    """How many rows became what."""
    return {what: sum(each.what == what for each in changes) for what in (ADDED, CHANGED, KNOWN, SKIPPED)}
