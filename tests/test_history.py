"""The models of the history: rosters in, rows out; building on gives what building anew gives."""

import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lti_rosters.runs.models import Built, Warehouse, build
from models.raw_tables import (
    BROKEN_OFF,
    INSTITUTION_STUDENT,
    INSTRUCTOR,
    LEARNER,
    MENTOR,
    NON_CREDIT_LEARNER,
    TEACHING_ASSISTANT,
    TEST_USER,
    UNKNOWN,
    RawTables,
    context_key,
    is_learner,
    moment,
    primary_role,
)

AS_OF = moment("11-11 18:00")
MARTS = ("active_learners_daily", "membership_history", "roster_changes")
OF_THEN = tuple(f"+{mart}" for mart in MARTS)  # what there is to build where only these are looked at
Row = tuple[Any, ...]
Ask = Callable[[str, str, str], list[Row]]


def rows(path: Path, query: str, *, zone: str = "UTC") -> list[Row]:
    """Return what *query* gives in a session of that time zone."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"set TimeZone = '{zone}'")
        return connection.execute(query).fetchall()


def made(path: Path, **options: Any) -> Built:
    """Build the models in the database at *path*."""
    return build(Warehouse(adapter="duckdb", path=path), work_dir=path.parent, **{"as_of": AS_OF} | options)


def nights() -> RawTables:
    """Return the courses by which the history was agreed, and one of registration `h` for each other rule."""
    raw = RawTables()
    busy(raw)
    readings(raw)
    presences(raw)
    odd_courses(raw)
    return raw


def busy(raw: RawTables) -> None:
    """Add the busy course, night by night, and those that were read once."""
    raw.context("a", "busy")
    people: dict[str, tuple[str, ...]] = {
        "ann": (LEARNER,),
        "bob": (LEARNER,),
        "dan": (LEARNER, INSTRUCTOR),
        "eve": (INSTRUCTOR,),
        "fay": (LEARNER, TEST_USER),
        "gil": (MENTOR,),
        "ivy": (INSTITUTION_STUDENT,),
        "jon": (LEARNER,),
        "kim": (TEACHING_ASSISTANT,),
        "lee": (UNKNOWN,),
        "ned": (LEARNER,),
    }
    raw.roster("a", "busy", "11-01 12:00", people)
    people["hal"] = (NON_CREDIT_LEARNER,)
    raw.roster("a", "busy", "11-02 12:00", people)
    raw.roster("a", "busy", "11-03 09:00", people | {"mia": (LEARNER,)})
    raw.roster("a", "busy", "11-03 17:00", people)
    people["ned"] = (LEARNER, NON_CREDIT_LEARNER)
    raw.roster("a", "busy", "11-04 12:00", people)
    raw.roster("a", "busy", "11-05 12:00", people, statuses={"bob": "Inactive"})
    del people["jon"]
    raw.roster("a", "busy", "11-08 12:00", people, statuses={"bob": "Inactive"})
    for registration, context_id in (("a", "stale"), ("a", "failing"), ("b", "busy")):
        raw.context(registration, context_id)
        raw.roster(registration, context_id, "11-01 12:00", {"zed": (LEARNER,)})
    raw.sync("a", "failing", "11-10 12:00", "failed", error_type="unreachable")
    raw.context("a", "never")
    raw.sync("a", "never", "11-10 12:00", "failed", error_type="refused")


def readings(raw: RawTables) -> None:
    """Add courses whose later readings say less than they seem to."""
    for context_id in ("failed", "uncommitted", "partial", "linked"):
        raw.context("h", context_id)
        raw.roster("h", context_id, "11-01 12:00", {"ann": (LEARNER,), "bob": (LEARNER,)})
    for day, outcome in enumerate(("failed", "unavailable", "too_large", "unchanged"), start=2):
        raw.sync("h", "failed", f"11-0{day} 12:00", outcome)
    raw.roster("h", "failed", "11-06 12:00", {"bob": (LEARNER,)})
    raw.roster("h", "uncommitted", "11-02 12:00", {}, standing=(), _dlt_load_id=BROKEN_OFF)
    raw.roster("h", "partial", "11-02 12:00", {"ann": (LEARNER,)}, standing=(), member_count=2)
    raw.roster("h", "linked", "11-02 12:00", {"ann": (LEARNER,)}, standing=(), resource_link_id="link")


def presences(raw: RawTables) -> None:
    """Add courses where people come, go and change."""
    for context_id in ("returns", "emptied", "empty_first", "promoted", "suspended", "blink", "both"):
        raw.context("h", context_id)
    eve = {"eve": (INSTRUCTOR,)}
    raw.roster("h", "returns", "11-01 12:00", eve | {"ann": (LEARNER,)})
    raw.roster("h", "returns", "11-02 12:00", eve)
    raw.roster("h", "returns", "11-03 12:00", eve)
    raw.roster("h", "returns", "11-04 12:00", eve | {"ann": (LEARNER, MENTOR)}, statuses={"ann": "Inactive"})
    raw.roster("h", "emptied", "11-01 12:00", {"ann": (LEARNER,)})
    raw.roster("h", "emptied", "11-02 12:00", {})
    raw.roster("h", "empty_first", "11-01 12:00", {})
    raw.roster("h", "empty_first", "11-03 12:00", {"ann": (LEARNER,)})
    raw.roster("h", "promoted", "11-01 12:00", {"ann": (LEARNER,)})
    raw.roster("h", "promoted", "11-02 12:00", {"ann": (LEARNER, TEACHING_ASSISTANT)})
    raw.roster("h", "suspended", "11-01 12:00", {"ann": (LEARNER,)})
    raw.roster("h", "suspended", "11-02 12:00", {"ann": (LEARNER,)}, statuses={"ann": "Suspended"})
    raw.roster("h", "both", "11-01 12:00", {"ann": (LEARNER,)})
    raw.roster("h", "both", "11-02 12:00", {"ann": (MENTOR,)}, statuses={"ann": "Inactive"})
    raw.roster("h", "blink", "11-01 12:00", {"ann": (LEARNER,)})
    raw.roster("h", "blink", "11-02 06:00", {})
    raw.roster("h", "blink", "11-02 12:00", {"ann": (LEARNER,)})


def odd_courses(raw: RawTables) -> None:
    """Add courses that are filtered, delisted, read twice at one moment, or without a row in contexts."""
    for context_id in ("filtered", "twice"):
        raw.context("h", context_id)
    raw.context("h", "gone", delisted_at=moment("11-03 12:00"))
    raw.roster("h", "filtered", "11-01 12:00", {"ann": (LEARNER,)})
    both = {"ann": (LEARNER,), "eve": (INSTRUCTOR,)}  # who a filter does not show stays untouched
    raw.roster("h", "filtered", "11-03 12:00", both, role_filter=INSTRUCTOR)
    raw.roster("h", "filtered", "11-05 12:00", both, role_filter=LEARNER)
    raw.roster("h", "gone", "11-01 12:00", {"ann": (LEARNER,)})
    raw.roster("h", "twice", "11-01 12:00", {"ann": (LEARNER,)})
    raw.roster("h", "twice", "11-01 12:00", {"bob": (LEARNER,)})
    raw.roster("h", "unlisted", "11-01 23:59", {"ann": (LEARNER,)})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the cases' database."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def path(home: Path) -> Path:
    """Return the database in which the models were built over every case."""
    path = nights().write(home / "rosters.duckdb")
    made(path)
    return path


@pytest.fixture(scope="module")
def ask(path: Path) -> Ask:
    """Return a function that gives columns of a mart for one course, in order."""

    def asked(mart: str, course: str, columns: str) -> list[Row]:
        key = context_key(*course.split("/"))
        return rows(path, f"select {columns} from lti.{mart} where context_key = '{key}' order by all")

    return asked


def stretches(ask: Ask, course: str, user_id: str) -> list[Row]:
    """Return the stretches of one person in one course."""
    columns = "valid_from, valid_to, status, primary_role, is_active_learner, user_id"
    return [row[:-1] for row in ask("membership_history", course, columns) if row[-1] == user_id]


def noon(*days: int | None) -> tuple[Any, ...]:
    """Return noon of these days of November."""
    return tuple(day and moment(f"11-{day:02} 12:00") for day in days)


# --- membership_history


@pytest.mark.parametrize("user_id", ["ann", "dan", "ned"])
def test_who_stays_as_they_are_has_one_stretch(ask: Ask, user_id: str) -> None:
    """A membership that stays the same is one open stretch; other roles that change nothing else end none."""
    role = "instructor" if user_id == "dan" else "learner"

    assert stretches(ask, "a/busy", user_id) == [(*noon(1, None), "Active", role, True)]


def test_a_status_ends_a_stretch(ask: Ask) -> None:
    """Bob, Inactive from 11-05, has two stretches; the second is no active learner's."""
    assert stretches(ask, "a/busy", "bob") == [
        (*noon(1, 5), "Active", "learner", True),
        (*noon(5, None), "Inactive", "learner", False),
    ]


