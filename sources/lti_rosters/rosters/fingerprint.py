"""Hashes of what is stored: equal content gives equal hashes, whatever the order it was sent in."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache

import orjson

from ..providers.container import Member
from ..roles import held

# Raised when the same bytes of a platform would be stored otherwise: then every roster is written anew.
NORMALISATION_VERSION = 1


def context_key(registration: str, context_id: str) -> str:
    """The key of a context over all registrations: 32 hex digits of SHA-256 (design §3)."""
    return hashlib.sha256(f"{registration}\x1f{context_id}".encode()).hexdigest()[:32]


def row_hash(member: Member) -> str:
    """32 hex digits over what is stored of *member*; `message` and the query of a picture's URL do not matter."""
    user_id, status, roles, name, given, family, middle, email, picture, sourcedid, legacy, extra, _ = member
    if picture and "?" in picture:
        picture = picture.split("?", 1)[0]
    fields = (
        user_id,
        status,
        name,
        given,
        family,
        middle,
        email,
        picture,
        sourcedid,
        legacy,
        extra,
        _roles_text(roles),
    )
    return hashlib.blake2b(orjson.dumps(fields), digest_size=16).hexdigest()


@lru_cache(maxsize=4096)
def _roles_text(raw: tuple[str, ...]) -> str:
    """What the few different lists of roles add to what is hashed."""
    return orjson.dumps(held(raw).roles).decode()


def roster_hash(row_hashes: Iterable[str], settings: Iterable[str | None]) -> str:
    """32 hex digits over a roster's rows and the *settings* that shape them (identity, key id, role filter)."""
    shape = orjson.dumps([NORMALISATION_VERSION, *settings])
    content = "".join(sorted(row_hashes))
    return hashlib.blake2b(shape + content.encode(), digest_size=16).hexdigest()
