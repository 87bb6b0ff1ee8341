"""`lti-rosters contexts`, `contexts add` and `contexts import`: the catalogue listed, and added to without a loss."""

import io
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from commands import catalogued, files, valid
from lti_rosters.catalogue.catalogue import entries_of, read_catalogue
from lti_rosters.catalogue.editing import EditedFile
from lti_rosters.catalogue.launches import CONTEXT_CLAIM, DEPLOYMENT_CLAIM, NRPS_CLAIM
from lti_rosters.checks.check import Order as CheckOrder
from lti_rosters.checks.check import check
from lti_rosters.checks.text import print_check
from lti_rosters.cli.main import commands
from lti_rosters.courses.additions import add
from lti_rosters.courses.listing import Attempt, Order, list_contexts, state
from lti_rosters.courses.text import MOST_ROWS, print_contexts
from lti_rosters.errors import ConfigurationError, LtiRostersError, UsageError
from lti_rosters.reference.platform import member
from lti_rosters.runs.run import Order as RunOrder
from lti_rosters.runs.run import run
from lti_rosters.runs.text import print_result
from school import School

URL = "https://lms.example.edu/courses/"
KEY = "SVC-0123456789abcdefSECRET"


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


def test_states_of_one_registration_are_not_anothers(school: School) -> None:
    """Two tools on one platform have the same addresses: what one of them read, the other did not."""
    school.add("c1", [member("ann")])
    catalogued(school)
    with school.settings():
        run(RunOrder(with_models=False))
    school.register("second", school.platform, contexts=school.options["canvas"]["contexts"])
    with school.settings():
        document = valid(list_contexts(Order()))

    assert [(each["registration"], each["sync_state"], each["members"]) for each in document["contexts"]] == [
        ("canvas", "fresh", 1),
        ("second", "never", None),
    ]


def test_the_first_state_that_holds() -> None:
    """never, failing, stale, fresh: in this order (design §4)."""
    now = datetime.now(UTC)
    limit = now - timedelta(hours=48)

    def after(outcome: str, read_at: datetime | None) -> str:
        return state(Attempt("canvas", None, outcome, None, None, now, read_at, None), limit)

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


@pytest.mark.parametrize("contexts", ["courses.csv", KEY])
def test_no_command_shows_a_key_in_place_of_a_name(desk: Path, school: School, contexts: str) -> None:
    """A CSV without a header, or a key where the file is due: neither the text nor the document has it."""
    (desk / "courses.csv").write_text(f"c1,{KEY}\n", encoding="utf-8")
    account = {"base_url": "https://hub.example", "api_key": "hub-key"}
    school.options["canvas"] |= {"provider": "ltiaas", "contexts": contexts, **account}
    told = Console(file=io.StringIO(), width=200)
    with school.settings():
        for document, show in (
            (list_contexts(Order()), print_contexts),
            (check(CheckOrder()), print_check),
            (run(RunOrder(with_models=False, is_dry=True)), print_result),
        ):
            assert document["exit_status"] == 4
            told.print(json.dumps(document), highlight=False)
            show(document, told, told)

    said = told.file.getvalue()  # type: ignore[attr-defined]
    assert said.count("not shown") >= 6
    assert KEY.lower()[:12] not in said.lower()


def test_the_text_counts_the_states(desk: Path) -> None:
    """A table, and a line that counts."""
    (desk / "courses.csv").write_text(f"memberships_url,title\n{URL}1,Botany\n", encoding="utf-8")
    out = said("contexts", "--registration", "canvas")

    assert "Botany" in out
    assert "1 in the catalogue: 1 never." in out


def course(registration: str, context_id: str, **more: Any) -> dict[str, Any]:
    """An item of `contexts`, read last night."""
    told = {"title": None, "sync_state": "fresh", "members": 12_345, "outcome": "complete"}
    last = {"last_complete_at": "2026-11-25T02:51:00+00:00", "error_type": None, "error": None}
    return {"registration": registration, "context_id": context_id, **told, **last, **more}


