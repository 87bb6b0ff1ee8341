"""The platforms of the simulated campus, and how each tells what is true: spellings, order, doubles."""

import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lti_rosters.reference.platform import BLACKBOARD, CANVAS, MOODLE, SAKAI, TAO, Manner
from simulator.campus import ASSISTANT, INSTRUCTOR, LEARNER, MENTOR, Roster, Standing

COMMON: Mapping[str, Any] = {"max_attempts": 2, "max_wait": 2, "concurrency": 3}
SPELLINGS = {  # a role that is not here is sent as it is
    LEARNER: (LEARNER, "Learner", "urn:lti:role:ims/lis/Learner", "LEARNER"),
    INSTRUCTOR: (INSTRUCTOR, "Instructor"),
    ASSISTANT: (ASSISTANT, "urn:lti:role:ims/lis/TeachingAssistant"),
    MENTOR: (MENTOR, "Mentor"),
}
ACTIVE = ("Active", None, "active", " ACTIVE ")  # None: the field is left out


@dataclass(frozen=True, slots=True)
class Kind:
    """One platform: how it behaves, how it is read, and whether its catalogue names context ids."""

    name: str
    manner: Manner
    options: Mapping[str, Any] = field(default_factory=dict)
    names_ids: bool = False

    @property
    def has_differences(self) -> bool:
        """Whether it is read by differences: then whatever it sends anew is taken for a change."""
        return bool(self.options.get("use_differences"))

    @property
    def page_size(self) -> int | None:
        """How many members stand on a page, None for all of them."""
        return self.manner.page_size or self.options.get("page_size")

    @property
    def is_shuffled(self) -> bool:
        """Whether its pages are cut from another order at every request."""
        return not self.manner.stable_order and self.page_size is not None


_SAKAI = replace(SAKAI, stable_order=False)  # a hash set, built anew for every request
KINDS = (
    Kind("canvas", replace(CANVAS, page_size=7, page_max=7)),
    Kind("moodle", MOODLE, {"page_size": 8}),
    Kind("sakai", _SAKAI, {"zero_bytes": "empty"}, names_ids=True),
    Kind("tao", replace(TAO, page_size=6), {"use_differences": True}),
    Kind(
        "blackboard",
        replace(BLACKBOARD, page_size=9, page_max=9, repeats_last_next=True),
        {"repeated_next": "end"},
    ),
    Kind("moodle_whole", MOODLE, {"concurrency": 1}),
    Kind("sakai_paged", _SAKAI, {"zero_bytes": "empty", "page_size": 12}, names_ids=True),
)


def sent(roster: Roster, kind: Kind, night: int, chance: random.Random) -> list[Any]:
    """The members of *roster* as *kind* sends them tonight; what differs from other nights is no change."""
    people = [*roster]
    if not kind.has_differences:
        chance.shuffle(people)
    return [entry(user_id, roster[user_id], kind, night) for user_id in people]


def entry(user_id: str, standing: Standing, kind: Kind, night: int) -> dict[str, Any]:
    """One membership; the same person is always spelt the same way, but for what is volatile."""
    number = zlib.crc32(user_id.encode())
    roles = [SPELLINGS.get(role, (role,))[number % len(SPELLINGS.get(role, "1"))] for role in standing.roles]
    told: dict[str, Any] = {
        "user_id": int(user_id) if user_id.isascii() and user_id.isdecimal() and number % 2 else user_id,
        "roles": ", ".join(roles) if number % 7 == 0 else roles,
        "name": standing.name,
        "email": standing.email,
    }
    status = ACTIVE[number % len(ACTIVE)] if standing.status == "Active" else standing.status
    if status is not None:
        told["status"] = status
    if number % 5 == 0:
        told["pronouns"] = "they"
    if not kind.has_differences:
        told["picture"] = f"https://pictures.example/{number}.png?signature={night}"
        told["roles"] = told["roles"] if isinstance(told["roles"], str) else _turned(roles, night)
    return told


def doubled(members: Sequence[dict[str, Any]], kind: Kind, chance: random.Random) -> list[dict[str, Any]]:
    """*members* with some of them listed again elsewhere, as several enrolments of one person are."""
    told = [dict(member) for member in members]
    for member in chance.sample(told, min(len(told), 3)):
        again = dict(member)
        roles = member["roles"]
        if isinstance(roles, list) and len(roles) > 1 and not kind.has_differences:
            member["roles"], again["roles"] = roles[:1], roles[1:]
        told.insert(chance.randrange(len(told) + 1), again)
    return told


def junk(members: Sequence[Any], count: int, chance: random.Random) -> list[Any]:
    """*members* with *count* among them that are no members."""
    told = [*members]
    for number in range(count):
        odd = ({"roles": ["Learner"]}, None, "u1", {"user_id": " ", "roles": []}, 7, {"user_id": {}})[
            number % 6
        ]
        told.insert(chance.randrange(len(told) + 1), odd)
    return told


def _turned(roles: list[str], night: int) -> list[str]:
    at = night % len(roles) if roles else 0
    return roles[at:] + roles[:at]
