"""Names that are no setting's: found, and answered with the nearest that is."""

import difflib
from collections.abc import Iterable, Mapping

from .lookup import REGISTRATIONS, Lookup, Place
from .registration_settings import FIELDS, OPTIONS

SHARED = ("identity", "identity_secret", "identity_key_id", "registration_names", REGISTRATIONS)
CLOSE = 0.8  # how alike a name must be to be taken for a misspelt one


def not_there(kind: str, asked: Iterable[str], known: Iterable[str]) -> list[str]:
    """Say for each of *asked* that is not *known* which there are, the nearest first."""
    there = list(known)
    return [
        f'No {kind} "{name}". Known: {", ".join(_nearest(name, there)) or "none"}.'
        for name in asked
        if name not in there
    ]


def _nearest(name: str, known: list[str]) -> list[str]:
    near = difflib.get_close_matches(name, known, n=3)
    return near + [each for each in known if each not in near]


def misspelt_identity(lookup: Lookup) -> list[str]:
    """Find a misspelt `identity`: whoever wrote it must not get names and mail instead."""
    return [
        f'"{name}" is not a setting; identity is. Mend it under [{".".join(part for part in _table(place))}].'
        for place, table in lookup.shared()
        for name in table
        if name not in SHARED and difflib.get_close_matches(name.lower(), ["identity"], cutoff=CLOSE)
    ]


def _table(place: Place) -> list[str]:
    return [part for part in (place.pipeline, *place.sections) if part]


def unknown_shared(lookup: Lookup) -> Iterable[str]:
    """Warn of names beside the shared settings that are nearly one of them (dlt has its own there too)."""
    known = [*SHARED, *FIELDS, *OPTIONS]
    for place, table in lookup.shared():
        for name, value in table.items():
            near = difflib.get_close_matches(name, known, n=1, cutoff=CLOSE)
            if name not in known and near and not isinstance(value, Mapping):
                yield f"{'.'.join([*_table(place), name])} is not a setting; did you mean {near[0]}?"


def unknown_of_registrations(lookup: Lookup) -> Iterable[str]:
    """Warn of what stands under a registration and is no setting of one."""
    known = [*FIELDS, *OPTIONS]
    for place, tables in lookup.tables():
        above = [*_table(place), REGISTRATIONS]
        for registration, table in tables.items():
            if not isinstance(table, Mapping):
                yield f"{'.'.join([*above, registration])} is no registration's table, and has no effect."
                continue
            for name in sorted(table.keys() - {*known, "identity"}):
                near = _nearest(name, known)[0]
                yield f"{'.'.join([*above, registration, name])} is not a setting; did you mean {near}?"
