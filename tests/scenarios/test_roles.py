"""Edge cases of roles, end to end: E34 to E51."""

import json
from collections.abc import Iterator

import pytest
from play import Played, Scenario, check, nights, person, reads

from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import MOODLE, OPENOLAT, SAKAI, Manner, member
from school import School

MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership"
SUB = f"{MEMBERSHIP}/Instructor#TeachingAssistant"
STUDENT = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Student"
ADMINISTRATOR = "http://purl.imsglobal.org/vocab/lis/v2/system/person#Administrator"
AMBIGUOUS = "http://purl.imsglobal.org/vocab/lis/v2/person#Administrator"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"
TA = "/Instructor#TeachingAssistant"  # as `short` shows it
UNKNOWN = "https://vocab.example/roles#Wizard"


def holds(name: str, sent: object, *roles: str, primary: str, manner: Manner | None = None) -> Scenario:
    """One member who is sent with *sent* as roles and stored with *roles* and *primary* as primary role."""
    member_sent = member("ann", sent)
    expected = {"ann": person(*roles, primary_role=primary)}
    return (
        reads(name, [member_sent], expected)
        if manner is None
        else reads(name, [member_sent], expected, manner=manner)
    )


SCENARIOS = [
    holds("E34 an empty list of roles", [], primary="other"),
    holds("E34 null for roles", None, primary="other"),
    reads("E34 roles are missing", [{"user_id": "ann"}], {"ann": person(primary_role="other")}),
    holds("E35 blank roles are dropped", ["", " ", "Learner"], "Learner", primary="learner"),
    holds("E36 a single text", "Learner", "Learner", primary="learner"),
    holds(
        "E36 a text of several, separated by commas",
        "Learner, Instructor",
        "Instructor",
        "Learner",
        primary="instructor",
    ),
    holds(
        "E37 short and full name of one role are one role",
        ["Learner", f"{MEMBERSHIP}#Learner", "Learner"],
        "Learner",
        primary="learner",
        manner=SAKAI,
    ),
    holds("E38 an unknown role is kept as sent and is no learner", [UNKNOWN], UNKNOWN, primary="other"),
    holds(
        "E39 short names in any case are context roles",
        ["LEARNER", "mentor"],
        "Learner",
        "Mentor",
        primary="mentor",
    ),
    holds("E40 the bare name Student is the context's Learner", ["Student"], "Learner", primary="learner"),
    holds("E40 the bare name TeachingAssistant", ["TeachingAssistant"], TA, primary="teaching_assistant"),
    holds(
        "E40 TeachingAssistant as if it were a principal role",
        [f"{MEMBERSHIP}#TeachingAssistant"],
        TA,
        primary="teaching_assistant",
    ),
    holds(
        "E40 TeachingAssistant under a lower-case instructor",
        [f"{MEMBERSHIP}/instructor#TeachingAssistant"],
        TA,
        primary="teaching_assistant",
    ),
    holds(
        "E41 a sub-role alone",
        [f"{MEMBERSHIP}/Instructor#Grader"],
        "/Instructor#Grader",
        primary="instructor",
    ),
    holds(
        "E42 Learner#Instructor is a learner",
        [f"{MEMBERSHIP}/Learner#Instructor"],
        "/Learner#Instructor",
        primary="learner",
    ),
    holds(
        "E43 an assistant with the plain Instructor role beside it",
        [f"{MEMBERSHIP}#Instructor", SUB],
        TA,
        "Instructor",
        primary="teaching_assistant",
    ),
    *[
        holds(
            f"E43 TeachingAssistant{kind}",
            [f"{MEMBERSHIP}#Instructor", f"{SUB}{kind}"],
            f"{TA}{kind}",
            "Instructor",
            primary="teaching_assistant",
        )
        for kind in ("Section", "Group", "Offering", "Template")
    ],
    holds(
        "E44 a test user holds the learner's role",
        ["Learner", TEST_USER],
        "Learner",
        TEST_USER,
        primary="learner",
    ),
    holds("E45 an institution's student holds no role in the context", [STUDENT], STUDENT, primary="other"),
    holds(
        "E46 the ambiguous person#Administrator is the system's, and no role in the context",
        [AMBIGUOUS],
        ADMINISTRATOR,
        primary="other",
    ),
    holds(
        "E47 an administrator beside Instructor",
        ["Instructor", ADMINISTRATOR],
        "Instructor",
        ADMINISTRATOR,
        primary="instructor",
        manner=MOODLE,
    ),
    holds(
        "E47 an administrator without any context role is no learner",
        [ADMINISTRATOR],
        ADMINISTRATOR,
        primary="other",
    ),
    holds(
        "E48 a role with a hyphen",
        [f"{MEMBERSHIP}/Officer#Vice-Chair"],
        "/Officer#Vice-Chair",
        primary="officer",
    ),
    holds("E49 an urn:lti learner", ["urn:lti:role:ims/lis/Learner"], "Learner", primary="learner"),
    holds(
        "E49 the bare urn:lti assistant",
        ["urn:lti:role:ims/lis/TeachingAssistant"],
        TA,
        primary="teaching_assistant",
    ),
    holds(
        "E50 Moodle's flattened Learner is what was sent",
        ["Learner"],
        "Learner",
        primary="learner",
        manner=MOODLE,
    ),
    holds("E50 OpenOLAT's participants", ["Learner"], "Learner", primary="learner", manner=OPENOLAT),
    holds("E51 an observer is a mentor", ["Mentor"], "Mentor", primary="mentor"),
    holds(
        "E51 a designer is a content developer",
        ["ContentDeveloper"],
        "ContentDeveloper",
        primary="content_developer",
    ),
    holds(
        "E51 a group leader is Manager and Member",
        ["Member", "Manager"],
        "Manager",
        "Member",
        primary="manager",
    ),
]


