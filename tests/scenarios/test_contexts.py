"""Which course a roster belongs to, end to end: identity, doubles in the catalogue, delisted courses."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from replies import Page, Script, body, pages

from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import Course, Exchange, Reply, member
from lti_rosters.rosters.fingerprint import context_key
from patience import PATIENCE
from school import School


def contexts(school: School, columns: str = "context_id") -> list[Any]:
    """The rows of `contexts`, of one column its values."""
    rows = school.sql(f"SELECT {columns} FROM contexts ORDER BY ALL")
    return [row[0] for row in rows] if "," not in columns else rows


def fails_once(*, after_pages: int = 0) -> Script:
    """A course whose first reading breaks off after so many pages; later ones are whole."""
    faults = [body("", 404)]

    def script(exchange: Exchange) -> Reply | None:
        if faults and (after_pages == 0 or exchange.query.get("page") == "2"):
            return faults.pop()
        return pages(["ann"], ["ben"])(exchange)

    return script


# Identity


def test_unread_course_stands_under_its_url(school: School) -> None:
    """A course of the catalogue that could not be read has a row under its URL, and so has the attempt."""
    school.add("c1", script=fails_once())

    school.run()

    assert contexts(school) == school.urls()
    assert school.sql("SELECT context_id, outcome FROM roster_syncs") == [(school.urls()[0], "unavailable")]


def test_unread_course_stands_under_the_catalogues_id(school: School) -> None:
    """Where the catalogue gives an id, the row of a course never read stands under it."""
    school.add("c1", script=fails_once())
    school.catalogue["canvas"] = [
        {"memberships_url": school.urls()[0], "context_id": "mine", "title": "Mine"}
    ]

    school.run()

    assert contexts(school, "context_id, title") == [("mine", "Mine")]


def test_first_complete_reading_replaces_the_placeholder(school: School) -> None:
    """The platform's id takes the place of the catalogue's; the attempt made before is found by its URL."""
    school.add("c1", script=fails_once())
    school.catalogue["canvas"] = [
        {"memberships_url": school.urls()[0], "context_id": "mine", "title": "Mine"}
    ]
    school.run()

    school.run()

    key, url = context_key("canvas", "c1"), school.urls()[0]
    assert contexts(school, "context_key, context_id, title, memberships_url") == [(key, "c1", "Mine", url)]
    attempts = school.sql("SELECT context_id, memberships_url FROM roster_syncs ORDER BY finished_at")
    assert attempts == [("mine", url), ("c1", url)]
    assert school.members("c1") == {"ann", "ben"}


def test_first_seen_at_survives_the_replacement(school: School) -> None:
    """The row that replaces a placeholder keeps the time at which the course was first seen."""
    school.add("c1", script=fails_once())
    school.run()
    before = contexts(school, "first_seen_at, 1")

    school.run()

    assert contexts(school, "first_seen_at, 1") == before


def test_reading_that_breaks_off_replaces_no_placeholder(school: School) -> None:
    """Only a complete reading tells for sure whose roster it is: until then the row stands under its URL."""
    school.add("c1", script=pages(["ann"], body("", 404)))

    school.run()
    school.run()

    assert contexts(school) == school.urls()


def test_course_in_force_keeps_its_key_when_a_reading_breaks_off(school: School) -> None:
    """A failed attempt on a known course is noted under the platform's id, even at a URL that is new."""
    school.add("c1", ["ann"], title="Biology")
    school.run()
    school.platform.add(Course("c1", key="moved", script=pages(["ann"], body("", 404))))
    del school.platform.courses["c1"]

    school.run()

    assert school.sql("SELECT context_id, outcome FROM roster_syncs ORDER BY finished_at") == [
        ("c1", "complete"),
        ("c1", "failed"),
    ]
    assert contexts(school, "context_id, title, delisted_at") == [("c1", "Biology", None)]


def test_context_ids_are_compared_letter_by_letter(school: School) -> None:
    """Ids that differ in case or spaces are two courses, and one id in two registrations is two."""
    other = school.open("second")
    for key, context_id in (("a", "c1"), ("b", "C1"), ("c", " c1")):
        school.add(key, [f"u{key}"]).context_id = context_id
    other.add(Course("c1", members=[member("ann")]))

    school.run()

    assert school.sql("SELECT registration, context_id, user_id FROM memberships ORDER BY ALL") == [
        ("canvas", " c1", "uc"),
        ("canvas", "C1", "ub"),
        ("canvas", "c1", "ua"),
        ("second", "c1", "ann"),
    ]


