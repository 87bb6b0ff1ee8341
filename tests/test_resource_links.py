"""Resource links, end to end: read beside their course, a subset that decides nothing about it (NRPS §3)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from replies import Page, body, pages

from commands import carried_out
from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import (
    BLACKBOARD,
    CANVAS,
    MOODLE,
    OPEN_EDX,
    SCHOOLOGY,
    Course,
    Exchange,
    Manner,
    Reply,
    member,
)
from lti_rosters.rosters.fingerprint import context_key
from replay import Replay, recording
from school import LINKS, Run, School, crowd

MESSAGE = [{"https://purl.imsglobal.org/spec/lti/claim/custom": {"z": "1", "a": [1, None, "é"]}}]


def linked(school: School, *links: str, course: str = "c1", **columns: Any) -> None:
    """Let the catalogue name the course's *links*, beside nothing else."""
    name = next(iter(school.platforms))
    url = school.platform.memberships_url(course)
    school.catalogue[name] = [{"memberships_url": url, "resource_link_id": link, **columns} for link in links]


def only(script: Any, link: str = "r1") -> Any:
    """Answer the requests for *link*, and for further pages, with *script*, all others as usual."""
    return lambda exchange: (
        script(exchange) if exchange.query.get("rlid") == link or "page" in exchange.query else None
    )


def enrol(school: School) -> None:
    """A course of three of whom two reach the link `r1`, and everybody `r2`."""
    school.platform.courses.clear()
    school.add("c1", ["ann", "ben", "eve"], links={"r1": ["ann", "ben"], "r2": None})
    linked(school, "r1", "r2")


