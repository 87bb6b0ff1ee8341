"""`dlt init lti_rosters duckdb --location <repository>`: really run, and what it copies really loads."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pytest

from lti_rosters.keys.signing import SigningKey, private_pem, public_jwk
from lti_rosters.reference.platform import Course, ReferencePlatform, member
from patience import PATIENCE

SOURCES = Path(__file__).parent.parent / "sources"
MISSING = "cryptography,dbt,duckdb,filelock,httpx,jwt,pyarrow"  # what dlt alone does not bring
TREE_ONLY = {"py.typed", "requirements.txt"}  # what dlt init leaves behind

# Runs a command of dlt as if the packages named first were not installed.
WITHOUT = """
import sys

class Missing:
    names = set(sys.argv.pop(1).split(","))

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from dlt._workspace.cli._dlt import _main
sys.argv[0] = "dlt"
sys.exit(_main())
"""

# Runs the script as a user does, then its other functions, and tells which copy of the package was in use.
SCRIPT = """
import runpy, sys
names = runpy.run_path("lti_rosters_pipeline.py", run_name="__main__")
names["load_registrations"]("moodle")
names["load_one_course"]("canvas", "c2")
print(sys.modules["lti_rosters"].__file__)
"""


def environment(home: Path) -> dict[str, str]:
    """Return an environment in which neither dlt nor git sees anything of this machine's user."""
    kept = {name: value for name, value in os.environ.items() if "__" not in name}
    return kept | {
        "HOME": str(home),
        "DLT_DATA_DIR": str(home / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "PYTHONPATH": "",
    }


def git(repository: Path, *arguments: str) -> None:
    """Run git in *repository* as somebody who exists nowhere."""
    name = ["-c", "user.name=Test", "-c", "user.email=test@example.edu"]
    command = ["git", *name, *arguments]
    subprocess.run(command, cwd=repository, env=environment(repository), check=True, capture_output=True)


def init(project: Path, repository: Path) -> str:
    """Run `dlt init` in *project* without the packages that are MISSING, and return what it says."""
    words = ["init", "lti_rosters", "duckdb", "--location", str(repository)]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, MISSING, *words],
        cwd=project,
        env=environment(project.parent),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with the sources as they stand in the working tree."""
    path = tmp_path_factory.mktemp("repository")
    shutil.copytree(SOURCES, path / "sources", ignore=shutil.ignore_patterns("__pycache__"))
    git(path, "init", "--quiet")
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--message", "The sources as they stand")
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """A fresh directory after `dlt init`, run without the packages that the source needs."""
    path = tmp_path_factory.mktemp("user") / "project"
    path.mkdir()
    init(path, repository)
    return path


def files(folder: Path) -> set[str]:
    """Return the files of the package in *folder*, relative to it."""
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in paths}


def test_init_copies_the_whole_package(project: Path) -> None:
    """Every file of the package arrives, the models and the role vocabulary too, all unchanged."""
    package = SOURCES / "lti_rosters"
    expected = files(package) - TREE_ONLY

    assert files(project / "lti_rosters") == expected
    assert [
        name
        for name in sorted(expected)
        if (package / name).read_bytes() != (project / "lti_rosters" / name).read_bytes()
    ] == []


def test_init_copies_the_script(project: Path) -> None:
    """The script arrives with the destination that was asked for, and compiles to the same code."""
    ours = (SOURCES / "lti_rosters_pipeline.py").read_text(encoding="utf-8")
    copy = (project / "lti_rosters_pipeline.py").read_text(encoding="utf-8")

    assert copy.replace("'duckdb'", '"duckdb"') == ours


def test_init_asks_for_the_dependencies(project: Path) -> None:
    """The user's requirements.txt is ours, with dlt's extra for the destination."""
    ours = (SOURCES / "lti_rosters" / "requirements.txt").read_text(encoding="utf-8").split()
    theirs = (project / "requirements.txt").read_text(encoding="utf-8").split()

    assert theirs == [each.replace("dlt>", "dlt[duckdb]>") for each in ours]


def test_init_writes_no_setting_of_ours(project: Path) -> None:
    """The files of settings hold nothing that would have to be removed before the first registration."""
    for name in ("config.toml", "secrets.toml"):
        settings = tomllib.loads((project / ".dlt" / name).read_text(encoding="utf-8"))

        assert "sources" not in settings


def test_init_again_finds_nothing_to_update(project: Path, repository: Path) -> None:
    """A second run leaves the files of the first as they are."""
    before = {path: path.stat().st_mtime_ns for path in (project / "lti_rosters").rglob("*.*")}
    said = init(project, repository)

    assert "No files to update" in said
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.fixture
def platforms(tool_key: SigningKey) -> Iterator[Mapping[str, ReferencePlatform]]:
    """Two platforms, two courses at the first and one at the second."""

    def keys() -> list[dict[str, str]]:
        return [public_jwk(tool_key)]

    with (
        ReferencePlatform(client_id="100", tool_keys=keys) as canvas,
        ReferencePlatform(client_id="200", tool_keys=keys) as moodle,
    ):
        canvas.add(Course("c1", members=[member("u1"), member("u2", ("Instructor",))]))
        canvas.add(Course("c2", members=[member("u1")]))
        moodle.add(Course("c1", members=[member("1"), member("2"), member("3")]))
        yield {"canvas": canvas, "moodle": moodle}


def settings(platforms: Mapping[str, ReferencePlatform]) -> str:
    """Return the stanza that a user adds to config.toml."""
    lines = []
    for name, platform in platforms.items():
        fields = {
            "issuer": platform.issuer,
            "client_id": platform.client_id,
            "token_url": platform.token_url,
            "audience": platform.audience,
            "contexts": [platform.memberships_url(key) for key in platform.courses],
        }
        lines.append(f"[sources.lti_rosters.registrations.{name}]")
        lines += [f"{field} = {json.dumps(value)}" for field, value in fields.items()]
    return "\n".join(lines) + "\n"


def test_the_copy_loads_rosters(
    project: Path, platforms: Mapping[str, ReferencePlatform], tool_key: SigningKey, tmp_path: Path
) -> None:
    """Given settings, the copied script loads all courses, then those of a registration, then one course."""
    here = tmp_path / "project"
    shutil.copytree(project, here)
    with (here / ".dlt" / "config.toml").open("a", encoding="utf-8") as file:
        file.write(settings(platforms))
    with (here / ".dlt" / "secrets.toml").open("a", encoding="utf-8") as file:
        file.write(f'[sources.lti_rosters]\nprivate_key = """{private_pem(tool_key)}"""\n')
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=here,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert Path(done.stdout.splitlines()[-1]) == here / "lti_rosters" / "__init__.py"
    with duckdb.connect(str(here / "lti_rosters.duckdb"), read_only=True) as connection:
        members = (
            "select registration, context_id, count(*) from lti_raw.memberships group by all order by all"
        )
        assert connection.sql(members).fetchall() == [
            ("canvas", "c1", 2),
            ("canvas", "c2", 1),
            ("moodle", "c1", 3),
        ]
        syncs = "select registration, context_id, list(outcome order by started_at) from lti_raw.roster_syncs"
        assert connection.sql(f"{syncs} group by all order by all").fetchall() == [
            ("canvas", "c1", ["complete"]),
            ("canvas", "c2", ["complete", "unchanged"]),
            ("moodle", "c1", ["complete", "unchanged"]),
        ]
