"""`kill -9` of a real `erase` and `identity apply`: all of it or nothing, and the same command again makes it good."""

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from commands import Desk, carried_out, desk
from lti_rosters.custody.going_over import apply
from lti_rosters.keys.signing import SigningKey
from needles import ID, NAME, NEEDLES, found_in_files, holds, somebody
from patience import PATIENCE
from school import LINKS, School
from test_custody import KEEP, MASKED, done, erased

GLANCE = 0.0005  # seconds between two looks
ROUNDS = 9  # of all moments, where a busy machine lets some of them pass
PEOPLE, WHO = 2_000, 1_999  # so that a transaction and a copy take long enough to be killed in
TABLES = ("memberships", "membership_roles", "membership_log", LINKS)
COMMANDS = {
    "erase": ["erase", "--registration", "canvas", "--user-id", f"{ID}-{WHO}"],
    "apply": ["identity", "apply"],
}
GONE = {"erase": (f"{ID}-{WHO}", f"{ID}-sis-{WHO}", f"{NAME}.{WHO}"), "apply": NEEDLES}


def opened(_: Desk, pid: int) -> bool:
    """Whether the process has the database open."""
    try:
        return any(each.readlink().name == "rosters.duckdb" for each in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def logged(desk: Desk, _: int) -> bool:
    """Whether the transaction is being written."""
    return sized(desk.directory / "rosters.duckdb.wal") > 0


def copying(desk: Desk, _: int) -> bool:
    """Whether the new file is being made."""
    return (desk.directory / "rosters.duckdb.fresh").exists()


def copied(desk: Desk, _: int) -> bool:
    """Whether much of it is there."""
    return sized(desk.directory / "rosters.duckdb.fresh") > 300_000


def sized(path: Path) -> int:
    """The size of a file in bytes, 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


# When it is killed: as soon as something shows, and so many seconds later.
MOMENTS: dict[str, tuple[Callable[[Desk, int], bool], float]] = {
    "opened": (opened, 0.0),
    "changing": (opened, 0.08),
    "committing": (logged, 0.0),
    "copying": (copying, 0.0),
    "copied": (copied, 0.0),
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs to see what a process has open"),
]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, tool_key: SigningKey) -> Iterator[School]:
    """One large course and a link in it, loaded in `keep`."""
    with School(tmp_path_factory.mktemp("kill") / "school", tool_key) as school:
        school.shared = dict(KEEP)
        school.open("canvas", max_attempts=1)
        school.add("c1", [somebody(number) for number in range(PEOPLE)], links={"r1": None})
        url = school.platform.memberships_url("c1")
        school.catalogue["canvas"] = [{"memberships_url": url, "resource_link_id": "r1"}]
        carried_out(school)
        yield school


def killed(at: Desk, moment: str, *arguments: str) -> bool:
    """Start a command and kill it at the *moment*; False if it had ended."""
    look, delay = MOMENTS[moment]
    process = at.start(*arguments, "--yes", "--no-models")
    try:
        end = time.monotonic() + PATIENCE
        while process.poll() is None and not look(at, process.pid):
            assert time.monotonic() < end, "the moment never came"
            time.sleep(GLANCE)
        time.sleep(delay)
    finally:
        process.kill()
        _, err = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), err
    return process.returncode == -signal.SIGKILL


def counted(school: School, directory: Path) -> tuple[int, dict[str, int]]:
    """Marks of what was done, and rows that it should have taken or rewritten; of a copy, so that nothing is mended."""
    directory.mkdir()
    for path in school.directory.glob("rosters.duckdb*"):
        if path.is_file():
            shutil.copy(path, directory)
    with duckdb.connect(str(directory / "rosters.duckdb")) as there:
        there.execute("USE lti_raw")
        marks = "SELECT COUNT(*) FROM duckdb_tables() WHERE table_name = 'suppressions'"
        masked = "SELECT COUNT(*) FROM registrations WHERE identity = 'pseudonymize'"
        done = sum(there.execute(query).fetchall()[0][0] for query in (marks, masked))
        rows = {
            f"{table} {who}": there.execute(f"SELECT COUNT(*) FROM {table} WHERE user_id {who}").fetchall()[
                0
            ][0]
            for table in TABLES
            for who in (f"= '{ID}-{WHO}'", f"LIKE '{ID}%'")
        }
    return done, rows


@pytest.mark.parametrize("command", COMMANDS)
def test_all_or_nothing_and_again(command: str, full: School, tmp_path: Path) -> None:
    """After each kill the tables are as before or as after; repeated it is done, and no file holds anybody."""
    before = counted(full, tmp_path / "before")
    assert holds(full.database.read_bytes(), GONE[command][:1])
    killed_at: set[str] = set()
    sides: set[int] = set()  # of the commit on which it was killed
    for number, moment in enumerate([*MOMENTS] * ROUNDS):
        if number % len(MOMENTS) == 0 and len(killed_at) >= len(MOMENTS) - 1 and sides == {0, 1}:
            break
        school = full.fork(tmp_path / f"{number}-{moment}")
        (school.directory / ".lti_rosters/destination.json").unlink()  # it tells of the other database
        school.shared = dict(KEEP if command == "erase" else MASKED)
        with desk(school) as at:
            is_killed = killed(at, moment, *COMMANDS[command])
        is_done, rows = counted(school, tmp_path / f"{number}-{moment}-copy")
        if is_killed:
            killed_at.add(moment)
            sides.add(is_done)
        if is_done:
            who = f"= '{ID}-{WHO}'" if command == "erase" else f"LIKE '{ID}%'"
            assert {name: count for name, count in rows.items() if who in name and count} == {}
        else:
            assert rows == before[1]

        told = again(school, command)

        assert told["error"] is None, moment
        assert found_in_files(school.directory, GONE[command]) == [], moment
        assert not list(school.directory.glob("rosters.duckdb.*")), moment
    assert len(killed_at) >= len(MOMENTS) - 1, f"only killed at {killed_at}"
    assert sides == {0, 1}, "killed always on the same side of the commit"


def again(school: School, command: str) -> dict[str, Any]:
    """The same command once more, to its end."""
    return erased(school, WHO) if command == "erase" else done(school, apply)


def test_what_duckdb_had_put_aside_is_removed(full: School, tmp_path: Path) -> None:
    """A killed command leaves what did not fit into memory beside the file."""
    school = full.fork(tmp_path / "spilled")
    (school.directory / ".lti_rosters/destination.json").unlink()
    school.shared = dict(KEEP)
    spilled = school.directory / "rosters.duckdb.tmp"
    spilled.mkdir()
    (spilled / "duckdb_temp_storage_DEFAULT-0.tmp").write_text(f"{ID}-{WHO}")

    assert erased(school, WHO)["error"] is None
    assert not spilled.exists()
