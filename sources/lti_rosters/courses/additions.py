"""`lti-rosters contexts add` and `contexts import`: rows for the catalogue's file, never at the cost of one there."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..catalogue.catalogue import entries_of
from ..catalogue.editing import EditedFile, editable
from ..catalogue.entries import BadRowError, ContextEntry, Sender, entry
from ..catalogue.files import json_rows
from ..catalogue.launches import foreign, is_launch, read_launch
from ..catalogue.ltiaas import check_provider, is_id_token, read_id_token
from ..errors import ConfigurationError, UsageError
from ..runs.destination import WORKING_DIRECTORY
from ..runs.lock import CATALOGUE, alone
from ..settings.lookup import Lookup, Place
from ..settings.registration_settings import PROVIDERS, Reading, catalogue_setting
from ..settings.settings import registration_names
from .merging import ADDED, CHANGED, KNOWN, SKIPPED, Change, Merging, deployment_of, name_of

PARTIAL, UNUSABLE = 3, 8  # exit statuses of an import in which some lines, or all, are no launch (design §6)


@dataclass(frozen=True, slots=True)
class Target:
    """The file that is the catalogue of a registration, and whose launches belong in it."""

    path: Path
    provider: str
    tool: Sender


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
    catalogue = catalogue_setting(lookup, registration, found.value if found else None)
    if catalogue is None:
        raise ConfigurationError(
            "it has no catalogue yet.",
            where=registration,
            remedy=f'Set {Place("contexts", registration).toml()}, for example contexts = "courses.csv".',
        )
    place = found.place if found else Place("contexts", registration)
    path = editable(catalogue)
    if path is None:
        raise ConfigurationError(
            "its catalogue is no CSV or JSONL file, so no row can be added here.",
            where=registration,
            remedy=f"Add it where the catalogue comes from: {place.toml()}.",
        )

    def text(name: str) -> str | None:
        setting = lookup.setting(name, registration) or lookup.setting(name)
        return str(setting.value).strip() or None if setting else None

    provider, client_id = text("provider"), text("client_id")
    tool = Sender(text("issuer"), (client_id,) if client_id else (), text("deployment_id"))
    return Target(path, provider if provider in PROVIDERS else PROVIDERS[0], tool)


def add(registration: str, row: Mapping[str, str | None]) -> Change:
    """Add *row* (columns of a catalogue) to the catalogue of *registration*, unless it is there already.

    Raises UsageError for a row that names no course, or one that the catalogue has elsewhere, and what `target`
    raises.
    """
    there = target(registration)
    try:
        new = entry({name: value for name, value in row.items() if value}, "the command", there.provider)
    except BadRowError as error:
        raise UsageError(str(error), where=registration) from None
    with _edited(there) as (file, known):
        for each in known:
            if each is not None and _is_same(each, new):
                return Change(each.where, KNOWN, name_of(new), "it is in the catalogue already")
            if each is not None and each.context_id and each.context_id == new.context_id:
                _refuse_other_address(each, new)
        file.append({name: value for name in row if (value := getattr(new, name))})
        file.save()
    return Change(there.path.name, ADDED, name_of(new), "")


def _refuse_other_address(known: ContextEntry, new: ContextEntry) -> None:
    if known.address != new.address:
        raise UsageError(
            f"the catalogue has {new.context_id} with another address.",
            where=known.where,
            remedy="Change it there, or import a launch of the course: two rows of one course are read as the first.",
        )


@contextmanager
def _edited(there: Target) -> Iterator[tuple[EditedFile, list[ContextEntry | None]]]:
    """The file and what its rows name, while no other command writes it."""
    with alone(Path.cwd() / WORKING_DIRECTORY, is_patient=True, name=CATALOGUE):
        yield EditedFile(there.path, there.provider), entries_of(there.path, there.provider)


def import_launches(registration: str, text: str, source: str) -> list[Change]:
    """Add the courses of launches, or give known ones the address of a newer launch; return what became of each.

    *text* holds claims of launches or ID tokens of LTIAAS, one JSON object a line or one list. What is no launch,
    is of another platform, or offers no roster, is skipped. A JSONL catalogue keeps when the launch was, so an
    older one never wins there; in a CSV file the launch that is imported does. Raises what `target` raises, and
    ConfigurationError for a file that cannot be read or written.
    """
    there = target(registration)
    with _edited(there) as (file, known):
        catalogue = Merging(file, there.provider, known)
        changes: list[tuple[int, Change]] = []
        newest = _newest(_launches(text, source, there), changes)
        changes += [(number, catalogue.merge(launch)) for number, launch in newest]
        if any(change.what in (ADDED, CHANGED) for _, change in changes):
            file.save()
    return [change for _, change in sorted(changes, key=lambda each: each[0])]


def exit_status(changes: Sequence[Change]) -> int:
    """Return the exit status of an import (design §6): lines that are no launch are failures."""
    bad = sum(change.is_bad for change in changes)
    if not bad:
        return 0
    return UNUSABLE if bad == len(changes) else PARTIAL


Read = tuple[int, ContextEntry | Change]


def _launches(text: str, source: str, there: Target) -> Iterator[Read]:
    """Each launch with its number, or what it is skipped for."""
    for number, (where, row) in enumerate(json_rows(text, source)):
        try:
            launch = _launch(row, where, there.provider)
        except BadRowError as error:
            yield number, Change(where, SKIPPED, "", str(error), is_bad=True)
            continue
        why = foreign(launch, there.tool) if there.provider == "nrps" else None
        if why is None and launch.address is None:
            why = launch.unavailable or "it has no address"
        yield number, Change(where, SKIPPED, name_of(launch), why) if why else launch


def _launch(row: Any, where: str, provider: str) -> ContextEntry:
    if isinstance(row, BadRowError):
        raise row
    if isinstance(row, Mapping) and is_id_token(row):
        return read_id_token(row, where, provider)
    if not isinstance(row, Mapping) or not is_launch(row):
        raise BadRowError("it is no launch: claims of an LTI message are needed.")
    check_provider(provider)
    return read_launch(row, where)


def _newest(read: Iterator[Read], changes: list[tuple[int, Change]]) -> list[tuple[int, ContextEntry]]:
    """Return of each course the newest launch; ties: the last. The others are noted in *changes*."""
    newest: dict[object, tuple[int, ContextEntry]] = {}
    for number, launch in read:
        if isinstance(launch, Change):
            changes.append((number, launch))
            continue
        key = (deployment_of(launch), launch.context_id) if launch.context_id else launch.address
        older = newest.get(key)
        if older is None or (older[1].launched_at or 0.0) <= (launch.launched_at or 0.0):
            newest[key] = (number, launch)
        else:
            older = (number, launch)
        if older is not None:
            why = "there is a newer launch of the course"
            changes.append((older[0], Change(older[1].where, SKIPPED, name_of(older[1]), why)))
    return list(newest.values())


def _is_same(known: ContextEntry, new: ContextEntry) -> bool:
    link = None if known.is_launch else known.resource_link_id  # a launch asks for no link's roster
    return (known.address, link) == (new.address, new.resource_link_id)


def counted(changes: Sequence[Change]) -> dict[str, int]:
    """How many rows became what."""
    return {what: sum(each.what == what for each in changes) for what in (ADDED, CHANGED, KNOWN, SKIPPED)}
