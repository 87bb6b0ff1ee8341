"""Roles: the vocabulary, what platforms send for it, and what a member's roles amount to."""

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lti_rosters.errors import ConfigurationError
from lti_rosters.roles import Held, held, matches, read_role, role_filter, vocabulary

LIS = "http://purl.imsglobal.org/vocab/lis/v2"
LEARNER = f"{LIS}/membership#Learner"
INSTRUCTOR = f"{LIS}/membership#Instructor"
ASSISTANT = f"{LIS}/membership/Instructor#TeachingAssistant"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"
UNKNOWN = "https://example.edu/roles#Proctor"
FORMS = [role.role_uri for role in vocabulary()]


def test_the_vocabulary_is_whole() -> None:
    """81 current roles (LTI Core A.2), the rest deprecated or only seen in the wild."""
    current = [role for role in vocabulary() if not role.is_deprecated]

    assert len(current) == 81
    assert all(role.canonical_uri == role.role_uri for role in current)


def test_every_form_leads_to_a_current_role() -> None:
    """No row of the vocabulary maps to a role that is itself deprecated or missing."""
    current = {role.role_uri for role in vocabulary() if not role.is_deprecated}

    assert {role.canonical_uri for role in vocabulary()} == current


def test_the_vocabulary_names_each_form_once_in_order() -> None:
    """The rows are sorted and their key is unique."""
    uris = [role.role_uri for role in vocabulary()]

    assert uris == sorted(set(uris))


def test_a_form_and_its_canonical_role_agree() -> None:
    """Vocabulary, principal role and sub-role of every form are those of the role it stands for."""
    differing = [role for role in vocabulary() if read_role(role.canonical_uri)[1:5] != role[1:5]]

    assert differing == []


def test_only_five_vocabularies() -> None:
    """The column `vocabulary` holds system, institution, context and lti here, and unknown elsewhere."""
    assert {role.vocabulary for role in vocabulary()} == {"system", "institution", "context", "lti"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("Learner", LEARNER, id="E39 short name"),
        pytest.param("LEARNER", LEARNER, id="E39 upper case (OpenOLAT)"),
        pytest.param(" learner ", LEARNER, id="E39 spaces"),
        pytest.param(
            "Administrator", f"{LIS}/membership#Administrator", id="E39 bare names are context roles"
        ),
        pytest.param("Student", LEARNER, id="E40 Student (LTIAAS)"),
        pytest.param("TeachingAssistant", ASSISTANT, id="E40 bare assistant"),
        pytest.param(
            f"{LIS}/membership#TeachingAssistant", ASSISTANT, id="E40 assistant as a principal role"
        ),
        pytest.param(
            f"{LIS}/membership/instructor#TeachingAssistant", ASSISTANT, id="E40 Canvas's typing slip"
        ),
        pytest.param(f"{LIS}/person#Administrator", f"{LIS}/system/person#Administrator", id="E46 ambiguous"),
        pytest.param(f"{LIS}/person#None", f"{LIS}/system/person#None", id="E46 ambiguous too"),
        pytest.param(f"{LIS}/person#Student", f"{LIS}/institution/person#Student", id="deprecated prefix"),
        pytest.param(
            f"{LIS}/membership/Officer#Vice-Chair", f"{LIS}/membership/Officer#Vice-Chair", id="E48"
        ),
        pytest.param("urn:lti:role:ims/lis/Learner", LEARNER, id="E49 context URN"),
        pytest.param("urn:lti:role:ims/lis/TeachingAssistant", ASSISTANT, id="E49 assistant's URN"),
        pytest.param(
            "URN:LTI:ROLE:ims/lis/learner/guestlearner", f"{LIS}/membership/Learner#GuestLearner", id="E49"
        ),
        pytest.param(
            "urn:lti:instrole:ims/lis/Student", f"{LIS}/institution/person#Student", id="E49 institution"
        ),
        pytest.param("urn:lti:sysrole:ims/lis/SysAdmin", f"{LIS}/system/person#SysAdmin", id="E49 system"),
        pytest.param(
            "Learner/GuestLearner", f"{LIS}/membership/Learner#GuestLearner", id="LTI 1.1 short sub-role"
        ),
        pytest.param(LEARNER.replace("http:", "https:"), LEARNER, id="https"),
        pytest.param(LEARNER.lower() + " ", LEARNER, id="lower case URI and a space"),
    ],
)
def test_every_form_is_read_into_its_canonical_role(raw: str, expected: str) -> None:
    """Whatever form a platform sends, the current URI comes of it."""
    found = read_role(raw)

    assert found.role_uri == found.canonical_uri == expected


