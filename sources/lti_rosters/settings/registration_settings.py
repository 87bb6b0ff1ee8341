"""One registration read from the settings: every field and option, and all that is wrong, at once."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..catalogue.catalogue import check_catalogue
from ..errors import ConfigurationError
from ..keys.files import key_file
from ..keys.signing import SigningKey, read_key
from ..keys.text import holds_key
from . import fields as read
from .fields import Field, Wrong
from .lookup import Found, Lookup, Place
from .registration import Fault, Options, Registration

PROVIDERS = ("nrps", "ltiaas")

OPTIONS: Mapping[str, read.Reader] = {
    "role": read.role,
    "page_size": read.whole(1),
    "max_members": read.whole(1),
    "concurrency": read.whole(1, 256),
    "timeout": read.seconds(),
    "roster_timeout": read.seconds(),
    "max_pages": read.whole(1),
    "max_body_mb": read.whole(1),
    "max_attempts": read.whole(1, 20),
    "max_wait": read.seconds(zero=True),
    "use_differences": read.flag,
    "full_every": read.whole(1),
    "allow_hosts": read.origins,
    "confirm_departures": read.flag,
    "zero_bytes": read.choice("fail", "empty"),
    "repeated_next": read.choice("fail", "end"),
    "stale_after_hours": read.whole(1),
}

FIELDS: Mapping[str, Field] = {
    each.name: each
    for each in (
        Field("provider", read.choice(*PROVIDERS)),
        Field(
            "issuer",
            read.issuer,
            hint="The platform shows it where the tool is registered (iss, platform ID).",
        ),
        Field(
            "client_id",
            read.text,
            hint="The platform shows it where the tool is registered (Canvas: Developer Keys, Details).",
        ),
        Field(
            "token_url",
            read.url,
            hint="The platform shows it where the tool is registered (access token URL).",
        ),
        Field("audience", read.text),
        Field("deployment_id", read.text),
        Field("extra_claims", read.claims),
        Field(
            "private_key",
            read.secret,
            is_secret=True,
            hint="It is the tool's key as PEM or JWK, or a path to it; lti-rosters keys new makes one.",
        ),
        Field("key_id", read.text),
        Field("jwks_url", read.url),
        Field("base_url", read.url, hint="It is your account's address: https://<account>.ltiaas.com"),
        Field("api_key", read.secret, is_secret=True, hint="Your LTIAAS account shows it."),
        Field(
            "contexts",
            lambda value: value,
            hint="It is the catalogue of courses: a CSV, JSONL or Parquet file, a list of URLs, or a query.",
        ),
    )
}
TABLE = ("query", "url", "template", "ids")  # members of a catalogue that is one table
INTO_KEY = frozenset({"private_key", "key_id"})  # fields that become the value `key`
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "nrps": ("issuer", "client_id", "token_url", "private_key", "contexts"),
    "ltiaas": ("base_url", "api_key", "contexts"),
}


@dataclass(slots=True)
class Reading:
    """The reading of one registration, or with *name* None of what holds for all: gathers *faults*."""

    lookup: Lookup
    name: str | None
    read_key: Callable[..., SigningKey] = read_key
    faults: list[Fault] = field(default_factory=list)

    def value(self, name: str, reader: read.Reader, *, secret: bool = False, exact: bool = False) -> Any:
        """Return the setting *name* as *reader* reads it, from its *exact* place or else the shared one.

        None when it is not given, blank, or wrong; what is wrong is added to the faults.
        """
        found = self.found(name, secret=secret, exact=exact)
        if found is None:
            return None
        try:
            value = reader(found.value)
            if secret:
                _refuse_open(name, value, found)
        except Wrong as wrong:
            self.blame(name, _sentence(name, found, wrong, secret=secret), found=found, secret=secret)
            return None
        return None if value == "" else value

    def found(self, name: str, *, secret: bool = False, exact: bool = False) -> Found | None:
        """Return the setting *name* as found."""
        found = self.lookup.setting(name, self.name, secret=secret)
        if found is None and self.name is not None and not exact:
            found = self.lookup.setting(name, None, secret=secret)
        return found

    def blame(self, name: str, what: str, *, found: Found | None = None, secret: bool = False) -> None:
        """Add a fault of the setting *name*; it is to be mended where it was *found*."""
        place = found.place if found else Place(name, self.name)
        if all(fault.field != name for fault in self.faults):
            self.faults.append(Fault(self.name, name, what, place.toml(secret=secret), place.environment()))

    def options(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """Return *base* with the options that are set exactly here in its place."""
        own = {name: self.value(name, reader, exact=True) for name, reader in OPTIONS.items()}
        return {**base, **{name: value for name, value in own.items() if value is not None}}


def read_registration(
    reading: Reading, shared: Mapping[str, Any], arguments: Mapping[str, Any], contexts: Any = None
) -> Registration | None:
    """Read one registration; None when it has faults, which *reading* then holds, all of them.

    *shared* options give way to its own, its own to the *arguments*; *contexts* goes before its setting.
    """
    given = {
        each.name: reading.value(each.name, each.reader, secret=each.is_secret) for each in FIELDS.values()
    }
    if contexts is not None:
        given["contexts"] = contexts
    given["contexts"] = catalogue_setting(reading.lookup, reading.name, given["contexts"])
    options = {**reading.options(shared), **arguments}
    provider = given["provider"] or PROVIDERS[0]
    _require(reading, given, REQUIRED[provider])
    _refuse_identity(reading)
    _check_contexts(reading, given["contexts"])
    key = _key(reading, given["private_key"], given["key_id"]) if provider == "nrps" else None
    if reading.faults:
        reading.faults.sort(key=_rank)
        return None
    given |= {"provider": provider, "audience": given["audience"] or given["token_url"]}
    values = {name: value for name, value in given.items() if name not in INTO_KEY and value is not None}
    path = key_file(given["private_key"]) if key else None
    return Registration(name=reading.name or "", key=key, key_path=path, options=Options(**options), **values)


def _rank(fault: Fault) -> int:
    """Order faults as the settings stand in the documentation."""
    names = [*FIELDS, *OPTIONS]
    return names.index(fault.field) if fault.field in names else len(names)


def _require(reading: Reading, given: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if given[name] is None:
            each = FIELDS[name]
            reading.blame(name, f"{name} is missing. {each.hint}", secret=each.is_secret)


def _refuse_identity(reading: Reading) -> None:
    """Refuse an identity of one registration: it holds for all, and nobody shall think otherwise."""
    if reading.found("identity", exact=True):
        place = Place("identity")
        reading.faults.append(
            Fault(
                reading.name,
                "identity",
                "identity holds for all registrations; it cannot be set for one.",
                place.toml(),
                place.environment(),
            )
        )


def catalogue_setting(lookup: Lookup, registration: str | None, contexts: Any) -> Any:
    """Return the catalogue *contexts*, completed by what the environment or a vault holds of its table alone.

    `…__CONTEXTS__URL` is the usual one, a database's password; `…__CONTEXTS__QUERY` and the others do as well. None
    where there is neither the setting nor a member of it.
    """
    table = _table(contexts)
    if table is None:
        return contexts
    for name in TABLE if contexts is None else ("url",):
        if table.get(name):
            continue
        secret = name == "url"
        found = lookup.setting(name, registration, secret=secret, table="contexts")
        found = found or lookup.setting(name, None, secret=secret, table="contexts")
        if found is not None:
            table[name] = str(found.value) if secret else found.value
    return table or contexts


def _table(contexts: Any) -> dict[Any, Any] | None:
    """Return *contexts* as the table that a member could complete; None for a catalogue of another form."""
    if contexts is None:
        return {}
    if isinstance(contexts, str) and contexts.lstrip().startswith("{"):
        try:
            contexts = json.loads(contexts)
        except (ValueError, RecursionError):
            return None
    is_query = isinstance(contexts, Mapping) and "query" in contexts
    return dict(contexts) if is_query else None


def _check_contexts(reading: Reading, contexts: Any) -> None:
    if contexts is None:
        return
    try:
        check_catalogue(contexts)
    except ConfigurationError as error:
        reading.blame("contexts", f"contexts: {error}", found=reading.found("contexts"))


def _key(reading: Reading, text: str | None, key_id: str | None) -> SigningKey | None:
    found = reading.found("private_key", secret=True)
    if text is None or found is None:
        return None
    try:
        key = reading.read_key(text, where="")
    except ConfigurationError as error:
        reading.blame("private_key", f"private_key: {error}", found=found, secret=True)
        return None
    return key.with_kid(key_id) if key_id else key


def _refuse_open(name: str, value: str, found: Found) -> None:
    """Refuse a secret in a file that is not for secrets; the path of a key's file is none."""
    is_path = name == "private_key" and not holds_key(value)
    if value and not is_path and not found.is_in_secret_store:
        raise Wrong(f"it stands in {found.provider}, which is not for secrets: move it.", is_sentence=True)


def _sentence(name: str, found: Found, wrong: Wrong, *, secret: bool) -> str:
    """Say what is wrong with a value; a secret's is not shown."""
    origin_of_it = " (from the environment)" if found.is_from_environment else ""
    if wrong.is_sentence:
        return f"{name}{origin_of_it}: {wrong.must}"
    value = "" if secret else f" is {read.shown(found.value)}"
    return f"{name}{value}{origin_of_it}{';' if value else ':'} it must be {wrong.must}."