def test_an_unknown_status_is_kept_and_is_not_active(ask: Ask) -> None:
    """Ann, Suspended from 11-02, is no active learner from then on."""
    assert stretches(ask, "h/suspended", "ann") == [
        (*noon(1, 2), "Active", "learner", True),
        (*noon(2, None), "Suspended", "learner", False),
    ]


def test_another_primary_role_ends_a_stretch(ask: Ask) -> None:
    """A learner who assists from 11-02 on has two stretches, both an active learner's."""
    assert stretches(ask, "h/promoted", "ann") == [
        (*noon(1, 2), "Active", "learner", True),
        (*noon(2, None), "Active", "teaching_assistant", True),
    ]


def test_a_stretch_ends_with_the_first_complete_roster_without_it(ask: Ask) -> None:
    """Failed, unavailable, too large and unchanged readings end nothing; the next complete one does."""
    assert stretches(ask, "h/failed", "ann") == [(*noon(1, 6), "Active", "learner", True)]
    assert stretches(ask, "h/failed", "bob") == [(*noon(1, None), "Active", "learner", True)]


@pytest.mark.parametrize("context_id", ["uncommitted", "partial", "linked"])
def test_what_is_no_committed_roster_of_the_course_says_nothing(ask: Ask, context_id: str) -> None:
    """An uncommitted load, a roster that is not wholly logged and a link's roster end nothing."""
    for user_id in ("ann", "bob"):
        assert stretches(ask, f"h/{context_id}", user_id) == [(*noon(1, None), "Active", "learner", True)]