def drawn(*listed: dict[str, Any], width: int = 80) -> list[str]:
    """The lines of the listing of these courses."""
    out = Console(file=io.StringIO(), width=width)
    told = {"contexts": listed, "registrations": {}, "failures": [], "warnings": [], "error": None}
    totals = {"failed": 0, "too_large": 0, "unavailable": 0}
    print_contexts({**told, "totals": totals, "is_dry": True}, out, out)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]  # type: ignore[attr-defined]


BROKEN = {
    "sync_state": "failing",
    "outcome": "failed",
    "error_type": "malformed",
    "error": "canvas: the platform answered with something long, " + "of many words " * 8 + "to its end.",
}


@pytest.mark.parametrize("registrations", [("canvas",), ("canvas", "ltiaas-of-the-whole-faculty")])
def test_every_column_is_readable_on_80_columns(registrations: tuple[str, ...]) -> None:
    """Errors are lines below; ids of one beginning stay apart, dates and states are whole, no line is wider."""
    title, digits = (
        "An introduction to the botany of the northern hemisphere",
        "b1946ac92492d2347c6235b4d2611184",
    )
    addresses = [f"https://lms.example.edu/api/lti/courses/{number}/names_and_roles" for number in (7, 8)]
    lines = drawn(
        *(course(name, f"{number}{digits}", title=title) for number in (1, 2) for name in registrations),
        *(
            course(name, address, sync_state="never", title=title)
            for address in addresses
            for name in registrations
        ),
        course("canvas", "c9", **BROKEN),
        course("canvas", "c8", error="the launch carries no claim of the roster service", outcome=None),
    )
    header = next(line for line in lines if "context_id" in line)
    at = {name: header.index(name) for name in ("context_id", "title", "sync_state", "members")}
    rows = lines[lines.index(header) + 1 :][: 4 * len(registrations)]

    assert max(map(len, lines)) <= 80
    assert header.split() == [
        *["registration"][: len(registrations) - 1],
        *("context_id", "title", "sync_state", "members", "last_complete_at"),
    ]
    assert len({row[at["context_id"] : at["title"]] for row in rows}) == 4
    assert {row[at["title"] : at["title"] + 10] for row in rows} == {title[:10]}
    assert all(" 2026-11-25 02:51" in row and " 12345 " in row for row in rows)
    told = " ".join(lines[lines.index(header) :])
    assert "✗ canvas, c9: the platform answered with something long, of many" in told
    assert "to its end." in told
    assert "✗ canvas, c8: the launch carries no claim of the roster service" in told


def test_a_wide_screen_shows_ids_whole() -> None:
    """What fits is not shortened, but for what long addresses have in common."""
    lines = drawn(*(course("canvas", f"{number}" * 40, title="T" * 40) for number in (1, 2)), width=160)

    assert ["1" * 40 in lines[2], "T" * 40 in lines[2], "2" * 40 in lines[3]] == [True] * 3


def test_a_long_catalogue_is_not_drawn_whole(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thousand rows are a table; the count is of all, and --json has them."""
    monkeypatch.setenv("COLUMNS", "200")
    school.options["canvas"]["contexts"] = {"template": URL + "{id}", "ids": [*range(MOST_ROWS + 5)]}
    with school.settings():
        result = called("contexts")

    assert "… and 5 more; --json lists all." in result.stderr
    assert f"{MOST_ROWS + 5:,} in the catalogue" in result.stdout


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


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(desk: Path) -> None:
    """A file written by root is still its owner's: a run as that user has to read it."""
    path = desk / "courses.csv"
    path.write_text("memberships_url\n", encoding="utf-8")
    os.chown(path, 12345, 12346)
    path.chmod(0o600)
    said("contexts", "add", "canvas", f"{URL}1")

    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12345, 12346, 0o600)


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


def test_other_lines_stay_byte_by_byte(desk: Path) -> None:
    """Quotes, blank lines and rows of an older width are as they were, also where a row is changed."""
    before = f'memberships_url,context_id\n"{URL}1","c1"\n\n{URL}2,c2,,\n"{URL}3",c3'
    (desk / "courses.csv").write_text(before, encoding="utf-8")
    said("contexts", "add", "canvas", f"{URL}4", "--context-id", "c4")
    said("contexts", "import", "canvas", "-", text=launch("c2", f"{URL}2b"))

    after = before.replace(f"{URL}2,c2", f"{URL}2b,c2") + f"\n{URL}4,c4\n"
    assert (desk / "courses.csv").read_text(encoding="utf-8") == after


