"""The working directory `.lti_rosters/`: its owner's alone, cleared after a kill, healed where it is damaged.

In it dlt keeps one folder, named like the pipeline: what it knows of the destination, and packages, which are
members' data on their way. A package lies in `normalize/<any name>` while it is extracted, in
`normalize/extracted` and then `load/normalized` while it waits, and in `load/loaded` when it is done with.
"""

import contextlib
import gzip
import json
import os
import re
import secrets
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dlt.common.schema.utils import verify_schema_hash
from dlt.common.storages.load_storage import LoadStorage
from dlt.common.storages.normalize_storage import NormalizeStorage

PRIVATE_DIRECTORY, PRIVATE_FILE = 0o700, 0o600
STAGING = "staging"  # holds what tells this directory's staging tables from those of others
SPILL = "spill"  # of DuckDB: rows; beside the pipeline's folder
MOST_THREADS = 4  # of DuckDB: each of them needs some 125 MB
LOAD_MEMORY = "512MB"  # of DuckDB, in a load
EXTRACTED, NORMALIZED, LOADED = "normalize/extracted", "load/normalized", "load/loaded"
VERSIONS = {"normalize": NormalizeStorage.STORAGE_VERSION, "load": LoadStorage.STORAGE_VERSION}
JOBS = ("new_jobs", "started_jobs", "completed_jobs", "failed_jobs")
BEGUN = ("started_jobs", "completed_jobs")
PENDING_MOVES = ".pending_transitions"  # jobs that are done and lie where they were
UPDATES, APPLIED = "schema_updates.json", "applied_schema_updates.json"  # the latter once tables are made
TRACES = (
    *JOBS,
    ".exceptions",
    ".pending_transitions",
)  # rows, and errors that quote rows
KEPT = 10  # finished packages, without their rows: for `dlt pipeline info`

LOST = (
    "A load that an earlier run had left unfinished could not be read and was deleted: what that run saw is "
    "not in the history. Its rosters are read again now."
)
HEALED = "The working directory was damaged ({what}); it was restored from the destination."


def make_private(directory: Path) -> None:
    """Make *directory*, which only its owner may enter, and shut one that others may."""
    directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    if directory.stat().st_mode & 0o077:
        with contextlib.suppress(PermissionError):  # another user's: who may write in it may go on
            directory.chmod(PRIVATE_DIRECTORY)