def test_who_leaves_and_returns_has_two_stretches(ask: Ask) -> None:
    """Ann is away on 11-02 and 11-03."""
    assert stretches(ask, "h/returns", "ann") == [
        (*noon(1, 2), "Active", "learner", True),
        (*noon(4, None), "Inactive", "mentor", False),
    ]


def test_an_empty_roster_ends_every_stretch(ask: Ask) -> None:
    """A complete roster that is empty empties the course."""
    assert stretches(ask, "h/emptied", "ann") == [(*noon(1, 2), "Active", "learner", True)]


def test_a_delisted_course_keeps_its_history(ask: Ask) -> None:
    """Nobody saw that ann left, so her stretch is open."""
    assert stretches(ask, "h/gone", "ann") == [(*noon(1, None), "Active", "learner", True)]


def test_of_two_rosters_at_one_moment_one_is_in_force(ask: Ask) -> None:
    """The last by id counts, and no stretch has no length."""
    assert ask("membership_history", "h/twice", "user_id, valid_to") == [("bob", None)]


@pytest.mark.parametrize(
    ("mart", "grain"),
    [
        ("active_learners_daily", "context_key, day"),
        ("membership_history", "context_key, user_id, valid_from"),
        ("roster_changes", "context_key, user_id, observed_at, change"),
    ],
)
def test_the_views_of_the_history_have_one_row_a_grain(path: Path, mart: str, grain: str) -> None:
    """Their tables are tested at every build; the views, which would be costly there, here."""
    ((found, distinct),) = rows(path, f"select count(*), count(distinct ({grain})) from lti.{mart}")

    assert 0 < found == distinct


def test_a_course_carries_its_names_in_every_mart(ask: Ask) -> None:
    """Registration, ids, label and title stand in front of every row."""
    for mart in MARTS:
        found = ask(mart, "a/stale", "registration, context_key, context_id, label, title")

        assert {("a", context_key("a", "stale"), "stale", "STALE", "The stale course")} == set(found)


