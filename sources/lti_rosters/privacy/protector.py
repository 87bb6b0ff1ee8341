"""Members as they may be stored: pseudonyms for identifiers, nothing of names, mail, pictures and free text."""

import hashlib
from collections.abc import Collection, Iterable
from functools import lru_cache

from ..errors import ConfigurationError
from ..providers.container import Member
from ..roles import read_role
from ..settings.identity import KEEP, PSEUDONYMIZE, Identity

BLOCK = 64  # bytes that SHA-256 takes at once (RFC 2104 §2)
SEPARATOR = "\x1f"
PERSON = "suppression"  # the field name of a person's MAC: no column's, so that a MAC is nobody's pseudonym
KEY_CHECK = "key_check"
KNOWN_STATUSES = frozenset({"Active", "Inactive", "Deleted"})
UNKNOWN_STATUS, UNKNOWN_ROLE = "Unknown", "unknown"  # for what may be free text, and so may name somebody


class Mac:
    """HMAC-SHA-256 under one secret over registration, 0x1F, field name, 0x1F and value (design §7)."""

    def __init__(self, secret: str) -> None:
        key = secret.encode("utf-8", "surrogatepass")
        key = (hashlib.sha256(key).digest() if len(key) > BLOCK else key).ljust(BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key))

    def of(self, registration: str, field: str) -> "FieldMac":
        """The MAC of the values of one *field* of one *registration*."""
        inner = self._inner.copy()
        inner.update(f"{registration}{SEPARATOR}{field}{SEPARATOR}".encode())
        return FieldMac(inner, self._outer)


class FieldMac:
    """The same with all that comes before the value already hashed: half the cost of `hmac.digest`."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, inner: "hashlib._Hash", outer: "hashlib._Hash") -> None:
        self._inner = inner
        self._outer = outer

    def __call__(self, value: str) -> str:
        """Return 64 hex digits for *value*."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(value.encode("utf-8", "surrogatepass"))
        outer.update(inner.digest())
        return outer.hexdigest()


def key_check(identity: Identity) -> str | None:
    """16 hex digits that tell one secret from another under the same id, and tell nothing else of it."""
    return None if identity.secret is None else Mac(identity.secret).of("", KEY_CHECK)("")[:16]


class Protector:
    """What becomes of the members of one *registration*; *suppressed* are the MACs of people erased from it."""

    def __init__(self, identity: Identity, registration: str, suppressed: Collection[str] = ()) -> None:
        self.identity = identity
        self._suppressed = frozenset(suppressed)
        self._is_keeping = identity.mode == KEEP
        self._is_masking = identity.mode == PSEUDONYMIZE
        self._has_key = identity.secret is not None
        if identity.secret is None:
            return
        mac = Mac(identity.secret)
        self._user_id = mac.of(registration, "user_id")
        self._sourcedid = mac.of(registration, "lis_person_sourcedid")
        self._legacy = mac.of(registration, "lti11_legacy_user_id")
        self._person = mac.of(registration, PERSON)

    @property
    def is_idle(self) -> bool:
        """Whether members go on as they came, all of them."""
        return self._is_keeping and not self._suppressed

    def pseudonym(self, user_id: str) -> str:
        """The pseudonym of *user_id* as the platform sends it."""
        return self._user_id(user_id)

    def identifier(self, field: str, value: str) -> str:
        """The pseudonym of what stands in the column *field*."""
        of = {"lis_person_sourcedid": self._sourcedid, "lti11_legacy_user_id": self._legacy}
        return of.get(field, self._user_id)(value)

    def person_mac(self, pseudonym: str) -> str:
        """What `suppressions` keeps of a person: the MAC of the pseudonym, so that either is enough to erase."""
        return self._person(pseudonym)

    def members(self, members: Iterable[Member]) -> list[Member]:
        """Return *members* as they may be stored, without those who were erased."""
        if not self._has_key and (self._is_masking or self._suppressed):
            raise ConfigurationError("identity_secret is missing.", where="identity")
        if self._suppressed:
            members = [each for each in members if not self._is_erased(each.user_id)]
        return list(members) if self._is_keeping else list(map(self.member, members))

    def member(self, member: Member) -> Member:
        """Return *member* as it may be stored.

        Every field is named: whoever adds one to `Member` has to say here what may stay of it.
        """
        if self._is_keeping:
            return member
        sourcedid, legacy = member.lis_person_sourcedid, member.lti11_legacy_user_id
        is_masking = self._is_masking
        return Member(
            user_id=self._user_id(member.user_id) if is_masking else member.user_id,
            status=known_status(member.status),
            roles=known_roles(member.roles),
            name=None,
            given_name=None,
            family_name=None,
            middle_name=None,
            email=None,
            picture=None,
            lis_person_sourcedid=self._sourcedid(sourcedid) if is_masking and sourcedid else None,
            lti11_legacy_user_id=self._legacy(legacy) if is_masking and legacy else None,
            extra=None,
            message=None,
        )

    def _is_erased(self, user_id: str) -> bool:
        return self._person(self._user_id(user_id)) in self._suppressed


def known_status(status: str) -> str:
    """*status* where it is one of the standard's (NRPS §2.3); anything else may be free text."""
    return status if status in KNOWN_STATUSES else UNKNOWN_STATUS


@lru_cache(maxsize=4096)
def known_roles(raw: tuple[str, ...]) -> tuple[str, ...]:
    """*raw* with one word in place of every role that the vocabulary doesn't have."""
    return tuple(
        dict.fromkeys(UNKNOWN_ROLE if read_role(role).vocabulary == "unknown" else role for role in raw)
    )
