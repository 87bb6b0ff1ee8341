"""A damaged working directory: the next run says so, mends it, and everything is there."""

import gzip
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commands import carried_out
from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import member
from lti_rosters.runs.destination import FINISHED, GIVEN_UP, open_pipeline, own_staging
from lti_rosters.runs.working import LOST, STAGING, begin_anew
from lti_rosters.source import lti_rosters, without_doubles
from school import School
from test_run import leave_pending

OF_MEMBERS = ("memberships", "membership_roles", "membership_log")
ADA = member("ada", name="Ada Larkspur", email="ada@lab.example")


def cut(path: Path) -> None:
    """Leave the first half of *path*, as a full disk does."""
    os.truncate(path, path.stat().st_size // 2)


def garble(path: Path) -> None:
    """Put bytes that mean nothing in the place of *path*."""
    path.write_bytes(b"\xff\x00 no JSON {")


def remove(path: Path) -> None:
    """Remove *path*, whatever it is."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def become_a_file(path: Path) -> None:
    """Put a file in the place of the directory *path*."""
    shutil.rmtree(path)
    path.write_text("in the way")


def folder(school: School) -> Path:
    """Where dlt keeps what it knows."""
    return school.directory / ".lti_rosters/lti_rosters"


def packages(school: School) -> list[Path]:
    """The pending packages."""
    return [*folder(school).glob("normalize/extracted/*"), *folder(school).glob("load/normalized/*")]


def rows_left(school: School) -> list[Path]:
    """Files of the working directory that hold a member's name."""
    files = [path for path in (school.directory / ".lti_rosters").rglob("*") if path.is_file()]
    return [path for path in files if b"Larkspur" in unpacked(path)]


def unpacked(path: Path) -> bytes:
    """What is in the file *path*."""
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError):
        return path.read_bytes()


@pytest.fixture(scope="module")
def kept(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[School, Path]]:
    """A school whose two courses were loaded once, and a copy of its directory as it was then."""
    directory = tmp_path_factory.mktemp("damage")
    with School(directory / "school", tool_key) as school:
        school.open("canvas", max_attempts=2)
        school.add("c1", ["ann"])
        school.add("c2", ["ben"])
        carried_out(school)
        yield school, shutil.copytree(school.directory, directory / "copy")


@pytest.fixture
def loaded(kept: tuple[School, Path]) -> School:
    """That school, as it was after its first load."""
    school, copy = kept
    shutil.rmtree(school.directory)
    shutil.copytree(copy, school.directory)
    school.platform.courses["c1"].members = [member("ann")]
    school.platform.courses["c2"].members = [member("ben")]
    return school


DAMAGE = [
    ("state.json", cut),
    ("state.json", garble),
    ("state.json", remove),
    ("schemas/lti_rosters.schema.json", cut),
    ("schemas/lti_rosters.schema.json", remove),
    ("schemas", remove),
    ("load/.version", garble),
    ("load/.version", remove),
    ("normalize/.version", cut),
    ("", become_a_file),
]
HARMLESS = [
    ("load", remove),
    ("normalize", remove),
    ("normalize/extracted", remove),
    ("load/normalized", remove),
    ("", remove),
]


@pytest.mark.parametrize(("place", "damage"), DAMAGE)
def test_a_damaged_directory_is_restored(loaded: School, place: str, damage: Callable[[Path], None]) -> None:
    """Told once; what is unchanged is still known as such, what changed is loaded."""
    school = loaded
    damage(folder(school) / place)
    school.platform.courses["c2"].members = [member("eve")]

    told, later = carried_out(school), carried_out(school)

    assert (told["exit_status"], told["error"]) == (0, None)
    assert [line for line in told["warnings"] if "damaged" in line] == told["warnings"] != []
    assert (told["totals"]["complete"], told["totals"]["unchanged"]) == (1, 1)
    assert school.members("c2") == {"eve"}
    assert (later["exit_status"], later["warnings"]) == (0, [])


