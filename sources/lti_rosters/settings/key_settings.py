"""Which keys the settings name, who signs with each, and what is to be published of them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ConfigurationError
from ..keys.files import key_file
from ..keys.jwks import ordered
from ..keys.rotation import Ring, read_ring
from ..keys.signing import SigningKey, read_key
from . import fields as read
from .lookup import Lookup
from .registration_settings import PROVIDERS, Reading
from .settings import registration_names


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """A *key*, named as it signs, and the *registrations* that sign with it.

    *ring* is its file with the keys of a rotation beside it; None where the key itself stands in the settings.
    """

    key: SigningKey
    registrations: tuple[str, ...] = ()
    key_id: str | None = None  # the name that the settings give it
    ring: Ring | None = None

    @property
    def signing(self) -> list[SigningKey]:
        """The names under which platforms must find the key now."""
        own = [self.key]
        if self.key_id and self.ring is not None and self.ring.stage != "settled":
            # Under its own name too, so that key_id can be taken away before the switch.
            own.append(self.ring.current)
        return own

    @property
    def others(self) -> list[SigningKey]:
        """The further keys of a rotation."""
        return [] if self.ring is None else list(self.ring.keys[1:])


def key_uses(only: Iterable[str] = ()) -> tuple[list[KeyUse], list[str]]:
    """Read which keys the settings name, those of the registrations *only* if given, and what is wrong with any.

    Without a registration it is the shared key. Faults never repeat key text.
    """
    lookup = Lookup.active()
    everywhere = Reading(lookup, None)
    names, amiss = registration_names(everywhere)
    amiss = amiss if names else []  # keys may be made before there is a registration
    chosen = [name for name in names if name in set(only) or not only]
    amiss += [
        f'No registration "{name}". Known: {", ".join(names) or "none"}.'
        for name in only
        if name not in names
    ]
    uses: dict[tuple[object, str | None], KeyUse] = {}
    for reading in [Reading(lookup, name) for name in chosen] if names else [everywhere]:
        use = _use(reading, amiss)
        if use is not None:
            alike = (use.ring.path if use.ring else use.key.thumbprint, use.key_id)
            known = uses.setdefault(alike, replace(use, registrations=()))
            uses[alike] = replace(known, registrations=(*known.registrations, *use.registrations))
    return list(uses.values()), list(dict.fromkeys(amiss))


def use_of_file(path: str) -> KeyUse:
    """Return the key of a file that no setting has to name; ConfigurationError where it holds none."""
    ring = read_ring(Path(path).expanduser().resolve())
    return KeyUse(key=ring.current, ring=ring)


def published(uses: Iterable[KeyUse]) -> list[SigningKey]:
    """Return what is to be published of *uses*, in its order."""
    uses = list(uses)
    signing = [key for use in uses for key in use.signing]
    return ordered(signing, (key for use in uses for key in use.others))


def _use(reading: Reading, amiss: list[str]) -> KeyUse | None:
    """The key of one registration; None without one, with what is wrong added to *amiss*."""
    if (reading.value("provider", read.choice(*PROVIDERS)) or PROVIDERS[0]) != PROVIDERS[0]:
        return None  # it signs with no key
    text = reading.value("private_key", read.secret, secret=True)
    key_id = reading.value("key_id", read.text)
    told = f'registration "{reading.name}"' if reading.name else "private_key"
    amiss += [f"{told}: {fault}" for fault in reading.faults]
    if text is None:
        return None
    names = (reading.name,) if reading.name else ()
    try:
        key = read_key(text, where="")  # first: its errors never repeat what could be a key in a path's place
        path = key_file(text)
        ring = read_ring(path) if path is not None else None
    except ConfigurationError as error:
        amiss.append(f"{told}: private_key: {error}")
        return None
    return KeyUse(key=key.with_kid(key_id) if key_id else key, registrations=names, key_id=key_id, ring=ring)


def rotating(file: str | None, only: Iterable[str] = ()) -> tuple[Path, list[str]]:
    """Return the key file to rotate, *file* or the only one of the settings, and the key_ids set for it.

    Raises ConfigurationError where that is none, or not one alone.
    """
    uses, amiss = key_uses(only) if file is None else _uses_if_any()
    path = Path(file).expanduser().resolve() if file is not None else _only_file(uses, amiss)
    return path, [use.key_id for use in uses if use.key_id and use.ring is not None and use.ring.path == path]


def _uses_if_any() -> tuple[list[KeyUse], list[str]]:
    try:
        return key_uses()
    except ConfigurationError:
        return [], []  # a file can be rotated whatever the settings are


def _only_file(uses: list[KeyUse], amiss: list[str]) -> Path:
    files = list(dict.fromkeys(use.ring.path for use in uses if use.ring is not None))
    if len(files) == 1:
        return files[0]
    if files:
        raise ConfigurationError(
            f"there are {len(files)} key files: {', '.join(str(file) for file in files)}.",
            where="keys rotate",
            remedy="Name the one to rotate.",
        )
    if uses:
        raise ConfigurationError(
            "private_key is the key itself and no file, so there is nothing to rename.",
            where="keys rotate",
            remedy=(
                "Make the next key (keys new next.pem), publish both (jwks --with next.pem), and put it into "
                "private_key a day later."
            ),
        )
    raise ConfigurationError(
        " ".join(amiss) or "no private_key is set.",
        where="keys rotate",
        remedy="Make a key: lti-rosters keys new",
    )