def test_a_course_without_a_row_in_contexts_has_a_history(ask: Ask) -> None:
    """Its label is NULL."""
    assert ask("membership_history", "h/unlisted", "context_id, label, user_id") == [
        ("unlisted", None, "ann")
    ]


# --- roster_changes


def changes(ask: Ask, course: str, *, first: bool = False) -> list[Row]:
    """Return who changed how and when in one course, after its first reading or with it."""
    found = ask("roster_changes", course, "observed_at, user_id, change, is_first_reading")
    return [row[:-1] for row in found if first or not row[-1]]


def test_every_change_of_the_busy_course_is_told(ask: Ask) -> None:
    """Hal joined, mia came and went, ned's roles and bob's status changed, jon left."""
    assert changes(ask, "a/busy") == [
        (*noon(2), "hal", "joined"),
        (moment("11-03 09:00"), "mia", "joined"),
        (moment("11-03 17:00"), "mia", "left"),
        (*noon(4), "ned", "role_changed"),
        (*noon(5), "bob", "status_changed"),
        (*noon(8), "jon", "left"),
    ]


def test_everybody_joined_at_the_first_reading(ask: Ask) -> None:
    """The first reading's people are joined, and marked as found there."""
    found = ask("roster_changes", "a/busy", "change, observed_at, user_id, is_first_reading")

    first = [row[:2] for row in found if row[-1]]
    assert first == [("joined", *noon(1))] * 11


def test_who_returns_has_returned(ask: Ask) -> None:
    """With whatever role and status ann returns, it is one change."""
    assert changes(ask, "h/returns") == [(*noon(2), "ann", "left"), (*noon(4), "ann", "returned")]


def test_a_change_of_two_kinds_is_two_rows(ask: Ask) -> None:
    """Ann's role and status changed with one roster; where one of the two did, it is one row."""
    role, status = ((*noon(2), "ann", change) for change in ("role_changed", "status_changed"))

    assert changes(ask, "h/both") == [role, status]
    assert changes(ask, "h/promoted") == [role]
    assert changes(ask, "h/suspended") == [status]


# --- active_learners_daily


def daily(ask: Ask, course: str) -> list[Row]:
    """Return active learners, who joined, who left, of each day of one course."""
    found = ask("active_learners_daily", course, "day, active_learners, joined, left_course")
    days = [row[0] for row in found]
    assert days == [date(2026, 11, 1 + number) for number in range(len(days))]
    return [row[1:] for row in found]


def test_the_busy_course_day_by_day(ask: Ask) -> None:
    """Days without a change carry the count forward, to the day of `as_of`; mia and ned change nothing."""
    assert daily(ask, "a/busy") == [
        (5, 5, 0),
        (6, 1, 0),
        (6, 0, 0),
        (6, 0, 0),
        (5, 0, 1),
        (5, 0, 0),
        (5, 0, 0),
        (4, 0, 1),
        (4, 0, 0),
        (4, 0, 0),
        (4, 0, 0),
    ]


@pytest.mark.parametrize("course", ["a/stale", "a/failing", "b/busy"])
def test_a_course_that_is_not_read_keeps_its_count(ask: Ask, course: str) -> None:
    """One learner joined on the first day and has been there since."""
    assert daily(ask, course) == [(1, 1, 0)] + [(1, 0, 0)] * 10


def test_a_course_never_read_has_no_day(ask: Ask) -> None:
    """Before the first complete reading nothing is known."""
    assert daily(ask, "a/never") == []


def test_the_first_readings_day_is_marked(ask: Ask) -> None:
    """It is the first day, and that alone."""
    found = ask("active_learners_daily", "a/busy", "day, is_first_reading")

    assert [is_first for _, is_first in found] == [True] + [False] * 10