def test_course_that_changes_its_id_is_another_course(school: School) -> None:
    """A known URL that names another context from tonight on has the roster of that one."""
    school.add("c1", ["ann"])
    school.run()
    school.platform.courses["c1"].context_id = "c9"
    school.platform.courses["c1"].members = [member("zoe")]

    run = school.run()

    assert run.outcomes == {"c9": "complete"}
    assert (school.members("c1"), school.members("c9")) == ({"ann"}, {"zoe"})
    assert delisted(school) == {"c1"}


def test_failure_after_a_change_of_id_is_the_new_courses(school: School) -> None:
    """Two courses were read at one URL: what fails there now is the one that it last was."""
    school.add("c1", ["ann"])
    school.run()
    school.platform.courses["c1"].context_id = "c9"
    school.run()
    school.platform.courses["c1"].script = pages(body("", 404))

    run = school.run()

    assert run.outcomes == {"c9": "unavailable"}
    assert delisted(school) == {"c1"}


# Doubles


def test_one_url_twice_is_read_once(school: School) -> None:
    """The same memberships URL twice in the catalogue, for two links of one course, is asked once."""
    school.add("c1", ["ann"])
    url = school.urls()[0]
    school.catalogue["canvas"] = [{"memberships_url": url, "resource_link_id": link} for link in ("r1", "r2")]

    run = school.run()

    assert run.outcomes == {"c1": "complete"}


def doubles(school: School, *, first: Script, second: Script) -> dict[str, tuple[str, str | None]]:
    """Two catalogue entries that name the context `c1`; returns outcome and error type by key."""
    for key, script in (("first", first), ("second", second)):
        school.add(key, script=script).context_id = "c1"
    run = school.run()
    keys = {url: key for key, url in zip(("first", "second"), school.urls(), strict=True)}
    return {keys[sync.facts.memberships_url or ""]: (sync.outcome, sync.error_type) for sync in run.syncs}


def test_first_of_two_entries_is_in_force(school: School) -> None:
    """Of two entries that name one context the first is loaded, the other notes that it is a double."""
    verdicts = doubles(school, first=pages(["ann"]), second=pages(["zoe"]))

    assert verdicts == {"first": ("complete", None), "second": ("unchanged", "duplicate_context")}
    assert school.members("c1") == {"ann"}


def test_first_of_two_entries_is_in_force_even_when_it_answers_last(school: School) -> None:
    """The second entry answers first, whole and at once; what counts is the order of the catalogue."""
    answered = threading.Event()

    def late(exchange: Exchange) -> Reply | None:
        answered.wait(PATIENCE)
        return pages(["ann"])(exchange)

    def second_page(exchange: Exchange) -> Reply:
        answered.set()  # whoever asks for it has read the first page
        return Page(["kim"]).reply(exchange, None)

    verdicts = doubles(school, first=late, second=pages(["zoe"], second_page))

    assert verdicts == {"first": ("complete", None), "second": ("unchanged", "duplicate_context")}
    assert school.members("c1") == {"ann"}


def test_double_of_an_entry_that_fails_takes_nobody_away(school: School) -> None:
    """When the first entry breaks off behind its first page the roster in force stays."""
    doubles(school, first=pages(["ann"], ["ben"]), second=pages(["zoe"]))

    verdicts = doubles(school, first=pages(["ann"], body("", 404)), second=pages(["zoe"]))

    assert verdicts == {"first": ("failed", "not_found"), "second": ("unchanged", "duplicate_context")}
    assert school.members("c1") == {"ann", "ben"}


def test_entry_after_one_that_never_answers_speaks_for_the_context(school: School) -> None:
    """An earlier entry that fails before it names a context is nobody's double: the later one is loaded."""
    verdicts = doubles(school, first=pages(body("", 404)), second=pages(["zoe"]))

    assert verdicts == {"first": ("unavailable", "not_found"), "second": ("complete", None)}
    assert school.members("c1") == {"zoe"}


def test_double_leaves_one_row_of_the_context(school: School) -> None:
    """A double adds no row to `contexts`, and the row has the URL of the entry in force."""
    doubles(school, first=pages(["ann"]), second=pages(["zoe"]))
    doubles(school, first=pages(["ann"]), second=pages(["zoe"]))

    assert contexts(school, "context_id, memberships_url") == [("c1", school.urls()[0])]


def test_double_through_the_catalogues_id(school: School) -> None:
    """Without a context in the answer the catalogue's ids make the doubles."""
    for key, user in (("first", "ann"), ("second", "zoe")):
        school.add(key, script=pages(Page([user], context=None)))
    school.catalogue["canvas"] = [{"memberships_url": url, "context_id": "c1"} for url in school.urls()]

    run = school.run()

    assert sorted((sync.outcome, sync.error_type or "") for sync in run.syncs) in (
        [("complete", "")],  # the catalogue may give both the newer URL, and so read one
        [("complete", ""), ("unchanged", "duplicate_context")],
    )
    assert len(school.members("c1")) == 1


