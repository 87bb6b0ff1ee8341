"""The demo's campus: repeatable, invented, and changed overnight in the way it says."""

import time
import unicodedata
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from lti_rosters.demo.campus import Campus, demo_campus, next_night
from lti_rosters.demo.courses import CONTEXT
from lti_rosters.reference.platform import MEDIA_TYPE, SCOPE, ReferencePlatform

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

Roster = dict[str, dict[str, Any]]


class Reader:
    """A plain client that reads whole rosters."""

    def __init__(self) -> None:
        """Make a key pair."""
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.http = httpx.Client()

    def keys(self) -> list[dict[str, Any]]:
        """The public key as published."""
        return [{**jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True), "kid": "k"}]

    def token(self, platform: ReferencePlatform) -> str:
        """A token for one platform."""
        now = int(time.time())
        claims = {"iss": platform.client_id, "sub": platform.client_id, "aud": platform.audience}
        claims |= {"iat": now, "exp": now + 60, "jti": uuid.uuid4().hex}  # type: ignore[dict-item]
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION,
            "client_assertion": jwt.encode(claims, self.key, "RS256", headers={"kid": "k"}),
            "scope": SCOPE,
        }
        return str(self.http.post(platform.token_url, data=form).json()["access_token"])

    def roster(self, url: str, token: str) -> tuple[int, list[dict[str, Any]]]:
        """The last status and the members read up to there."""
        members: list[dict[str, Any]] = []
        while True:
            response = self.http.get(url, headers={"Accept": MEDIA_TYPE, "Authorization": f"Bearer {token}"})
            if response.status_code != 200:
                return response.status_code, members
            members += response.json()["members"]
            if "next" not in response.links:
                return 200, members
            url = response.links["next"]["url"]

    def campus(self, campus: Campus) -> dict[tuple[str, str], Roster]:
        """Every complete roster by registration and context id: members by user id."""
        found = {}
        for name, platform in campus.platforms.items():
            token = self.token(platform)
            for key, course in platform.courses.items():
                status, members = self.roster(platform.memberships_url(key), token)
                if status == 200:
                    found[name, course.context_id] = {each["user_id"]: each for each in members}
        return found


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    """One reader for all tests: its key takes a while."""
    reader = Reader()
    yield reader
    reader.http.close()


@pytest.fixture
def campus(reader: Reader) -> Iterator[Campus]:
    """The demo's campus, open."""
    with demo_campus(tool_keys=reader.keys) as campus:
        yield campus


def told(campus: Campus) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """All that a campus tells, without its addresses."""
    return [(room.registration, room.course.context_id, room.course.members) for room in campus.rooms]


def test_the_campus_has_the_size_it_promises() -> None:
    """Thirty courses on three platforms, about 2,000 memberships."""
    campus = demo_campus()

    seats = sum(len(room.course.members) for room in campus.rooms)

    assert (len(campus.rooms), len(campus.platforms), 1900 < seats < 2100) == (30, 3, True)


def test_the_seed_decides_everything() -> None:
    """Two campuses of one seed are the same on both nights; another seed gives another one."""
    first, second, other = demo_campus(1), demo_campus(1), demo_campus(2)

    assert told(first) == told(second)
    assert next_night(first) == next_night(second)
    assert told(first) == told(second)
    assert told(first) != told(other)


def test_a_plain_client_reads_every_roster_in_the_first_night(reader: Reader, campus: Campus) -> None:
    """Thirty rosters come whole, with everybody in them."""
    read = reader.campus(campus)

    expected = {
        (room.registration, room.course.context_id): {each["user_id"] for each in room.course.members}
        for room in campus.rooms
    }
    assert {course: set(members) for course, members in read.items()} == expected


def test_one_course_breaks_off_half_way_from_the_second_night_on(reader: Reader, campus: Campus) -> None:
    """The failing course gives its first page and then 500, as often as it is asked."""
    next_night(campus)
    room = campus.failing
    platform = campus.platforms[room.registration]
    url, token = platform.memberships_url(room.course.key), reader.token(platform)

    readings = [reader.roster(url, token) for _ in range(2)]

    assert [(status, len(members)) for status, members in readings] == [(500, 50), (500, 50)]


