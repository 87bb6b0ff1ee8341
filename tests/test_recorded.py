"""The whole way on what a real Moodle answered: from the token to the active learners, and every refusal.

The exchanges are in `wire/`, whose README says what each of them holds.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

import pytest

from commands import active_learners, carried_out
from lti_rosters.keys.signing import SigningKey
from replay import TOKEN, Asked, Replay, recording
from school import School

ROLES = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
COURSE_5, COURSE_7 = recording("48_c250_p1").target.partition("?")[0], recording("43_mix").target


def asked_for(role: str) -> str:
    """How our client asks for a role."""
    return f"?role={quote(ROLES + role, safe='')}"


def filtered(name: str, role: str) -> Replay:
    """Course 7 asked with *role*, answered as recorded for its short name, and as 43 without."""
    replay = Replay("43_mix")
    replay.add(COURSE_7)
    replay.answer(COURSE_7 + asked_for(role), name)
    return replay


def filtered_pages() -> Replay:
    """Course 5 asked for learners, a hundred a page; the next link has lost the role. And as 48 without."""
    replay = Replay("48_c250_p1", "49_c250_p2", "50_c250_p3")
    replay.add(COURSE_5)
    replay.answer(f"{COURSE_5}{asked_for('Learner')}&limit=100", "57_role_learner_p1")
    return replay


@pytest.fixture(scope="module")
def lab(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """Every roster that was recorded, each manner of asking as a registration of its own."""
    opened: dict[str, tuple[Replay, dict[str, Any]]] = {
        "whole": (Replay("40_three", "41_empty", "43_mix", "44_uni"), {}),
        "paged": (Replay("48_c250_p1", "49_c250_p2", "50_c250_p3"), {"page_size": 100}),
        "reduced_scope": (Replay("40_three", token=["19_token_reduced_scope"]), {}),
        "learners": (filtered("52_role_learner", "Learner"), {"role": "Learner"}),
        "instructors": (filtered("53_role_instructor", "Instructor"), {"role": "Instructor"}),
        "mentors": (filtered("56_role_unknown_uri", "Mentor"), {"role": "Mentor"}),
        "learners_paged": (filtered_pages(), {"role": "Learner", "page_size": 100}),
        "anonymous": (Replay("84_anon_mix"), {}),
    }
    with ExitStack() as stack:
        lab = stack.enter_context(School(tmp_path_factory.mktemp("recorded"), tool_key))
        for name, (replay, options) in opened.items():
            lab.register(name, stack.enter_context(replay), **options)  # type: ignore[arg-type]
        yield lab


@pytest.fixture(scope="module")
def told(lab: School) -> dict[str, Any]:
    """The document of one run over all of them, models included."""
    return carried_out(lab, with_models=True)


@pytest.fixture(scope="module")
def learners(lab: School, told: dict[str, Any]) -> dict[tuple[str, str], tuple[int | None, str]]:
    """The rows of `lti.active_learners`."""
    assert told["exit_status"] == 0, told["failures"]
    return active_learners(lab.database)


@pytest.mark.parametrize(
    ("registration", "context_id", "expected"),
    [
        ("whole", "4", 3),  # 40
        ("whole", "2", 0),  # 41: read and empty
        ("whole", "7", 13),  # 43
        ("paged", "5", 246),  # 48, 49, 50: 248 less two instructors
        ("reduced_scope", "4", 3),  # 19, 40
        ("learners", "7", 13),  # 52: the administrator was sent as well
        ("learners_paged", "5", 246),  # 57, 49, 50
        ("anonymous", "7", 13),  # 84
    ],
)
def test_the_active_learners_are_those_recorded(
    learners: dict[tuple[str, str], tuple[int | None, str]], registration: str, context_id: str, expected: int
) -> None:
    """From the token to `lti.active_learners` nobody is lost and nobody is added."""
    assert learners[registration, context_id] == (expected, "fresh")


def test_every_recorded_roster_is_complete(told: dict[str, Any]) -> None:
    """Eleven rosters, each with an outcome of `complete`."""
    counts = {key: told["totals"][key] for key in ("contexts", "complete", "failed", "malformed_members")}

    assert counts == {"contexts": 11, "complete": 11, "failed": 0, "malformed_members": 0}


@pytest.mark.parametrize(("context_id", "people"), [("4", 4), ("2", 0), ("7", 19), ("8", 23)])
@pytest.mark.usefixtures("told")
def test_everybody_on_a_recorded_roster_is_loaded(lab: School, context_id: str, people: int) -> None:
    """40, 41, 43 and 44 have 4, 0, 19 and 23 people."""
    assert len(lab.members(context_id, "whole")) == people


@pytest.mark.usefixtures("told")
def test_the_mixed_course_keeps_every_role(lab: School) -> None:
    """43: 13 learners and 6 instructors, one of them the administrator of the site."""
    roles = Counter(role for _, held in lab.roster("7", "whole").values() for role in held)

    assert (roles["Learner"], roles["Instructor"]) == (13, 6)
    assert sum("Administrator" in role for role in roles.elements()) == 1


@pytest.mark.usefixtures("told")
def test_three_pages_make_one_roster(lab: School) -> None:
    """48, 49, 50: 248 people through three pages and two next links, in one reading."""
    ((pages, readings, requests),) = lab.sql(
        "SELECT page_count, readings, request_count FROM roster_syncs WHERE registration = 'paged'"
    )

    assert len(lab.members("5", "paged")) == 248
    assert (pages, readings, requests) == (3, 1, 4)  # a token and three pages


@pytest.mark.usefixtures("told")
def test_names_arrive_as_they_were_sent(lab: School) -> None:
    """44: escapes become characters, and nothing else becomes of a name."""
    import json

    sent = {each["user_id"]: each["name"] for each in json.loads(recording("44_uni").body)["members"]}

    loaded = dict(
        lab.sql("SELECT user_id, name FROM memberships WHERE registration = 'whole' AND context_id = '8'")
    )

    assert loaded == sent
    assert len({name for name in sent.values() if not name.isascii()}) > 10


@pytest.mark.usefixtures("told")
def test_a_moodle_field_of_its_own_is_kept(lab: School) -> None:
    """40: `ext_user_username`, which the standard does not name, stands in `extra`."""
    rows = lab.sql("SELECT extra FROM memberships WHERE registration = 'whole' AND user_id = '11'")

    assert rows == [('{"ext_user_username":"lab_s3_1"}',)]


@pytest.mark.parametrize(
    ("registration", "context_id", "role", "people"),
    [
        ("learners", "7", "Learner", 13),  # 52: of 14 sent
        ("instructors", "7", "Instructor", 6),  # 53: the platform left the administrator out, 43 has him
        ("mentors", "7", "Mentor", 0),  # 56: of 19 sent, because the platform knows no such role
        ("learners_paged", "5", "Learner", 246),  # 57: of 248 sent, because next has lost the role
    ],
)
@pytest.mark.usefixtures("told")
def test_a_role_filter_holds_whatever_the_platform_sends(
    lab: School, registration: str, context_id: str, role: str, people: int
) -> None:
    """52, 53, 56, 57: who has the role asked for is on the roster, and nobody else."""
    roster = lab.roster(context_id, registration)

    assert len(roster) == people
    assert all(role in held for _, held in roster.values())


@pytest.fixture(scope="module")
def filtered_again(lab: School, told: dict[str, Any]) -> dict[str, tuple[str, int, int]]:
    """Outcome, readings and departures of each filtered course in a second night that sends the same."""
    del told
    names = ["learners", "instructors", "mentors", "learners_paged"]
    carried_out(lab, registrations=names)
    rows = lab.sql(
        "SELECT registration, outcome, readings, departures FROM roster_syncs WHERE role_filter IS NOT NULL"
        " QUALIFY row_number() OVER (PARTITION BY registration ORDER BY finished_at DESC) = 1"
    )
    assert len(rows) == len(names)
    return {name: tuple(row) for name, *row in rows}  # type: ignore[misc]


@pytest.mark.parametrize(
    ("registration", "readings", "targets"),
    [
        ("learners", 1, ["role"]),  # 52 shows what is known, after our own filter: the one request is enough
        (
            "learners_paged",
            1,
            ["role", "from=100", "from=200"],
        ),  # 57 and the two pages that its next leads to
        ("mentors", 1, ["role"]),  # 56: nobody of whom there was nobody
        ("instructors", 2, ["role", "whole"]),  # 53 leaves out the administrator, so 43 is asked
    ],
)
def test_the_next_night_nobody_has_left(
    lab: School,
    filtered_again: dict[str, tuple[str, int, int]],
    registration: str,
    readings: int,
    targets: list[str],
) -> None:
    """52, 53, 56, 57: unchanged, whatever the filter leaves out, and read whole only where it shows a change."""
    replay: Any = lab.platforms[registration]
    asked = [each.target for each in replay.roster_requests[-len(targets) :]]

    assert filtered_again[registration] == ("unchanged", readings, 0)
    for word, target in zip(targets, asked, strict=True):
        assert word in target or (word == "whole" and "?" not in target)


@pytest.mark.usefixtures("told")
def test_who_was_sent_without_a_name_has_none(lab: School) -> None:
    """84: no name and no mail, but id, status, roles and the student number."""
    rows = lab.sql(
        "SELECT COUNT(*), COUNT(name), COUNT(email), COUNT(status), COUNT(lis_person_sourcedid) > 0 "
        "FROM memberships WHERE registration = 'anonymous'"
    )

    assert rows == [(19, 0, 0, 19, True)]


@pytest.mark.usefixtures("told")
def test_we_ask_as_the_recording_client_did(lab: School) -> None:
    """The headers and the form that this Moodle accepted are those that we send."""
    replay: Any = lab.platforms["whole"]
    (grant,) = [asked for asked in replay.asked if asked.method == "POST"]
    roster = next(asked for asked in replay.roster_requests if asked.target == recording("40_three").target)

    assert sent(roster, "40_three") == dict(recording("40_three").sent)
    expected = {name: value for name, value in recording(TOKEN).sent.items() if name != "body"}
    assert sent(grant, TOKEN) == expected
    assert sorted(grant.form) == sorted(
        part.split("=")[0] for part in recording(TOKEN).sent["body"].split("&")
    )


def sent(asked: Asked, name: str) -> dict[str, str | None]:
    """The headers of *asked* that the recorded request has too."""
    return {each: asked.headers.get(each.lower()) for each in recording(name).sent if each != "body"}


# What was refused

TOKEN_REFUSALS = {
    "08_token_bad_signature": ("refused", 400, 5, "Signature verification failed"),
    "09_token_expired_assertion": ("refused", 400, 5, "Expired token"),
    "13_token_iat_5s_ahead": ("refused", 400, 5, "Cannot handle token with iat prior to"),
    "18_token_wrong_scope": ("scope", 400, 5, "Turn on Names and Role Provisioning"),
    "31_token_kid_unknown": ("refused", 400, 5, "unable to lookup correct key"),
    "95_maintenance_503": ("unreachable", 503, 6, "asks to wait 300 s"),
}
ROSTER_REFUSALS = {
    "66_rlid_other_course": ("malformed", None, 8, "an answer that is not HTTP"),
    "70_no_token": ("refused", 401, 5, "the roster service is off for this tool"),
    "71_bad_token": ("refused", 401, 5, "the roster service is off for this tool"),
    "72_lower_bearer": ("refused", 401, 5, "the roster service is off for this tool"),
    "73_accept_json": ("malformed", 400, 8, "answered 400, which is no roster"),
    "78_accept_v1": ("malformed", None, 8, "a version 1 membership container"),
    "79_accept_params": ("malformed", 400, 8, "answered 400, which is no roster"),
    "90_token_lacks_scope": ("refused", 401, 5, "the roster service is off for this tool"),
    "94_expired_access_token": ("refused", 401, 5, "the roster service is off for this tool"),
    "95_maintenance_503": ("unreachable", 503, 6, "asks to wait 300 s"),
}
REFUSALS = [("token", name, *said) for name, said in TOKEN_REFUSALS.items()] + [
    ("roster", name, *said) for name, said in ROSTER_REFUSALS.items()
]
COURSE_4 = recording("40_three").target
PATIENCE = {"max_attempts": 2, "max_wait": 1}


def refusing(door: str, name: str) -> str:
    """The registration that is refused so."""
    return f"{door}_{name}"


@pytest.fixture(scope="module")
def refused(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """A registration for each refusal, all of them loaded in a first night when nothing was refused yet."""
    with ExitStack() as stack:
        refused = stack.enter_context(School(tmp_path_factory.mktemp("refused"), tool_key))
        for door, name, *_ in REFUSALS:
            replay: Any = stack.enter_context(Replay("40_three"))
            refused.register(refusing(door, name), replay, **PATIENCE)
        replay = stack.enter_context(Replay("40_three"))
        refused.register("sound", replay)
        assert carried_out(refused)["totals"]["complete"] == len(REFUSALS) + 1
        for door, name, *_ in REFUSALS:
            replay = refused.platforms[refusing(door, name)]
            if door == "token":
                replay.grant(name)
            else:
                replay.answer(COURSE_4, name)
        yield refused


@pytest.fixture(scope="module")
def second_night(refused: School) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document of a night in which all but one are refused, and the people before it."""
    before = refused.everything(but=["roster_syncs"])
    return carried_out(refused), before


