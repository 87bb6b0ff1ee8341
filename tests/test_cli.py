"""The `lti-rosters` command as a process: stdout and stderr, exit statuses, signals, two at once."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from jsonschema import Draft202012Validator

from commands import SCHEMA, Desk, Process, desk, document, ended, files
from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import Course, Exchange, Reply, member
from patience import PATIENCE
from school import School, crowd

OPTIONS = (
    "--registration",
    "--context",
    "--destination",
    "--dry-run",
    "--limit",
    "--full",
    "--no-models",
    "--no-wait",
    "--fail-fast",
    "--json",
    "--progress",
)


@pytest.fixture(scope="module")
def loaded(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """A school whose one course was loaded once, for commands that change nothing of it."""
    with School(tmp_path_factory.mktemp("cli") / "school", tool_key) as school:
        school.open("canvas", max_attempts=2)
        school.add("c1", ["ann", "ben"])
        with desk(school) as at:
            assert at.call("run", "--no-models").status == 0
        yield school


@pytest.fixture
def at(loaded: School) -> Iterator[Desk]:
    """A desk in the loaded school."""
    with desk(loaded) as at:
        yield at


def until(happened: Callable[[], bool]) -> None:
    """Wait until something happened."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


# What is printed where


def test_a_run_tells_its_result_on_stdout_and_all_else_on_stderr(school: School) -> None:
    """The table, what is odd in the rosters and the closing line are results; that it reads and builds is not."""
    school.add("c1", ["ann", member("ben", roles=["Learner", "urn:example:role#Gardener"])])

    with desk(school) as at:
        told = document(at.call("run", "--json").out)
        called = replace(at, is_fresh=True).call("run", "--full")

    assert called.status == 0
    assert called.out.startswith("registration ")
    assert "Read 2 memberships of 1 course (1 loaded); 0 joined, 0 left." in called.out
    assert {each["name"]: each["count"] for each in told["quality"]}["unknown_roles_held"] == 1
    assert "! Unknown roles that people hold (see lti_raw.roles): 1" in called.out.splitlines()
    assert called.err.splitlines() == [
        "Reading rosters …",
        "canvas: 1 of 1 courses, 0 failed",
        "Building the models …",
    ]


def test_json_is_one_valid_document(at: Desk) -> None:
    """With --json stdout is the document and nothing else."""
    called = at.call("run", "--json", "--no-models")

    told = document(called.out)
    assert (called.status, told["exit_status"], told["totals"]["unchanged"]) == (0, 0, 1)


@pytest.mark.parametrize(
    ("arguments", "environment", "status"),
    [
        (["--registration", "canvass"], {}, 4),
        (["--context", "nope"], {}, 4),
        (["--dry-run"], {"SOURCES__LTI_ROSTERS__REGISTRATIONS__CANVAS__CLIENT_ID": "nobody"}, 5),
        (
            ["--dry-run"],
            {"SOURCES__LTI_ROSTERS__REGISTRATIONS__CANVAS__TOKEN_URL": "http://127.0.0.1:9/t"},
            6,
        ),
        ([], {"DESTINATION__DUCKDB__CREDENTIALS": "/no/such/folder/r.duckdb"}, 9),
    ],
)
def test_json_is_one_valid_document_in_every_error_case(
    at: Desk, arguments: list[str], environment: dict[str, str], status: int
) -> None:
    """The process ends with the status of its document, and what broke it off is on stderr as well."""
    called = at.call("run", "--json", *arguments, **environment)

    told = document(called.out)
    assert (called.status, told["exit_status"]) == (status, status)
    assert "Traceback" not in called.err
    if told["error"]:
        assert called.err.count("✗") == 1


@pytest.mark.parametrize("arguments", [["--limit", "0"], ["--frob"]])
def test_wrong_usage_is_exit_2(at: Desk, arguments: list[str]) -> None:
    """Nothing on stdout, the reason on stderr."""
    called = at.call("run", *arguments)

    assert (called.status, called.out, "Error" in called.err) == (2, "", True)


def test_help_names_every_option(at: Desk) -> None:
    """On stdout, with examples at its end."""
    called = at.call("run", "--help")

    assert (called.status, [option for option in OPTIONS if option not in called.out]) == (0, [])
    assert "Examples:" in called.out


def test_help_lists_every_command(at: Desk) -> None:
    """run, models and demo, each with a line."""
    called = at.call("--help")

    assert {"run", "models", "demo"} <= {line.split()[0] for line in called.out.splitlines() if line.strip()}


def test_models_builds_what_is_loaded(at: Desk) -> None:
    """One document with --json; without, how many models were built."""
    built = document(at.call("models", "--json").out)
    told = at.call("models")

    assert (built["command"], built["exit_status"]) == ("models", 0)
    assert (told.status, told.out.startswith(f"Built {len(built['models'])} models in ")) == (0, True)


def test_models_of_nothing_are_exit_9(tmp_path: Path) -> None:
    """In a bare directory: what is missing and what to do are on stderr, stdout is empty."""
    called = Desk(tmp_path).call("models")

    assert (called.status, called.out) == (9, "")
    assert "No roster has been loaded yet" in called.err


def test_version_is_told(at: Desk) -> None:
    """With the Python that runs it."""
    called = replace(at, is_fresh=True).call("--version")

    assert (called.status, called.out.split()[0], "Python 3." in called.out) == (0, "lti-rosters", True)


@pytest.mark.parametrize(("progress", "lines"), [("none", 0), ("log", 2)])
def test_progress_can_be_chosen(at: Desk, progress: str, lines: int) -> None:
    """`none` says nothing, `log` a line now and then."""
    called = at.call("run", "--dry-run", "--progress", progress)

    assert len(called.err.splitlines()) == lines