@pytest.mark.parametrize(
    ("context_id", "expected"),
    [
        ("emptied", [(1, 1, 0), (0, 0, 1), *[(0, 0, 0)] * 9]),
        ("empty_first", [(0, 0, 0), (0, 0, 0), (1, 1, 0), *[(1, 0, 0)] * 8]),
        ("returns", [(1, 1, 0), (0, 0, 1), *[(0, 0, 0)] * 9]),
        ("blink", [(1, 1, 0), *[(1, 0, 0)] * 10]),
        ("suspended", [(1, 1, 0), (0, 0, 1), *[(0, 0, 0)] * 9]),
        ("uncommitted", [(2, 2, 0), *[(2, 0, 0)] * 10]),
        ("gone", [(1, 1, 0), (1, 0, 0), (1, 0, 0)]),
        (
            "filtered",
            [(1, 1, 0), (1, 0, 0), *[(None, None, None)] * 2, *[(1, 0, 0)] * 7],
        ),
    ],
)
def test_the_days_of_other_courses(ask: Ask, context_id: str, expected: list[Row]) -> None:
    """Emptied is 0, a day's comings and goings net, delisted ends, and an unseen count is NULL."""
    assert daily(ask, f"h/{context_id}") == expected


def test_a_day_is_a_utc_day_in_every_session(path: Path) -> None:
    """An analyst in another time zone sees the same days."""
    query = "select * exclude (label, title) from lti.active_learners_daily order by all"

    assert rows(path, query) == rows(path, query, zone="Pacific/Auckland")


def test_the_last_day_is_what_active_learners_says(path: Path) -> None:
    """The history and the current rosters agree in every course that is listed."""
    different = rows(
        path,
        "select context_id from lti.active_learners full join lti.active_learners_daily as daily "
        "using (context_key, context_id) where daily.day = date '2026-11-11' "
        "and daily.active_learners is distinct from active_learners.active_learners "
        "and context_id <> 'unlisted'",
    )

    assert different == []


# --- building on


def contents(path: Path) -> dict[str, list[Row]]:
    """Return every row of the marts of the history."""
    return {mart: rows(path, f"select * from lti.{mart} order by all") for mart in MARTS}


def marks(path: Path) -> dict[str, int]:
    """Return which build last found the rosters of each course changed."""
    return dict(
        rows(path, "select context_key, max(build_number) from lti.int_lti__history_rosters group by all")
    )


def next_nights(raw: RawTables) -> set[str]:
    """Add what the next runs bring, and return the keys of the courses that it is about."""
    raw.roster("a", "stale", "11-09 12:00", {"zed": (LEARNER,), "yan": (LEARNER,)})
    raw.roster("a", "busy", "11-02 18:00", {"ann": (LEARNER,)})  # another machine's, committed late
    raw.context("n", "new")
    raw.roster("n", "new", "11-09 12:00", {"ann": (LEARNER,)})
    raw.context("n", "new_and_empty")
    raw.roster("n", "new_and_empty", "11-09 12:00", {})
    for load in raw.rows["_dlt_loads"]:
        load["status"] = 0  # what was under way is committed
    partial = next(
        row
        for row in raw.rows["roster_syncs"]
        if row["context_id"] == "partial"
        and row["member_count"] == 2
        and row["finished_at"] == moment("11-02 12:00")
    )
    logged = next(row for row in raw.rows["membership_log"] if row["sync_id"] == partial["sync_id"])
    raw.rows["membership_log"].append(logged | {"user_id": "cyd"})
    erase(raw, "suspended", "ann")
    raw.rows["roster_syncs"] = [row for row in raw.rows["roster_syncs"] if row["context_id"] != "blink"]
    raw.sync("a", "failing", "11-11 12:00", "unchanged")
    for context in raw.rows["contexts"]:
        context["title"] = "Renamed"
    about = [("a", "stale"), ("a", "busy"), ("n", "new"), ("n", "new_and_empty")]
    changed = ("uncommitted", "partial", "suspended", "blink")
    return {context_key(*course) for course in about} | {context_key("h", name) for name in changed}


def erase(raw: RawTables, context_id: str, user_id: str) -> None:
    """Remove a person from a course's log, and lower the counts of its syncs."""
    kept = [
        row
        for row in raw.rows["membership_log"]
        if (row["context_id"], row["user_id"]) != (context_id, user_id)
    ]
    raw.rows["membership_log"] = kept
    for sync in raw.rows["roster_syncs"]:
        if sync["context_id"] == context_id:
            sync["member_count"] = sum(row["sync_id"] == sync["sync_id"] for row in kept)


