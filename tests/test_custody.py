"""Going over, erase and retain on DuckDB: what is gone is gone from every byte, and everything else holds."""

import json
import logging
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from commands import carried_out, valid
from lti_rosters.cli.main import commands, main
from lti_rosters.custody.erasure import Erasure, erase, erasures
from lti_rosters.custody.going_over import apply, show
from lti_rosters.custody.retention import Retention, period, retain
from lti_rosters.custody.session import Order
from lti_rosters.errors import UsageError
from lti_rosters.keys.signing import SigningKey
from lti_rosters.privacy.protector import Mac
from lti_rosters.reference.platform import TAO
from lti_rosters.runs.destination import FINISHED, OUTDATED
from lti_rosters.runs.run import Order as RunOrder
from lti_rosters.runs.run import Watcher, run
from needles import ID, NAME, NEEDLES, found_in_files, found_in_tables, holds, rows_of, somebody
from school import School
from test_run import leave_pending

SECRET = "0123456789abcdef" * 4
KEY = {"identity_secret": SECRET, "identity_key_id": "k1"}
KEEP = {"identity": "keep", **KEY}
MASKED = {"identity": "pseudonymize", **KEY}
HISTORY = """
    SELECT context_id, user_id, status, primary_role, valid_from, valid_to FROM lti.membership_history ORDER BY ALL
"""
COMMITTED = """
    SELECT COUNT(*) FROM roster_syncs AS syncs WHERE outcome = 'complete' AND member_count <>
    (SELECT COUNT(DISTINCT user_id) FROM membership_log AS log WHERE log.sync_id = syncs.sync_id)
"""


def pseudonym(user_id: str, field: str = "user_id") -> str:
    """What *user_id* becomes in `canvas`."""
    return Mac(SECRET).of("canvas", field)(user_id)


def done(school: School, command: Any, order: type[Order] = Order, **told: Any) -> dict[str, Any]:
    """Carry out one of the commands in the school's directory, agreed to, without models unless asked for."""
    told = {"is_confirmed": True, "with_models": False, **told}
    with school.settings():
        return valid(command(order(directory=school.directory, **told)))


def erased(school: School, number: int = 1, **told: Any) -> dict[str, Any]:
    """Erase one of `somebody`."""
    told = {"user_id": f"{ID}-{number}", **told} if "pseudonym" not in told else told
    return done(school, erase, Erasure, **{"registration": "canvas", **told})


@pytest.fixture(scope="module")
def termed(tmp_path_factory: pytest.TempPathFactory, tool_key: SigningKey) -> Iterator[School]:
    """Three nights in `keep` with the key set: number 1 leaves a course and comes back, and is on another."""
    with School(tmp_path_factory.mktemp("custody") / "school", tool_key) as school:
        school.shared = KEEP
        school.open("canvas", max_attempts=2)
        first = school.add(
            "c1", [somebody(1), somebody(2), somebody(3, roles=["Instructor", f"urn:x:{ID}", f"x{NAME}"])]
        )
        school.add("c2", [somebody(1, status=f"as {NAME} says"), somebody(4)])
        carried_out(school)
        first.members = first.members[1:]
        carried_out(school)
        first.members = [somebody(1), *first.members]
        carried_out(school)
        yield school


@pytest.fixture
def term(termed: School, tmp_path: Path) -> School:
    """The same, to be changed."""
    fork = termed.fork(tmp_path / "term")
    fork.shared = dict(termed.shared)
    (fork.directory / ".lti_rosters/destination.json").unlink()  # it tells of the other database
    return fork


# Going over


@pytest.mark.slow
def test_going_over_rewrites_everything_and_intervals_go_on(term: School) -> None:
    """History with pseudonyms in place of ids, nothing of anybody in any byte, nobody joins or leaves by it."""
    with term.settings():
        assert run(RunOrder(directory=term.directory))["error"] is None
    before = term.sql(HISTORY)
    term.shared = MASKED

    told = done(term, apply, with_models=True)

    assert (told["exit_status"], told["warnings"]) == (0, [])
    status = {f"as {NAME} says": "Unknown"}
    expected = sorted(
        (
            (course, pseudonym(user_id), status.get(state, state), *rest)
            for course, user_id, state, *rest in before
        ),
        key=repr,
    )
    assert sorted(term.sql(HISTORY), key=repr) == expected
    assert found_in_tables(rows_of(term.database), NEEDLES) == []
    assert found_in_files(term.directory, NEEDLES) == []
    sourcedids = term.sql(
        "SELECT lis_person_sourcedid FROM memberships WHERE user_id = ?", pseudonym(f"{ID}-2")
    )
    assert sourcedids == [(pseudonym(f"{ID}-sis-2", "lis_person_sourcedid"),)]

    first, second = carried_out(term, with_models=True), carried_out(term)

    assert [first["totals"][name] for name in ("arrivals", "departures", "complete")] == [0, 0, 2]
    assert second["totals"]["unchanged"] == 2
    assert sorted(term.sql(HISTORY), key=repr) == expected