def test_a_reader_that_has_read_enough_is_no_fault(at: Desk) -> None:
    """Stdout closed early, as by `| head`: the exit status is that of the run, and nothing complains."""
    process = at.start("run", "--dry-run", "--progress", "none")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None

    err = process.stderr.read()

    assert (process.wait(PATIENCE), err) == (0, "")


def test_a_terminal_without_unicode_is_no_fault(at: Desk) -> None:
    """An ASCII stdout gets the result too, and JSON that is still valid."""
    plain = at.call("run", "--dry-run", "--registration", "nö", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    told = at.call("run", "--dry-run", "--json", PYTHONIOENCODING="ascii", PYTHONUTF8="0")

    assert (plain.status, "Traceback" in plain.err) == (4, False)
    assert document(told.out)["exit_status"] == 0


def test_dry_run_leaves_no_file(at: Desk, loaded: School) -> None:
    """Neither in the directory nor in a home of its own."""
    before, home = files(loaded.directory), loaded.directory.parent / "home"
    home.mkdir(exist_ok=True)

    called = at.call("run", "--dry-run", HOME=str(home))

    assert (called.status, "Nothing was loaded (--dry-run)." in called.out.replace("\n", " ")) == (0, True)
    assert (files(loaded.directory), files(home)) == (before, set())


def test_words_of_a_platform_cannot_command_a_terminal(school: School) -> None:
    """An escape sequence in a context's id is shown as what it is not."""
    down = Reply(500, [], b"")
    school.platform.add(Course("c\x1b[31m1", key="c1", script=[None, down, down]))

    with desk(school) as at:
        at.call("run", "--no-models")
        called = at.call("run", "--dry-run")

    assert called.status == 6
    assert "\x1b" not in called.out + called.err


# Two at once


def slow(exchange: Exchange) -> Reply | None:
    """Answer as usual, but only after some seconds."""
    time.sleep(2)
    del exchange
    return None


@pytest.fixture
def busy(school: School) -> Iterator[tuple[Desk, Process]]:
    """A desk at which a run is at work for some seconds."""
    school.add("c1", ["ann"], script=slow)
    with desk(school) as at:
        process = at.start("run", "--no-models")
        until(lambda: bool(school.platform.roster_requests))
        yield at, process
        process.kill()
        process.communicate()


def test_no_wait_ends_with_10(busy: tuple[Desk, Process]) -> None:
    """A second run beside the first ends at once and says why; the first goes on."""
    at, first = busy

    second = at.call("run", "--no-models", "--no-wait", "--json")

    assert (second.status, document(second.out)["error"]["error_type"]) == (10, "busy")
    assert "another run is at work" in second.err
    assert ended(first).status == 0


def test_a_second_run_waits_for_the_first(busy: tuple[Desk, Process], school: School) -> None:
    """It says that it waits, then reads what the first has loaded as unchanged."""
    at, first = busy

    second = at.call("run", "--no-models", "--json")

    assert (ended(first).status, second.status) == (0, 0)
    assert "waiting for it to end" in second.err
    assert document(second.out)["totals"]["unchanged"] == 1
    assert school.sql("SELECT COUNT(*) FROM memberships") == [(1,)]


def test_a_killed_run_frees_the_lock(busy: tuple[Desk, Process], school: School) -> None:
    """The next one finds nobody at work."""
    at, first = busy
    first.kill()
    first.wait()
    school.platform.courses["c1"].script = None

    second = at.call("run", "--no-models", "--no-wait")

    assert (second.status, school.members("c1")) == (0, {"ann"})


# Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_loads_what_is_complete(school: School, number: signal.Signals) -> None:
    """Ctrl-C, or a scheduler's request, in the middle: exit 130, the complete courses are there, JSON too."""
    courses = [school.add(f"c{each}", ["ann"]) for each in range(20)]
    school.options["canvas"]["concurrency"] = 1
    with desk(school) as at:
        assert at.call("run", "--no-models").status == 0
        for course in courses:
            course.members = crowd(2)
        school.platform.latency = 0.1
        school.platform.forget()
        process = at.start("run", "--json", "--progress", "none")
        until(lambda: len(school.platform.roster_requests) >= 4)
        process.send_signal(number)
        called = ended(process)

    told = document(called.out)
    read = told["totals"]["complete"]
    assert (called.status, told["exit_status"], 0 < read < 20) == (130, 130, True)
    assert "Stopping" in called.err
    assert school.sql("SELECT COUNT(*) FROM memberships") == [(2 * read + (20 - read),)]


def test_a_second_interrupt_ends_at_once(school: School) -> None:
    """What a first Ctrl-C lets go on ends with a second: here the wait for a file that somebody has open."""
    school.add("c1", ["ann"])
    with desk(school) as at, duckdb.connect(str(school.database)):
        process = at.start("run", "--no-models")
        until((at.directory / ".lti_rosters" / "run.lock").exists)
        time.sleep(1)  # so that it waits for the file; else this would prove less
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        called = ended(process)

    assert (called.status, "Stopping" in called.err, "Traceback" in called.err) == (130, True, False)


def test_the_schema_is_a_schema() -> None:
    """`result.schema.json`, which ships in the package, is valid by its own draft."""
    Draft202012Validator.check_schema(SCHEMA)


ENDS = """
import gc, sys
from lti_rosters.cli.main import main
sys.argv[1:] = ["--version"]
try:
    main()
except SystemExit as ended:
    sys.exit(ended.code or gc.get_freeze_count() == 0)
"""


def test_a_command_ends_without_looking_for_garbage(tmp_path: Path) -> None:
    """At its end Python would go through everything that was imported, to free what the process frees anyway."""
    done = subprocess.run([sys.executable, "-c", ENDS], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
