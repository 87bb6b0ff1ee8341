"""All settings of a run: what holds for everything, every registration, and every fault, told at once."""

import functools
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigurationError
from ..keys.signing import read_key
from . import fields as read
from .fields import Wrong
from .identity import Identity, read_identity
from .lookup import REGISTRATIONS, Lookup, Place
from .misspelt import misspelt_identity, not_there, unknown_of_registrations, unknown_shared
from .registration import Fault, Options, Registration
from .registration_settings import OPTIONS, Reading, catalogue_setting, read_registration

__all__ = [
    "Fault",
    "Options",
    "Registration",
    "Settings",
    "explain",
    "read_settings",
    "registration_names",
]

NAME = re.compile(r"[a-z][a-z0-9_]*")
NO_REGISTRATION = "There is no registration."
MOST_TOLD = 20  # faults in one message: more do not fit on a screen


@dataclass(frozen=True, slots=True)
class Settings:
    """What one run works with.

    *faulty* registrations cannot be used; *faulty_contexts* are their catalogues as set, so that one failed
    row per context can be written. *unknown* are warnings about settings that have no effect.
    """

    identity: str
    registrations: tuple[Registration, ...]
    faulty: Mapping[str, tuple[Fault, ...]] = field(default_factory=dict)
    faulty_contexts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    unknown: tuple[str, ...] = ()
    identity_key_id: str | None = None
    identity_secret: str | None = field(default=None, repr=False)

    @property
    def handling(self) -> Identity:
        """How members' identity is handled, with the key of it."""
        return Identity(self.identity, self.identity_key_id, self.identity_secret)

    def error(self, name: str) -> ConfigurationError:
        """Return the faults of the registration *name* as one error, to be raised or recorded."""
        return ConfigurationError(explain(self.faulty[name]), where=f'registration "{name}"')


