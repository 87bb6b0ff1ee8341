"""Two runs at once into one DuckDB file, from different directories."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from commands import carried_out, desk, ended
from lti_rosters.tables import asking
from school import School, crowd

HOLD = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('held', flush=True); time.sleep({})"


def holder(path: Path, seconds: float) -> subprocess.Popen[bytes]:
    """Another process that has the file at *path* open for so long."""
    process = subprocess.Popen([sys.executable, "-c", HOLD.format(seconds), path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


@pytest.mark.slow
def test_both_load_everything(school: School, tmp_path: Path, tool_key: Any) -> None:
    """One waits for the file while the other has it; nobody is there twice and nobody is missing."""
    for number in range(4):
        school.add(f"c{number}", crowd(20, f"c{number}u"))
    with School(tmp_path / "other", tool_key) as other:
        other.register("canvas", school.platform, max_attempts=2)
        file = {"DESTINATION__DUCKDB__CREDENTIALS": str(school.database)}
        arguments = ("run", "--no-models", "--full", "--progress", "none")
        with desk(school) as here, desk(other) as there:
            for _ in range(3):
                runs = [at.start(*arguments, **file) for at in (here, there)]
                assert [(each.status, each.err) for each in map(ended, runs)] == [(0, ""), (0, "")]

    assert school.sql("SELECT COUNT(*), COUNT(DISTINCT (context_key, user_id)) FROM memberships") == [
        (80, 80)
    ]
    assert school.sql("SELECT COUNT(*) FROM roster_syncs") == [(4 * 6,)]


def test_a_file_that_is_let_go_of_is_waited_for(school: School) -> None:
    """A short session of somebody else is no reason to fail."""
    school.add("c1", ["ann"])
    carried_out(school)
    other = holder(school.database, 1.0)

    told = carried_out(school)

    other.communicate()
    assert (told["exit_status"], told["error"]) == (0, None)


def test_a_file_that_stays_open_elsewhere_is_told(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 9, with the process that has it; nothing is read."""
    school.add("c1", ["ann"])
    carried_out(school)
    school.platform.forget()
    monkeypatch.setattr(asking, "PATIENCE", 0.5)  # as long as a test may wait
    other = holder(school.database, 60.0)

    told = carried_out(school)

    other.kill()
    other.communicate()
    assert (told["exit_status"], told["error"]["error_type"]) == (9, "destination")
    assert f"(PID {other.pid})" in told["error"]["what"]
    assert school.platform.requests == []
