"""`lti-rosters contexts`, `contexts add` and `contexts import`: the catalogue listed, and added to without a loss."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from commands import catalogued, files, valid
from lti_rosters.catalogue.catalogue import read_catalogue
from lti_rosters.catalogue.editing import EditedFile
from lti_rosters.catalogue.launches import CONTEXT_CLAIM, NRPS_CLAIM
from lti_rosters.cli.main import commands
from lti_rosters.courses.listing import Attempt, Order, list_contexts, state
from lti_rosters.errors import ConfigurationError, LtiRostersError, UsageError
from lti_rosters.reference.platform import member
from lti_rosters.runs.run import Order as RunOrder
from lti_rosters.runs.run import run
from school import School

URL = "https://lms.example.edu/courses/"


@pytest.fixture
def desk(school: School, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory whose registration `canvas` has the catalogue courses.csv, which is not there yet."""
    school.options["canvas"]["contexts"] = "courses.csv"
    monkeypatch.setenv("COLUMNS", "200")
    with school.settings():
        yield school.directory


def called(*arguments: str, text: str | None = None) -> Result:
    """Call the command line in this process; what it raises is in the result."""
    return CliRunner().invoke(commands, list(arguments), input=text, standalone_mode=False)


def said(*arguments: str, text: str | None = None) -> str:
    """What a command that succeeds says on stdout."""
    result = called(*arguments, text=text)
    assert result.exception is None, result.exception
    return result.stdout


def refused(*arguments: str, text: str | None = None) -> LtiRostersError:
    """The error of a command that fails."""
    error = called(*arguments, text=text).exception
    assert isinstance(error, LtiRostersError), error
    return error


def launch(context_id: str, url: str | None, at: int = 1, **more: Any) -> str:
    """The claims of a launch of a course, as a line."""
    claims: dict[str, Any] = {
        CONTEXT_CLAIM: {"id": context_id, "title": f"Title {context_id}"},
        "iat": at,
        **more,
    }
    if url is not None:
        claims[NRPS_CLAIM] = {"context_memberships_url": url, "service_versions": ["2.0"]}
    return json.dumps(claims) + "\n"


def addresses(directory: Path, name: str = "courses.csv") -> dict[str | None, str | None]:
    """The catalogue's courses by id."""
    catalogue = read_catalogue(directory / name, where="canvas")
    assert catalogue.faults == []
    return {each.context_id: each.memberships_url for each in catalogue.entries}


# contexts


def test_the_catalogue_is_listed_before_anything_is_loaded(school: School) -> None:
    """Every course is `never`; no platform is asked and no file is made."""
    school.add("c1", [member("ann")])
    catalogued(school)
    with school.settings():
        before = files(school.directory)
        document = valid(list_contexts(Order()))

    assert [(each["sync_state"], each["members"]) for each in document["contexts"]] == [("never", None)]
    assert document["exit_status"] == 0
    assert files(school.directory) == before
    assert school.platform.requests == []


def test_each_state_is_listed(school: School) -> None:
    """A course read, one that fails after it was read, one never read: as the models have them."""
    school.add("c1", [member("ann"), member("ben")])
    school.add("c2", [member("cy")])
    catalogued(school)
    with school.settings():
        run(RunOrder(with_models=False))
        del school.platform.courses["c2"]
        run(RunOrder(with_models=False))
        school.options["canvas"]["contexts"] += [f"{school.platform.origin}/never"]
    with school.settings():
        document = valid(list_contexts(Order()))

    assert [(each["sync_state"], each["members"], each["outcome"]) for each in document["contexts"]] == [
        ("fresh", 2, "unchanged"),
        ("failing", 1, "unavailable"),
        ("never", None, None),
    ]


def test_the_first_state_that_holds() -> None:
    """never, failing, stale, fresh: in this order (design §4)."""
    now = datetime.now(UTC)
    limit = now - timedelta(hours=48)

    def after(outcome: str, read_at: datetime | None) -> str:
        return state(Attempt(None, outcome, None, None, now, read_at, None), limit)

    assert state(None, limit) == "never"
    assert after("failed", None) == "never"
    assert [after(outcome, now) for outcome in ("failed", "unavailable", "too_large")] == ["failing"] * 3
    assert after("unchanged", limit - timedelta(seconds=1)) == "stale"
    assert after("complete", now) == "fresh"