def read_settings(
    *,
    contexts: Any = None,
    overrides: Mapping[str, Any] | None = None,
    only: Collection[str] = (),
    given: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the settings through dlt's providers (design §5).

    *contexts* maps registrations to catalogues, or is one catalogue if there is exactly one registration;
    *overrides* are options given as arguments (None: not given); *only* names the registrations to read;
    *given* is a table `[sources.lti_rosters]` that goes before dlt's own.
    Raises ConfigurationError with every fault that concerns all; those of one registration make it faulty.
    """
    only = (only,) if isinstance(only, str) else only
    lookup = Lookup.active(given)
    everywhere = Reading(lookup, None)
    identity = read_identity(everywhere, (overrides or {}).get("identity"))
    shared = everywhere.options({})
    arguments, amiss = _arguments(overrides or {})
    names, unfit = registration_names(everywhere)
    amiss += unfit + misspelt_identity(lookup) + [str(fault) for fault in everywhere.faults]
    amiss += not_there("registration", only, names)
    chosen = tuple(name for name in names if not only or name in only)
    if unfit:
        fit = tuple(name for name in chosen if NAME.fullmatch(name))
        given = contexts if _is_by_name(contexts) else dict.fromkeys(fit, contexts)
        rest = _read_each(lookup, identity, fit, (shared, arguments, given), ())
        amiss += [str(fault) for faults in rest.faulty.values() for fault in faults]
    if amiss:
        raise ConfigurationError(_listed(amiss))
    given = _contexts(contexts, names, chosen)
    unknown = tuple(dict.fromkeys([*unknown_shared(lookup), *unknown_of_registrations(lookup)]))
    return _read_each(lookup, identity, chosen, (shared, arguments, given), unknown)


def explain(faults: Iterable[Fault]) -> str:
    """Return *faults* as one text, a line each."""
    return _listed([str(fault) for fault in faults])


def _listed(lines: list[str]) -> str:
    if len(lines) == 1:
        return lines[0]
    told = lines[:MOST_TOLD]
    rest = [f"and {len(lines) - MOST_TOLD} more"] if len(lines) > MOST_TOLD else []
    return f"{len(lines)} settings are missing or wrong:\n" + "\n".join(f"- {line}" for line in told + rest)


def _read_each(
    lookup: Lookup,
    identity: Identity,
    chosen: tuple[str, ...],
    values: tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]],
    unknown: tuple[str, ...],
) -> Settings:
    shared, arguments, given = values
    registrations: list[Registration] = []
    faulty: dict[str, tuple[Fault, ...]] = {}
    faulty_contexts: dict[str, Any] = {}
    once = functools.cache(read_key)  # a key shared by all registrations is read and checked once
    for name in chosen:
        reading = Reading(lookup, name, once)
        registration = read_registration(reading, shared, arguments, given.get(name))
        if registration is not None:
            registrations.append(registration)
            continue
        faulty[name] = tuple(reading.faults)
        found = reading.found("contexts")
        setting = given.get(name)
        if setting is None:
            setting = catalogue_setting(lookup, name, found.value if found else None)
        if setting is not None:
            faulty_contexts[name] = setting
    return Settings(
        identity.mode,
        tuple(registrations),
        faulty,
        faulty_contexts,
        unknown,
        identity.key_id,
        identity.secret,
    )


def _arguments(overrides: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Read the options given as arguments; return them and what is wrong with them."""
    amiss = not_there("option", [name for name in overrides if name != "identity"], OPTIONS)
    values: dict[str, Any] = {}
    for name in OPTIONS.keys() & {name for name, value in overrides.items() if value is not None}:
        try:
            values[name] = OPTIONS[name](overrides[name])
        except Wrong as wrong:
            must = wrong.must if wrong.is_sentence else f"it must be {wrong.must}."
            amiss.append(f"The argument {name} is {read.shown(overrides[name])}; {must}")
    return values, sorted(amiss)


def registration_names(everywhere: Reading) -> tuple[tuple[str, ...], list[str]]:
    """Return the registrations' names, those of the files first, and what is wrong with them."""
    names: dict[str, str] = {}  # by name where it stands
    for place, table in everywhere.lookup.tables():
        above = ".".join(part for part in (place.pipeline, *place.sections, REGISTRATIONS) if part)
        names |= {
            name: f"the table [{above}.{read.shown(name)}] in .dlt"
            for name, value in table.items()
            if isinstance(value, Mapping)
        }
    listed = everywhere.found("registration_names")
    named_at = listed.place if listed else Place("registration_names")
    at = named_at.environment() if listed and listed.is_from_environment else named_at.toml()
    named = everywhere.value("registration_names", read.names) or ()
    names |= {name: at for name in named if name not in names}
    amiss = [
        f"{read.shown(name)} cannot name a registration: a name has lower-case letters, digits, underscores "
        f"and begins with a letter. Mend {at}."
        for name, at in names.items()
        if not NAME.fullmatch(name)
    ]
    amiss += [
        f"{found.place.environment()} is {read.shown(found.value)}; it holds a table for each registration. "
        f"To name those of the environment use {Place('registration_names').environment()}."
        for found in everywhere.lookup.values(Place(REGISTRATIONS))
        if not isinstance(found.value, Mapping)
    ]
    if not names and not amiss and not everywhere.faults:
        place = Place("client_id", "canvas")
        amiss.append(
            f"{NO_REGISTRATION} Add a table such as [sources.lti_rosters.registrations.canvas] to "
            f".dlt/config.toml, or name those of the environment: "
            f"{Place('registration_names').environment()}=canvas with {place.environment()} and so on."
        )
    return tuple(names), amiss


def _is_by_name(contexts: Any) -> bool:
    """Whether *contexts* maps registrations to catalogues, and is not a catalogue itself."""
    return isinstance(contexts, Mapping) and not contexts.keys() & {"template", "query", "memberships_url"}


def _contexts(contexts: Any, names: tuple[str, ...], chosen: tuple[str, ...]) -> dict[str, Any]:
    """Return the catalogues given from Python, by registration."""
    if contexts is None:
        return {}
    if _is_by_name(contexts):
        if amiss := not_there("registration", map(str, contexts), names):
            raise ConfigurationError(_listed(amiss), where="contexts")
        return dict(contexts)
    if len(chosen) != 1:
        raise ConfigurationError(
            f"A catalogue without a registration's name needs exactly one registration; there are "
            f"{len(chosen)}: {', '.join(chosen)}.",
            where="contexts",
            remedy="Give a mapping of registration to catalogue.",
        )
    return {chosen[0]: contexts}