@pytest.fixture(scope="module")
def stages(path: Path, home: Path) -> dict[str, Any]:
    """Build on in several ways after the next nights, and return what each gave."""
    copy = home / "on" / "rosters.duckdb"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    raw = nights()
    about = next_nights(raw)
    raw.write(copy)
    before = marks(copy)
    with duckdb.connect(str(copy)) as connection:  # as two builds at once would leave it
        connection.execute(
            "insert into lti.int_lti__history_rosters select * replace (build_number - 1 as build_number) "
            "from lti.int_lti__history_rosters where context_key = ?",
            [context_key("h", "returns")],
        )
    about.add(context_key("h", "returns"))
    made(copy, select=["+int_lti__history_rosters"])  # and there the build broke off
    broken_off = marks(copy)
    made(copy, select=OF_THEN)
    found: dict[str, Any] = {"about": about, "before": before, "broken_off": broken_off}
    found |= {"on": contents(copy), "on_marks": marks(copy)}
    with duckdb.connect(str(copy)) as connection:
        connection.execute(
            "update lti.int_lti__history_rosters set build_number = build_number + 1000000000000000000"
        )
        connection.execute("drop view lti.membership_history; drop view lti.roster_changes")
        connection.execute("alter table lti.int_lti__membership_events drop column begins_stretch")
    made(copy, select=OF_THEN)
    found["other_layout"] = contents(copy)
    made(copy, select=OF_THEN, full_refresh=True)
    return found | {"anew": contents(copy)}


@pytest.mark.parametrize("mart", MARTS)
def test_building_on_gives_the_rows_of_building_anew(stages: dict[str, Any], mart: str) -> None:
    """After late, partial, uncommitted, erased and vanished rosters, and a build that broke off."""
    assert stages["on"][mart] == stages["anew"][mart]
    assert stages["on"][mart]


@pytest.mark.parametrize("mart", MARTS)
def test_tables_of_an_earlier_version_are_built_anew(stages: dict[str, Any], mart: str) -> None:
    """A column that a table of the history did not have yet is there, and every row is as it should be."""
    assert stages["other_layout"][mart] == stages["anew"][mart]


def test_only_courses_with_other_rosters_are_built(stages: dict[str, Any]) -> None:
    """A failed or unchanged reading and a new title touch no course; what is built is not built again."""
    before, after = stages["before"], stages["broken_off"]

    gone = {context_key("h", "blink")}
    assert {key for key in before | after if before.get(key) != after.get(key)} == stages["about"]
    assert before.keys() - after.keys() == gone
    assert stages["on_marks"] == after


def test_a_late_roster_takes_its_place(stages: dict[str, Any]) -> None:
    """Of 11-02 18:00, it came after newer ones: bob was away between it and the next."""
    key = context_key("a", "busy")

    found = [row[-3:-1] for row in stages["on"]["roster_changes"] if row[1] == key and row[5] == "bob"]

    assert set(found) == {
        ("joined", *noon(1)),
        ("left", moment("11-02 18:00")),
        ("returned", moment("11-03 09:00")),
        ("status_changed", *noon(5)),
    }


def test_who_is_erased_is_in_no_history(stages: dict[str, Any]) -> None:
    """Neither is a course whose rosters are gone."""
    keys = {context_key("h", name) for name in ("suspended", "blink")}

    found = {mart: [row for row in stages["on"][mart] if row[1] in keys] for mart in MARTS}

    assert found["membership_history"] == found["roster_changes"] == []
    assert {row[6] for row in found["active_learners_daily"]} == {0}


def test_names_of_courses_are_those_of_now(stages: dict[str, Any]) -> None:
    """A course's new title shows in rows that were not built again."""
    assert {row[4] for row in stages["on"]["membership_history"]} == {"Renamed", None}


# --- any rosters at all

KINDS = ((LEARNER,), (LEARNER, MENTOR), (LEARNER, TEST_USER), (INSTRUCTOR,), (NON_CREDIT_LEARNER,))
Person = tuple[str, str, bool, tuple[str, ...]]  # status, primary role, whether active learner, roles
Roster = tuple[datetime, dict[str, Person]]
LOADS = 3


