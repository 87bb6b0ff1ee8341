"""Who is on each roster now, kept from build to build: whatever changes, the rows are those of a build anew."""

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lti_rosters.errors import DestinationError
from lti_rosters.runs.models import Warehouse, build
from models.changes import CHANGES, HEALED, MARTS, QUIET, Row, before, contents, course
from models.raw_tables import context_key, moment

AS_OF = moment("11-21")
KEPT, MARKS = "lti.int_lti__memberships", "lti.int_lti__roster_marks"
OF_NOW = tuple(f"+{mart}" for mart in MARTS)  # what there is to build where only these are looked at


def made(path: Path, **options: Any) -> None:
    """Build the models of now in the file at *path*."""
    options = {"select": OF_NOW} | options
    build(Warehouse(adapter="duckdb", path=path), work_dir=path.parent, as_of=AS_OF, **options)


def ask(path: Path, *statements: str) -> list[Row]:
    """Run *statements* and return the rows of the last."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for statement in statements:
            answer = connection.execute(statement).fetchall()
    return answer


def due(path: Path) -> set[str]:
    """The courses, by id, that the last build made anew."""
    told = f"select context_id from {MARKS} join lti_raw.roster_syncs using (context_key) where is_due"
    return {context_id for (context_id,) in ask(path, told)}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in which the models were built before anything happened."""
    path = before().write(tmp_path_factory.mktemp("start") / "rosters.duckdb")
    made(path)
    return path


@pytest.fixture(scope="module")
def stages(start: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is there after each change, built upon, and built anew; and which courses were made for it."""
    path = Path(shutil.copy(start, tmp_path_factory.mktemp("on") / "rosters.duckdb"))
    first = contents(lambda query: ask(path, query))
    everything = [statement for statements in CHANGES.values() for statement in statements]
    ask(path, *(each for each in everything if "lti_raw.roles " not in each))
    made(path)
    found: dict[str, Any] = {"first": first, "due": due(path), "on": contents(lambda query: ask(path, query))}
    made(path)
    found |= {"again_due": due(path), "again": contents(lambda query: ask(path, query))}
    made(path, full_refresh=True)
    found["anew"] = contents(lambda query: ask(path, query))
    ask(path, *CHANGES["vocabulary"])
    made(path)
    found |= {"words_due": due(path), "words": contents(lambda query: ask(path, query))}
    ask(path, f"delete from {KEPT} where user_id = 'eve'")
    ask(path, f"insert into {KEPT} select * from {KEPT} where {course('quiet')}")
    ask(path, f"update {MARKS} set is_due = not is_due")
    made(path, select=["int_lti__memberships"])  # alone, over marks that say what is not so
    found["mended"] = contents(lambda query: ask(path, query))
    made(path, full_refresh=True, select=["int_lti__memberships"])
    found["alone"] = contents(lambda query: ask(path, query))
    made(path, full_refresh=True)
    return found | {"words_anew": contents(lambda query: ask(path, query))}


@pytest.mark.parametrize("mart", MARTS)
def test_building_on_gives_the_rows_of_building_anew(stages: dict[str, Any], mart: str) -> None:
    """After every change at once; another build changes nothing more."""
    assert stages["on"][mart] == stages["anew"][mart]
    assert stages["again"][mart] == stages["anew"][mart]


@pytest.mark.parametrize("name", sorted(CHANGES.keys() - {"vocabulary", *HEALED}))
def test_each_change_shows(stages: dict[str, Any], name: str) -> None:
    """Each of the changes is one that shows in a mart, so that to overlook it would have been a fault."""
    key = context_key("k", name)

    def rows(stage: str) -> list[list[Row]]:
        return [[row for row in stages[stage][mart] if row[1] == key] for mart in MARTS]

    assert rows("first") != rows("on")
    assert rows("on") == rows("anew")


def test_only_courses_with_other_rows_are_made(stages: dict[str, Any]) -> None:
    """Names of courses are not kept; those without a mark are made each time, the rest is as it was."""
    unmarked = {"half", "roles_lost", "role_unsynced", "committed"}
    apart = {"retitled", "delisted", "unlisted", "emptied", "vocabulary"}

    assert stages["due"] == CHANGES.keys() - apart
    assert stages["again_due"] == unmarked


def test_another_word_for_a_role_reaches_those_who_hold_it(stages: dict[str, Any]) -> None:
    """A mentor becomes a learner, in every course with one, and in no other."""
    assert "vocabulary" in stages["words_due"]
    assert not stages["words_due"] & set(QUIET)
    assert stages["words"] != stages["anew"]
    assert stages["words"] == stages["words_anew"]


@pytest.mark.parametrize("stage", ["mended", "alone"])
def test_rows_that_are_not_as_they_were_made_are_made_again(stages: dict[str, Any], stage: str) -> None:
    """Rows lost and doubled by hand, a model built by itself, and one built anew by itself."""
    assert stages[stage]["current_memberships"] == stages["words_anew"]["current_memberships"]


def test_who_is_erased_is_gone(stages: dict[str, Any]) -> None:
    """From the raw tables by somebody, not by `erase`, which takes the kept rows away, too."""
    key = context_key("k", "erased")

    assert {row[5] for row in stages["on"]["current_memberships"] if row[1] == key} == {"bob", "eve"}


def test_rows_of_another_layout_are_made_anew(start: Path, tmp_path: Path) -> None:
    """As after an update of this package: a column less, and marks that are not today's."""
    path = Path(shutil.copy(start, tmp_path / "rosters.duckdb"))
    expected = contents(lambda query: ask(path, query))
    ask(path, "drop view lti.current_memberships", f"alter table {KEPT} drop column is_mentor")
    ask(path, f"update {KEPT} set mark = mark - 1")

    made(path)

    assert contents(lambda query: ask(path, query)) == expected
    assert due(path) == {*CHANGES, *QUIET}


def test_a_build_that_fails_leaves_what_was(start: Path, tmp_path: Path) -> None:
    """A missing table is told before anything is forgotten; when it is back nothing is missing."""
    path = Path(shutil.copy(start, tmp_path / "rosters.duckdb"))
    expected = contents(lambda query: ask(path, query))
    ask(path, "alter table lti_raw.roles rename to aside")

    with pytest.raises(DestinationError, match=r"no lti_raw\.roles"):
        made(path)

    assert ask(path, "select count(*) from lti.int_lti__memberships") == [
        (len(expected["current_memberships"]),)
    ]
    ask(path, "alter table lti_raw.aside rename to roles")
    made(path)
    assert contents(lambda query: ask(path, query)) == expected


def test_rows_of_another_sync_than_the_marks_are_not_kept(start: Path, tmp_path: Path) -> None:
    """A load between the two models, and then a backup from before it: the marks are those of other rows."""
    path = Path(shutil.copy(start, tmp_path / "rosters.duckdb"))
    tables = ("lti_raw.memberships", "lti_raw.membership_roles")
    ask(path, f"update lti_raw.memberships set name = 'Zoe' where {course('quiet')}")
    ask(path, *(f"create table {each}_backup as from {each}" for each in tables))
    made(path, select=["int_lti__roster_marks"])
    ask(path, *(f"update {each} set sync_id = 'next' where {course('quiet')}" for each in tables))
    ask(path, f"update lti_raw.memberships set name = 'Kim' where {course('quiet')}")
    made(path, select=["int_lti__memberships"])
    ask(path, *(f"create or replace table {each} as from {each}_backup" for each in tables))

    made(path)

    names = f"select distinct name from lti.current_memberships where {course('quiet')}"
    assert ask(path, names) == [("Zoe",)]