def test_a_catalogue_that_cannot_be_read_is_a_fault_of_its_registration(school: School, desk: Path) -> None:
    """The file is missing: exit 4, the registration named; another one is listed and the exit is 3."""
    assert valid(list_contexts(Order()))["exit_status"] == 4

    (desk / "courses.csv").write_text(f"memberships_url\n{URL}1\nno address\n", encoding="utf-8")
    document = valid(list_contexts(Order()))

    assert document["exit_status"] == 3
    assert len(document["contexts"]) == 1
    assert "line 3" in document["registrations"]["canvas"]["catalogue_faults"][0]
    assert school.platform.requests == []


def test_the_text_counts_the_states(desk: Path) -> None:
    """A table, and a line that counts."""
    (desk / "courses.csv").write_text(f"memberships_url,title\n{URL}1,Botany\n", encoding="utf-8")
    out = said("contexts", "--registration", "canvas")

    assert "Botany" in out
    assert "1 in the catalogue: 1 never." in out


# contexts add


def test_the_first_course_makes_the_file(desk: Path) -> None:
    """A file that is not there is made, its owner's alone; the same course again is told."""
    first = said("contexts", "add", "canvas", f"{URL}1", "--context-id", "c1", "--title", 'Botany, "green"')
    again = said("contexts", "add", "canvas", f"{URL}1")

    assert (first, again) == (
        "Added c1 to courses.csv.\n",
        "courses.csv, line 2: it is in the catalogue already.\n",
    )
    assert addresses(desk) == {"c1": f"{URL}1"}
    assert (desk / "courses.csv").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "title;context_memberships_url\r\nA;{u}1\r\n",
            "title;context_memberships_url;context_id\r\nA;{u}1\r\nB;{u}2;c2\r\n",
        ),
        (
            "\ufeffmemberships_url,note\n{u}1,mine",
            "\ufeffmemberships_url,note,context_id,title\n{u}1,mine\n{u}2,,c2,B\n",
        ),
    ],
)
def test_what_is_there_stays(before: str, after: str, desk: Path) -> None:
    """Delimiter, line ends, mark of the encoding, columns of others and mode stay; a missing column is added."""
    path = desk / "courses.csv"
    path.write_bytes(before.format(u=URL).encode())
    path.chmod(0o640)
    said("contexts", "add", "canvas", f"{URL}2", "--context-id", "c2", "--title", "B")

    assert path.read_bytes().decode() == after.format(u=URL)
    assert path.stat().st_mode & 0o777 == 0o640
    assert len(read_catalogue(path, where="canvas").entries) == 2


@pytest.mark.parametrize("list_of", [True, False])
def test_json_is_added_to(list_of: bool, desk: Path, school: School) -> None:
    """One object a line, or one list: the rows there stay as they are."""
    school.options["canvas"]["contexts"] = "courses.json"
    row = {"memberships_url": f"{URL}1", "note": "mine"}
    (desk / "courses.json").write_text(json.dumps([row] if list_of else row), encoding="utf-8")
    with school.settings():
        said("contexts", "add", "canvas", f"{URL}2", "--context-id", "c2")

    text = (desk / "courses.json").read_text(encoding="utf-8")
    rows = json.loads(text) if list_of else [json.loads(line) for line in text.splitlines()]
    assert rows == [row, {"memberships_url": f"{URL}2", "context_id": "c2"}]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nobody", f"{URL}1"), 'no registration "nobody"'),
        (("canvas",), "memberships_url is missing"),
        (("canvas", "ftp://lms.example.edu/1"), "memberships_url"),
        (("canvas", "http://lms.example.edu/1"), "memberships_url"),
    ],
)
def test_a_row_that_is_none(arguments: tuple[str, ...], told: str, desk: Path) -> None:
    """A registration or an address that is none is a fault of usage; nothing is written."""
    error = refused("contexts", "add", *arguments)

    assert isinstance(error, UsageError)
    assert told in str(error)
    assert not (desk / "courses.csv").exists()


@pytest.mark.parametrize(
    "catalogue", [[f"{URL}1"], "courses.parquet", {"query": "select 1", "url": ":memory:"}]
)
def test_a_catalogue_that_is_no_file(catalogue: Any, school: School) -> None:
    """Where the catalogue is a list, a query or Parquet, the place to add to is told."""
    school.options["canvas"]["contexts"] = catalogue
    with school.settings():
        error = refused("contexts", "add", "canvas", f"{URL}2")

    assert isinstance(error, ConfigurationError)
    assert "no CSV or JSONL file" in str(error)