@pytest.mark.parametrize(("place", "damage"), HARMLESS)
def test_what_dlt_makes_anew_is_no_damage(loaded: School, place: str, damage: Callable[[Path], None]) -> None:
    """Folders without anything in them may be missing."""
    school = loaded
    damage(folder(school) / place)
    school.platform.courses["c1"].members = [member("eve")]

    told = carried_out(school)

    assert (told["exit_status"], told["warnings"], school.members("c1")) == (0, [], {"eve"})


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize(("place", "damage"), [DAMAGE[1], DAMAGE[2], DAMAGE[3], DAMAGE[6]])
def test_a_package_that_can_be_read_is_loaded_all_the_same(
    loaded: School, place: str, damage: Callable[[Path], None], normalized: bool, is_first: bool
) -> None:
    """What dlt knows is damaged, the package is not: what the killed run saw is in the history."""
    school = loaded
    course = school.platform.courses["c1"]
    if is_first:  # nothing of the load before
        shutil.rmtree(school.directory / ".lti_rosters")
        school.database.unlink()
    course.members = [ADA]
    leave_pending(school, normalized=normalized)
    path = folder(school) / place
    if path.exists():  # an extracted package of a first run knows no load/
        damage(path)
    course.members = [member("eve")]

    told = carried_out(school)

    assert (told["exit_status"], told["error"]) == (0, None)
    assert told["warnings"][-1] == FINISHED
    assert school.sql(
        "SELECT DISTINCT user_id FROM membership_log WHERE user_id IN ('ada', 'eve')  ORDER BY 1"
    ) == [
        ("ada",),
        ("eve",),
    ]
    assert (school.members("c1"), rows_left(school)) == ({"eve"}, [])


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("schema.json", cut),
        ("load_package_state.json", garble),
        ("new_jobs/memberships.*", cut),
        ("new_jobs", remove),
        ("started_jobs", remove),
    ],
)
def test_a_package_that_cannot_be_read_is_told_and_deleted(
    loaded: School, pattern: str, damage: Callable[[Path], None], normalized: bool
) -> None:
    """It says that something was lost; the roster of today is loaded; nothing of it lies about."""
    school = loaded
    course = school.platform.courses["c1"]
    course.members = [ADA]
    leave_pending(school, normalized=normalized)
    (package,) = packages(school)
    for path in package.glob(pattern):
        damage(path)
    course.members = [member("eve")]

    told, later = carried_out(school), carried_out(school)

    assert (told["exit_status"], told["warnings"]) == (0, [LOST])
    assert (school.members("c1"), packages(school), rows_left(school)) == ({"eve"}, [], [])
    assert (later["totals"]["unchanged"], later["warnings"]) == (2, [])


def test_a_package_that_the_destination_refuses_is_given_up(loaded: School) -> None:
    """Rows that only loading shows to be garbled do not stand in the way of every later run."""
    school = loaded
    course = school.platform.courses["c1"]
    course.members = [ADA]
    leave_pending(school, normalized=True)
    (package,) = packages(school)
    (path,) = package.glob("new_jobs/memberships.*.parquet")
    size = path.stat().st_size
    path.write_bytes(b"PAR1" + b"\x00" * (size - 8) + b"PAR1")
    course.members = [member("eve")]

    told, later = carried_out(school), carried_out(school)

    assert told["error"] is None, told["error"]["what"]
    assert told["warnings"] == [GIVEN_UP]
    assert (school.members("c1"), packages(school), rows_left(school)) == ({"eve"}, [], [])
    assert (later["totals"]["unchanged"], later["warnings"]) == (2, [])


def test_the_note_of_the_destination_may_be_damaged(loaded: School) -> None:
    """What says which destination a package is for is no reason to keep it from being loaded."""
    school = loaded
    course = school.platform.courses["c1"]
    course.members = [ADA]
    leave_pending(school, normalized=True)
    garble(school.directory / ".lti_rosters/destination.json")

    told = carried_out(school)

    assert (told["exit_status"], told["warnings"], school.members("c1")) == (0, [FINISHED], {"ada"})


def test_the_working_directory_is_its_owners_alone(school: School) -> None:
    """0700, and 0600 what we make in it; one that others could enter is shut."""
    school.add("c1", ["ann"])
    working = school.directory / ".lti_rosters"
    working.mkdir(mode=0o755)

    carried_out(school)

    assert stat.S_IMODE(working.stat().st_mode) == 0o700
    ours = {path.name: stat.S_IMODE(path.stat().st_mode) for path in working.iterdir() if path.is_file()}
    names = ("run.lock", "destination.json", "identity.json", "staging")
    assert ours == dict.fromkeys(names, 0o600)


def test_finished_packages_do_not_pile_up(school: School) -> None:
    """After years of nights there are a few, without rows."""
    course = school.add("c1", [ADA])
    for number in range(4):
        course.members = [ADA, member(f"p{number}")]
        carried_out(school)
    nights = sorted(folder(school).glob("load/loaded/*"))
    for number in range(9):
        shutil.copytree(nights[0], nights[0].with_name(f"17{number:08}.5"))
    course.members = [ADA]

    carried_out(school)

    done = list(folder(school).glob("load/loaded/*"))
    assert (len(done), rows_left(school)) == (10, [])