def test_lines_that_are_no_json_stay(desk: Path, school: School) -> None:
    """A separator of lines in a title is none in JSON, and what is no JSON at all is left to its owner."""
    school.options["canvas"]["contexts"] = "courses.jsonl"
    before = f'{{"memberships_url": "{URL}1", "title": "a\u2028b"}}\n\nnot JSON\n'
    (desk / "courses.jsonl").write_text(before, encoding="utf-8")
    with school.settings():
        said("contexts", "add", "canvas", f"{URL}2")

    assert (desk / "courses.jsonl").read_text(encoding="utf-8") == (
        before + f'{{"memberships_url": "{URL}2"}}\n'
    )


@pytest.mark.parametrize("text", ["", "\ufeff\n"])
def test_a_file_without_a_word_gets_its_header(text: str, desk: Path) -> None:
    """As after `touch courses.csv`."""
    (desk / "courses.csv").write_text(text, encoding="utf-8")
    said("contexts", "add", "canvas", f"{URL}1", "--context-id", "c1")

    assert addresses(desk) == {"c1": f"{URL}1"}


def test_a_course_with_another_address_is_refused(desk: Path) -> None:
    """Two rows of one course would be read as the first: the place of the other is told, nothing is written."""
    before = f"memberships_url,context_id\n{URL}1,c1\n"
    (desk / "courses.csv").write_text(before, encoding="utf-8")
    error = refused("contexts", "add", "canvas", f"{URL}2", "--context-id", "c1")

    assert isinstance(error, UsageError)
    assert "courses.csv, line 2" in str(error)
    assert (desk / "courses.csv").read_text(encoding="utf-8") == before


def test_no_column_is_added_beside_a_row_that_is_too_long(desk: Path) -> None:
    """What a comma without quotes cut off would become a cell of the new column, and the row a good one."""
    (desk / "courses.csv").write_text(f"title,memberships_url\nx,{URL}1,b\n", encoding="utf-8")

    assert "more cells" in str(refused("contexts", "add", "canvas", f"{URL}2", "--context-id", "c2"))


