"""A campus for the demo: three platforms of different kinds, 30 courses, about 2,000 memberships, two nights.

Everything is invented and follows from the seed. After the first night one course breaks off after its first
page, on purpose.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, Self

from ..reference.platform import Course, Exchange, Member, ReferencePlatform, Reply
from ..reference.tokens import ToolKeys
from .courses import COURSES, EMPTIED, FAILING, MANNERS, ROLES, Part
from .people import Person, invented, opaque

Kind = Literal["joined", "left", "role_changed"]


@dataclass(frozen=True, slots=True)
class Change:
    """What the night changed for one person in one course; *before* or *after* is None outside the course."""

    registration: str
    context_id: str
    title: str
    kind: Kind
    user_id: str
    name: str
    before: Part | None
    after: Part | None


@dataclass(eq=False)
class Room:
    """A course and who does what in it: the truth that the platform tells in its own way."""

    registration: str
    code: str
    course: Course
    parts: dict[Person, Part]


@dataclass(eq=False)
class Campus:
    """Three platforms under the names of their registrations; a context manager that opens them all."""

    seed: int
    platforms: dict[str, ReferencePlatform]
    people: dict[str, list[Person]]
    rooms: list[Room] = field(default_factory=list)
    nights: int = 1
    _open: ExitStack = field(default_factory=ExitStack, repr=False)

    def __enter__(self) -> Self:
        """Open every platform."""
        for platform in self.platforms.values():
            self._open.enter_context(platform)
        return self

    def __exit__(self, *error: Any) -> None:
        """Close every platform."""
        self._open.__exit__(*error)

    @property
    def failing(self) -> Room:
        """The course whose roster comes whole in the first night and breaks off in every other."""
        return self.room(*FAILING)

    def room(self, registration: str, code: str) -> Room:
        """The course with this code."""
        return next(room for room in self.rooms if (room.registration, room.code) == (registration, code))

    def registrations(self) -> dict[str, dict[str, Any]]:
        """Per registration, the settings that reach it: all but the key."""
        return {
            name: {
                "issuer": platform.issuer,
                "client_id": platform.client_id,
                "token_url": platform.token_url,
                "audience": platform.audience,
                "contexts": [platform.memberships_url(key) for key in platform.courses],
            }
            for name, platform in self.platforms.items()
        }

    def active_learners(self) -> dict[tuple[str, str], int]:
        """The true number of active learners per registration and context id, test users left out."""
        return {
            (room.registration, room.course.context_id): sum(
                part in ("learner", "both") for part in room.parts.values()
            )
            for room in self.rooms
        }


def demo_campus(seed: int = 7, tool_keys: ToolKeys = ()) -> Campus:
    """Build the campus of the first night; the tool is known by *tool_keys* as client 100, 200 and 300."""
    platforms = {
        name: ReferencePlatform(manner, name=name, client_id=f"{number}00", tool_keys=tool_keys)
        for number, (name, manner) in enumerate(MANNERS.items(), 1)
    }
    random = Random(seed)  # noqa: S311 - repeatable, not secret
    largest = {name: max(size for _, _, size in courses) for name, courses in COURSES.items()}
    people = {name: invented(random, range(10, 10 + largest[name] * 2)) for name in platforms}
    campus = Campus(seed, platforms, people)
    for name, courses in COURSES.items():
        for number, (code, title, size) in enumerate(courses, 1):
            parts = _cast(random, people[name], size, ROLES[name])
            course = Course(_context_id(name, seed, number, code), code, title, key=str(number))
            platforms[name].add(course)
            campus.rooms.append(Room(name, code, course, parts))
    for room in campus.rooms:
        _tell(campus, room)
    return campus


def next_night(campus: Campus) -> tuple[Change, ...]:
    """Change the campus as one day does, and tell what changed: people join, leave, become staff.

    The first time one course is emptied as well: everybody leaves it. From then on the failing course breaks
    off half way; its people stay as they are.
    """
    random = Random(f"{campus.seed}/{campus.nights}")  # noqa: S311 - repeatable, not secret
    changes: list[Change] = []
    for room in campus.rooms:
        if (room.registration, room.code) == EMPTIED:
            after: dict[Person, Part] = {}
        elif not room.parts or room is campus.failing:
            continue
        else:
            after = _a_day_later(random, room.parts, campus.people[room.registration], room.registration)
        changes += _changes(campus, room, after)
        room.parts = after
        _tell(campus, room)
    campus.failing.course.script = _break_off
    campus.nights += 1
    return tuple(changes)


def _cast(random: Random, people: list[Person], size: int, known: Mapping[Part, Any]) -> dict[Person, Part]:
    """Choose *size* people and give each a part that the platform knows; most learn."""
    wanted: list[tuple[Part, int]] = [
        ("teacher", 1 + size // 60),
        ("assistant", size // 40),
        ("both", size // 100),
        ("observer", size // 50),
        ("designer", size // 70),
        ("admin", size // 50),
        ("test", 1),
    ]
    parts: list[Part] = [part for part, count in wanted if part in known for _ in range(count)][:size]
    parts += ["learner"] * (size - len(parts))
    return dict(zip(random.sample(people, size), parts, strict=True))


def _a_day_later(
    random: Random, parts: dict[Person, Part], people: list[Person], registration: str
) -> dict[Person, Part]:
    """Some leave, some join, one may become staff; at least one learner stays as they were."""
    learners = [person for person, part in parts.items() if part == "learner"]
    random.shuffle(learners)
    leaving = set(learners[: random.randint(0, min(3, len(learners) // 4))])
    after = {person: part for person, part in parts.items() if person not in leaving}
    if random.random() < 0.4:
        after[learners[-1]] = "teacher" if registration == "moodle" else "assistant"
    newcomers = [person for person in people if person not in parts]
    return after | dict.fromkeys(random.sample(newcomers, random.randint(0, 4)), "learner")


def _changes(campus: Campus, room: Room, after: dict[Person, Part]) -> list[Change]:
    changes = []
    for person in dict.fromkeys([*room.parts, *after]):
        was, now = room.parts.get(person), after.get(person)
        if was == now:
            continue
        kind: Kind = "joined" if was is None else "left" if now is None else "role_changed"
        user_id = _user_id(room.registration, campus.seed, person)
        course = room.course
        name = person.name
        changes.append(
            Change(room.registration, course.context_id, course.title or "", kind, user_id, name, was, now)
        )
    return changes


def _tell(campus: Campus, room: Room) -> None:
    """Put the truth about a course into the words of its platform, sorted as Moodle does."""
    members = [
        (person.family, person.given, person.number, _member(room.registration, campus.seed, person, part))
        for person, part in room.parts.items()
    ]
    room.course.members = [member for *_, member in sorted(members, key=lambda each: each[:3])]


def _member(registration: str, seed: int, person: Person, part: Part) -> Member:
    """One membership as the platform would send it."""
    mail = f"{'s' if part == 'learner' else 'p'}{person.number:04}@{registration}-college.example"
    told: Member = {
        "status": "Active",
        "user_id": _user_id(registration, seed, person),
        "roles": list(ROLES[registration][part]),
    }
    if part == "test":
        return told | {"name": "Test Student", "given_name": "Test", "family_name": "Student"}
    told |= {"name": person.name, "given_name": person.given, "family_name": person.family, "email": mail}
    told["lis_person_sourcedid"] = f"{registration[:1].upper()}{person.number:06}"
    if registration == "moodle":
        told["ext_user_username"] = mail.partition("@")[0]
    if registration == "sakai":
        told |= {"lti11_legacy_user_id": opaque(seed, person.number), "sakai_ext": {"sakai_groups": []}}
    return told


def _user_id(registration: str, seed: int, person: Person) -> str:
    if registration == "moodle":
        return str(person.number)
    if registration == "sakai":
        return f"https://sakai.example/user/{opaque(seed, person.number)}"
    return opaque(registration, seed, person.number)


def _context_id(registration: str, seed: int, number: int, code: str) -> str:
    return {"moodle": str(number), "sakai": f"{code.lower()}-site"}.get(registration, opaque(seed, code))


def _break_off(exchange: Exchange) -> Reply | None:
    """The fault on purpose: every page but the first is an error of the server, for ever."""
    if exchange.page == 1:
        return None
    return Reply(500, [("Content-Type", "text/html")], b"<html><title>HTTP Status 500</title></html>")