@pytest.mark.parametrize("mode", ["pseudonymize", "drop"])
def test_what_is_gone_over_is_what_a_run_would_write(mode: str, term: School) -> None:
    """Row by row the rosters are those of a fresh load in that mode, but for hashes, syncs and moments."""
    term.shared = {**MASKED, "identity": mode}
    assert done(term, apply)["error"] is None
    own = "context_id, user_id, status, primary_role, lis_person_sourcedid, lti11_legacy_user_id, name, email, extra"
    queries = [
        f"SELECT {own} FROM memberships ORDER BY ALL",
        "SELECT context_id, user_id, role_uri, raw_role FROM membership_roles ORDER BY ALL",
        "SELECT role_uri, canonical_uri, principal_role FROM roles WHERE vocabulary = 'unknown'",
        """SELECT context_id, user_id, status, roles, primary_role FROM membership_log
        WHERE sync_id IN (SELECT arg_max(sync_id, observed_at) FROM membership_log GROUP BY context_id) ORDER BY ALL""",
    ]
    rewritten = [term.sql(query) for query in queries]

    carried_out(term, is_full=True)

    assert rewritten == [term.sql(query) for query in queries]


def test_a_look_changes_nothing(term: School) -> None:
    """`identity` tells what is held, a dry run how many rows; neither changes a row."""
    term.shared = MASKED
    before = term.everything()

    told, dry = done(term, show), done(term, apply, is_dry=True)

    assert told["identity"] == {
        "settings": {"identity": "pseudonymize", "identity_key_id": "k1"},
        "held": [
            {
                "registration": "canvas",
                "identity": "keep",
                "identity_key_id": None,
                "erased": 0,
                "agrees": False,
            }
        ],
    }
    assert {each["table"]: each["rows"] for each in dry["rows"]}["lti_raw.memberships"] == 5
    assert term.everything() == before


def test_going_over_again_is_told_and_never_back(term: School) -> None:
    """Repeated it says so; `keep` is refused, and so is another key."""
    term.shared = MASKED
    done(term, apply)
    before = term.everything()

    again = done(term, apply)
    term.shared = KEEP
    back = done(term, apply)
    term.shared = {**MASKED, "identity_secret": SECRET[::-1]}
    other = done(term, apply)

    assert (again["exit_status"], len(again["warnings"])) == (0, 1)
    assert (back["exit_status"], other["exit_status"]) == (4, 4)
    assert "no way back" in back["error"]["what"]
    assert "another secret" in other["error"]["what"]
    assert term.everything() == before


def test_going_over_that_breaks_off_changes_nothing(term: School) -> None:
    """All of it is one transaction: a fault near its end leaves every row as it was."""
    term.shared = MASKED
    term.sql("ALTER TABLE roles RENAME TO elsewhere")
    before = term.everything(but=["registrations"])

    told = done(term, apply)
    assert told["exit_status"] == 9
    assert NAME not in json.dumps(told)
    assert term.everything(but=["registrations"]) == before

    term.sql("ALTER TABLE elsewhere RENAME TO roles")
    assert done(term, apply)["exit_status"] == 0
    assert found_in_files(term.directory, NEEDLES) == []


def test_tables_of_an_older_version_go_over(term: School) -> None:
    """Those have no column that says how identities are stored; a run goes on with them afterwards."""
    for column in ("identity", "identity_key_id", "identity_key_check"):
        term.sql(f"ALTER TABLE registrations DROP COLUMN {column}")
    term.sql("DELETE FROM _dlt_version")
    term.shared = MASKED

    assert done(term, apply)["error"] is None
    assert carried_out(term)["error"] is None
    assert term.sql("SELECT identity, identity_key_id FROM registrations") == [("pseudonymize", "k1")]


# Erase