def test_staging_tables_are_gone_after_a_load(school: School) -> None:
    """Not only emptied: the raw dataset is the one schema left."""
    school.add("c1", [ADA])

    carried_out(school)

    found = school.sql(
        "SELECT schema_name FROM duckdb_schemas() WHERE NOT internal AND schema_name LIKE 'lti%'"
    )
    assert found == [("lti_raw",)]


def test_a_load_repeated_into_filled_staging_tables_leaves_no_doubles(school: School) -> None:
    """Killed when everything was copied and nothing noted: the package starts anew, from empty staging tables."""
    school.add("c1", ["ann", "ben"])
    working = school.directory / ".lti_rosters"
    working.mkdir()
    with school.settings() as names, own_staging(working):
        pipeline = open_pipeline(None, school.directory, database=school.database)
        source = lti_rosters(school.contexts(names))
        without_doubles(source)
        pipeline.extract(source)
        pipeline.normalize()
        before = shutil.copytree(working, school.directory / "before")
        pipeline.load()
        pipeline.deactivate()
    shutil.rmtree(working)
    before.rename(working)
    (package,) = packages(school)  # dlt empties staging tables only before it has noted that they are made
    (package / "schema_updates.json").rename(package / "applied_schema_updates.json")
    staging = f"lti_raw_staging_{(working / STAGING).read_text()}"
    assert school.sql(f"SELECT COUNT(*) FROM {staging}.membership_log") == [(2,)]

    told = carried_out(school)

    assert told["warnings"] == [FINISHED]
    assert school.members("c1") == {"ann", "ben"}
    for table in OF_MEMBERS:
        assert school.sql(f"SELECT COUNT(*) FROM {table}") == [(2,)]
    assert school.sql("SELECT COUNT(*), COUNT(DISTINCT sync_id) FROM roster_syncs") == [(2, 2)]


def test_a_begun_package_starts_anew(tmp_path: Path) -> None:
    """Copies wait again, merges are forgotten, tables are made again."""
    package = tmp_path / "load/normalized/1"
    for place in ("new_jobs", "started_jobs", "completed_jobs", "failed_jobs", ".pending_transitions"):
        (package / place).mkdir(parents=True)
    for name in ("new_jobs/a.1.0.parquet", "started_jobs/b.1.0.parquet", "completed_jobs/c.1.0.parquet"):
        (package / name).touch()
    for name in ("completed_jobs/c.2.0.sql", "new_jobs/d.2.0.sql", ".pending_transitions/b.1.0.parquet"):
        (package / name).touch()
    (package / "applied_schema_updates.json").touch()

    begin_anew(tmp_path)
    begin_anew(tmp_path)

    found = sorted(str(path.relative_to(package)) for path in package.rglob("*") if path.is_file())
    assert found == [
        "new_jobs/a.1.0.parquet",
        "new_jobs/b.1.0.parquet",
        "new_jobs/c.1.0.parquet",
        "schema_updates.json",
    ]


def test_what_a_killed_load_spilled_is_removed(school: School) -> None:
    """Rows that DuckDB put aside for want of memory; it cannot remove them once it is killed."""
    school.add("c1", [ADA])
    spilled = school.directory / ".lti_rosters/spill/duckdb_temp_storage-0.tmp"
    spilled.parent.mkdir(parents=True)
    spilled.write_text("Larkspur")

    carried_out(school)

    assert not spilled.exists()


@pytest.mark.parametrize("place", ["new_jobs", "started_jobs", "completed_jobs", ".."])
@pytest.mark.parametrize("normalized", [True, False])
def test_what_dlt_was_copying_when_it_was_killed_is_removed(
    loaded: School, normalized: bool, place: str
) -> None:
    """A copy under way has a name of hex digits, which is no job's; dlt would stumble over it at every run.

    It copies where the directory of temporary files is on another disk.
    """
    loaded.add("c3", ["cid"])
    leave_pending(loaded, normalized=normalized)
    [package] = packages(loaded)
    (package / place).mkdir(exist_ok=True)
    left = package / place / secrets.token_hex(16)
    left.write_text("DELETE FROM")

    told = carried_out(loaded)

    assert (told["exit_status"], told["error"], told["warnings"]) == (0, None, [FINISHED])
    assert loaded.members("c3") == {"cid"}
    assert packages(loaded) == []
    assert not left.exists()
