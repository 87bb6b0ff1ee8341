"""Who leaves and who stays, end to end: E69, E89 to E100, and every branch of the rule on departures."""

from collections.abc import Iterator
from typing import Any

import pytest
from play import LEARNER, Played, Scenario, check, complete, failed, nights, person, unchanged
from replies import Page, Script, body, pages, walks

from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import MOODLE, Course, Exchange, Reply, member
from school import School, crowd

TEACHER = member("tom", ("Instructor",), name="Tom Example", picture="https://p.example/t.png", pronouns="he")
TOM = person("Instructor", name="Tom Example", picture="https://p.example/t.png", extra='{"pronouns":"he"}')
ALONE = {"max_wait": 100}  # options that no other scenario has: a throttle holds the whole registration back
OFF = {"confirm_departures": False}
TWO = [*"abcd"]


def two(*members: Any) -> Script:
    """A roster in two pages, the last one of *members* on the second."""
    return pages(members[:-1], members[-1:])


def drops(name: str, before: int, after: int, readings: int, **options: Any) -> Scenario:
    """A roster on one page that shrinks from *before* to *after* people."""
    return Scenario(
        name,
        (
            complete(crowd(before), readings=1, departures=0),
            complete(crowd(after), departures=before - after, readings=readings, member_count=after),
        ),
        manner=MOODLE,
        options=options,
    )


def second(name: str, *nights_: Any, **rest: Any) -> Scenario:
    """A scenario that begins with four people on two pages."""
    return Scenario(name, (complete(two(*TWO), TWO), *nights_), **rest)