@pytest.mark.slow
def test_erased_is_gone_from_every_byte_and_stays_out(term: School) -> None:
    """History, counts and models as if the person had never been; later runs, full ones too, change nothing."""
    with term.settings():
        assert run(RunOrder(directory=term.directory))["error"] is None
    others = [row for row in term.sql(HISTORY) if row[1] != f"{ID}-1"]
    needles = (f"{ID}-1", f"{NAME}.1", f"{ID}-sis-1", f"as {NAME} says")
    assert holds(term.database.read_bytes(), needles)

    told = erased(term, with_models=True)

    assert told["error"] is None
    assert {each["table"] for each in told["rows"]} >= {"lti_raw.memberships", "lti.int_lti__memberships"}
    assert found_in_tables(rows_of(term.database), needles) == []
    assert found_in_files(term.directory, needles) == []
    assert term.sql(HISTORY) == others
    assert term.sql(COMMITTED) == [(0,)]
    counts = term.sql("SELECT context_id, active_learners, members FROM lti.active_learners ORDER BY ALL")
    assert counts == [("c1", 1, 2), ("c2", 1, 1)]

    later = carried_out(term)
    full = carried_out(term, is_full=True, with_models=True)

    assert (later["totals"]["unchanged"], later["totals"]["members"]) == (2, 3)
    assert (full["totals"]["arrivals"], full["totals"]["departures"]) == (0, 0)
    assert found_in_files(term.directory, needles) == []
    assert term.sql(HISTORY) == others


@pytest.mark.slow
def test_no_mark_of_an_erased_person_is_left(term: School) -> None:
    """What the models remember a roster by follows from its members; it goes without a build, too."""
    with term.settings():
        assert run(RunOrder(directory=term.directory))["error"] is None
    marked = (
        "SELECT context_id, COUNT(members.mark), COUNT(marks.mark) FROM lti.int_lti__memberships AS members "
        "INNER JOIN lti.int_lti__roster_marks AS marks USING (context_key) GROUP BY ALL ORDER BY ALL"
    )
    assert term.sql(marked) == [("c1", 3, 3), ("c2", 2, 2)]

    erased(term, 4)

    assert term.sql(marked) == [("c1", 3, 3), ("c2", 0, 0)]


def test_counts_of_every_sync_are_lowered(term: School) -> None:
    """Members of complete and unchanged syncs, and the departure that nobody made any more."""
    erased(term)

    rows = term.sql(
        "SELECT context_id, outcome, member_count, departures FROM roster_syncs ORDER BY finished_at"
    )
    assert sorted(rows) == [
        ("c1", "complete", 2, 0),
        ("c1", "complete", 2, 0),
        ("c1", "complete", 2, 0),
        ("c2", "complete", 1, 0),
        ("c2", "unchanged", 1, 0),
        ("c2", "unchanged", 1, 0),
    ]


def test_a_dry_run_shows_rows_and_changes_nothing(term: School) -> None:
    """How many rows of which table, and no word of who."""
    before = term.everything()

    told = erased(term, is_dry=True)

    assert {each["table"]: each["rows"] for each in told["rows"]} == {
        "lti_raw.membership_log": 3,
        "lti_raw.membership_roles": 2,
        "lti_raw.memberships": 2,
    }
    assert not holds(json.dumps(told).encode(), NEEDLES)
    assert term.everything() == before


def test_by_pseudonym_in_keep_and_after_going_over(term: School) -> None:
    """The pseudonym is enough in either mode, and the suppression made of it keeps the id out."""
    assert erased(term, pseudonym=pseudonym(f"{ID}-1"))["error"] is None
    term.shared = MASKED
    done(term, apply)
    assert erased(term, pseudonym=pseudonym(f"{ID}-2"))["error"] is None

    told = carried_out(term)

    assert told["totals"]["arrivals"] == 0
    assert term.members("c1") == {pseudonym(f"{ID}-3")}
    assert term.members("c2") == {pseudonym(f"{ID}-4")}


def test_twice_unknown_and_elsewhere_are_told(term: School) -> None:
    """Erased before: when. Nobody, or a registration that there is not: exit 2, and nothing is kept of it."""
    erased(term)
    again, nobody = erased(term), erased(term, 77)
    elsewhere = erased(term, registration="moodle")

    assert (again["exit_status"], again["rows"]) == (0, [])
    assert "erased before, on 20" in again["warnings"][0]
    assert (nobody["exit_status"], elsewhere["exit_status"]) == (2, 2)
    assert "Known: canvas" in elsewhere["error"]["what"]
    assert not holds(json.dumps([again, nobody, elsewhere]).encode(), NEEDLES)
    assert term.sql("SELECT COUNT(*) FROM suppressions") == [(1,)]