@pytest.mark.parametrize(("door", "name", "error_type", "http_status", "exit_status", "words"), REFUSALS)
def test_a_recorded_refusal_is_told(
    second_night: tuple[dict[str, Any], Any],
    door: str,
    name: str,
    error_type: str,
    http_status: int | None,
    exit_status: int,
    words: str,
) -> None:
    """The cause, the status and words that help, for the one course of its registration."""
    del exit_status
    told, _ = second_night
    (failure,) = [each for each in told["failures"] if each["registration"] == refusing(door, name)]

    assert (failure["outcome"], failure["error_type"], failure["http_status"]) == (
        "failed",
        error_type,
        http_status,
    )
    assert words in failure["error"]


@pytest.mark.parametrize(("door", "name", "error_type", "http_status", "exit_status", "words"), REFUSALS)
@pytest.mark.usefixtures("second_night")
def test_a_recorded_refusal_alone_decides_the_exit_status(
    refused: School, door: str, name: str, error_type: str, http_status: int, exit_status: int, words: str
) -> None:
    """Refused is 5, not to be reached 6, not to be used 8, where nothing else was read."""
    del error_type, http_status, words

    told = carried_out(refused, registrations=[refusing(door, name)], is_dry=True)

    assert told["exit_status"] == exit_status


def test_recorded_refusals_lose_nobody(refused: School, second_night: tuple[dict[str, Any], Any]) -> None:
    """After a night of refusals every table but `roster_syncs` is as it was; what is sound is read."""
    told, before = second_night

    assert refused.everything(but=["roster_syncs"]) == before
    assert (told["exit_status"], told["totals"]["failed"], told["totals"]["unchanged"]) == (
        3,
        len(REFUSALS),
        1,
    )