def test_a_file_that_another_changes_meanwhile(tmp_path: Path) -> None:
    """What somebody else writes between reading and writing is not lost."""
    path = tmp_path / "courses.csv"
    path.write_text(f"memberships_url\n{URL}1\n", encoding="utf-8")
    file = EditedFile(path, "nrps")
    path.write_text(f"memberships_url\n{URL}1\n{URL}2\n", encoding="utf-8")
    file.append({"memberships_url": f"{URL}3"})

    with pytest.raises(ConfigurationError, match="changed meanwhile"):
        file.save()
    assert path.read_text(encoding="utf-8").endswith(f"{URL}2\n")
    assert files(tmp_path) == {"courses.csv"}


def test_a_damaged_file_is_not_written(desk: Path) -> None:
    """A line that is no CSV could not be written as it is: it has to be mended first."""
    (desk / "courses.csv").write_text(f'memberships_url,title\n{URL}1,"open\n', encoding="utf-8")

    assert "Mend that line first" in str(refused("contexts", "add", "canvas", f"{URL}2"))


# contexts import


def test_launches_are_merged(desk: Path) -> None:
    """New courses are added, a newer launch's address goes in, what is there already stays, bad lines are told."""
    (desk / "courses.csv").write_text(
        f"memberships_url,context_id,note\n{URL}1,c1,mine\n{URL}2,c2,\n", encoding="utf-8"
    )
    text = (
        launch("c1", f"{URL}1")
        + launch("c2", f"{URL}2?new=1", at=3)
        + launch("c2", f"{URL}2?old=1", at=2)
        + launch("c3", f"{URL}3")
        + launch("c4", None)
        + "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln\n{}\nnothing\n"
    )
    result = called("contexts", "import", "canvas", "-", text=text)

    assert result.exception is None
    assert addresses(desk) == {"c1": f"{URL}1", "c2": f"{URL}2?new=1", "c3": f"{URL}3"}
    assert "mine" in (desk / "courses.csv").read_text(encoding="utf-8")
    assert "1 added, 1 changed, 1 known, 5 skipped." in result.stdout
    assert "standard input, line 3: skipped c2 (there is a newer launch of the course)" in result.output
    assert "no claim of the roster service" in result.output
    assert not any(secret in result.output for secret in (URL, "eyJ"))


def test_an_import_repeated_changes_nothing(desk: Path) -> None:
    """The same launches again: every course is known, and the file is not touched."""
    (desk / "launches.jsonl").write_text(launch("c1", f"{URL}1") + launch("c2", f"{URL}2"), encoding="utf-8")
    said("contexts", "import", "canvas", "launches.jsonl")
    before = (desk / "courses.csv").stat().st_mtime_ns

    assert "0 added, 0 changed, 2 known, 0 skipped." in said("contexts", "import", "canvas", "launches.jsonl")
    assert (desk / "courses.csv").stat().st_mtime_ns == before


def test_an_older_launch_does_not_win(desk: Path, school: School) -> None:
    """A catalogue of launches has their times: an older one is skipped, a newer one replaces the address."""
    school.options["canvas"]["contexts"] = "kept.jsonl"
    (desk / "kept.jsonl").write_text(launch("c1", f"{URL}1", at=5), encoding="utf-8")
    with school.settings():
        said("contexts", "import", "canvas", "-", text=launch("c1", f"{URL}old", at=4))
        assert addresses(desk, "kept.jsonl") == {"c1": f"{URL}1"}

        said("contexts", "import", "canvas", "-", text=launch("c1", f"{URL}new", at=6))
        assert addresses(desk, "kept.jsonl") == {"c1": f"{URL}new"}


def test_ltiaas_wants_its_own_tokens(desk: Path, school: School) -> None:
    """Claims of an LTI message hold no service key; an ID token of LTIAAS does, and it is never printed."""
    school.options["canvas"] |= {"provider": "ltiaas", "contexts": "activities.csv"}
    token = {
        "services": {"serviceKey": "s3cret", "namesAndRoles": {"available": True}},
        "launch": {"context": {"id": "c1", "title": "Botany"}},
    }
    with school.settings():
        result = called("contexts", "import", "canvas", "-", text=launch("c2", URL) + json.dumps(token))

    assert result.exception is None
    (entry,) = read_catalogue(desk / "activities.csv", where="x", provider="ltiaas").entries
    assert (entry.context_id, entry.service_key) == ("c1", "s3cret")
    assert "s3cret" not in result.output
