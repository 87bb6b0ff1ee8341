"""The wheel: what is in it, and that it works alone in a bare environment."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from lti_rosters import __version__
from patience import PATIENCE

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "sources" / "lti_rosters"
LEFT_OUT = {"requirements.txt"}  # for `dlt init` alone


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True, timeout=PATIENCE)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """The files in the wheel."""
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """What the wheel says of itself."""
    text = zipfile.ZipFile(wheel).read(f"lti_rosters-{__version__}.dist-info/METADATA")
    return Parser().parsestr(text.decode("utf-8"))


def test_the_wheel_holds_one_package(names: set[str]) -> None:
    """Nothing but `lti_rosters` is put on a user's path: no `sources`, no tests, no pipelines."""
    assert {name.partition("/")[0] for name in names} == {
        "lti_rosters",
        f"lti_rosters-{__version__}.dist-info",
    }


def test_the_wheel_holds_every_file_of_the_package(names: set[str]) -> None:
    """Code, type marker, role vocabulary and dbt project all ship."""
    files = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    expected = {
        f"lti_rosters/{path.relative_to(PACKAGE).as_posix()}" for path in files if path.name not in LEFT_OUT
    }

    assert {name for name in names if name.startswith("lti_rosters/")} == expected
    assert {f"lti_rosters/{name}" for name in ("py.typed", "roles.csv", "dbt/dbt_project.yml")} <= expected


def test_the_wheel_holds_the_licence(wheel: Path, metadata: Message) -> None:
    """The licence's text ships, and its SPDX name stands in the metadata."""
    text = (
        zipfile.ZipFile(wheel).read(f"lti_rosters-{__version__}.dist-info/licenses/LICENSE").decode("utf-8")
    )

    assert metadata["License-Expression"] == "Apache-2.0"
    assert text == (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text


def test_the_wheel_names_its_command(wheel: Path) -> None:
    """Installing it brings `lti-rosters`."""
    text = (
        zipfile.ZipFile(wheel).read(f"lti_rosters-{__version__}.dist-info/entry_points.txt").decode("utf-8")
    )

    assert text.split("\n")[:2] == ["[console_scripts]", "lti-rosters = lti_rosters.cli.main:main"]


def test_the_wheel_says_what_it_needs(metadata: Message) -> None:
    """Version, Python and extras are those of the project."""
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert {"duckdb"} <= set(metadata.get_all("Provides-Extra", []))


@pytest.mark.slow
def test_the_wheel_alone_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    """In a bare environment and an empty directory, the wheel and what it depends on are all that the demo needs.

    That what it declares is all of that, the README's command for the demo shows, which CI begins with: this takes
    the dependencies of this environment, and spares installing and compiling them.
    """
    venv.create(tmp_path / "bare", with_pip=False)
    commands = tmp_path / "bare" / ("Scripts" if os.name == "nt" else "bin")
    install = ["install", "--quiet", "--no-deps", "--no-compile", str(wheel)]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", commands / "python", *install], check=True, timeout=PATIENCE
    )
    (bare,) = (tmp_path / "bare").rglob("site-packages")
    # Folders in a .pth are searched last, and the .pth of our own editable installation there is not read.
    (bare / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    empty = tmp_path / "empty"
    empty.mkdir()

    done = subprocess.run(
        [commands / "lti-rosters", "demo", "--json"],
        cwd=empty,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert len(document["active_learners"]) == 30
    assert document["totals"]["failed"] == 1  # the course that breaks off on purpose
    assert (empty / "demo.duckdb").exists()