@pytest.fixture(scope="module")
def loaded(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """A school that has read them once."""
    with School(tmp_path_factory.mktemp("loaded"), tool_key) as school:
        school.open("canvas", max_attempts=2)
        enrol(school)
        school.run()
        yield school


@pytest.fixture
def three(loaded: School, tmp_path: Path) -> School:
    """The same school, free to go its own way."""
    enrol(loaded)
    return loaded.fork(tmp_path / "forked")


def test_a_row_with_a_link_reads_the_course_and_the_link(three: School) -> None:
    """The course is whole in `memberships`, the links have rows and attempts of their own."""
    assert three.members("c1") == {"ann", "ben", "eve"}
    assert (set(three.link("c1", "r1")), set(three.link("c1", "r2"))) == (
        {"ann", "ben"},
        {"ann", "ben", "eve"},
    )
    attempts = three.sql(
        "SELECT resource_link_id, context_id, outcome, member_count, roster_sync_id = sync_id FROM roster_syncs"
        " ORDER BY resource_link_id NULLS FIRST"
    )
    assert attempts == [
        (None, "c1", "complete", 3, True),
        ("r1", "c1", "complete", 2, True),
        ("r2", "c1", "complete", 3, True),
    ]


def test_several_links_of_one_course_read_the_course_once(three: School) -> None:
    """Two links make three requests: the course, and each link with its own `rlid`."""
    three.platform.forget()
    three.run()

    asked = [exchange.query.get("rlid") for exchange in three.platform.roster_requests]

    assert asked == [None, "r1", "r2"]


def test_a_subset_takes_nobody_out_of_the_course(three: School) -> None:
    """The history holds the course's readings alone, whatever the links leave out."""
    three.platform.courses["c1"].links["r1"] = []

    run = three.run()

    assert run.outcomes == {"c1": "unchanged"}
    assert (run.links["r1"].outcome, run.links["r1"].roster and run.links["r1"].roster.departures) == (
        "complete",
        2,
    )
    assert three.members("c1") == {"ann", "ben", "eve"}
    assert (three.link("c1", "r1"), len(three.link("c1", "r2"))) == ({}, 3)
    assert three.sql("SELECT count(*) FROM membership_log") == [(3,)]


def test_unchanged_links_write_no_rows(three: School) -> None:
    """An unchanged link notes its attempt and refers to the one whose rows stand."""
    (before,) = three.sql(f"SELECT max(_dlt_load_id) FROM {LINKS}")

    run = three.run()

    assert [sync.outcome for sync in run.syncs] == ["unchanged"] * 3
    assert three.sql(f"SELECT max(_dlt_load_id) FROM {LINKS}") == [before]
    assert three.sql(
        "SELECT count(DISTINCT roster_sync_id), count(*) FROM roster_syncs WHERE resource_link_id IS NOT NULL"
    ) == [(2, 4)]


def test_full_writes_unchanged_links_again(three: School) -> None:
    """`full` brings the newest messages, which no hash covers."""
    run = three.run(full=True)

    assert {link: sync.outcome for link, sync in run.links.items()} == {"r1": "complete", "r2": "complete"}
    assert set(three.link("c1", "r1")) == {"ann", "ben"}


FAULTS = {
    "cut": (pages(crowd(3), body(b'{"members": [')), "malformed"),
    "down": (lambda _: body("", 503), "unreachable"),
    "looped": (pages(Page(["ann"], links=['<?page=1>; rel="next"'])), "looped"),
    "of another course": (pages(Page(["zoe"], context={"id": "c2"})), "malformed"),
    "no roster": (lambda _: body({"id": "x"}), "malformed"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_link_that_fails_changes_nothing(three: School, name: str) -> None:
    """Its rows stay, its attempt says why, and the course and the other link are read all the same."""
    script, error_type = FAULTS[name]
    three.platform.courses["c1"].script = only(script)
    before = three.everything(but=["roster_syncs"])

    told = carried_out(three)

    assert three.everything(but=["roster_syncs"]) == before
    assert told["exit_status"] == 3
    (failure,) = told["failures"]
    assert (failure["resource_link_id"], failure["error_type"]) == ("r1", error_type)
    assert (told["totals"]["failed"], told["totals"]["links"], told["totals"]["unchanged"]) == (0, 1, 1)


def test_a_failed_course_leaves_its_links(three: School) -> None:
    """Where the course cannot be asked, its links are not: their rows stay and say so."""
    three.platform.courses["c1"].script = lambda _: body("", 404)
    before = three.everything(but=["roster_syncs", "contexts"])

    run = three.run()

    assert run.links["r1"].outcome == "unavailable"
    assert "not asked" in (run.links["r1"].error or "")
    assert three.everything(but=["roster_syncs", "contexts"]) == before


def test_delisted_links_leave(three: School) -> None:
    """A link that the whole catalogue no longer names has no rows any more; the course stays."""
    linked(three, "r2")

    three.run()

    assert (three.link("c1", "r1"), len(three.link("c1", "r2"))) == ({}, 3)
    three.catalogue["canvas"] = three.urls()
    three.run()
    assert three.sql(f"SELECT * FROM {LINKS}") == []
    assert three.members("c1") == {"ann", "ben", "eve"}


@pytest.mark.parametrize("arguments", [{"context_ids": ["c2"]}, {"limit": 0}])
def test_part_of_a_catalogue_delists_no_link(three: School, arguments: dict[str, Any]) -> None:
    """A run over some courses cannot tell that a link is gone."""
    three.add("c2", ["zoe"])
    three.catalogue["canvas"] = [three.platform.memberships_url("c2")]
    three.catalogue["canvas"].append(three.platform.memberships_url("c1"))

    three.run(**arguments)

    assert len(three.link("c1", "r1")) == 2


def test_a_returning_link_is_written_again(three: School) -> None:
    """Rows that were taken away come back, though the roster is the one committed last."""
    linked(three, "r2")
    three.run()
    linked(three, "r1", "r2")

    run = three.run()

    assert run.links["r1"].outcome == "complete"
    assert set(three.link("c1", "r1")) == {"ann", "ben"}


def test_half_written_link_is_written_again(three: School) -> None:
    """Rows of a link that are not those of its sync are no roster to be unchanged."""
    three.sql(f"DELETE FROM {LINKS} WHERE user_id = 'ann' AND resource_link_id = 'r1'")

    three.run()

    assert set(three.link("c1", "r1")) == {"ann", "ben"}


# Messages

MESSAGES = {
    "list": (MESSAGE, json.dumps(MESSAGE, ensure_ascii=False, separators=(",", ":"))),
    "object": (MESSAGE[0], json.dumps(MESSAGE[0], ensure_ascii=False, separators=(",", ":"))),
    "empty": ([], "[]"),
    "absent": (None, None),
}


def test_messages_are_kept_whole(school: School) -> None:
    """E13: a list, an object and an empty list stay what they are, keys in their order; none is NULL."""
    people = [member(name, message=sent) for name, (sent, _) in MESSAGES.items()]
    school.add("c1", [*people, member("none"), member("two", message=[1]), member("two")], links={})
    school.platform.courses["c1"].script = only(pages([*people, member("none"), member("two", message=[1])]))
    linked(school, "r1")

    school.run()

    stored = dict(school.sql(f"SELECT user_id, message FROM {LINKS}"))
    expected = {name: text for name, (_, text) in MESSAGES.items()}
    assert stored == {**expected, "none": None, "two": "[1]"}
    assert "message" not in {name for name, *_ in school.sql("DESCRIBE memberships")}


def test_a_message_of_its_own_each_time_is_no_change(school: School) -> None:
    """E99: Moodle's handle differs on every fetch; an unchanged roster stays unchanged."""
    moodle = school.open("moodle", MOODLE)
    moodle.add(school.add("c1", ["ann"], links={"7": None}))
    school.catalogue = {
        "moodle": [{"memberships_url": moodle.memberships_url("c1"), "resource_link_id": "7"}],
        "canvas": [],
    }
    school.run()
    first = school.link("c1", "7", "moodle")

    run = school.run()

    assert run.links["7"].outcome == "unchanged"
    assert school.link("c1", "7", "moodle") == first
    assert "lis_result_sourcedid" in json.dumps(first)


# Platforms that do not offer it


def told_by(school: School, manner: Manner) -> dict[str, Any]:
    """What a run says of a platform of *manner*, asked for the link `r9` of a course of two."""
    school.platforms.pop("canvas")
    school.open("other", manner).add(Course("c1", members=[member("ann"), member("ben")]))
    linked(school, "r9")
    return carried_out(school)


@pytest.mark.parametrize("manner", [SCHOOLOGY, CANVAS, BLACKBOARD], ids=lambda manner: manner.name)
def test_a_platform_that_refuses_a_link_is_told(school: School, manner: Manner) -> None:
    """E74, E76: a refusal of the link alone is `unavailable`: told among the failures, with exit 0."""
    told = told_by(school, manner)

    (failure,) = told["failures"]
    assert (failure["resource_link_id"], failure["outcome"], told["exit_status"]) == ("r9", "unavailable", 0)
    assert school.members("c1") == {"ann", "ben"}


@pytest.mark.parametrize("identity", ["keep", "pseudonymize", "drop"])
def test_a_platform_that_ignores_links_is_told(school: School, identity: str) -> None:
    """Everybody and no message: a warning says what that may mean, whatever is stored of members."""
    school.shared = {"identity": identity, "identity_secret": "s" * 32, "identity_key_id": "k1"}
    told = told_by(school, OPEN_EDX)

    assert (told["failures"], told["exit_status"]) == ([], 0)
    (warning,) = told["warnings"]
    assert "seems to ignore the resource link's id" in warning
    assert school.sql("SELECT error_type, error IS NULL FROM roster_syncs WHERE resource_link_id = 'r9'") == [
        (None, False)
    ]
    assert len(school.link("c1", "r9")) == 2


@pytest.mark.parametrize("identity", ["keep", "pseudonymize"])
def test_a_link_of_everybody_with_messages_is_not_suspected(school: School, identity: str) -> None:
    """A platform that sends messages knows the link, also where none of them is stored."""
    school.shared = {"identity": identity, "identity_secret": "s" * 32, "identity_key_id": "k1"}
    school.add("c1", ["ann", "ben"], links={"r1": None})
    linked(school, "r1")

    assert carried_out(school)["warnings"] == []


def test_a_link_that_is_refused_with_the_token_fails_no_course(three: School) -> None:
    """NRPS §3.1: a link that is not the tool's is denied, by whatever status."""
    three.platform.courses["c1"].script = only(lambda _: body({"error": "no"}, 403))

    run = three.run()

    assert (run.outcomes, run.links["r1"].outcome) == ({"c1": "unchanged"}, "unavailable")
    assert (run.links["r1"].http_status, run.links["r1"].error_type) == (403, "refused")
    assert set(three.link("c1", "r1")) == {"ann", "ben"}


# Catalogues


def test_launches_ask_for_no_links(school: School) -> None:
    """Every launch carries a link's id; only a row that names one asks for it."""
    from test_catalogue import launch

    school.add("c1", ["ann"], links={"l1": None})
    claims = launch(school.platform.memberships_url("c1"))
    school.catalogue["canvas"] = [claims]

    run = school.run()

    assert (run.outcomes, run.links) == ({"c1": "complete"}, {})


def test_a_url_with_the_rlid_of_another_link_is_refused(school: School) -> None:
    """E64: the address would win over the row, and another link's people would stand for this one's."""
    school.add("c1", ["ann"], links={"r1": None, "r2": None})
    url = school.platform.memberships_url("c1") + "?rlid=r2"
    school.catalogue["canvas"] = [{"memberships_url": url, "resource_link_id": "r1"}]

    run = school.run()

    assert (run.links["r1"].outcome, run.links["r1"].error_type) == ("failed", "configuration")


def test_one_link_under_two_addresses_is_written_once(school: School) -> None:
    """Two entries that are one course: its link has one set of rows, the other entry notes a double."""
    school.add("c1", ["ann"], links={"r1": None})
    url = school.platform.memberships_url("c1")
    school.catalogue["canvas"] = [
        {"memberships_url": address, "resource_link_id": "r1"} for address in (url, url + "?placement_id=2")
    ]

    run = school.run(concurrency=1)

    outcomes = sorted((sync.outcome, sync.error_type or "") for sync in run.syncs if sync.is_link)
    assert outcomes == [("complete", ""), ("unchanged", "duplicate_context")]
    assert set(school.link("c1", "r1")) == {"ann"}


def test_a_departure_from_a_paged_link_is_confirmed(three: School) -> None:
    """Somebody missing from several pages is read for once more, as in a course."""
    readings: list[int] = []

    def script(exchange: Exchange) -> Reply | None:
        if exchange.query.get("page", "1") == "1":
            readings.append(1)
        names = ["ann", "ben"] if len(readings) == 2 else ["ann", "kim"]
        return pages([names[0]], [names[1]])(exchange)

    three.platform.courses["c1"].script = only(script)

    three.run()

    assert (len(readings), set(three.link("c1", "r1"))) == (2, {"ann", "ben", "kim"})


def test_a_role_filter_holds_for_links(school: School) -> None:
    """The role is sent with the link's id and applied on our side; what it shows first is looked at without."""
    teacher = member("tom", ["Instructor"])
    school.add("c1", [member("ann"), teacher], links={"r1": None})
    school.platform.courses["c1"].script = only(pages([member("ann"), teacher]))
    linked(school, "r1")

    school.run(role="instructor")

    assert (set(school.link("c1", "r1")), school.members("c1")) == ({"tom"}, {"tom"})
    asked = [("rlid" in each.query, "role" in each.query) for each in school.platform.roster_requests]
    assert asked == [(False, True), (False, False), (True, True), (True, False)]

    school.run(role="instructor")

    asked = [("rlid" in each.query, "role" in each.query) for each in school.platform.roster_requests]
    assert asked[4:] == [(False, True), (True, True)]


def test_a_link_of_a_context_without_an_id_stays_with_its_course(school: School) -> None:
    """Where only the course's answer names the context, the link's rows bear that name too."""
    school.add("c1", ["ann"], script=only(pages(Page(["ann"], context=None))))
    linked(school, "r1")

    school.run()

    assert school.sql(f"SELECT DISTINCT context_key FROM {LINKS}") == [(context_key("canvas", "c1"),)]


# What a real Moodle answered


@pytest.fixture(scope="module")
def recorded(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[School, Run]]:
    """Courses of Moodle's with their recorded links, each its own registration."""
    names = {
        "full": ("62_rlid_full", ["62_rlid_full"]),
        "restricted": ("63_rlid_restricted", ["63_rlid_restricted"]),
        "unknown": ("65_rlid_unknown", ["65_rlid_unknown"]),
        "other": ("66_rlid_other_course", ["66_rlid_other_course"]),
    }
    with School(tmp_path_factory.mktemp("links"), tool_key) as school:
        opened: list[Replay] = []
        for name, (link, answers) in names.items():
            replay = Replay()
            path, _, query = recording(link).target.partition("?")
            replay.add(path)
            replay.answer(path, "50_c250_p3" if "/5/" in path else "43_mix")
            replay.answer(recording(link).target, *answers)
            opened.append(replay)
            school.register(name, replay.__enter__(), max_attempts=1)  # type: ignore[arg-type]
            rlid = query.removeprefix("rlid=")
            school.catalogue[name] = [
                {"memberships_url": replay.memberships_url(path.split("/")[5]), "resource_link_id": rlid}
            ]
        yield school, school.run()
        for replay in opened:
            replay.__exit__(None)


def test_recorded_links(recorded: tuple[School, Run]) -> None:
    """62, 63, 65, 66: whole, restricted to a group, unknown, and refused in what is no HTTP."""
    _, run = recorded

    outcomes = {
        sync.facts.registration: (sync.outcome, sync.error_type) for sync in run.syncs if sync.is_link
    }
    assert outcomes == {
        "full": ("complete", None),
        "restricted": ("complete", None),
        "unknown": ("unavailable", "not_found"),
        "other": ("failed", "malformed"),
    }


def test_recorded_members_have_their_messages(recorded: tuple[School, Run]) -> None:
    """63: 103 people reach the restricted link, each with a message that stays whole."""
    school, _ = recorded
    replay = school.platforms["restricted"]
    text = recording("63_rlid_restricted").answer(replay.origin, is_dated=True).partition(b"\r\n\r\n")[2]
    sent = {each["user_id"]: each["message"] for each in json.loads(text)["members"]}

    stored = school.sql(f"SELECT user_id, message FROM {LINKS} WHERE registration = 'restricted'")

    assert len(stored) == 103
    assert {name: json.loads(message) for name, message in stored} == sent