def test_everybody_is_invented() -> None:
    """Mail goes to `.example` only, and names come in at least ten scripts."""
    members = [each for _, _, members in told(demo_campus()) for each in members]

    mails = [each["email"] for each in members if "email" in each]
    letters = {letter for each in members for letter in each["name"] if letter.isalpha()}
    scripts = {unicodedata.name(letter).split()[0] for letter in letters}
    assert all(mail.endswith(".example") for mail in mails)
    assert len(scripts) >= 10


def test_each_platform_speaks_its_own_way() -> None:
    """Full URIs and a test user on Canvas, short names and a site administrator on Moodle, both on Sakai."""
    roles: dict[str, set[str]] = {}
    for registration, _, members in told(demo_campus()):
        roles.setdefault(registration, set()).update(role for each in members for role in each["roles"])

    assert {True} == {role.startswith("http") for role in roles["canvas"]}
    assert "http://purl.imsglobal.org/vocab/lti/system/person#TestUser" in roles["canvas"]
    person = "http://purl.imsglobal.org/vocab/lis/v2/person#Administrator"
    assert {"Learner", "Instructor", person} == roles["moodle"]
    assert {"Learner", f"{CONTEXT}#Learner"} <= roles["sakai"]


def test_the_true_counts_are_those_of_the_roles() -> None:
    """Active learners counted from the roles as sent, test users aside, are what the campus says."""
    campus = demo_campus()

    counted = {
        (registration, context_id): sum(
            any(role in ("Learner", f"{CONTEXT}#Learner") for role in each["roles"])
            and not any(role.endswith("#TestUser") for role in each["roles"])
            for each in members
        )
        for registration, context_id, members in told(campus)
    }
    assert counted == campus.active_learners()


def test_the_night_changes_what_it_says(reader: Reader, campus: Campus) -> None:
    """The rosters read before and after the night differ by exactly the changes returned."""
    before = reader.campus(campus)
    changes = next_night(campus)
    after = reader.campus(campus)

    seen = set()
    failing = (campus.failing.registration, campus.failing.course.context_id)
    assert before.keys() - after.keys() == {failing}
    for course in after:
        for user_id in before[course].keys() | after[course].keys():
            was, now = before[course].get(user_id), after[course].get(user_id)
            if was is None or now is None:
                seen.add((*course, user_id, "joined" if was is None else "left"))
            elif was["roles"] != now["roles"]:
                seen.add((*course, user_id, "role_changed"))
    assert {(each.registration, each.context_id, each.user_id, each.kind) for each in changes} == seen


def test_the_night_has_something_of_everything() -> None:
    """Some join, leave and change role; one course of twenty empties, and no other does."""
    campus = demo_campus()
    full = {room for room in campus.rooms if room.course.members}

    changes = next_night(campus)

    emptied = [room for room in full if not room.course.members]
    assert {"joined", "left", "role_changed"} == {each.kind for each in changes}
    assert [room.code for room in emptied] == ["ART-90"]
    assert [sum(each.context_id == room.course.context_id for each in changes) for room in emptied] == [20]


def test_the_failing_course_stays_as_it_is() -> None:
    """No change is told of the course that cannot be read."""
    campus = demo_campus()

    changes = next_night(campus)

    failing = (campus.failing.registration, campus.failing.course.context_id)
    assert failing not in {(each.registration, each.context_id) for each in changes}


def test_nights_can_go_on() -> None:
    """A third night changes again, differently; the emptied course stays empty."""
    campus = demo_campus()
    second, third = next_night(campus), next_night(campus)

    assert third
    assert {each.user_id for each in third} != {each.user_id for each in second}
    assert campus.room("moodle", "ART-90").course.members == []


def test_the_settings_reach_every_platform() -> None:
    """Each registration's settings name its client, token URL and the roster of every course."""
    campus = demo_campus()

    settings = campus.registrations()

    assert [each["client_id"] for each in settings.values()] == ["100", "200", "300"]
    assert [len(each["contexts"]) for each in settings.values()] == [12, 10, 8]
    assert [
        each["token_url"].startswith(campus.platforms[name].origin) for name, each in settings.items()
    ] == [True] * 3
