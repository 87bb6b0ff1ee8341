"""How members' identity is handled, and the key that it takes: read from the settings, checked, never shown."""

import re
from dataclasses import dataclass, field
from typing import Any

from . import fields as read
from .fields import Wrong
from .lookup import Lookup
from .registration_settings import Reading

KEEP, PSEUDONYMIZE, DROP = "keep", "pseudonymize", "drop"
IDENTITIES = (KEEP, PSEUDONYMIZE, DROP)
SHORTEST_SECRET = 32  # bytes: as many as the hash has (RFC 2104 §3)
KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAKE_ONE = "openssl rand -hex 32 makes one; without it nobody can tell again who is who, so keep it well."


@dataclass(frozen=True, slots=True)
class Identity:
    """The mode (`keep`, `pseudonymize` or `drop`) and the key of pseudonyms and suppressions, where one is set."""

    mode: str = KEEP
    key_id: str | None = None
    secret: str | None = field(default=None, repr=False)

    @property
    def data_key_id(self) -> str | None:
        """The key that what is stored hangs on: none but in `pseudonymize`."""
        return self.key_id if self.mode == PSEUDONYMIZE else None


def identity_secret(value: Any) -> str:
    """Read the secret of pseudonyms: a text of 32 bytes or more."""
    secret = read.secret(value)
    if secret and len(secret.encode("utf-8", "surrogatepass")) < SHORTEST_SECRET:
        raise Wrong(f"it is shorter than {SHORTEST_SECRET} bytes. {MAKE_ONE}", is_sentence=True)
    return secret


def identity_key_id(value: Any) -> str:
    """Read the id of the secret: it is stored beside the data, so it must not be the secret."""
    key_id = read.text(value)
    if key_id and not KEY_ID.fullmatch(key_id):
        raise Wrong("letters, digits, dots, dashes and underscores, 64 at most, such as 2026-11")
    return key_id


def read_identity(everywhere: Reading, argument: Any = None) -> Identity:
    """Read what the settings say, or the *argument* in place of `identity`; faults go to *everywhere*."""
    mode = _mode(everywhere, argument)
    secret = everywhere.value("identity_secret", identity_secret, secret=True)
    key_id = everywhere.value("identity_key_id", identity_key_id)
    if secret is not None and key_id is not None and key_id == secret:
        everywhere.blame("identity_key_id", "identity_key_id is the secret itself; it is stored and shown.")
    if mode == PSEUDONYMIZE:
        for fault in _lacking(secret, key_id):
            everywhere.blame(*fault, secret=fault[0] == "identity_secret")
    return Identity(mode, key_id, secret)


def identity_alone() -> tuple[Identity, list[str]]:
    """Read the identity without any registration; return it with what is wrong."""
    everywhere = Reading(Lookup.active(), None)
    identity = read_identity(everywhere)
    return identity, [str(fault) for fault in everywhere.faults]


def lacks_key(identity: Identity) -> list[str]:
    """Say what of the key is missing, for what cannot be done without it."""
    everywhere = Reading(Lookup.active(), None)
    for fault in _lacking(identity.secret, identity.key_id):
        everywhere.blame(*fault, secret=fault[0] == "identity_secret")
    return [str(fault) for fault in everywhere.faults]


def _lacking(secret: str | None, key_id: str | None) -> list[tuple[str, str]]:
    lacking = []
    if secret is None:
        lacking.append(("identity_secret", f"identity_secret is missing. {MAKE_ONE}"))
    if key_id is None:
        lacking.append(
            ("identity_key_id", "identity_key_id is missing. It names the secret, such as 2026-11.")
        )
    return lacking


def _mode(everywhere: Reading, argument: Any) -> str:
    reader = read.choice(*IDENTITIES)
    if argument is None:
        return str(everywhere.value("identity", reader) or KEEP)
    try:
        return str(reader(argument))
    except Wrong as wrong:
        everywhere.blame("identity", f"identity is {read.shown(argument)}; it must be {wrong.must}.")
        return KEEP