def random_rosters(chance: random.Random) -> list[tuple[int, Roster]]:
    """Return rosters of a course, each with the load that commits it, which need not be in their order."""
    people: dict[str, tuple[str, tuple[str, ...]]] = {}
    found = []
    for hour in sorted(chance.sample(range(24 * 10), chance.randint(1, 14))):
        for user_id in "abcdef":
            if chance.random() < 0.3:
                people.pop(user_id, None)
            elif chance.random() < 0.3:
                people[user_id] = (chance.choice(("Active", "Active", "Inactive")), chance.choice(KINDS))
        told = {
            user_id: (status, primary_role(roles), status == "Active" and is_learner(roles), roles)
            for user_id, (status, roles) in people.items()
        }
        found.append((chance.randrange(LOADS), (moment("11-01") + timedelta(hours=hour), told)))
    return found


def true_stretches(rosters: Sequence[Roster]) -> Iterator[Row]:
    """Yield who was how from when to when, one roster after the other."""
    held: dict[str, tuple[datetime, Person]] = {}
    for at, people in rosters:
        for user_id, (since, person) in list(held.items()):
            if user_id not in people or people[user_id][:3] != person[:3]:
                yield (user_id, *person[:3], since, at)
                del held[user_id]
        for user_id, person in people.items():
            held.setdefault(user_id, (at, person))
    for user_id, (since, person) in held.items():
        yield (user_id, *person[:3], since, None)


def true_changes(rosters: Sequence[Roster]) -> Iterator[Row]:
    """Yield what happened to whom, one roster after the other."""
    before: Mapping[str, Person] = {}
    seen: set[str] = set()
    for at, people in rosters:
        is_first = at == rosters[0][0]
        yield from ((user_id, "left", at, is_first) for user_id in before.keys() - people.keys())
        for user_id in people.keys() - before.keys():
            yield (user_id, "returned" if user_id in seen else "joined", at, is_first)
        for user_id in people.keys() & before.keys():
            if people[user_id][3] != before[user_id][3]:
                yield (user_id, "role_changed", at, is_first)
            if people[user_id][0] != before[user_id][0]:
                yield (user_id, "status_changed", at, is_first)
        before, seen = people, seen | people.keys()


def true_days(rosters: Sequence[Roster]) -> Iterator[Row]:
    """Yield who learned at the end of each day, by looking at the last roster of it."""
    day, before = rosters[0][0].date(), set[str]()
    while day <= AS_OF.date():
        people = [people for at, people in rosters if at.date() <= day][-1]
        learners = {user_id for user_id, person in people.items() if person[2]}
        counts = (len(learners), len(learners - before), len(before - learners))
        yield (day, *counts, day == rosters[0][0].date())
        day, before = day + timedelta(days=1), learners


def test_any_rosters_give_what_a_plain_reading_of_them_gives(tmp_path: Path) -> None:
    """Forty random courses, committed by three loads in any order, equal the plain reading after each."""
    chance = random.Random(20261121)
    courses = {f"c{number}": random_rosters(chance) for number in range(40)}
    raw = RawTables()
    loads = [{"load_id": f"load{load}", "status": 1, "inserted_at": moment("11-20")} for load in range(LOADS)]
    raw.rows["_dlt_loads"].extend(loads)
    for context_id, dated in courses.items():
        raw.context("q", context_id)
        for load, (at, people) in dated:
            roles = {user_id: person[3] for user_id, person in people.items()}
            statuses = {user_id: person[0] for user_id, person in people.items()}
            when = at.isoformat()[5:16]
            raw.roster("q", context_id, when, roles, statuses=statuses, _dlt_load_id=f"load{load}")

    for committed in range(LOADS):
        loads[committed]["status"] = 0
        path = raw.write(tmp_path / "rosters.duckdb")
        made(path, select=OF_THEN)

        expected: dict[str, set[Row]] = {mart: set() for mart in MARTS}
        for context_id, dated in courses.items():
            rosters = [roster for load, roster in dated if load <= committed]
            for mart, plain in zip(MARTS, (true_days, true_stretches, true_changes), strict=True):
                expected[mart] |= {(context_id, *row) for row in plain(rosters)} if rosters else set()
        for mart in MARTS:
            found = rows(path, f"select * exclude (registration, context_key, label, title) from lti.{mart}")
            assert len(found) == len(set(found))
            assert set(found) == expected[mart]