@pytest.fixture(scope="module")
def played(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Every scenario of this module, played."""
    with nights(tmp_path_factory.mktemp("roles"), tool_key, SCENARIOS) as played:
        yield played


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_tables_hold_what_they_must(played: Played, scenario: Scenario) -> None:
    """After both nights the member holds exactly these roles."""
    check(played, scenario)


def test_unknown_roles_are_in_the_vocabulary_once(played: Played) -> None:
    """E38: an unknown role has one row of `roles`, of vocabulary unknown, with where it was seen first."""
    rows = played.school.sql(
        "SELECT registration, vocabulary, canonical_uri FROM roles WHERE role_uri = ?", UNKNOWN
    )

    assert rows == [("canvas_0", "unknown", UNKNOWN)]


def test_every_role_held_is_in_the_vocabulary(played: Played) -> None:
    """Every role_uri of membership_roles joins with one row of roles."""
    rows = played.school.sql(
        "SELECT role_uri, count(*) FROM membership_roles LEFT JOIN roles USING (role_uri) "
        "GROUP BY role_uri, user_id, context_key HAVING count(*) <> 1 OR count(roles.vocabulary) = 0"
    )

    assert rows == []


def test_who_counts_as_active_learner(played: Played) -> None:
    """E42 E44 E45 E47: context learners alone count, test users and institutions' students do not."""
    rows = played.school.sql("SELECT roles FROM membership_log WHERE is_active_learner")
    counted = {tuple(json.loads(roles)) for (roles,) in rows}

    assert all(any("membership" in role and "Learner" in role for role in roles) for roles in counted)
    assert not any(TEST_USER in roles for roles in counted)
    assert (f"{MEMBERSHIP}/Learner#Instructor",) in counted
    assert (STUDENT,) not in counted


def test_order_of_roles_and_members_does_not_matter(school: School) -> None:
    """E37: a roster whose members and roles come in another order is unchanged (Open edX sends a set)."""
    both = ["Learner", "Mentor"]
    school.add("c1", [member("ann", both), member("ben", both[::-1])])
    school.run()
    school.add("c1", [member("ben", both), member("ann", both[::-1])])

    run = school.run()

    assert run.outcomes == {"c1": "unchanged"}