def test_commands_at_once_take_turns(desk: Path) -> None:
    """Rows added by several at a time are all there."""

    def adds(start: int) -> None:
        for number in range(start, start + 5):
            add("canvas", {"memberships_url": f"{URL}{number}", "context_id": f"c{number}"})

    threads = [threading.Thread(target=adds, args=(start,)) for start in (0, 10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(addresses(desk)) == 15


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


def test_launches_of_others_are_skipped(desk: Path, school: School) -> None:
    """Of another platform, another tool, another deployment: a log of all launches is sorted by its registration."""
    platform = school.platform
    school.options["canvas"]["deployment_id"] = "d1"
    ours = {"iss": platform.issuer, "aud": [platform.client_id, "more"], DEPLOYMENT_CLAIM: "d1"}
    text = (
        launch("c1", f"{URL}1", **ours)
        + launch("c2", "https://evil.example/2", **{**ours, "iss": "https://evil.example"})
        + launch("c3", f"{URL}3", **{**ours, "aud": "another"})
        + launch("c4", f"{URL}4", **{**ours, DEPLOYMENT_CLAIM: "d2"})
    )
    with school.settings():
        result = called("contexts", "import", "canvas", "-", text=text)

    assert addresses(desk) == {"c1": f"{URL}1"}
    assert "1 added, 0 changed, 0 known, 3 skipped." in result.stdout
    assert [word in result.output for word in ("platform than", "client_id than", "deployment_id than")] == [
        True
    ] * 3
    assert result.return_value == 0


@pytest.mark.parametrize(
    ("text", "status"),
    [("", 0), ("junk\n", 8), (launch("c1", f"{URL}1") + "{}\n", 3), (launch("c1", None), 0)],
)
def test_lines_that_are_no_launch_are_failures(text: str, status: int, desk: Path) -> None:
    """Exit 3 beside good ones, 8 alone; a course without the service is no failure (design §6)."""
    del desk

    assert called("contexts", "import", "canvas", "-", text=text).return_value == status


def test_changes_are_told_in_the_order_of_the_lines(desk: Path) -> None:
    """Whatever becomes of them."""
    del desk
    lines = "junk\n" + launch("c1", f"{URL}1", at=2) + launch("c1", f"{URL}1", at=1) + launch("c2", f"{URL}2")
    told = called("contexts", "import", "canvas", "-", text=lines).output.splitlines()

    assert [line.partition(":")[0] for line in told[:-1]] == [
        f"standard input, line {n}" for n in (1, 2, 3, 4)
    ]


def test_every_row_of_a_course_moves(desk: Path) -> None:
    """The course and its links: a link left at the old address would be read as another course."""
    (desk / "courses.csv").write_text(
        f"memberships_url,context_id,resource_link_id\n{URL}1,c1,\n{URL}1,c1,r1\n{URL}2,c2,r2\n",
        encoding="utf-8",
    )
    said("contexts", "import", "canvas", "-", text=launch("c1", f"{URL}new"))

    entries = read_catalogue(desk / "courses.csv", where="canvas").entries
    assert [(each.memberships_url, each.resource_link_id) for each in entries] == [
        (f"{URL}new", None),
        (f"{URL}new", "r1"),
        (f"{URL}2", "r2"),
    ]


def test_a_course_under_an_id_of_the_operators_own_is_known_by_its_address(desk: Path) -> None:
    """The catalogue's id need not be the platform's."""
    before = f"memberships_url,context_id\n{URL}1,BOT-101\n"
    (desk / "courses.csv").write_text(before, encoding="utf-8")
    out = said("contexts", "import", "canvas", "-", text=launch("c1", f"{URL}1"))

    assert "the catalogue has its address" in out
    assert (desk / "courses.csv").read_text(encoding="utf-8") == before


def test_a_jsonl_catalogue_keeps_when_the_launch_was_and_nobody_who_did(desk: Path, school: School) -> None:
    """So that an older launch, imported later, does not win; the person who launched stays out of the file."""
    school.options["canvas"]["contexts"] = "courses.jsonl"
    with school.settings():
        said(
            "contexts", "import", "canvas", "-", text=launch("c1", f"{URL}new", at=5, sub="ada", name="Ada L")
        )
        out = said("contexts", "import", "canvas", "-", text=launch("c1", f"{URL}old", at=4))

        assert (
            "the catalogue has a newer launch"
            in called("contexts", "import", "canvas", "-", text=launch("c1", f"{URL}old", at=4)).output
        )
    assert "1 skipped" in out
    assert addresses(desk, "courses.jsonl") == {"c1": f"{URL}new"}
    assert "ada" not in (desk / "courses.jsonl").read_text(encoding="utf-8").lower()


def test_a_jsonl_catalogue_of_ltiaas_keeps_when_the_launch_was(desk: Path, school: School) -> None:
    """The newest service key of a course is in force."""
    school.options["canvas"] |= {"provider": "ltiaas", "contexts": "kept.jsonl"}

    def token(key: str, at: int) -> str:
        services = {"serviceKey": key, "namesAndRoles": {"available": True}}
        return json.dumps({"iat": at, "services": services, "launch": {"context": {"id": "c1"}}}) + "\n"

    with school.settings():
        for key, at in (("k5", 5), ("k4", 4), ("k6", 6)):
            called("contexts", "import", "canvas", "-", text=token(key, at))
    (read,) = read_catalogue(desk / "kept.jsonl", where="x", provider="ltiaas").entries
    rows = entries_of(desk / "kept.jsonl", "ltiaas")

    assert [(row.service_key, row.launched_at) for row in rows if row] == [("k5", 5), ("k6", 6)]
    assert read.service_key == "k6"


def test_words_of_a_platform_cannot_command_a_terminal(desk: Path) -> None:
    """An escape sequence in a course's id is shown as what it is not."""
    del desk

    assert (
        "\x1b" not in called("contexts", "import", "canvas", "-", text=launch("c\x1b[31m1", f"{URL}1")).output
    )