# Delisted


def delisted(school: School) -> set[str]:
    """The contexts that are marked as delisted."""
    rows = school.sql("SELECT context_id FROM contexts WHERE delisted_at IS NOT NULL")
    return {context_id for (context_id,) in rows}


@pytest.fixture(scope="module")
def loaded(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """A school whose courses are loaded: three that can be read and one that never could."""
    with School(tmp_path_factory.mktemp("loaded") / "school", tool_key) as school:
        school.open("canvas", max_attempts=2)
        listed(school)
        school.run()
        yield school


def listed(school: School) -> None:
    """The courses c1, c2 and c3, and c4, which is not offered."""
    school.platform.courses.clear()
    school.platform.token_script = None
    for key in ("c1", "c2", "c3"):
        school.add(key, ["ann"])
    school.add("c4", script=pages(body("", 404)))


@pytest.fixture
def three(loaded: School, tmp_path: Path) -> Iterator[School]:
    """The same school, once more for each test."""
    listed(loaded)
    with loaded.fork(tmp_path / "school") as school:
        yield school


def test_course_that_left_the_catalogue_is_delisted(three: School) -> None:
    """A run over the whole catalogue marks the course that is gone; its roster stays where it is."""
    del three.platform.courses["c2"]

    three.run()

    assert delisted(three) == {"c2"}
    assert three.members("c2") == {"ann"}


def test_delisted_course_stays_so_and_keeps_its_time(three: School) -> None:
    """Further runs leave the mark as it is."""
    del three.platform.courses["c2"]
    three.run()
    before = contexts(three, "context_id, delisted_at")

    three.run()

    assert contexts(three, "context_id, delisted_at") == before


def test_course_that_returns_is_listed_again(three: School) -> None:
    """The mark goes when the course is in the catalogue again; the roster goes on."""
    course = three.platform.courses.pop("c2")
    three.run()
    three.platform.add(course)

    run = three.run()

    assert delisted(three) == set()
    assert run.outcomes["c2"] == "unchanged"


def test_narrowed_runs_delist_nothing(three: School) -> None:
    """A run over some contexts, or over the first few, cannot tell which are gone."""
    del three.platform.courses["c3"]

    three.run(context_ids=["c1"])
    three.run(limit=1)

    assert delisted(three) == set()


def test_failing_course_is_not_delisted(three: School) -> None:
    """A course that is in the catalogue and fails, or is no longer offered, is not gone."""
    three.add("c2", script=pages(body("", 500)))
    three.add("c3", script=pages(body("", 404)))

    three.run()

    assert delisted(three) == set()


def test_course_that_was_never_read_holds_nothing_up(three: School) -> None:
    """An entry that has been in the catalogue unread keeps no other course from being delisted."""
    del three.platform.courses["c2"]

    three.run()

    assert delisted(three) == {"c2"}


def test_new_entry_that_fails_may_be_a_course_that_moved(three: School) -> None:
    """A course whose URL changes while it fails is not delisted that night."""
    del three.platform.courses["c2"]
    three.platform.add(Course("c2", key="moved", script=pages(body("", 404))))

    three.run()

    assert delisted(three) == set()


def test_catalogue_with_a_bad_row_delists_nothing(three: School) -> None:
    """A catalogue that could not be read whole may name the missing course in the row that is broken."""
    three.catalogue["canvas"] = [*three.urls()[:2], "not a URL"]

    three.run()

    assert delisted(three) == set()


def test_registration_that_fails_delists_what_its_catalogue_no_longer_names(three: School) -> None:
    """Without a token every course fails and none of these is gone; the catalogue was read all the same."""
    del three.platform.courses["c3"], three.platform.courses["c4"]
    three.platform.token_script = lambda _: body("no", 401)

    run = three.run()

    assert run.outcomes == {"c1": "failed", "c2": "failed"}
    assert {"c1", "c2"}.isdisjoint(delisted(three))


def test_run_of_one_registration_delists_none_of_another(three: School) -> None:
    """Registrations left out of a run are as they were, though their catalogues have changed."""
    other = three.open("second")
    other.add(Course("c9", members=[member("ann")]))
    three.run()
    del other.courses["c9"], three.platform.courses["c1"]

    three.run(registrations=["canvas"])

    assert delisted(three) == {"c1"}


def test_empty_catalogue_delists_everything(three: School) -> None:
    """An empty catalogue is legal and whole: every course is gone from it, every roster stays."""
    c4 = three.platform.memberships_url("c4")
    three.platform.courses.clear()

    three.run()

    assert delisted(three) == {"c1", "c2", "c3", c4}
    assert three.members("c1") == {"ann"}