def test_the_list_says_when_never_who(term: School) -> None:
    """Neither id nor pseudonym, nor the MAC."""
    erased(term)
    ((mac,),) = term.sql("SELECT person_mac FROM suppressions")

    told = done(term, erasures)

    assert [each["registration"] for each in told["erased"]] == ["canvas"]
    assert not holds(json.dumps(told).encode(), (*NEEDLES, mac, pseudonym(f"{ID}-1")))
    assert mac not in (pseudonym(f"{ID}-1"), f"{ID}-1")


def test_without_the_key_nothing_is_erased_and_nobody_comes_back(term: School) -> None:
    """Erase needs the secret, and after it every run does."""
    term.shared = {"identity": "keep"}
    refused = erased(term)
    term.shared = KEEP
    erased(term)
    term.shared = {"identity": "keep"}
    before = term.everything()

    told = carried_out(term)

    assert (refused["exit_status"], told["exit_status"]) == (4, 4)
    assert "identity_secret" in refused["error"]["what"]
    assert "come back" in told["error"]["what"]
    assert term.everything() == before


def test_a_pending_package_is_loaded_and_erased_from(term: School) -> None:
    """What an earlier run left unfinished does not arrive later."""
    term.platform.courses["c1"].members.append(somebody(5))
    try:
        leave_pending(term, normalized=True)
        told = erased(term, 5)
    finally:
        del term.platform.courses["c1"].members[-1]

    assert (told["error"], told["warnings"]) == (None, [FINISHED])
    assert found_in_files(term.directory, (f"{ID}-5", f"{NAME}.5")) == []


@pytest.mark.parametrize("command", ["erase", "go over"])
def test_a_package_of_another_directory_is_outdated(
    command: str, term: School, tmp_path: Path, tool_key: SigningKey
) -> None:
    """Read before somebody was erased, or under another mode, it is deleted, and its rosters are read again."""
    with School(tmp_path / "other", tool_key) as other:
        other.register("canvas", term.platform, max_attempts=2)
        other.shared = KEEP
        (other.directory / "rosters.duckdb").symlink_to(term.database)
        carried_out(other)
        course = other.platform.courses["c1"]
        course.members.append(somebody(5))
        try:
            leave_pending(other, normalized=True)
            if command == "go over":
                term.shared = other.shared = MASKED
                assert done(term, apply)["error"] is None
            else:
                assert erased(term)["error"] is None
            told = carried_out(other)
        finally:
            course.members.pop()

    assert (told["error"], told["warnings"]) == (None, [OUTDATED])
    needles = NEEDLES if command == "go over" else (f"{ID}-1", f"{NAME}.1")
    assert found_in_tables(rows_of(term.database), needles) == []
    assert found_in_files(tmp_path / "other", needles) == []


def test_erased_while_rosters_are_read(term: School) -> None:
    """A run that began before loads nothing of what it read, and says so; the next one is whole."""

    def meanwhile(_: Any) -> None:
        if term.sql("SELECT COUNT(*) FROM duckdb_tables() WHERE table_name = 'suppressions'") == [(0,)]:
            term.sql(
                "CREATE TABLE suppressions AS SELECT 'canvas' AS registration, 'x' AS person_mac, 'k1' AS key_id, "
                "NULL::VARCHAR AS key_check"
            )

    term.platform.courses["c1"].members.append(somebody(5))
    try:
        told = carried_out(term, watcher=Watcher(on_sync=meanwhile))
    finally:
        term.platform.courses["c1"].members.pop()

    assert told["exit_status"] == 9
    assert "run again" in told["error"]["remedy"]
    assert found_in_files(term.directory, (f"{ID}-5",)) == []


def test_differences_bring_nobody_back(tmp_path: Path, tool_key: SigningKey) -> None:
    """A platform that tells of a change of the person is heard, and the person is not let in."""
    with School(tmp_path / "school", tool_key) as school:
        school.shared = KEEP
        school.open("canvas", TAO, max_attempts=1, use_differences=True)
        course = school.add("c1", [somebody(1), somebody(2)])
        carried_out(school)
        erased(school)
        carried_out(school)
        course.members = [somebody(1, name=f"{NAME} New"), somebody(2), somebody(3)]

        told = carried_out(school)

        assert school.sql("SELECT mode FROM roster_syncs ORDER BY finished_at DESC LIMIT 1") == [
            ("differences",)
        ]
        assert (told["totals"]["arrivals"], school.members("c1")) == (1, {f"{ID}-2", f"{ID}-3"})
        assert found_in_files(school.directory, (f"{ID}-1", f"{NAME} New")) == []


