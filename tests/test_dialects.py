"""The models in the words of warehouses that no test can reach: compiled by each one's own dbt adapter, and parsed.

Nothing is run there, so this shows that the SQL is well formed in its dialect, and no more. The adapters are large:
they are in an extra of their own, `dialects`, and where it is not installed these tests are skipped.
"""

import contextlib
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import expressions as exp

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).parent.parent / "sources/lti_rosters/dbt"
NOBODY = {"user": "u", "password": "of-tests-alone", "schema": "lti"}
PROFILES: dict[str, dict[str, Any]] = {
    "snowflake": {**NOBODY, "account": "none", "database": "d", "warehouse": "w"},
    "bigquery": {"method": "oauth-secrets", "token": "none", "project": "none", "dataset": "lti"},
    "redshift": {**NOBODY, "host": "127.0.0.1", "port": 9, "dbname": "d"},
    "databricks": {
        "host": "127.0.0.1",
        "http_path": "none",
        "token": "none",
        "schema": "lti",
        "catalog": "d",
    },
}
COMPILE = (
    *("--quiet", "compile", "--no-introspect", "--no-populate-cache", "--no-send-anonymous-usage-stats"),
    *("--no-version-check", "--no-partial-parse", "--select", "resource_type:model", "resource_type:test"),
)


@pytest.mark.parametrize("dialect", PROFILES)
def test_every_model_and_test_is_well_formed(dialect: str, tmp_path: Path) -> None:
    """Compiled without a connection, then parsed, and kept to what the dialect has of it."""
    if importlib.util.find_spec(f"dbt.adapters.{dialect}") is None and "DIALECTS" not in os.environ:
        pytest.skip('not installed: pip install -e ".[dialects]"')
    sources = {path.stem for path in (PROJECT / "models").rglob("*.sql")}

    compiled = compile_for(dialect, tmp_path)

    assert sources <= compiled.keys()
    for name, text in compiled.items():
        parsed = sqlglot.parse_one(text, dialect=dialect, error_level=sqlglot.ErrorLevel.RAISE)
        assert lacking(parsed, dialect) == [], name


def compile_for(dialect: str, folder: Path) -> dict[str, str]:
    """The SQL of every model and test, by name, as the adapter of *dialect* has it.

    One process for all: dbt is imported and its own macros are parsed once.
    """
    from dbt.adapters.factory import reset_adapters
    from dbt.cli.main import dbtRunner
    from dbt_common.tests import enable_test_caching

    enable_test_caching()
    output = {"type": dialect, "threads": 1, **PROFILES[dialect]}
    profile = {"lti_rosters": {"target": "none", "outputs": {"none": output}}}
    (folder / "profiles.yml").write_text(json.dumps(profile))
    places = ("--project-dir", PROJECT, "--profiles-dir", folder, "--target-path", folder / "target")
    with contextlib.chdir(folder):
        answer = dbtRunner().invoke([*COMPILE, *map(str, places), "--log-path", str(folder / "logs")])
    reset_adapters()  # type: ignore[no-untyped-call]
    assert answer.success, answer.exception
    return {path.stem: path.read_text() for path in (folder / "target/compiled").rglob("*.sql")}


def lacking(parsed: exp.Expression, dialect: str) -> list[str]:
    """What *parsed* says that sqlglot reads in any dialect, and this one's own documentation does not have."""
    found = [f"{each.key}: not understood" for each in parsed.find_all(exp.Command)]
    for select in parsed.find_all(exp.Select):
        if select.args.get("where") and not select.args.get("from_", select.args.get("from")):
            found.append("where without from")  # BigQuery
        if select.args.get("windows"):
            found.append("a window with a name")  # Snowflake, Redshift
    if dialect == "redshift":
        found += ["is distinct from" for _ in parsed.find_all(exp.NullSafeNEQ, exp.NullSafeEQ)]
        found += [
            "a running aggregate without a frame"
            for window in parsed.find_all(exp.Window)
            if isinstance(window.this, exp.Sum | exp.Min | exp.Max | exp.Avg | exp.Count)
            and window.args.get("order")
            and not window.args.get("spec")
        ]
    return found
