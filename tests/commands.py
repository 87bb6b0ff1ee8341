"""The commands, called as a user calls them: in this process through `run`, or as processes of their own."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from jsonschema import Draft202012Validator

import lti_rosters
from lti_rosters.runs.run import Order, Watcher, run
from patience import PATIENCE
from school import School
from starter import Started, start

SCHEMA = json.loads((Path(lti_rosters.__file__).parent / "result.schema.json").read_text(encoding="utf-8"))
COMMAND = shutil.which("lti-rosters", path=str(Path(sys.executable).parent)) or "lti-rosters"
FRESH = (
    not hasattr(os, "fork") or "FRESH_STARTS" in os.environ
)  # every command a process from its first line on
Process = subprocess.Popen[str] | Started
SCREEN = 24  # lines of 80 columns


def document(text: str) -> dict[str, Any]:
    """Read the one JSON document in *text*, which must keep to the schema."""
    told: dict[str, Any] = json.loads(text)
    return valid(told)


def valid(told: dict[str, Any]) -> dict[str, Any]:
    """Return *told*, which must keep to the schema, also once it is JSON."""
    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(told)))
    return told


def catalogued(school: School) -> None:
    """Put what each registration reads into its settings, as files and variables would have it."""
    for name, courses in school.contexts(school.platforms).items():
        school.options[name]["contexts"] = courses


def carried_out(
    school: School, *, stop: threading.Event | None = None, watcher: Watcher | None = None, **order: Any
) -> dict[str, Any]:
    """Run `lti-rosters run` in this process, in the school's directory; models only where asked for."""
    catalogued(school)
    order = {"with_models": False, **order}
    # dbt opens the file with a configuration of its own, which DuckDB refuses where it is open.
    is_built = order["with_models"] or order.get("is_models_only")
    with school.settings(), contextlib.nullcontext() if is_built else school.held_open():
        return valid(run(Order(directory=school.directory, **order), stop=stop, watcher=watcher))


def active_learners(database: Path) -> dict[tuple[str, str], tuple[int | None, str]]:
    """Count and state in `lti.active_learners` by registration and context id."""
    query = "SELECT registration, context_id, active_learners, sync_state FROM lti.active_learners"
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute(query).fetchall()
    return {(registration, context_id): (count, state) for registration, context_id, count, state in rows}


@dataclass(frozen=True, slots=True)
class Called:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> int:
        """How many lines of 80 columns all that it said takes."""
        said = [*self.out.splitlines(), *self.err.splitlines()]
        return sum(max(1, -(-len(line) // 80)) for line in said)


@dataclass
class Desk:
    """A bare working directory for real commands: nothing of ours in the environment but *environment*.

    Where *is_fresh*, the command that is installed is started; else its process is forked, see `starter`.
    """

    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    is_fresh: bool = FRESH

    def start(self, *arguments: str, script: Path | None = None, **environment: str) -> Process:
        """Start `lti-rosters`, or a *script*, with *arguments*; anew where *environment* speaks to Python itself."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SOURCES__", "RUNTIME__", "LOAD__", "DLT_", "DBT_", "COV_", "PYTEST"))
        }
        whole = {**kept, "COLUMNS": "80", **self.environment, **environment}
        if not self.is_fresh and not any(name.startswith("PYTHON") for name in environment):
            return start(arguments, self.directory, whole, script=script)
        return subprocess.Popen(
            [*([sys.executable, str(script)] if script else [COMMAND]), *arguments],
            cwd=self.directory,
            env=whole,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def call(self, *arguments: str, script: Path | None = None, **environment: str) -> Called:
        """Run `lti-rosters`, or a *script*, with *arguments* to its end."""
        return ended(self.start(*arguments, script=script, **environment))


def ended(process: Process) -> Called:
    """Wait for *process* to end."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Called(process.returncode, out, err)


@contextlib.contextmanager
def desk(school: School, *, is_fresh: bool = FRESH) -> Iterator[Desk]:
    """The school's directory as a desk, with its registrations in the environment of every command."""
    catalogued(school)
    with school.settings():
        ours = {
            name: value for name, value in os.environ.items() if name.startswith("SOURCES__LTI_ROSTERS__")
        }
    yield Desk(school.directory, ours, is_fresh)


def files(directory: Path, but: Sequence[str] = ()) -> set[str]:
    """The files under *directory*, relative to it."""
    found = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    return found - set(but)