def test_a_file_that_cannot_be_written_anew_is_told(term: School) -> None:
    """The rows are gone, the free space is not yet: exit 9, and the same command once more makes it good."""
    (term.directory / "rosters.duckdb.fresh").mkdir()

    told = erased(term)
    (term.directory / "rosters.duckdb.fresh").rmdir()
    again = erased(term)

    assert (told["exit_status"], again["exit_status"]) == (9, 0)
    assert found_in_files(term.directory, (f"{ID}-1",)) == []


def test_an_emptied_roster_is_an_empty_one(tmp_path: Path, tool_key: SigningKey) -> None:
    """Whoever was alone on a course: it stands as read and empty."""
    with School(tmp_path / "school", tool_key) as school:
        school.shared = KEEP
        school.open("canvas", max_attempts=1)
        school.add("c1", [somebody(1)])
        carried_out(school)

        erased(school)
        told = carried_out(school)

        assert (told["totals"]["unchanged"], school.members("c1")) == (1, set())
        assert school.sql("SELECT member_count FROM roster_syncs") == [(0,), (0,)]


# Retain


def grow_older(school: School, years: int, condition: str) -> None:
    """Put the syncs that meet *condition* so many *years* back."""
    ids = f"(SELECT sync_id FROM roster_syncs WHERE {condition})"
    log = (
        f"UPDATE membership_log SET observed_at = observed_at - INTERVAL {years} YEAR WHERE sync_id IN {ids}"
    )
    school.sql(log)
    school.sql(
        f"UPDATE roster_syncs SET finished_at = finished_at - INTERVAL {years} YEAR WHERE sync_id IN {ids}"
    )


@pytest.mark.slow
def test_old_rosters_go_and_the_rest_holds(term: School) -> None:
    """Of each course the last roster from before the cut-off stays: the history since then is as it was."""
    grow_older(
        term,
        5,
        "context_id = 'c1' AND finished_at < (SELECT MAX(finished_at) FROM roster_syncs WHERE context_id = 'c1')",
    )
    first = "sync_id = (SELECT MIN(sync_id) FROM roster_syncs WHERE context_id = 'c1')"
    grow_older(term, 1, first)
    with term.settings():
        assert run(RunOrder(directory=term.directory))["error"] is None
    rosters = term.everything(but=["roster_syncs", "membership_log", "contexts"])
    recent = [
        row
        for row in term.sql(HISTORY)
        if row[5] is None or row[5] > datetime.now(UTC) - timedelta(days=1100)
    ]
    first_night = term.sql(f"SELECT COUNT(*) FROM membership_log WHERE {first}")

    told = done(term, retain, Retention, older_than="3y", with_models=True)

    assert {each["table"]: each["rows"] for each in told["rows"]} == {
        "lti_raw.membership_log": first_night[0][0],
        "lti_raw.roster_syncs": 1,
    }
    assert term.everything(but=["roster_syncs", "membership_log", "contexts"]) == rosters
    assert term.sql(COMMITTED) == [(0,)]
    now = term.sql(HISTORY)
    assert {row[:4] + row[5:] for row in now} == {row[:4] + row[5:] for row in recent}
    assert carried_out(term)["totals"]["unchanged"] == 2


def test_a_roster_in_force_is_never_dropped(term: School) -> None:
    """However old: who is on it stays, and the next run finds it unchanged."""
    grow_older(term, 9, "1 = 1")
    rosters = term.everything(but=["roster_syncs", "membership_log"])

    told = done(term, retain, Retention, older_than="3y")

    assert sum(each["rows"] for each in told["rows"]) > 0
    assert term.everything(but=["roster_syncs", "membership_log"]) == rosters
    assert term.sql("SELECT context_id, outcome FROM roster_syncs ORDER BY ALL") == [
        ("c1", "complete"),
        ("c2", "complete"),
        ("c2", "unchanged"),
    ]
    assert carried_out(term)["totals"]["unchanged"] == 2


