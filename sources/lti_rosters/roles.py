"""The role vocabulary, and what a member's roles amount to (LTI Core 1.3, appendix A.2)."""

import csv
import difflib
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

from .errors import ConfigurationError

CONTEXT = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
TEACHING_ASSISTANT = "http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"
LEGACY_HANDLES = (
    "urn:lti:role:ims/lis/"  # LTI 1.1 lets a platform leave this prefix out: "Learner/GuestLearner"
)

# Our names for a role filter and for `primary_role`, in the order in which the first that holds is the
# primary one. An assistant comes before an instructor, because platforms send both (nrps.md E43).
NAMES = {
    "teaching_assistant": TEACHING_ASSISTANT,
    "instructor": f"{CONTEXT}Instructor",
    "content_developer": f"{CONTEXT}ContentDeveloper",
    "administrator": f"{CONTEXT}Administrator",
    "manager": f"{CONTEXT}Manager",
    "officer": f"{CONTEXT}Officer",
    "mentor": f"{CONTEXT}Mentor",
    "learner": f"{CONTEXT}Learner",
    "member": f"{CONTEXT}Member",
}
NAME_OF_PRINCIPAL = {
    uri.removeprefix(CONTEXT): name for name, uri in NAMES.items() if uri.startswith(CONTEXT)
}
STAFF = frozenset(
    {"teaching_assistant", "instructor", "content_developer", "administrator", "manager", "officer"}
)


class Role(NamedTuple):
    """One row of the table `roles`; *canonical_uri* equals *role_uri* for a current or unknown role."""

    role_uri: str
    vocabulary: str
    principal_role: str | None
    sub_role: str | None
    is_core: bool
    is_deprecated: bool
    canonical_uri: str


class Held(NamedTuple):
    """What the roles of one member amount to; *roles* are pairs of canonical URI and text as sent."""

    roles: tuple[tuple[str, str], ...]
    primary_role: str
    is_learner: bool
    is_staff: bool
    is_test_user: bool
    unknown: int


@cache
def vocabulary() -> tuple[Role, ...]:
    """Every form of every role that the standard names or platforms are known to send, sorted by URI.

    The deprecated `…/v2/person#Administrator` and `#None` served the system and the institution alike; they
    are read as the system's, which is what Moodle means by it (nrps.md E46).
    """
    text = files(__package__).joinpath("roles.csv").read_text(encoding="utf-8")
    return tuple(
        Role(
            row["role_uri"],
            row["vocabulary"],
            row["principal_role"] or None,
            row["sub_role"] or None,
            row["is_core"] == "true",
            row["is_deprecated"] == "true",
            row["canonical_uri"],
        )
        for row in csv.DictReader(text.splitlines())
    )


@lru_cache(maxsize=4096)
def read_role(raw: str) -> Role:
    """Read one role as sent into its canonical role; what cannot be mapped keeps its text, as `unknown`.

    A match of case comes first. Then spaces around, case, and `https` for `http` are overlooked, and a bare
    name is a context role (LTI Core A.2.3), sub-roles in LTI 1.1's short form included.
    """
    exact, folded = _lookups()
    found = exact.get(raw)
    if found is None:
        text = _folded(raw)
        found = folded.get(text) or folded.get(LEGACY_HANDLES + text)
    return found or Role(raw, "unknown", None, None, is_core=False, is_deprecated=False, canonical_uri=raw)


@lru_cache(maxsize=4096)
def held(raw: tuple[str, ...]) -> Held:
    """Work out what the roles *raw* of one member amount to; their order does not matter.

    Only context roles make a primary role, a learner or staff; a sub-role counts for its principal, so
    `Learner#Instructor` is a learner and no instructor (nrps.md E42). Of several texts for one role, the
    first in alphabetical order is kept as the raw one.
    """
    texts: dict[str, str] = {}
    for text in sorted(raw, reverse=True):
        texts[read_role(text).canonical_uri] = text
    read = [read_role(uri) for uri in texts]
    names = {_name(role) for role in read}
    return Held(
        roles=tuple(sorted(texts.items())),
        primary_role=next((name for name in NAMES if name in names), "other"),
        is_learner="learner" in names,
        is_staff=not STAFF.isdisjoint(names),
        is_test_user=TEST_USER in texts,
        unknown=sum(role.vocabulary == "unknown" for role in read),
    )


def role_filter(text: str) -> str:
    """Read the setting `role` into a canonical URI: our name, a short name or a full URI in any known form.

    Raises ConfigurationError for anything else: a platform may answer an unknown role with everybody
    (Moodle) or nobody (Canvas; nrps.md E66).
    """
    name = text.strip().lower()
    role = read_role(NAMES.get(name, text))
    if role.vocabulary == "unknown":
        near = _nearest(name)
        raise ConfigurationError(
            f"role {text[:200]!r} is not a role of the LTI vocabulary.",
            remedy=f"{f'Did you mean {near}? ' if near else ''}Use one of {', '.join(sorted(NAMES))}, "
            f"or a full role URI such as {CONTEXT}Learner.",
        )
    return role.canonical_uri


def _nearest(name: str) -> str | None:
    """The role that *name* may be a misspelling of: one of our names, or a full URI where it looks like one."""
    if "/" in name:
        by_text = {_folded(role.role_uri): role.role_uri for role in vocabulary() if not role.is_deprecated}
    else:
        name = name.replace(" ", "_").replace("-", "_")
        by_text = {each.replace("_", ""): each for each in NAMES} | {each: each for each in NAMES}
    near = difflib.get_close_matches(_folded(name)[:200], by_text, n=1, cutoff=0.7)
    return by_text[near[0]] if near else None


def matches(filter_uri: str, uris: Iterable[str]) -> bool:
    """Tell whether one of *uris* is the role *filter_uri*, or a sub-role of it if that is a principal role.

    A platform asked for Instructor returns the assistants too (NRPS §2.4.1).
    """
    wanted = read_role(filter_uri)
    return any(_matches(wanted, read_role(uri)) for uri in uris)


def _matches(wanted: Role, role: Role) -> bool:
    if role.canonical_uri == wanted.canonical_uri:
        return True
    principal = wanted.vocabulary == "context" and wanted.sub_role is None
    return principal and role.vocabulary == "context" and role.principal_role == wanted.principal_role


def _name(role: Role) -> str:
    """Our name of the class a role belongs to; `other` for what is no role in the context."""
    if role.vocabulary != "context" or role.principal_role is None:
        return "other"
    if role.principal_role == "Instructor" and (role.sub_role or "").startswith("TeachingAssistant"):
        return "teaching_assistant"
    return NAME_OF_PRINCIPAL[role.principal_role]


@cache
def _lookups() -> tuple[dict[str, Role], dict[str, Role]]:
    """The canonical role by exact form and by folded form."""
    rows = {role.role_uri: role for role in vocabulary()}
    exact = {uri: rows[role.canonical_uri] for uri, role in rows.items()}
    return exact, {_folded(uri): role for uri, role in exact.items()}


def _folded(text: str) -> str:
    folded = text.strip().lower()
    return f"http{folded[5:]}" if folded.startswith("https:") else folded
