"""A package that was read before somebody was erased, or identities rewritten, must not be loaded after it.

Another directory, or another machine, may have done that while this one was reading, or while its package waited.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import dlt

from ..errors import DestinationError
from ..privacy.protector import key_check
from ..settings.identity import PSEUDONYMIZE, Identity
from ..tables.ledger import read_held
from .working import write_private

NOTE = "identity.json"  # what the packages in the working directory were read with


class OutdatedError(DestinationError):
    """What was read may hold somebody who was erased since, or ids of before."""

    def __init__(self) -> None:
        super().__init__(
            "people were erased, or identities rewritten, since the rosters were read.",
            where="load",
            remedy="Nothing of it was loaded; run again.",
        )


def note(pipeline: dlt.Pipeline, identity: Identity, client: Any) -> None:
    """Note, before rosters are read, with what they are: *identity*, and the people erased so far."""
    told = {"identity": _key(identity), "erased": _erased(read_held(client).suppressed)}
    write_private(_place(pipeline), json.dumps(told))


def check(pipeline: dlt.Pipeline, client: Any) -> None:
    """Raise OutdatedError where what was noted does not hold any more; call it with the warehouse locked."""
    try:
        told = json.loads(_place(pipeline).read_bytes())
        identity, erased = told["identity"], told["erased"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # of an older version, which had neither
    ledger = read_held(client)
    held = [[each.is_mode, each.key_id, each.key_check] for each in ledger.held]
    if any(each != identity for each in held) or _erased(ledger.suppressed) != erased:
        raise OutdatedError


def _place(pipeline: dlt.Pipeline) -> Path:
    return Path(pipeline.pipelines_dir) / NOTE


def _key(identity: Identity) -> list[str | None]:
    if identity.mode != PSEUDONYMIZE:
        return [identity.mode, None, None]
    return [identity.mode, identity.key_id, key_check(identity)]


def _erased(suppressed: dict[str, set[str]]) -> str:
    macs = sorted(f"{name} {mac}" for name, each in suppressed.items() for mac in each)
    return hashlib.sha256("\n".join(macs).encode()).hexdigest()