def test_nothing_old_is_told(term: School) -> None:
    """Then nothing is changed, nor asked."""
    before = term.everything()

    told = done(term, retain, Retention, older_than="90d", is_confirmed=False)

    assert (told["exit_status"], told["rows"], told["warnings"]) == (0, [], ["There is nothing that old."])
    assert term.everything() == before


@pytest.mark.parametrize(("text", "days"), [("3y", 1095.75), ("18m", 547.875), ("2 W", 14), ("90d", 90)])
def test_periods(text: str, days: float) -> None:
    """Years, months, weeks and days."""
    assert period(text) == timedelta(days=days)


@pytest.mark.parametrize("text", ["", "3", "y", "0d", "-1y", "1.5y", "3years", "999999y"])
def test_periods_that_are_none(text: str) -> None:
    """They are told, not guessed."""
    with pytest.raises(UsageError):
        period(text)


# The commands


@pytest.mark.parametrize(
    "arguments",
    [
        ["erase", "--registration", "canvas", "--user-id", f"{ID}-1"],
        ["retain", "--older-than", "1d"],
        ["identity", "apply"],
    ],
)
def test_nothing_is_done_unasked(arguments: list[str], term: School) -> None:
    """Without a terminal and without --yes: exit 2, and how to go on."""
    term.shared = MASKED if arguments[0] == "identity" else KEEP
    grow_older(term, 1, "1 = 1")
    before = term.everything()
    with term.settings():
        answer = CliRunner().invoke(commands, [*arguments, "--json"], standalone_mode=False)

    told = json.loads(answer.stdout)
    assert (answer.return_value, told["error"]["error_type"]) == (2, "usage")
    assert "--yes" in told["error"]["remedy"]
    assert term.everything() == before


def test_the_commands_tell_of_no_member(term: School) -> None:
    """The id comes from stdin; what is printed says how many rows, when, and what is held."""
    with term.settings():
        runner = CliRunner()
        asked = ["erase", "--registration", "canvas", "--user-id", "-", "--yes", "--no-models"]
        answers = [
            runner.invoke(commands, asked, input=f"{ID}-1\n", standalone_mode=False),
            runner.invoke(commands, ["erase", "--list"], standalone_mode=False),
            runner.invoke(commands, ["identity"], standalone_mode=False),
        ]

    assert [answer.return_value for answer in answers] == [0, 0, 0]
    assert "7 rows. Done" in answers[0].stdout
    assert "1 person was erased" in answers[1].stdout
    assert "canvas" in answers[2].stdout
    assert not holds("".join(answer.output for answer in answers).encode(), NEEDLES)
    assert term.members("c2") == {f"{ID}-4"}


def test_debug_tells_of_no_member_either(term: School, capsys: pytest.CaptureFixture[str]) -> None:
    """`--debug` shows the way to a fault, and nobody on it."""
    term.sql("ALTER TABLE roles RENAME TO elsewhere")
    term.shared = MASKED
    log = logging.getLogger("lti_rosters")
    handlers, level, umask = list(log.handlers), log.level, os.umask(0o022)
    try:
        with term.settings(), pytest.MonkeyPatch.context() as patch:
            asked = ["lti-rosters", "--debug", "identity", "apply", "--yes", "--no-models"]
            patch.setattr("sys.argv", asked)
            patch.setenv("RUNTIME__INTERCEPT_SIGNALS", "false")  # as a command sets them, for good
            patch.setenv("RUNTIME__LOG_LEVEL", "CRITICAL")
            with pytest.raises(SystemExit) as ended:
                main()
    finally:
        log.handlers, log.level = handlers, level
        os.umask(umask)

    said = capsys.readouterr()
    assert ended.value.code != 0
    assert 'going_over.py", line' in said.err
    assert not holds((said.out + said.err).encode(), NEEDLES)


def test_nothing_loaded_is_told(tmp_path: Path, tool_key: SigningKey) -> None:
    """No database: exit 9 and what to run, and none is made."""
    with School(tmp_path / "school", tool_key) as school:
        school.shared = KEEP
        school.open("canvas")
        assert [done(school, show)["exit_status"], erased(school)["exit_status"]] == [9, 9]
        assert not school.database.exists()


def test_every_file_is_its_owners_alone(term: School) -> None:
    """0700 and 0600, whatever the umask: the database's file too, and again when it is written anew."""
    for path in (term.database, *(term.directory / ".lti_rosters").rglob("*")):
        mode = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) & ~mode == 0, path
    erased(term)
    assert stat.S_IMODE(term.database.stat().st_mode) == 0o600