@pytest.mark.parametrize(
    "raw", [UNKNOWN, "Teacher", "", "urn:lti:role:ims/lis/", f"{LIS}/membership#", "#Learner"]
)
def test_an_unknown_role_stays_as_sent_e38(raw: str) -> None:
    """E38: what the vocabulary lacks keeps its text and is marked unknown."""
    found = read_role(raw)

    assert found == (raw, "unknown", None, None, False, False, raw)


@pytest.mark.parametrize(
    ("roles", "primary"),
    [
        pytest.param((), "other", id="E34 none"),
        pytest.param((LEARNER,), "learner", id="learner"),
        pytest.param((ASSISTANT,), "teaching_assistant", id="E41 only a sub-role"),
        pytest.param((f"{LIS}/membership/Learner#Instructor",), "learner", id="E42 Learner#Instructor"),
        pytest.param((INSTRUCTOR, ASSISTANT), "teaching_assistant", id="E43 Canvas assistant"),
        pytest.param((INSTRUCTOR, f"{ASSISTANT}Section"), "teaching_assistant", id="E43 of a section"),
        pytest.param(
            (INSTRUCTOR, f"{LIS}/membership/Instructor#Grader"), "instructor", id="a grader is no assistant"
        ),
        pytest.param((LEARNER, INSTRUCTOR), "instructor", id="teaches and learns"),
        pytest.param((f"{LIS}/institution/person#Instructor",), "other", id="E45 institution alone"),
        pytest.param((f"{LIS}/person#Administrator",), "other", id="E47 admin marker alone"),
        pytest.param((f"{LIS}/membership#Mentor",), "mentor", id="E51 observer"),
        pytest.param((f"{LIS}/membership#ContentDeveloper",), "content_developer", id="E51 designer"),
        pytest.param(
            (f"{LIS}/membership#Member", f"{LIS}/membership#Manager"), "manager", id="E51 group leader"
        ),
        pytest.param((f"{LIS}/membership/Officer#Vice-Chair",), "officer", id="E48 officer"),
        pytest.param(("Administrator", "Member"), "administrator", id="administrator"),
        pytest.param(("Member",), "member", id="member"),
        pytest.param((UNKNOWN,), "other", id="E38 unknown"),
        pytest.param((UNKNOWN, "Learner"), "learner", id="E38 unknown beside a learner"),
        pytest.param((TEST_USER,), "other", id="a marker is no role"),
    ],
)
def test_primary_role(roles: tuple[str, ...], primary: str) -> None:
    """The primary role is the first that holds of the list, from context roles alone."""
    assert held(roles).primary_role == primary


@pytest.mark.parametrize(
    ("roles", "learner"),
    [
        (("LEARNER",), True),
        ((f"{LIS}/membership/Learner#NonCreditLearner",), True),
        ((f"{LIS}/membership/Learner#Instructor",), True),
        ((INSTRUCTOR, LEARNER), True),
        ((f"{LIS}/institution/person#Student",), False),
        ((f"{LIS}/institution/person#Learner",), False),
        ((f"{LIS}/membership#Mentor",), False),
        ((f"{LIS}/system/person#User",), False),
        ((UNKNOWN,), False),
        ((), False),
    ],
)
def test_only_context_learners_are_learners(roles: tuple[str, ...], learner: bool) -> None:
    """A learner holds the context role Learner or a sub-role of it; nothing else makes one."""
    assert held(roles).is_learner is learner


@pytest.mark.parametrize(
    ("role", "staff"),
    [
        ("Instructor", True),
        ("TeachingAssistant", True),
        ("ContentDeveloper", True),
        ("Administrator", True),
        ("Manager", True),
        ("Officer", True),
        ("Mentor", False),
        ("Member", False),
        ("Learner", False),
        (f"{LIS}/membership/Learner#Instructor", False),
        (f"{LIS}/institution/person#Faculty", False),
        (f"{LIS}/system/person#Administrator", False),
    ],
)
def test_staff(role: str, staff: bool) -> None:
    """Staff teaches, builds or runs the course; mentors, members and people of the institution are none."""
    assert held((role,)).is_staff is staff