@pytest.mark.usefixtures("second_night")
def test_every_refusal_is_recorded(refused: School) -> None:
    """`roster_syncs` has outcome, cause and status of each, and the roster that still counts."""
    rows = refused.sql(
        "SELECT registration, error_type, http_status, roster_sync_id IS NOT NULL FROM roster_syncs "
        "WHERE outcome = 'failed'"
    )

    expected = {(refusing(door, name), *said[:2], True) for door, name, *said in REFUSALS}
    assert set(rows) == expected


def test_a_link_that_is_unknown_is_unavailable(school: School) -> None:
    """65: 404 with a reason is `unavailable`; alone it is no failure."""
    with Replay() as replay:
        replay.add(COURSE_7)
        replay.answer(COURSE_7, "65_rlid_unknown")
        school.platforms.clear()
        school.register("moodle", replay)  # type: ignore[arg-type]

        told = carried_out(school)

    assert (told["exit_status"], told["totals"]["unavailable"]) == (0, 1)
    assert told["failures"][0]["error_type"] == "not_found"


def test_a_token_refused_in_mid_roster_is_renewed_once(school: School) -> None:
    """94, then 01 and 40: an expired token is replaced by a new one and the roster is complete."""
    with Replay("40_three") as replay:
        replay.answer(COURSE_4, "94_expired_access_token", "40_three")
        school.platforms.clear()
        school.register("moodle", replay)  # type: ignore[arg-type]

        told = carried_out(school)

        grants = sum(asked.method == "POST" for asked in replay.asked)
    assert (told["totals"]["complete"], grants) == (1, 2)


def test_an_old_clock_is_named_as_the_likely_cause(school: School) -> None:
    """09 with the date of the recording: the platform's clock is far behind ours, and the message says so."""
    with Replay("40_three", token=["09_token_expired_assertion"], is_dated=True) as replay:
        school.platforms.clear()
        school.register("moodle", replay)  # type: ignore[arg-type]

        told = carried_out(school, is_dry=True)

    assert "This machine's clock is" in told["failures"][0]["error"]
