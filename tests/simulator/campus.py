"""A campus with a ground truth: people, courses, who is on each roster, and what changes from night to night.

It knows nothing of platforms or of the connector: what it says is what is true.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

CONTEXT = "http://purl.imsglobal.org/vocab/lis/v2/membership"
LEARNER, NON_CREDIT = f"{CONTEXT}#Learner", f"{CONTEXT}/Learner#NonCreditLearner"
INSTRUCTOR, ASSISTANT = f"{CONTEXT}#Instructor", f"{CONTEXT}/Instructor#TeachingAssistant"
MENTOR = f"{CONTEXT}#Mentor"
STUDENT = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Student"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"
UNKNOWN = "https://campus.example/roles#Auditor"

# The lists of roles that people hold, each as often as its weight says.
HOLDINGS: dict[tuple[str, ...], int] = {
    (LEARNER,): 60,
    (LEARNER, STUDENT): 10,
    (NON_CREDIT,): 5,
    (INSTRUCTOR,): 6,
    (ASSISTANT, INSTRUCTOR): 4,
    (ASSISTANT, LEARNER): 3,
    (MENTOR,): 3,
    (STUDENT,): 3,
    (LEARNER, TEST_USER): 2,
    (LEARNER, UNKNOWN): 2,
    (UNKNOWN,): 1,
    (): 1,
}
STATUSES = {"Active": 85, "Inactive": 13, "Suspended": 2}  # the last one is no status of the standard
EVENTS = {"join": 30, "drop": 26, "return": 14, "role": 12, "status": 12, "move": 6}
QUIET = 0.45  # of the courses have no event in a night
RENAMED = 0.15  # of the nights somebody of a platform gets another name
MOST = 45  # people on one roster


@dataclass(frozen=True, slots=True)
class Standing:
    """What is true of one membership; *roles* are canonical URIs, sorted."""

    status: str
    roles: tuple[str, ...]
    name: str | None = None
    email: str | None = None

    @property
    def is_active_learner(self) -> bool:
        """Status Active, a context Learner role or a sub-role of it, no test user."""
        learns = LEARNER in self.roles or NON_CREDIT in self.roles
        return self.status == "Active" and learns and TEST_USER not in self.roles


Roster = dict[str, Standing]


@dataclass(eq=False)
class TrueCourse:
    """One course of a registration; *moments* are the rosters of this night, the last one is that of now.

    A course that is not *listed* has left the catalogue; one that is not *offered* answers 404 for so many
    nights as *away* says.
    """

    registration: str
    context_id: str
    label: str
    title: str
    roster: Roster = field(default_factory=dict)
    former: list[str] = field(default_factory=list)
    is_listed: bool = True
    away: int = 0
    moments: list[Roster] = field(default_factory=list)

    @property
    def is_offered(self) -> bool:
        """Whether the platform has a roster of it tonight."""
        return self.away == 0

    def begin(self) -> None:
        """Begin a reading: what was before can no longer be observed."""
        self.moments = [dict(self.roster)]

    def drop(self, user_id: str) -> None:
        """Take somebody off the roster."""
        del self.roster[user_id]
        self.former.append(user_id)
        self.moments.append(dict(self.roster))

    def join(self, user_id: str, standing: Standing) -> None:
        """Put somebody on the roster."""
        self.roster[user_id] = standing
        self.former = [each for each in self.former if each != user_id]
        self.moments.append(dict(self.roster))


@dataclass
class Campus:
    """The courses of some *registrations*; every `turn` is one more day of the term."""

    registrations: Sequence[str]
    size: int  # courses
    random: random.Random
    courses: list[TrueCourse] = field(default_factory=list)
    people: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)  # name and mail of everybody
    events: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Found the courses and fill them."""
        for registration in self.registrations:
            self.people[registration] = dict(self._crowd())
        for number in range(self.size):
            self._found(self.registrations[number % len(self.registrations)])

    def turn(self) -> None:
        """Let a day pass."""
        for course in [each for each in self.courses if each.is_listed]:
            self._live(course)
            if self.random.random() >= QUIET:
                for _ in range(self.random.choice((1, 1, 2, 3, 5))):
                    self._happen(course)
        for registration in self.registrations:
            if self.random.random() < RENAMED:
                self._rename(registration)
        while sum(course.is_listed for course in self.courses) < self.size:
            self._found(self.random.choice(self.registrations))
        for course in self.courses:
            course.begin()

    def listed(self, registration: str) -> list[TrueCourse]:
        """The catalogue of *registration*."""
        return [each for each in self.courses if each.registration == registration and each.is_listed]

    def newcomer(self, course: TrueCourse) -> tuple[str, Standing] | None:
        """Somebody who is not on the roster and never was, None if everybody was."""
        people = self.people[course.registration]
        free = [each for each in people if each not in course.roster and each not in course.former]
        return self._standing(course.registration, self.random.choice(free)) if free else None

    def _crowd(self) -> Iterator[tuple[str, tuple[str, str]]]:
        """Ids that a sloppy comparison would confuse: alike but for case, numbers, letters beyond ASCII."""
        for number in range(160):
            form = ("u{}", "U{}", "{}", "ü-{}", "{:08x}-AbC")[number % 5]
            user_id = form.format(number // 2 if number % 5 < 2 else 1000 + number)
            yield user_id, (f"Person {number} Ömer", f"p{number}@campus.example")

    def _found(self, registration: str) -> None:
        number = len(self.courses)
        course = TrueCourse(registration, f"Course-{number}", f"C{number}", f"Title {number}")
        for _ in range(self.random.choice((0, 3, 12, 24, 38, MOST))):
            if found := self.newcomer(course):
                course.roster[found[0]] = found[1]
        course.begin()
        self.courses.append(course)
        self.events["founded"] += 1

    def _live(self, course: TrueCourse) -> None:
        """Rarely: the course vanishes for some nights, comes back, empties, ends, gets another title."""
        chance = self.random.random()
        if course.away:
            course.away -= 1
            self.events["course came back"] += course.away == 0
        elif chance < 0.012:
            course.away = self.random.randint(1, 4)
            self.events["course vanished"] += 1
        elif chance < 0.020 and course.roster:
            for user_id in list(course.roster):
                course.drop(user_id)
                self.events["drop"] += 1
            self.events["course emptied"] += 1
        elif chance < 0.028:
            course.is_listed = False
            self.events["course ended"] += 1
        elif chance < 0.045:
            course.title = f"{course.title.split(' (')[0]} ({self.random.randrange(1000)})"
            self.events["course renamed"] += 1

    def _happen(self, course: TrueCourse) -> None:
        kind = self.random.choices([*EVENTS], [*EVENTS.values()])[0]
        present = [*course.roster]
        if kind in ("drop", "role", "status", "move") and not present:
            kind = "join"
        if kind == "move":
            self._move(course, self.random.choice(present))
        elif kind == "drop":
            course.drop(self.random.choice(present))
        elif kind == "return" and course.former:
            user_id = self.random.choice(course.former)
            course.join(*self._standing(course.registration, user_id))
        elif kind in ("role", "status"):
            self._change(course, self.random.choice(present), kind)
        elif len(present) < MOST and (found := self.newcomer(course)):
            kind = "join"
            course.join(*found)
        else:
            return
        self.events[kind] += 1

    def _move(self, course: TrueCourse, user_id: str) -> None:
        """Somebody goes to another section: leaves here and joins there the same night."""
        others = [
            each
            for each in self.listed(course.registration)
            if user_id not in each.roster and each is not course
        ]
        standing = course.roster[user_id]
        course.drop(user_id)
        if others:
            self.random.choice(others).join(user_id, standing)

    def _change(self, course: TrueCourse, user_id: str, kind: str) -> None:
        old = course.roster[user_id]
        if kind == "role":
            course.roster[user_id] = replace(old, roles=self._roles())
        else:
            status = "Inactive" if old.status == "Active" else "Active"
            course.roster[user_id] = replace(old, status=status)

    def _rename(self, registration: str) -> None:
        """Somebody gets another name, on every roster."""
        people = self.people[registration]
        user_id = self.random.choice([*people])
        name, email = f"Renamed {self.random.randrange(10**6)}", people[user_id][1]
        people[user_id] = (name, email)
        for course in self.courses:
            if course.registration == registration and user_id in course.roster:
                course.roster[user_id] = replace(course.roster[user_id], name=name)
        self.events["renamed"] += 1

    def _standing(self, registration: str, user_id: str) -> tuple[str, Standing]:
        name, email = self.people[registration][user_id]
        status = self.random.choices([*STATUSES], [*STATUSES.values()])[0]
        return user_id, Standing(status, self._roles(), name, email)

    def _roles(self) -> tuple[str, ...]:
        return tuple(sorted(self.random.choices([*HOLDINGS], [*HOLDINGS.values()])[0]))
