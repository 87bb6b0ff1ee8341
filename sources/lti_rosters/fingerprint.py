"""Hashes of what is stored: equal content gives equal hashes, whatever the order it was sent in."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache

from .container import Member
from .roles import held

# Raised when the same bytes of a platform would be stored otherwise than before: then every roster is written anew.
NORMALISATION_VERSION = 1
FIELD, MISSING = (
    "\x00",
    "\x01",
)  # a NUL never occurs in a cleaned text (container), so fields cannot run together


def context_key(registration: str, context_id: str) -> str:
    """The key of a context over all registrations: 32 hex digits of SHA-256 (design §3)."""
    return hashlib.sha256(f"{registration}\x1f{context_id}".encode()).hexdigest()[:32]


def row_hash(member: Member) -> str:
    """32 hex digits over what is stored of *member*; `message` and the query of a picture's URL do not matter."""
    picture = member.picture
    if picture and "?" in picture:
        picture = picture.split("?", 1)[0]
    fields = (
        member.user_id,
        member.status,
        member.name,
        member.given_name,
        member.family_name,
        member.middle_name,
        member.email,
        picture,
        member.lis_person_sourcedid,
        member.lti11_legacy_user_id,
        member.extra,
    )
    text = FIELD.join([MISSING if field is None else field for field in fields]) + _roles_text(member.roles)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@lru_cache(maxsize=4096)
def _roles_text(raw: tuple[str, ...]) -> str:
    """What the few different lists of roles add to the text that is hashed."""
    return FIELD + FIELD.join([part for role in held(raw).roles for part in role])


def roster_hash(row_hashes: Iterable[str], settings: Iterable[str | None]) -> str:
    """32 hex digits over a roster's rows and the *settings* that shape them (identity, key id, role filter)."""
    shape = FIELD.join(
        [str(NORMALISATION_VERSION), *(MISSING if part is None else part for part in settings)]
    )
    content = "".join(sorted(row_hashes))
    return hashlib.blake2b(f"{shape}\n{content}".encode(), digest_size=16).hexdigest()