@contextlib.contextmanager
def private() -> Iterator[None]:
    """Have every file that is made inside, the database's own included, be its owner's alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def write_private(path: Path, text: str) -> None:
    """Write *text* to *path*, which only its owner may read: wholly or, when killed, not at all."""
    new = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE), "w") as file:
        file.write(text)
    new.replace(path)


def duckdb_bounds(working: Path, memory: str) -> dict[str, Any]:
    """Settings that bound DuckDB's *memory*, which is 80 % of the machine's by default; the rest goes to *working*."""
    return {
        "memory_limit": memory,
        "threads": min(os.cpu_count() or 1, MOST_THREADS),
        "temp_directory": str(working / SPILL),
        "preserve_insertion_order": False,
    }


def staging_id(directory: Path) -> str:
    """Return eight hex digits that name the working *directory* in the warehouse, made at its first use."""
    path = directory / STAGING
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if re.fullmatch("[0-9a-f]{8}", known := path.read_text(encoding="ascii").strip()):
            return known
    made = secrets.token_hex(4)
    write_private(path, made)
    return made


def heal(folder: Path) -> list[str]:
    """Remove what a killed run left half made in the pipeline's *folder*, mend the rest; return warnings.

    A package that can be read is kept to be loaded. The lock of the working directory must be held.
    """
    shutil.rmtree(folder.with_name(SPILL), ignore_errors=True)  # DuckDB removes its own, unless it was killed
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        folder.unlink()
        return [HEALED.format(what=folder.name)]
    new = _rebuilt(folder)
    if (new / "state.json").exists():  # killed while it was mended, with the new one ready
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    shutil.rmtree(new, ignore_errors=True)
    if not folder.exists():
        return []
    clear(folder)
    _remove_half_made(folder)
    for place in (EXTRACTED, NORMALIZED, LOADED):
        if (folder / place).parent.is_dir():  # dlt expects them to be there from then on
            (folder / place).mkdir(exist_ok=True)
    told = [LOST for package in _pending(folder) if not _is_readable(package) and _removed(package)]
    what = _damage(folder)
    if what is not None:
        _rebuild(folder)
        told.append(HEALED.format(what=what))
    return told


def begin_anew(folder: Path) -> None:
    """Have dlt load every normalized package of *folder* from its first job, whatever it did of it before.

    Its staging tables must be dropped before it is loaded: a job repeated into them would leave doubles. Rows that
    were merged already are merged again, which changes nothing.
    """
    for package in _folders(folder / NORMALIZED):
        for path in (package / PENDING_MOVES).glob("*"):
            path.unlink()
        for name in JOBS:
            for path in (package / name).iterdir() if (package / name).is_dir() else ():
                if path.suffix == ".sql":  # a merge, which dlt asks for again after its copies
                    path.unlink()
                elif name in BEGUN:
                    path.replace(package / "new_jobs" / path.name)
        if (package / APPLIED).exists() and not (package / UPDATES).exists():
            (package / APPLIED).replace(package / UPDATES)  # without it no staging table would be made


def waiting(folder: Path) -> list[Path]:
    """The files of rows that wait in *folder* to be loaded."""
    return [*(folder / NORMALIZED).glob("*/new_jobs/*")]


def clear(folder: Path) -> None:
    """Delete the rows of packages that are done with, errors that may quote rows, and all but the last."""
    (folder / "trace.pickle").unlink(missing_ok=True)
    done = sorted(_folders(folder / LOADED), reverse=True)
    for package in done[:KEPT]:
        for name in TRACES:
            for path in (package / name).glob("*"):
                path.unlink()
    for package in done[KEPT:]:
        shutil.rmtree(package)


def give_up(folder: Path) -> None:
    """Delete *folder* with every package in it: dlt restores what it needs from the destination."""
    shutil.rmtree(folder, ignore_errors=True)


def _remove_half_made(folder: Path) -> None:
    """A killed extract or normalize begins anew under another name; its files would lie there for good."""
    for path in _folders(folder / "normalize"):
        if path.name != Path(EXTRACTED).name:
            shutil.rmtree(path)
    for path in _folders(folder / "load/new"):
        shutil.rmtree(path)
    for package in _folders(folder / EXTRACTED):
        # Killed while it was removed, after it had become a normalized one: normalizing what is left of it
        # would fail for good.
        if (folder / NORMALIZED / package.name).is_dir():
            shutil.rmtree(package)
    # Killed while it copied a job that it had written elsewhere, or wrote a file beside the packages: until it is
    # whole its name has no dot, and is no job's, over which dlt would stumble for good. It asks for it again.
    places = [folder / EXTRACTED, folder / NORMALIZED, folder / LOADED]
    places += [package / name for package in _pending(folder) for name in JOBS]
    for path in (path for place in places for path in place.glob("*")):
        if "." not in path.name and path.is_file():
            path.unlink()


def _pending(folder: Path) -> Iterator[Path]:
    for place in (EXTRACTED, NORMALIZED):
        yield from _folders(folder / place)


def _folders(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if path.is_dir()] if place.is_dir() else []


def _removed(package: Path) -> bool:
    shutil.rmtree(package)
    return True


def _is_readable(package: Path) -> bool:
    """Whether *package* has all its parts, as far as can be told without loading it."""
    try:
        schema = _read_object(package / "schema.json")
        _read_object(package / "load_package_state.json")
        for path in (package / "new_jobs").iterdir():
            _check_rows(path)
        for path in (package / "started_jobs").iterdir():
            _check_rows(path)
    except (OSError, ValueError, EOFError, zlib.error):
        return False
    return "tables" in schema and all((package / name).is_dir() for name in JOBS)


def _check_rows(path: Path) -> None:
    """Raise ValueError, EOFError or OSError for a file of rows that was cut."""
    if path.suffix == ".parquet":
        with path.open("rb") as file:
            begin = file.read(4)
            file.seek(-4, os.SEEK_END)
            if (begin, file.read(4)) != (b"PAR1", b"PAR1"):
                raise ValueError(path.name)
    elif path.suffix == ".gz":
        with gzip.open(path) as file:
            while file.read(1 << 20):
                pass


def _read_object(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_bytes())
    if not isinstance(value, dict):
        raise ValueError(path.name)  # noqa: TRY004 - a file's content, like every other that cannot be read
    return value


def _damage(folder: Path) -> str | None:
    """Name the first file that dlt needs and cannot use; None where there is none."""
    name = "state.json"
    try:
        state = _read_object(folder / name)
        if not isinstance(state.get("_state_version"), int):
            return name
        for schema in state["schema_names"]:
            name = f"{schema}.schema.json"
            if not verify_schema_hash(_read_object(folder / "schemas" / name), verifies_if_not_migrated=True):
                return name
        for place, version in VERSIONS.items():
            name = f"{place}/.version"
            if (folder / place).exists() and (folder / name).read_text().strip() != version:
                return name
    except (OSError, ValueError, KeyError, TypeError):
        return name
    return None


def _rebuild(folder: Path) -> None:
    """Put in place of *folder* one with its pending packages and what dlt needs to load them."""
    new = _rebuilt(folder)
    packages = list(_pending(folder))
    for package in packages:
        place = new / package.parent.relative_to(folder)
        place.mkdir(parents=True, exist_ok=True)
        shutil.copytree(package, place / package.name)
    if packages:
        _describe(new, _read_object(max(packages, key=lambda path: path.name) / "schema.json"))
    shutil.rmtree(folder)
    if packages:
        new.rename(folder)


def _rebuilt(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.new")


def _describe(folder: Path, schema: dict[str, Any]) -> None:
    """Write the state and the *schema* by which dlt finds the packages in *folder*."""
    for place in (EXTRACTED, NORMALIZED, LOADED, "load/new"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for place, version in VERSIONS.items():
        (folder / place / ".version").write_text(version)
    (folder / "schemas").mkdir()
    (folder / "schemas" / f"{schema['name']}.schema.json").write_text(json.dumps(schema))
    state = {
        "_state_version": 0,  # any that the destination holds is newer
        "_state_engine_version": 4,
        "_local": {"first_run": False},
        "pipeline_name": folder.name.removesuffix(".new"),
        "dataset_name": None,
        "default_schema_name": schema["name"],
        "schema_names": [schema["name"]],
    }
    write_private(folder / "state.json", json.dumps(state))  # last: with it the folder is ready
