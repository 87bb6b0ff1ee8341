"""What the repository gives to start from: the templates of the settings and the scheduled pipeline."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from commands import Desk, carried_out, desk
from lti_rosters.keys.signing import SigningKey, private_pem, public_jwk
from lti_rosters.reference.platform import Course, ReferencePlatform, member
from lti_rosters.rosters.planning import plans
from lti_rosters.settings.registration import Options
from lti_rosters.settings.registration_settings import FIELDS, OPTIONS
from lti_rosters.settings.settings import Settings, read_settings
from patience import PATIENCE
from school import School

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / ".dlt" / "config.toml"
SECRETS = ROOT / ".dlt" / "example.secrets.toml"
PIPELINE = ROOT / "pipelines" / "rosters.py"
DEMO = ROOT / "pipelines" / "demo.py"
OF_LTIAAS = {"base_url", "api_key"}  # the registration aggregator shows them
NOT_DEFAULTS = {"role", "max_members", "page_size", "allow_hosts"}  # shown by an example


def uncommented(path: Path) -> str:
    """Return the template at *path* as it reads when every setting in it is used."""
    return re.sub(r"^#(?=\S)", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool_key: SigningKey) -> Iterator[Settings]:
    """The settings of a directory in which everything that the templates show is in use."""
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text(uncommented(CONFIG), encoding="utf-8")
    (tmp_path / ".dlt" / "secrets.toml").write_text(uncommented(SECRETS), encoding="utf-8")
    for name in ("lti_rosters_key.pem", "canvas_key.pem"):
        (tmp_path / name).write_text(private_pem(tool_key), encoding="utf-8")
    (tmp_path / "courses.csv").write_text("memberships_url\nhttps://canvas.example.edu/1\n", encoding="utf-8")
    (tmp_path / "activities.csv").write_text("context_id,service_key\nc1,k1\n", encoding="utf-8")
    for name in [name for name in os.environ if name.startswith("SOURCES__")]:
        monkeypatch.delenv(name)
    context = Container()[PluggableRunContext]
    with monkeypatch.context() as there:
        there.chdir(tmp_path)
        context.reload_providers()
        yield read_settings()
    context.reload_providers()


@pytest.mark.parametrize("path", [CONFIG, SECRETS], ids=lambda path: path.name)
def test_a_fresh_clone_has_no_registration(path: Path) -> None:
    """As they stand, the templates set nothing of ours: the demo and the tests see no registration."""
    assert "sources" not in tomllib.loads(path.read_text(encoding="utf-8"))


def test_every_setting_of_the_templates_is_good(used: Settings) -> None:
    """With every comment taken away, six registrations are read, without a fault or an unknown setting."""
    assert {name: [str(fault) for fault in faults] for name, faults in used.faulty.items()} == {}
    assert [each.name for each in used.registrations] == [
        "canvas",
        "moodle",
        "sakai",
        "brightspace",
        "blackboard",
        "aggregator",
    ]
    assert used.unknown == ()


def test_the_template_shows_an_account_of_ltiaas(used: Settings) -> None:
    """Its address and catalogue stand in the one file, its key in the other, and its one course is found."""
    (account,) = [each for each in used.registrations if each.provider == "ltiaas"]
    (plan,) = [plan for plan in plans(used) if plan.registration is account]

    assert (account.base_url, account.api_key) == ("https://acme.ltiaas.com", "your-api-key")
    assert ([entry.context_id for entry in plan.entries], plan.failure) == (["c1"], None)


def test_the_template_shows_every_option() -> None:
    """Every option of the settings has its line."""
    moodle = tomllib.loads(uncommented(CONFIG))["sources"]["lti_rosters"]["registrations"]["moodle"]

    assert OPTIONS.keys() - moodle.keys() == set()


def test_the_template_shows_every_field() -> None:
    """Every other setting of a registration has its line too; secrets have theirs in the file for secrets."""
    moodle = tomllib.loads(uncommented(CONFIG))["sources"]["lti_rosters"]["registrations"]["moodle"]
    shared = tomllib.loads(uncommented(SECRETS))["sources"]["lti_rosters"]

    assert FIELDS.keys() - OF_LTIAAS - moodle.keys() - shared.keys() == set()


def test_the_template_shows_the_defaults() -> None:
    """The values shown for options are their defaults, but where it says that there is none."""
    moodle: dict[str, Any] = tomllib.loads(uncommented(CONFIG))["sources"]["lti_rosters"]["registrations"][
        "moodle"
    ]
    defaults = {each.name: each.default for each in fields(Options) if each.name not in NOT_DEFAULTS}

    assert {name: moodle[name] for name in defaults} == defaults


@pytest.mark.parametrize("name", [".dlt/secrets.toml", ".dlt/prod.secrets.toml", "key.pem", "rosters.duckdb"])
def test_git_ignores_what_must_not_be_shared(name: str) -> None:
    """Secrets, keys and loaded rosters cannot be committed by accident."""
    patterns = (ROOT / ".gitignore").read_text(encoding="utf-8").split()

    assert any(Path(name).match(pattern) for pattern in patterns)


def test_the_scheduled_pipeline_logs_no_member(school: School) -> None:
    """A load that the destination refuses row by row: nobody's id is on stderr, whoever imported dlt first."""
    school.add("c1", ["ann-larkspur"])
    carried_out(school)
    school.sql("ALTER TABLE memberships ALTER user_id TYPE INTEGER USING 1")
    school.add("c2", ["ben-larkspur"])

    with desk(school) as at:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RUNTIME__")}
        done = subprocess.run(
            [sys.executable, PIPELINE],
            cwd=school.directory,
            env=environment | dict(at.environment),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    assert done.returncode == 9, done.stderr
    assert "larkspur" not in done.stdout + done.stderr


def test_the_demo_as_a_script_loads_and_shows(tmp_path: Path) -> None:
    """pipelines/demo.py makes the demo's database where it is started, and shows the course that fails."""
    done = Desk(tmp_path).call(script=DEMO)

    assert (done.status, "failing" in done.out) == (0, True), done.err
    assert [path.name for path in tmp_path.iterdir()] == ["demo.duckdb"]


def test_the_scheduled_pipeline_loads_and_builds(tool_key: SigningKey, tmp_path: Path) -> None:
    """pipelines/rosters.py loads what the settings name, builds the models and ends with the run's status."""
    with ReferencePlatform(client_id="100", tool_keys=lambda: [public_jwk(tool_key)]) as platform:
        platform.add(Course("c1", members=[member("u1"), member("u2"), member("u3", ("Instructor",))]))
        registration = {
            "issuer": platform.issuer,
            "client_id": platform.client_id,
            "token_url": platform.token_url,
            "audience": platform.audience,
            "contexts": [platform.memberships_url("c1")],
        }
        lines = [f"{name} = {json.dumps(value)}" for name, value in registration.items()]
        (tmp_path / ".dlt").mkdir()
        (tmp_path / ".dlt" / "config.toml").write_text(
            "\n".join(["[sources.lti_rosters.registrations.canvas]", *lines]), encoding="utf-8"
        )
        done = Desk(tmp_path, {"HOME": str(tmp_path)}).call(
            script=PIPELINE, SOURCES__LTI_ROSTERS__PRIVATE_KEY=private_pem(tool_key)
        )

    assert done.status == 0, done.out + done.err
    assert json.loads(done.out)["totals"]["complete"] == 1
    with duckdb.connect(str(tmp_path / "rosters.duckdb"), read_only=True) as connection:
        assert connection.sql("select active_learners, active_staff from lti.active_learners").fetchall() == [
            (2, 1)
        ]