SCENARIOS = [
    # Several pages
    second(
        "E89 a departure over several pages is confirmed",
        complete(two(*"abc"), [*"abc"], departures=1, readings=2),
    ),
    second(
        "a member missing from the first reading alone stays",
        unchanged(walks(two(*"abd"), two(*"abcd")), TWO, readings=2, departures=0),
        complete(two(*"abd"), [*"abd"], readings=2, departures=1),
    ),
    second(
        "a member missing from the second reading alone stays",
        complete(walks(two(*"abc"), two(*"ab")), [*"abc"], readings=2, departures=1),
    ),
    second(
        "two members each missing from another reading stay both",
        unchanged(walks(two(*"abd"), two(*"abc")), TWO, readings=2, departures=0),
    ),
    second(
        "the second reading's values are taken, the first's where it has none",
        complete(
            walks(
                two(member("a", name="First"), member("b", name="First"), "d"),
                two(member("a", name="Second"), "d"),
            ),
            {"a": {**LEARNER, "name": "Second"}, "b": {**LEARNER, "name": "First"}, "d": LEARNER},
            readings=2,
            departures=1,
        ),
    ),
    second(
        "a second reading that fails fails the roster",
        failed(walks(two(*"abc"), pages(["a"], body("", 404))), "not_found", TWO),
    ),
    second(
        "a second reading that loops fails the roster",
        failed(walks(two(*"abc"), pages(["a"], Page(["b"], links=['<?page=2>; rel="next"']))), "looped", TWO),
    ),
    second(
        "a second reading that is no roster fails the roster",
        failed(walks(two(*"abc"), pages(body("<html>"))), "malformed", TWO),
    ),
    second(
        "a second reading of another course fails the roster",
        failed(walks(two(*"abc"), pages(Page(["a"], context={"id": "other"}))), "malformed", TWO),
    ),
    second(
        "a second reading that is throttled away fails the roster",
        failed(walks(two(*"abc"), pages(body("", 429, Retry_After="9999"))), "throttled", TWO),
        options=ALONE,
    ),
    second(
        "Deleted in one of two readings is absent from that one alone",
        complete(
            walks(two(*"abc"), two("a", "b", member("c", status="Deleted"))),
            [*"abc"],
            readings=2,
            departures=1,
        ),
    ),
    second(
        "pages cut from another order at every reading tell nobody's departure",
        unchanged(walks(two(*"aba"), two(*"bab"), two(*"aca"), two(*"cbc")), TWO, readings=4, departures=0),
        unchanged(walks(two(*"aba"), two(*"cdc")), TWO, readings=2, departures=0),
    ),
    second(
        "a list that never rests still shows who came",
        complete(
            walks(two(*"aba"), two(*"bab"), two(*"aea"), two(*"ebe")), [*"abcde"], readings=4, departures=0
        ),
    ),
    second(
        "a list that moves twice is read a third time",
        complete(walks(two(*"zabb"), two(*"yzaa"), two(*"yzab")), [*"yzab"], readings=3, departures=2),
    ),
    second(
        "people on two pages in both readings are enrolled twice",
        complete(two(*"abca"), [*"abc"], readings=2, departures=1),
    ),
    second(
        "an arrival over several pages needs no second reading",
        complete(two(*"abcde"), [*"abcde"], readings=1, departures=0),
    ),
    second(
        "a changed name over several pages needs no second reading",
        complete(two("a", "b", "c", member("d", name="D")), TWO, readings=1),
    ),
    second(
        "confirm_departures = false takes one reading",
        complete(two(*"abc"), [*"abc"], departures=1, readings=1),
        options=OFF,
    ),
    # One page
    Scenario(
        "E89 a departure from one page needs no second reading",
        (complete(TWO), complete([*"abc"], departures=1, readings=1)),
    ),
    drops("E96 a drop of 20 and exactly a third is confirmed", 60, 40, 2),
    drops("E96 a drop of 20, less than a third, is taken", 61, 41, 1),
    drops("E96 a drop of 19, more than a third, is taken", 50, 31, 1),
    drops("E96 a drop of 20 is taken where confirm_departures is false", 30, 10, 1, confirm_departures=False),
    Scenario(
        "E96 a large drop that the second reading does not show is none",
        (
            complete(crowd(60)),
            unchanged(walks(pages(crowd(30)), pages(crowd(60))), crowd(60), readings=2, departures=0),
        ),
    ),
    Scenario(
        "E96 a large drop whose second reading fails changes nothing",
        (
            complete(crowd(60)),
            failed(walks(pages(crowd(30)), pages(body("", 404))), "not_found", crowd(60), outcome="failed"),
        ),
    ),
    Scenario("E21 an emptied roster is confirmed", (complete(["a"]), complete([], departures=1, readings=2))),
    Scenario(
        "E21 an emptied roster that the second reading does not show is none",
        (
            complete(["a"]),
            unchanged(walks(pages([]), pages(["a"])), ["a"], readings=2),
            complete(walks(pages([]), pages(["b"])), ["b"], departures=1, readings=2),
        ),
    ),
    Scenario(
        "E21 an emptied roster is taken at once where confirm_departures is false",
        (complete(["a"]), complete([], departures=1, readings=1)),
        options=OFF,
    ),
    Scenario(
        "E21 E97 everybody Deleted is an emptied roster",
        (complete(["a"]), complete([member("a", status="Deleted")], [], departures=1, readings=2)),
    ),
    # Completeness
    Scenario(
        "E91 a status that is always Active: absence alone tells",
        (complete([*"ab"]), complete([*"a"], departures=1), complete([*"ab"], departures=0)),
    ),
    Scenario(
        "E92 E93 a member who returns is back under the same key",
        (
            complete([*"ab"]),
            complete(["b"], departures=1),
            complete(
                [member("a", name="A"), "b"], {"a": {**LEARNER, "name": "A"}, "b": LEARNER}, departures=0
            ),
        ),
    ),
    Scenario(
        "E94 a platform that shows few of its members is taken at its word",
        (complete(["a"]), complete([*"abc"], departures=0)),
    ),
    Scenario("E95 an anonymous deployment whose roster is empty", (complete([]), unchanged([]))),
    Scenario(
        "E95 an anonymous deployment whose roster is refused",
        (complete(["a"]), failed(pages(body("no", 403)), "refused", ["a"]), unchanged(["a"])),
    ),
    Scenario(
        "E97 a concluded course with its teacher alone",
        (
            complete([*crowd(30), TEACHER], {"tom": TOM, **{f"u{n}": LEARNER for n in range(30)}}),
            complete([TEACHER], {"tom": TOM}, departures=30, readings=2),
        ),
    ),
    Scenario(
        "E97 a concluded course whose roster is no longer offered",
        (
            complete(["a"]),
            failed(pages(body("", 404)), "not_found", ["a"], outcome="unavailable"),
            unchanged(["a"]),
        ),
    ),
    Scenario(
        "E97 a course that is gone for good",
        (complete(["a"]), failed(pages(body("", 410)), "not_found", ["a"], outcome="unavailable")),
    ),
    Scenario(
        "E99 a picture whose address changes at every fetch is unchanged",
        tuple(
            kind([member("a", picture=f"https://p.example/a.png?token={kind.__name__}")], ["a"])
            for kind in (complete, unchanged)
        ),
    ),
    Scenario(
        "E100 a move between sections is no departure",
        (
            complete(
                [member("a", group_enrollments=[{"group_id": "1"}])],
                {"a": {"extra": '{"group_enrollments":[{"group_id":"1"}]}'}},
            ),
            complete(
                [member("a", group_enrollments=[{"group_id": "2"}])],
                {"a": {"extra": '{"group_enrollments":[{"group_id":"2"}]}'}},
                departures=0,
            ),
        ),
    ),
]


