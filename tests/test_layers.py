"""The code keeps the layers and doors that CONTRIBUTING.md draws, and the rules that `dlt init` needs."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "sources" / "lti_rosters"


def dotted(path: Path) -> str:
    """Return the name of the module in *path* below the package; a folder's own is `folder.__init__`."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


SOURCES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}
MODULES = sorted(name for name in TREES if not name.endswith("__init__"))
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
COMMANDS = {name for name in MODULES if name.startswith("cli.")}
DECORATED = {"source", *COMMANDS}  # may decorate with what is third-party
PROVIDERS = ("nrps", "ltiaas")
DISTRIBUTIONS = {"jwt": "pyjwt"}  # import name -> distribution, where they differ
OPTIONAL = {"dbt", "dbt_common", "duckdb", "sqlalchemy"}  # brought by extras
PINNED = {"sqlglot"}  # never imported: bounded for dlt's sake
ALWAYS_THERE = {"dlt"}  # who runs `dlt init` has it

Function = ast.FunctionDef | ast.AsyncFunctionDef


def drawn(heading: str) -> list[list[str]]:
    """Return the rows of the table in CONTRIBUTING.md whose header is *heading*, cell by cell."""
    table = CONTRIBUTING.split(f"\n{heading}\n", 1)[1].split("\n\n", 1)[0]
    rows = table.strip().splitlines()[1:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def names(cell: str) -> list[str]:
    """Return what stands between backticks in *cell*."""
    return re.findall(r"`([^`]+)`", cell)


def placed(row: list[str]) -> list[str]:
    """Return the dotted names of the modules in a *row* of folder, purpose and modules."""
    folder = "".join(f"{name}." for name in names(row[0]))
    return [folder + name for name in names(row[2])]


ASIDE = [name for row in drawn("| aside | holds | modules |") for name in placed(row)]
ORDER = [name for row in drawn("| folder | holds | modules |") for name in placed(row)]
DOORS = {names(row[0])[0]: set(names(row[1])) for row in drawn("| dependency | modules |")}


def ours(name: str) -> set[str]:
    """Return the modules of the package that the module *name* imports, anywhere in it."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = [*name.split(".")[: -node.level], *(node.module or "").split(".")]
            base = ".".join(part for part in above if part)
            inside = [".".join(part for part in (base, alias.name) if part) for alias in node.names]
            found |= {base} if base in TREES else {each for each in inside if each in TREES}
    return found


def imported(tree: ast.AST) -> set[str]:
    """Return the packages that *tree* imports by their whole name."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


def foreign(tree: ast.AST) -> set[str]:
    """Return the third-party packages that *tree* imports."""
    return imported(tree) - set(sys.stdlib_module_names)


def at_import(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions that run when a module is imported: all but the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in (
            "TYPE_CHECKING",
            "__name__ == '__main__'",
        ):
            continue
        if isinstance(child, Function | ast.Lambda):
            yield from evaluated(child)
            continue
        if isinstance(child, ast.expr):
            yield child
        yield from at_import(child)


def evaluated(function: Function | ast.Lambda) -> Iterator[ast.expr]:
    """Yield what runs where *function* is defined: defaults, annotations, decorators."""
    whole: list[ast.AST] = [function.args]
    if not isinstance(function, ast.Lambda):
        whole += function.decorator_list
        whole += [function.returns] if function.returns else []
    for part in whole:
        if isinstance(part, ast.expr):
            yield part
        yield from at_import(part)


def root(node: ast.expr) -> str | None:
    """Return the name that an expression such as `a.b(c).d` begins with."""
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def bound(tree: ast.Module) -> dict[str, tuple[str, bool]]:
    """Return the names that third-party imports bind: to which package, and whether to a module."""
    found: dict[str, tuple[str, bool]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = (alias.name.partition(".")[0], True)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = ((node.module or "").partition(".")[0], False)
    return {name: of for name, of in found.items() if of[0] not in sys.stdlib_module_names}


def decorators(tree: ast.Module) -> set[ast.AST]:
    """Return what stands in the decorators of *tree*, everywhere in it."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = [each for node in ast.walk(tree) if isinstance(node, kinds) for each in node.decorator_list]
    return {part for each in found for part in ast.walk(each)}


def test_every_module_has_its_place() -> None:
    """Every module stands once in the tables of CONTRIBUTING.md, and nothing else does."""
    assert sorted(ORDER + ASIDE) == MODULES


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_downwards(name: str) -> None:
    """A module imports only modules that stand before it; aside, only others aside; `demo.demo` may look aside."""
    before = ASIDE[: ASIDE.index(name)] if name in ASIDE else ORDER[: ORDER.index(name)]
    allowed = {*before, *(ASIDE if name == "demo.demo" else ())}

    assert ours(name) - allowed == set()


def test_providers_do_not_import_each_other() -> None:
    """No provider knows another."""
    providers = {f"providers.{name}" for name in PROVIDERS}

    assert providers <= TREES.keys()
    assert [name for name in providers if ours(name) & providers] == []


def test_the_package_publishes_errors_and_source() -> None:
    """Importing the package imports the errors, the version and the source by name, and no command."""
    assert ours("__init__") == {"direct", "errors", "source", "version"}


def test_every_dependency_has_its_doors() -> None:
    """A dependency is imported by the modules of its row, each of them, and by no other."""
    found: dict[str, set[str]] = {}
    for name, tree in TREES.items():
        for dependency in foreign(tree):
            found.setdefault(dependency, set()).add(name)

    assert found == DOORS


def test_dependencies_are_declared() -> None:
    """What the package imports is what pyproject.toml asks for: nothing missing, nothing idle."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[<>=\[]", each)[0] for each in project["dependencies"]}
    needed = {DISTRIBUTIONS.get(name, name) for name in DOORS if name not in OPTIONAL}

    assert declared == needed | PINNED
    assert any(each.startswith("dbt-core") for each in project["optional-dependencies"]["duckdb"])


def test_dlt_init_asks_for_the_same_dependencies() -> None:
    """requirements.txt, which `dlt init` reads, lists the dependencies of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = (PACKAGE / "requirements.txt").read_text(encoding="utf-8").split()

    assert listed == project["dependencies"]


@pytest.mark.parametrize("name", sorted(TREES))
def test_imports_inside_the_package_are_relative(name: str) -> None:
    """`import lti_rosters` or `import sources` inside would break the copy that `dlt init` makes."""
    assert imported(TREES[name]) & {"lti_rosters", "sources", "pipelines"} == set()


@pytest.mark.parametrize("name", sorted(TREES))
def test_nothing_third_party_is_called_at_import(name: str) -> None:
    """Decorators of the source and of the command line aside, an import calls nothing of others."""
    tree = TREES[name]
    theirs = bound(tree)
    allowed = decorators(tree) if name in DECORATED else set()
    calls = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in at_import(tree)
        if isinstance(node, ast.Call) and root(node) in theirs and node not in allowed
    ]

    assert calls == []


@pytest.mark.parametrize("name", sorted(TREES.keys() - COMMANDS))
def test_imports_stand_stubs(name: str) -> None:
    """At import a third-party name is only named: the stubs of `dlt init` bear one attribute of a module."""
    theirs = {key: of for key, of in bound(TREES[name]).items() if of[0] not in ALWAYS_THERE}
    deep = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in at_import(TREES[name])
        if isinstance(node, ast.Attribute | ast.Subscript)
        and (owner := theirs.get(root(node) or "")) is not None
        and not (owner[1] and isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name))
    ]

    assert deep == []


@pytest.mark.parametrize("name", sorted(TREES.keys() - COMMANDS))
def test_only_the_command_line_prints(name: str) -> None:
    """Nobody else writes to stdout."""
    calls = [node for node in ast.walk(TREES[name]) if isinstance(node, ast.Call)]

    assert [
        node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"
    ] == []


@pytest.mark.parametrize("name", sorted(TREES))
def test_public_things_say_what_they_are(name: str) -> None:
    """Every module, and every public class and function at its top, has a docstring."""
    tree = TREES[name]
    public = [
        node
        for node in tree.body
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_")
    ]

    assert [node.name for node in public if not ast.get_docstring(node)] == []
    assert ast.get_docstring(tree)


@pytest.mark.parametrize("name", MODULES)
def test_published_names_exist(name: str) -> None:
    """What a module lists in `__all__` it has, and lists once."""
    module = importlib.import_module(f"lti_rosters.{name}")
    published = getattr(module, "__all__", [])

    assert [each for each in published if not hasattr(module, each)] == []
    assert len(set(published)) == len(published)


def test_the_package_publishes_all_that_is_public() -> None:
    """`__all__` of the package is what it shows to a type checker and gives when asked, and its version."""
    package = importlib.import_module("lti_rosters")
    (shown,) = [node for node in TREES["__init__"].body if isinstance(node, ast.If)]
    imported = {
        alias.name: node.module
        for node in shown.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert set(package.__all__) == {*imported, "__version__"}
    assert set(package.__all__) <= set(dir(package))
    for name, module in imported.items():
        assert getattr(package, name) is getattr(importlib.import_module(f"lti_rosters.{module}"), name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing


def test_help_waits_for_no_large_library() -> None:
    """`lti-rosters --help` imports neither dlt nor what reads rosters."""
    program = (
        "import sys; from lti_rosters.cli.main import commands; commands(['--help'], standalone_mode=False); "
        "print(sorted({'dlt', 'pyarrow', 'duckdb', 'dbt', 'httpx', 'cryptography'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "LTI course rosters in your warehouse." in told.stdout
    assert told.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*.py")), ids=lambda path: path.name)
def test_pipelines_import_the_package(path: Path) -> None:
    """What is in pipelines/ runs only under `__main__` and imports only the package and its dependencies."""
    tree = ast.parse(path.read_text(encoding="utf-8"))

    assert foreign(tree) <= {"lti_rosters", *DOORS}
    assert [ast.unparse(node) for node in at_import(tree) if isinstance(node, ast.Call)] == []
