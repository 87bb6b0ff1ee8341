"""A plain `pipeline.run(lti_rosters())` keeps to the identity of the data, and keeps out who was erased."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import pytest

from lti_rosters import lti_rosters
from lti_rosters.keys.signing import SigningKey
from needles import ID, NAME, NEEDLES, found_in_files, found_in_tables, rows_of, somebody
from school import LINKS, School
from test_custody import KEEP, MASKED, erased, pseudonym
from test_privacy_paths import MODES

FIRST = (f"{ID}-1", f"{NAME}.1")


@pytest.fixture
def own(tool_key: SigningKey, tmp_path: Path) -> Iterator[School]:
    """A course of two with a link, in a school whose loads are by `load`."""
    with School(tmp_path / "school", tool_key) as school:
        school.open("canvas", max_attempts=1)
        school.add("c1", [somebody(1), somebody(2)], links={"r1": None})
        url = school.platform.memberships_url("c1")
        school.catalogue["canvas"] = [{"memberships_url": url, "resource_link_id": "r1"}]
        yield school


def pipeline(school: School, name: str) -> dlt.Pipeline:
    """What a user writes."""
    return dlt.pipeline(
        name,
        destination=dlt.destinations.duckdb(str(school.database)),
        dataset_name="lti_raw",
        pipelines_dir=str(school.directory / name),
    )


def load(school: School, name: str = "mine", **arguments: Any) -> None:
    """Run the source as a user does, with nothing of ours around it."""
    with school.settings() as names:
        made = pipeline(school, name)
        try:
            made.run(lti_rosters(school.contexts(names), **arguments))
        finally:
            made.deactivate()


@pytest.mark.parametrize("mode", ["pseudonymize", "drop"])
def test_the_mode_holds_without_our_commands(mode: str, own: School) -> None:
    """dlt keeps its package files here, and they hold what the mode allows; so do tables and staging."""
    own.shared = dict(MODES[mode])
    load(own)
    own.platform.courses["c1"].members.pop()
    load(own)

    hidden = NEEDLES if mode == "pseudonymize" else (NAME,)
    assert list((own.directory / "mine").rglob("*.parquet"))
    assert found_in_files(own.directory, hidden) == []
    assert found_in_tables(rows_of(own.database), hidden) == []
    assert own.sql(f"SELECT COUNT(*), COUNT(message) FROM {LINKS}") == [(1, 0)]


def test_whoever_was_erased_stays_out(own: School) -> None:
    """Of courses and links, in a full load, and in a pipeline of another name into the same dataset."""
    own.shared = dict(KEEP)
    load(own)
    assert erased(own)["error"] is None

    load(own)
    load(own, full=True)
    load(own, "another", full=True)

    assert own.members("c1") == set(own.link("c1", "r1")) == {f"{ID}-2"}
    assert found_in_tables(rows_of(own.database), FIRST) == []


def test_without_the_key_or_under_another_mode_nothing_is_loaded(own: School) -> None:
    """Each stops before a platform is asked, as a command does."""
    own.shared = dict(KEEP)
    load(own)
    erased(own)
    before, asked = own.everything(), len(own.platform.requests)

    own.shared = {"identity": "keep"}
    with pytest.raises(Exception, match="come back"):
        load(own)
    own.shared = dict(MASKED)
    with pytest.raises(Exception, match="identity apply"):
        load(own, "another")

    assert (own.everything(), len(own.platform.requests)) == (before, asked)


def test_a_package_of_ones_own_that_waited_is_erased_from_by_erasing_again(own: School) -> None:
    """Read before and loaded after: a plain pipeline does not look. Erasing again takes them out."""
    own.shared = dict(KEEP)
    load(own)
    own.platform.courses["c1"].members.append(somebody(3))
    with own.settings() as names:
        waiting = pipeline(own, "mine")
        waiting.extract(lti_rosters(own.contexts(names)))
        waiting.normalize()
        erased(own)
        waiting.load()
        waiting.deactivate()
    assert f"{ID}-1" in own.members("c1")

    told = erased(own)

    assert told["error"] is None
    assert found_in_tables(rows_of(own.database), FIRST) == []
    load(own)
    assert own.members("c1") == {f"{ID}-2", f"{ID}-3"}


def test_a_pseudonymised_load_has_the_pseudonyms_of_the_commands(own: School) -> None:
    """The same person, whichever way they were loaded."""
    own.shared = dict(MASKED)
    load(own)

    assert own.members("c1") == {pseudonym(f"{ID}-1"), pseudonym(f"{ID}-2")}