@pytest.fixture(scope="module")
def played(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Every scenario of this module, played."""
    with nights(tmp_path_factory.mktemp("departures"), tool_key, SCENARIOS) as played:
        yield played


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_tables_hold_what_they_must(played: Played, scenario: Scenario) -> None:
    """After every night the tables hold exactly what the scenario says."""
    check(played, scenario)


# A roster that moves while it is walked


def moodle(school: School, members: list[str]) -> Course:
    """A course of a Moodle that is asked for two members a page."""
    platform = school.open("moodle", MOODLE, page_size=2, max_attempts=2)
    del school.platforms["canvas"], school.options["canvas"]
    return platform.add(Course("c1", members=[member(each) for each in members]))


def between_pages(change: Any) -> Script:
    """Change the roster once, when the second page is asked for: the rest shifts by one (E69)."""
    changes = [change]

    def script(exchange: Exchange) -> Reply | None:
        if exchange.query.get("from") == "2" and changes:
            changes.pop()(exchange.course)
        return None

    return script


def test_member_shifted_off_a_page_is_not_dropped(school: School) -> None:
    """E69: ann leaves while the roster is walked, eve is shifted off every page and stays."""
    course = moodle(school, ["ann", "ben", "eve", "kim", "zoe"])
    school.run()
    course.script = between_pages(lambda course: course.members.pop(0))

    shifted = school.run()

    assert shifted.sync("c1").roster.readings == 2
    assert school.members("c1", "moodle") == {"ann", "ben", "eve", "kim", "zoe"}
    assert school.run().sync("c1").roster.departures == 1
    assert school.members("c1", "moodle") == {"ben", "eve", "kim", "zoe"}


def test_arrival_that_shifts_a_page_is_not_missed(school: School) -> None:
    """E69: an arrival that sorts first makes a double, so that a second reading finds her."""
    course = moodle(school, ["ben", "eve", "kim"])
    course.script = between_pages(lambda course: course.members.insert(0, member("ann")))

    run = school.run()

    assert run.sync("c1").roster.readings == 2
    assert school.members("c1", "moodle") == {"ann", "ben", "eve", "kim"}


def test_arrival_that_hides_behind_an_unchanged_roster_comes_the_next_night(school: School) -> None:
    """E69: pages that show what is known are not read twice; the arrival they hid is there next time."""
    course = moodle(school, ["ben", "eve", "kim"])
    school.run()
    course.script = between_pages(lambda course: course.members.insert(0, member("ann")))

    assert school.run().outcomes == {"c1": "unchanged"}

    assert school.run().outcomes == {"c1": "complete"}
    assert school.members("c1", "moodle") == {"ann", "ben", "eve", "kim"}


def test_member_shifted_off_a_page_at_the_first_reading_comes_the_next_night(school: School) -> None:
    """E69: of a course never read nobody can be dropped; who was shifted off is there the next night."""
    course = moodle(school, ["ann", "ben", "eve", "kim", "zoe"])
    course.script = between_pages(lambda course: course.members.pop(0))
    school.run()

    school.run()

    assert school.members("c1", "moodle") == {"ben", "eve", "kim", "zoe"}


# A role filter decides nothing about those whom it cannot show


def filtered(school: School, members: list[Any], **options: Any) -> Any:
    """Change the course's members and run with *options*; returns the sync."""
    school.add("c1", members)
    return school.run(**options).sync("c1")


LEARNERS = [member("ann"), member("ben"), member("eve")]


def test_filter_leaves_others_untouched(school: School) -> None:
    """E90: a run for learners alone keeps the teacher, in every column, and drops a learner who left."""
    filtered(school, [*LEARNERS, TEACHER])
    teacher = "SELECT * EXCLUDE (sync_id, synced_at, _dlt_load_id) FROM memberships WHERE user_id = 'tom'"
    before = school.sql(teacher)

    sync = filtered(school, LEARNERS[:2], role="Learner")

    assert sync.roster.departures == 1
    assert school.sql(teacher) == before
    assert school.roster("c1") == {
        "ann": ("Active", ("Learner",)),
        "ben": ("Active", ("Learner",)),
        "tom": ("Active", ("Instructor",)),
    }


def test_filter_is_not_a_departure(school: School) -> None:
    """E90: those whom the filter hides are no departures, and the member count counts them."""
    filtered(school, [*LEARNERS, TEACHER])

    sync = filtered(school, [*LEARNERS, TEACHER], role="Instructor")

    assert sync.roster.departures == 0
    assert school.members("c1") == {"ann", "ben", "eve", "tom"}
    assert school.sql(
        "SELECT member_count, role_filter FROM roster_syncs WHERE sync_id = ?", sync.sync_id
    ) == [(4, "http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor")]


def test_filtered_roster_is_unchanged_the_next_night(school: School) -> None:
    """E90: the second run under the same filter writes nothing but its sync."""
    filtered(school, [*LEARNERS, TEACHER], role="Learner")
    before = school.everything(but=["roster_syncs"])

    sync = filtered(school, [*LEARNERS, TEACHER], role="Learner")

    assert sync.outcome == "unchanged"
    assert school.everything(but=["roster_syncs"]) == before


def test_everybody_of_the_filter_left(school: School) -> None:
    """E90: a filtered reading that shows nobody is confirmed; then those of the filter leave."""
    filtered(school, [*LEARNERS, TEACHER])

    sync = filtered(school, [TEACHER], role="Learner")

    assert (sync.roster.readings, sync.roster.departures) == (2, 3)
    assert school.members("c1") == {"tom"}


def test_nobody_of_the_filter_was_there(school: School) -> None:
    """E90: a filter that nobody on the roster ever matched takes nobody away."""
    filtered(school, LEARNERS)

    sync = filtered(school, LEARNERS, role="Mentor")

    assert (sync.roster.readings, sync.roster.departures) == (2, 0)
    assert school.members("c1") == {"ann", "ben", "eve"}


def test_dropping_the_filter_brings_everybody_back_in_view(school: School) -> None:
    """E90: after a filtered run an unfiltered one decides about everybody again."""
    filtered(school, [*LEARNERS, TEACHER], role="Learner")
    assert school.members("c1") == {"ann", "ben", "eve"}

    sync = filtered(school, [*LEARNERS[1:], TEACHER])

    assert sync.roster.departures == 1
    assert school.members("c1") == {"ben", "eve", "tom"}


# Where the roster is asked for


def test_new_url_of_a_course_is_the_same_course(school: School) -> None:
    """E98: another memberships URL for the same context goes on with its roster, under the same key."""
    school.add("c1", ["ann", "ben"], title="Biology")
    school.run()
    school.platform.add(Course("c1", key="moved", members=[member("ann")]))
    del school.platform.courses["c1"]

    run = school.run()

    assert run.sync("c1").roster.departures == 1
    assert school.members("c1") == {"ann"}
    assert school.sql("SELECT context_id, title, memberships_url, delisted_at FROM contexts") == [
        ("c1", "Biology", school.urls()[0], None)
    ]


def test_failing_course_is_alone(school: School) -> None:
    """E70 E136: of three courses the one that breaks off keeps its roster, the others change."""
    for key in ("c1", "c2", "c3"):
        school.add(key, ["ann", "ben"])
    school.run()
    school.add("c1", ["ann"])
    school.add("c2", script=pages(["zoe"], body("", 404)))
    school.add("c3", ["ann", "ben", "zoe"])

    run = school.run()

    assert run.outcomes == {"c1": "complete", "c2": "failed", "c3": "complete"}
    assert [school.members(key) for key in ("c1", "c2", "c3")] == [
        {"ann"},
        {"ann", "ben"},
        {"ann", "ben", "zoe"},
    ]