def test_a_test_user_is_marked_e44() -> None:
    """E44: TestUser is a marker beside a real role, which stays."""
    found = held((LEARNER, TEST_USER))

    assert (found.is_test_user, found.is_learner, found.primary_role) == (True, True, "learner")


def test_forms_of_one_role_are_one_role_e37() -> None:
    """E37: short and full form of a role (Sakai) are one; the raw text does not depend on the order."""
    expected = Held(((INSTRUCTOR, "Instructor"),), "instructor", False, True, False, 0)

    found = {held(order) for order in itertools.permutations(("Instructor", INSTRUCTOR, "instructor"))}

    assert found == {expected}


def test_unknown_roles_are_counted_and_kept() -> None:
    """Unknown roles keep their text beside the known ones, sorted by URI."""
    found = held(("x-role", LEARNER, UNKNOWN))

    assert found.roles == ((LEARNER, LEARNER), (UNKNOWN, UNKNOWN), ("x-role", "x-role"))
    assert found.unknown == 2


@given(st.lists(st.sampled_from(FORMS) | st.text(), max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_roles_does_not_matter(roles: list[str], random: Random) -> None:
    """Open edX sends roles in any order: what they amount to is the same."""
    shuffled = random.sample(roles, len(roles))

    assert held(tuple(roles)) == held(tuple(shuffled))


@given(st.text())
def test_any_text_is_a_role(text: str) -> None:
    """No text makes the reader fail, and a canonical role is read as itself."""
    found = read_role(text)

    assert read_role(found.canonical_uri).canonical_uri == found.canonical_uri


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("learner", LEARNER),
        (" Learner", LEARNER),
        ("Student", LEARNER),
        ("teaching_assistant", ASSISTANT),
        ("TeachingAssistant", ASSISTANT),
        ("content_developer", f"{LIS}/membership#ContentDeveloper"),
        ("administrator", f"{LIS}/membership#Administrator"),
        (LEARNER, LEARNER),
        (f"{LIS}/institution/person#Student", f"{LIS}/institution/person#Student"),
        ("urn:lti:role:ims/lis/Instructor", INSTRUCTOR),
    ],
)
def test_role_filter(text: str, expected: str) -> None:
    """A filter is named as we name roles, as the standard does in short, or by a full URI."""
    assert role_filter(text) == expected


@pytest.mark.parametrize("text", ["teacher", "", "other", UNKNOWN])
def test_an_unknown_filter_is_refused_e66(text: str) -> None:
    """E66: Moodle answers an unknown role with everybody, Canvas with nobody, so none is sent."""
    with pytest.raises(
        ConfigurationError, match=r"content_developer, instructor, learner, .*teaching_assistant"
    ):
        role_filter(text)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("lerner", "learner"),
        ("Instructors", "instructor"),
        ("teaching assistants", "teaching_assistant"),
        (f"{LIS}/membership#Lerner", LEARNER),
        ("wizard", None),
    ],
)
def test_the_nearest_role_is_suggested(text: str, near: str | None) -> None:
    """A misspelt role is answered with the one that was meant, a URI with a URI."""
    with pytest.raises(ConfigurationError) as raised:
        role_filter(text)

    assert ("Did you mean" in str(raised.value)) is (near is not None)
    assert f"Did you mean {near}?" in str(raised.value) or near is None


@pytest.mark.parametrize(
    ("wanted", "uris", "expected"),
    [
        (INSTRUCTOR, [ASSISTANT], True),
        (INSTRUCTOR, [INSTRUCTOR], True),
        (INSTRUCTOR, ["Instructor"], True),
        (INSTRUCTOR, [f"{LIS}/membership/Learner#Instructor"], False),
        (INSTRUCTOR, [f"{LIS}/institution/person#Instructor"], False),
        (ASSISTANT, [INSTRUCTOR], False),
        (ASSISTANT, [LEARNER, ASSISTANT], True),
        (LEARNER, [f"{LIS}/membership/Learner#GuestLearner"], True),
        (LEARNER, [UNKNOWN], False),
        (LEARNER, [], False),
        (f"{LIS}/institution/person#Student", [f"{LIS}/institution/person#Student"], True),
    ],
)
def test_matches(wanted: str, uris: list[str], expected: bool) -> None:
    """A filter on a principal role lets its sub-roles pass too, as NRPS 2.4.1 has platforms do."""
    assert matches(wanted, uris) is expected
