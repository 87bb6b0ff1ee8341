"""The demo as a user runs it: in a bare directory, in hostile surroundings, twice, and on its own truth."""

import io
import json
import os
import shlex
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pytest
from rich.cells import cell_len
from rich.console import Console

from commands import Called, Desk, document, files, valid
from lti_rosters.demo import demo
from lti_rosters.demo.campus import Campus, demo_campus
from patience import PATIENCE

SECONDS = 30  # on two cores with nothing else to do; tests share theirs
HOSTILE = {
    "PRIVATE_KEY": "nonsense",
    "ROLE": "Instructor",
    "TIMEOUT": "0.001",
    "CLIENT_ID": "nobody",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "SOURCES__LTI_ROSTERS__ROLE": "Instructor",
    "SOURCES__LTI_ROSTERS__MAX_MEMBERS": "1",
    "SOURCES__LTI_ROSTERS__REGISTRATION_NAMES": "elsewhere",
    "DESTINATION__DUCKDB__CREDENTIALS": "elsewhere.duckdb",
    "PIPELINE_NAME": "elsewhere",
    "DATASET_NAME": "elsewhere",
    "LOAD__DELETE_COMPLETED_JOBS": "false",
    "DBT_FULL_REFRESH": "true",
}
CONFIG = """
[sources.lti_rosters]
role = "Instructor"
[sources.lti_rosters.registrations.elsewhere]
issuer = "https://lms.invalid"
client_id = "1"
token_url = "https://lms.invalid/token"
contexts = ["https://lms.invalid/c1"]
[destination.duckdb]
credentials = "elsewhere.duckdb"
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Called]:
    """The demo run once in a directory with settings of somebody else, and an environment full of traps."""
    directory = tmp_path_factory.mktemp("demo")
    (directory / ".dlt").mkdir()
    (directory / ".dlt" / "config.toml").write_text(CONFIG)
    (directory / "home").mkdir()
    home = str(directory / "home")
    called = Desk(directory).call("demo", **HOSTILE, HOME=home)
    return directory, called


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Campus, Path]:
    """The demo run once in this process, in half a minute: its document, campus and directory."""
    directory = tmp_path_factory.mktemp("told")
    campuses: list[Campus] = []

    def kept(*arguments: Any, **named: Any) -> Campus:
        campuses.append(demo_campus(*arguments, **named))
        return campuses[-1]

    with duckdb.connect(str(directory / "demo.duckdb")) as earlier:
        earlier.execute("CREATE SCHEMA lti_raw; CREATE TABLE lti_raw.roster_syncs AS SELECT 1 AS sync_id")
    is_busy = os.getloadavg()[0] > (os.cpu_count() or 1)  # then the clock proves nothing
    begun, spent = time.monotonic(), time.process_time()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "demo_campus", kept)  # made inside; here only to look at it afterwards
        document = demo.run(directory=directory)
    assert time.process_time() - spent < SECONDS
    assert is_busy or time.monotonic() - begun < SECONDS
    return valid(document), campuses[0], directory


def rows(directory: Path, query: str) -> list[tuple[Any, ...]]:
    """What a query finds in the demo's database."""
    with duckdb.connect(str(directory / "demo.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_hostile_surroundings_do_not_matter(hostile: tuple[Path, Called]) -> None:
    """Exit 0 and thirty courses, whatever stands in `.dlt` and in the environment."""
    directory, called = hostile

    assert called.status == 0, called.err
    states = rows(directory, "SELECT sync_state, COUNT(*) FROM lti.active_learners GROUP BY 1 ORDER BY 1")
    assert states == [("failing", 1), ("fresh", 29)]


def test_only_the_database_is_left(hostile: tuple[Path, Called]) -> None:
    """No working files, nothing at home, nothing where other settings would have it."""
    directory, _ = hostile

    assert files(directory) == {"demo.duckdb", ".dlt/config.toml"}


def test_the_text_fits_a_terminal(hostile: tuple[Path, Called]) -> None:
    """No line but the command to copy is wider than 80 columns; stderr tells of the nights alone."""
    _, called = hostile
    wide = [line for line in called.out.splitlines() if cell_len(line) > 80]

    assert [line for line in wide if "import duckdb" not in line] == []
    assert [line.split(":")[0] for line in called.err.splitlines()] == ["First night", "Second night"]


def test_the_failing_state_is_told_whole(hostile: tuple[Path, Called]) -> None:
    """On 80 columns the titles are shortened, the state of the course that fails is not."""
    _, called = hostile

    ends = {
        line.split()[-1]
        for line in called.out.splitlines()
        if line.startswith(("canvas ", "moodle ", "sakai "))
    }
    assert {"fresh", "failing"} <= ends
    assert "faili…" not in called.out


def test_the_command_to_try_next_works_as_printed(hostile: tuple[Path, Called]) -> None:
    """Copied from the screen it shows the table; the others are commands of ours."""
    directory, called = hostile
    commands = [
        line.strip() for line in called.out.partition("Next:")[2].splitlines() if line.startswith("    ")
    ]
    look, *others = map(shlex.split, commands)

    shown = subprocess.run(look, cwd=directory, capture_output=True, text=True, timeout=PATIENCE, check=True)

    assert "active_learners" in shown.stdout
    assert [command[:2] for command in others] == [["lti-rosters", "run"]] * 2


def test_the_counts_are_the_truth_of_the_campus(told: tuple[dict[str, Any], Campus, Path]) -> None:
    """Every course shows its true number of active learners, the failing one that of its last roster."""
    document, campus, _ = told
    rows = document["active_learners"]

    shown = {(row["registration"], row["context_id"]): row["active_learners"] for row in rows}

    assert shown == campus.active_learners()


def test_the_failing_course_keeps_its_people(told: tuple[dict[str, Any], Campus, Path]) -> None:
    """State failing, everybody still there, one failure in the document."""
    document, campus, directory = told
    context_id = campus.failing.course.context_id

    (row,) = [row for row in document["active_learners"] if row["sync_state"] == "failing"]
    (failure,) = document["failures"]
    assert row["context_id"] == failure["context_id"] == context_id
    assert failure["error_type"] == "unreachable"
    people = rows(directory, f"SELECT COUNT(*) FROM lti_raw.memberships WHERE context_id = '{context_id}'")
    assert people == [(len(campus.failing.parts),)]


def test_the_second_night_leaves_no_doubles_and_nobody_behind(
    told: tuple[dict[str, Any], Campus, Path],
) -> None:
    """Who is loaded is exactly who is on the rosters of the second night, once each."""
    _, campus, directory = told

    loaded = rows(directory, "SELECT registration, context_id, user_id FROM lti_raw.memberships")
    expected = {
        (room.registration, room.course.context_id, each["user_id"])
        for room in campus.rooms
        for each in room.course.members
    }
    assert (len(loaded), set(loaded)) == (len(expected), expected)


def test_who_joined_and_left_is_told(told: tuple[dict[str, Any], Campus, Path]) -> None:
    """Each change names a person and a course; the emptied course loses its twenty."""
    document, campus, _ = told
    emptied = campus.room("moodle", "ART-90").course.title

    kinds = {change["change"] for change in document["changes"]}
    assert kinds == {"joined", "left", "role_changed"}
    assert sum(change["title"] == emptied for change in document["changes"]) == 20
    assert all(change["name"] for change in document["changes"])


def test_nothing_listens_afterwards(told: tuple[dict[str, Any], Campus, Path]) -> None:
    """The platforms have given their ports back."""
    _, campus, _ = told

    ports = [urlsplit(platform.origin).port or 0 for platform in campus.platforms.values()]

    assert [port for port in ports if socket.socket().connect_ex(("127.0.0.1", port)) == 0] == []


def test_the_first_night_is_in_the_document(told: tuple[dict[str, Any], Campus, Path]) -> None:
    """Thirty courses read, none failed; the second night ends with 0 although one course fails on purpose."""
    document, _, _ = told
    first = document["first_run"]

    assert (first["totals"]["complete"], first["totals"]["failed"], first["exit_status"]) == (30, 0, 0)
    assert (document["exit_status"], document["totals"]["failed"]) == (0, 1)


def test_an_earlier_demo_is_replaced(told: tuple[dict[str, Any], Campus, Path]) -> None:
    """What an older file held is gone: sixty readings of two nights, and nothing else."""
    *_, directory = told

    nights = rows(directory, "SELECT COUNT(*) FROM lti_raw.roster_syncs")

    assert nights == [(60,)]


def test_a_database_that_cannot_be_replaced_is_told(tmp_path: Path) -> None:
    """Exit 9 and what to do, in a document like any other."""
    (tmp_path / "demo.duckdb").mkdir()

    document = valid(demo.run(directory=tmp_path))

    assert (document["exit_status"], document["error"]["error_type"]) == (9, "destination")


def test_an_interrupted_demo_ends_with_130(tmp_path: Path) -> None:
    """Asked to stop in the first night, it makes no second one, and says that it came to no end."""
    stop = threading.Event()
    stop.set()

    document = valid(demo.run(directory=tmp_path, stop=stop))
    out, err = (Console(record=True, file=io.StringIO()) for _ in range(2))
    demo.print_demo(document, out, err)

    assert (document["exit_status"], document["active_learners"], out.export_text()) == (130, [], "")
    assert "did not come to its end" in err.export_text()


def test_json_is_one_document_that_text_is_made_from(told: tuple[dict[str, Any], Campus, Path]) -> None:
    """The document survives JSON, and everything that the text shows is in it."""
    out = Console(record=True, width=80, file=io.StringIO())

    demo.print_demo(json.loads(json.dumps(told[0])), out, Console(file=io.StringIO()))

    assert "General Chemistry (sakai) broke off after its first page" in " ".join(out.export_text().split())


def test_json_is_one_document_where_the_demo_cannot_begin(tmp_path: Path) -> None:
    """`demo --json` prints a valid document on stdout, and the reason on stderr as well."""
    (tmp_path / "demo.duckdb").mkdir()

    called = Desk(tmp_path).call("demo", "--json")

    assert (called.status, document(called.out)["command"], called.err.count("✗")) == (9, "demo", 1)
