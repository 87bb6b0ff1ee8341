"""What dbt and dlt work out anew every time from the same input, worked out once in a process of the tests.

Each is a function of nothing but its arguments, dbt's own switch for its tests, or its own file of what it parsed.
Half of the CPU time of a first build, a third of a later one's, a tenth of a load's. A version of theirs that lacks
one of the functions goes the long way, as everything does with `NO_SHORTCUTS=1`.
"""

import contextlib
import functools
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lti_rosters.runs import models

SKIPPED = "NO_SHORTCUTS" in os.environ


def in_dlt() -> None:
    """Which settings a class of them has, and whether one is a secret, dlt asks thousands of times in a load."""
    if SKIPPED:
        return
    with contextlib.suppress(ImportError, AttributeError):
        from dlt.common.configuration.specs.base_configuration import BaseConfiguration, is_secret_hint

        fields = BaseConfiguration.get_resolvable_fields.__func__  # type: ignore[attr-defined]
        BaseConfiguration.get_resolvable_fields = classmethod(functools.cache(fields))  # type: ignore[assignment]
        _everywhere("dlt", is_secret_hint, _kept(is_secret_hint))


def when_dbt_comes() -> None:
    """`in_dbt`, once models are built first in this process: to import dbt takes as long as many tests."""
    build = models.run_dbt
    begin = functools.cache(in_dbt)

    @functools.wraps(build)
    def run_dbt(*told: Any, **named: Any) -> models.Built:
        begin()
        return build(*told, **named)

    models.run_dbt = run_dbt


def in_dbt() -> None:
    """Texts that are parsed and compiled as templates, and what values in the rows of an answer may be.

    Half of what dbt does with a small warehouse is to do this again for macros that come with it.
    """
    if SKIPPED:
        return
    with contextlib.suppress(ImportError, AttributeError):
        importlib.import_module("dbt_common.tests").enable_test_caching()
    with contextlib.suppress(ImportError, AttributeError):
        from jinja2 import Environment

        Environment.compile = _compiled_once(Environment.compile)  # type: ignore[method-assign]
    with contextlib.suppress(ImportError, AttributeError):
        helper = importlib.import_module("dbt_common.clients.agate_helper")
        made = functools.cache(helper.build_type_tester)
        helper.build_type_tester = lambda columns, **told: made(frozenset(columns), **told)
    with contextlib.suppress(ImportError, AttributeError):
        _parsed_once()


def _parsed_once() -> None:
    """Put what dbt has parsed of a project into the next working directory too, for dbt to find and examine.

    dbt parses anew where anything of the connection is another. In ours the path is; what stands in a parsed project
    of it are type, database and schema.
    """
    from dbt.contracts.files import FileHash
    from dbt.parser.manifest import PARTIAL_PARSE_FILE_NAME, ManifestLoader

    loader: Any = ManifestLoader
    check, read, write = (
        loader.build_manifest_state_check,
        loader.read_manifest_for_partial_parse,
        loader.write_manifest_for_partial_parse,
    )
    kept: dict[str, bytes] = {}

    def checked(self: Any) -> Any:
        state, to = check(self), self.root_project.credentials
        state.profile_hash = FileHash.from_contents(repr((to.type, to.database, to.schema)))
        return state

    def place(self: Any) -> tuple[str, Path]:
        """What the project that is parsed is known by, and dbt's file for it."""
        key = repr((self.root_project.project_root, self.manifest.state_check))
        return key, Path(self.root_project.project_target_path, PARTIAL_PARSE_FILE_NAME)

    def found(self: Any) -> Any:
        key, path = place(self)
        if key in kept and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(kept[key])
        return read(self)

    def written(self: Any) -> None:
        write(self)
        key, path = place(self)
        kept[key] = path.read_bytes()

    loader.build_manifest_state_check = checked
    loader.read_manifest_for_partial_parse = found
    loader.write_manifest_for_partial_parse = written


def _compiled_once(compiled: Callable[..., Any]) -> Callable[..., Any]:
    """Jinja's compiler, which is asked for the same text by environments of the same kind."""
    kept: dict[tuple[Any, ...], Any] = {}

    def compile_(environment: Any, source: Any, *told: Any, **named: Any) -> Any:
        if not isinstance(source, str):
            return compiled(environment, source, *told, **named)
        kind = (type(environment), *sorted(environment.extensions))
        key = (kind, source, told, *sorted(named.items()))
        if key not in kept:
            kept[key] = compiled(environment, source, *told, **named)
        return kept[key]

    return compile_


def _kept(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """*function*, asked once for each argument that can be a key."""
    asked = functools.cache(function)

    @functools.wraps(function)
    def told(argument: Any) -> Any:
        try:
            return asked(argument)
        except TypeError:
            return function(argument)

    return told


def _everywhere(package: str, function: Callable[..., Any], other: Callable[..., Any]) -> None:
    """Put *other* wherever a module of *package* has imported *function*."""
    for module in [each for name, each in sys.modules.items() if name.partition(".")[0] == package]:
        for name, value in list(vars(module).items()):
            if value is function:
                setattr(module, name, other)
