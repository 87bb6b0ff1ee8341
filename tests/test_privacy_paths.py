"""Recognisable identities through every path there is; then every byte that was written or said is searched.

A path is a row of `PATHS`: what a course sends, as members or as a script. `LINKS` are those of a resource link,
`ACCOUNT` those through LTIAAS.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from commands import carried_out
from fake_ltiaas import FakeLtiaas
from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import CANVAS, TAO, Course, Exchange, Reply, member
from needles import ID, NAME, NEEDLES, found_in_files, found_in_tables, holds, listening, rows_of, somebody
from school import School
from test_run import leave_pending

SECRET = "0123456789abcdef" * 4
MODES = {
    "keep": {"identity": "keep"},
    "pseudonymize": {"identity": "pseudonymize", "identity_secret": SECRET, "identity_key_id": "k1"},
    "drop": {"identity": "drop"},
}
# Where `keep` may have it: rosters, and what a platform made of it: a role, a status, a link to differences.
RAW = (
    "memberships",
    "membership_roles",
    "membership_log",
    "resource_link_memberships",
    "roles",
    "roster_syncs",
)
HOLDERS = {f"lti_raw.{name}" for name in RAW}
HIDDEN = {"pseudonymize": NEEDLES, "drop": (NAME,)}  # what may stand nowhere at all


def said(status: int, text: str, **headers: str) -> Any:
    """A script that answers a text."""
    return lambda _: Reply(status, list(headers.items()), text.encode())


def cut_off(exchange: Exchange) -> Reply:
    """A body that breaks off in the midst of somebody."""
    reply = exchange.serve()
    return replace(reply, body=reply.body[: reply.body.rfind(NAME.encode()) + 4])


def led_to(link: str, rel: str = "next") -> Any:
    """A script whose link leads to *link*."""

    def script(exchange: Exchange) -> Reply:
        reply = exchange.serve()
        address = f"http://{exchange.headers['host']}{exchange.path}"
        header = ("Link", f'<{link.format(address=address)}>; rel="{rel}"')
        return replace(reply, headers=[*reply.headers, header])

    return script


EVERYBODY = [somebody(1), somebody(2, roles=["Instructor", f"Tutor of {NAME}", f"urn:x:{ID}"])]
ODD = [
    somebody(3, status=f"left with {NAME}"),
    somebody(4, name={"full": NAME}, email=[NAME], picture=7),
    {**somebody(5), "user_id": None},
    {**somebody(6), "roles": NAME},
    [NAME],
    {"name": NAME},
    somebody(1),
    somebody(1, name=f"{NAME} again"),
]
PATHS: dict[str, tuple[list[Any], Any]] = {
    "normal": (EVERYBODY, None),
    "odd": ([*EVERYBODY, *ODD, *(somebody(number) for number in range(50, 90))], None),
    "too many malformed": ([{**somebody(n), "user_id": None} for n in range(9)], None),
    "cut off": (EVERYBODY, cut_off),
    "sign-in page": (EVERYBODY, said(200, f"<html>Hello {NAME}, {ID}-1</html>")),
    "error with status 200": (EVERYBODY, said(200, json.dumps({"error": f"no {NAME} {ID}-1"}))),
    "two values": (EVERYBODY, said(200, json.dumps({"members": EVERYBODY}) * 2)),
    "refused": (EVERYBODY, said(401, f"{NAME} {ID}-1 may not")),
    "gone": (EVERYBODY, said(404, f"{NAME} {ID}-1 is gone")),
    "down": (EVERYBODY, said(500, f"cannot read {NAME} {ID}-1")),
    "teapot": (EVERYBODY, said(418, f"{NAME} {ID}-1")),
    "looped": (EVERYBODY, led_to(f"{{address}}?after={ID}-1&name={NAME}")),
    "other host": (EVERYBODY, led_to(f"https://other.example/{ID}-1?name={NAME}")),
    "a link that is none": (EVERYBODY, led_to(f"http://[{NAME}/{ID}")),
    "redirected": (EVERYBODY, said(302, "", Location=f"https://other.example/{ID}-1/{NAME}")),
    "differences link with an id": (EVERYBODY, led_to(f"{{address}}?after={ID}-1&n={NAME}", "differences")),
}

LOGIN = f"{NAME}.{ID}"  # as short and plain as a code of an error
PATHS["login for a code"] = (EVERYBODY, said(200, json.dumps({"errors": [{"code": LOGIN}]})))
MESSAGE = {"https://purl.imsglobal.org/spec/lti/claim/custom": {"login": f"{ID}-1", "with": [NAME]}}
LINKS: dict[str, Any] = {
    "list": None,
    "object": said(200, json.dumps({"members": [somebody(1, message=MESSAGE), somebody(2, message=NAME)]})),
    "odd": said(200, json.dumps({"members": [*EVERYBODY, *ODD, *(somebody(n) for n in range(50, 90))]})),
    "malformed": said(200, json.dumps({"members": [NAME, *EVERYBODY], "context": {"id": NAME}})),
    "down": said(500, f"cannot read {NAME} {ID}-1"),
    "refused": said(403, f"{NAME} {ID}-1 may not"),
    "cut off": said(200, json.dumps({"members": EVERYBODY})[:-40]),
}


def by_link(exchange: Exchange) -> Reply | None:
    """What the link that is asked for answers; the course itself is as ever."""
    script = LINKS.get(exchange.query.get("rlid", ""))
    return script(exchange) if script else None


def quoting(status: int, code: str, **more: Any) -> Reply:
    """An error in LTIAAS's shape that quotes a member wherever it can."""
    details = {"message": f"{NAME} is no member", "description": f"{ID}-1", "code": code, **more}
    body = {"status": status, "error": f"{NAME.upper()}_1", "details": details}
    return Reply(status, [("Content-Type", "application/json")], json.dumps(body).encode())


WORDY = f"{NAME}_{ID}".upper().replace("-", "_")  # free text in the form of a code
API_KEY = "api-key-of-acme"
KEYS = (API_KEY, "SERV-", "LTIK-")
# What a course behind LTIAAS sends, or what LTIAAS answers in its place.
ACCOUNT: dict[str, Any] = {
    "normal": None,
    "by ltik": None,
    "cut off": cut_off,
    "gone": said(404, f"{NAME} {ID}-1 is gone"),
    "looped": led_to(f"{{address}}?after={ID}-1&name={NAME}"),
    "no members": said(200, json.dumps({"error": LOGIN})),
    "a next that is none": said(200, json.dumps({"members": EVERYBODY, "next": [NAME]})),
    "quoting with 400": quoting(400, WORDY, errors=[WORDY, {"message": WORDY}]),
    "quoting with 401": quoting(401, f"SERV-1 {API_KEY}", key="SERV-l8"),
    "quoting with 500": quoting(500, "INVALID_LTIK_AUTH_AUTHORIZATION_HEADER", externalUrl=f"/{NAME}/{ID}"),
    "a page": Reply(502, [("Content-Type", "text/html")], f"<p>{NAME} {ID} {API_KEY}".encode()),
}


def account(school: School, key: SigningKey) -> FakeLtiaas:
    """An account of LTIAAS, registered as `hub`, with a course for each row of `ACCOUNT`."""
    lms = school.open("behind", CANVAS)
    school.platforms.pop("behind")
    fake = school._open.enter_context(FakeLtiaas(lms, key, API_KEY))
    school.register("hub", fake, max_attempts=1, **fake.options)  # type: ignore[arg-type]
    rows = []
    for number, (name, told) in enumerate(ACCOUNT.items()):
        scheme = "LTIK" if name == "by ltik" else "SERV"
        script = None if isinstance(told, Reply) else told
        lms.add(Course(f"l{number}", members=list(EVERYBODY), script=script, links={"r": None}))
        if isinstance(told, Reply):
            fake.faults[f"{scheme}-l{number}"] = told
        rows.append({"ltik" if scheme == "LTIK" else "service_key": f"{scheme}-l{number}"})
    rows[0]["resource_link_id"] = "r"
    school.catalogue["hub"] = rows
    return fake


@dataclass
class Played:
    """A school after three nights, and all that was said in them."""

    mode: str
    school: School
    told: list[dict[str, Any]]
    heard: list[str]


@pytest.fixture(scope="module", params=MODES)
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tool_key: SigningKey
) -> Iterator[Played]:
    """Every path, three nights: people come and leave, the links to differences are followed."""
    with School(tmp_path_factory.mktemp("paths") / "school", tool_key) as school, listening() as ears:
        school.shared = MODES[request.param]
        canvas = school.open("canvas", CANVAS, max_attempts=1)
        tao = school.open("tao", TAO, max_attempts=1, use_differences=True)
        for number, (members, script) in enumerate(PATHS.values()):
            school.add(f"c{number}", members, script)
        tao.add(replace_course(canvas, "normal", "t1"))
        school.catalogue["canvas"] = school.urls("canvas")
        school.add("linked", EVERYBODY, by_link, links=dict.fromkeys(LINKS))
        address = canvas.memberships_url("linked")
        for link in LINKS:
            school.catalogue["canvas"].append({"memberships_url": address, "resource_link_id": link})
        hub = account(school, tool_key)
        told = [carried_out(school)]
        canvas.courses["c0"].members = [somebody(2), somebody(7)]
        tao.courses["t1"].members = [somebody(2, email=f"new.{NAME}@lab.example"), somebody(8)]
        canvas.courses["linked"].links["list"] = {f"{ID}-2"}
        hub.courses["l0"].members = [somebody(2), somebody(7)]
        told.append(carried_out(school))
        tao.courses["t1"].members = [somebody(8), somebody(9)]
        told.append(carried_out(school, with_models=request.param == "pseudonymize"))
        yield Played(request.param, school, told, ears.heard)


def replace_course(platform: Any, path: str, key: str) -> Any:
    """A course of another platform that sends the same."""
    course = platform.courses[f"c{list(PATHS).index(path)}"]
    return replace(course, context_id=key, key=key, snapshots={})


def test_every_path_was_taken(played: Played) -> None:
    """Each fault is the one that was meant, and what can be read was: else the search would prove nothing."""
    assert [each["error"] for each in played.told] == [None] * 3
    rows = played.school.sql("SELECT error_type FROM roster_syncs")
    assert len(rows) == 3 * (len(PATHS) + 1 + 1 + len(LINKS) + len(ACCOUNT) + 1)
    errors = {error for (error,) in rows}
    assert {"malformed", "refused", "not_found", "unreachable", "looped", "other_host", None} <= errors
    modes = {mode for (mode,) in played.school.sql("SELECT mode FROM roster_syncs WHERE context_id = 't1'")}
    assert modes == {"full", "differences"}
    assert played.school.sql("SELECT COUNT(*) FROM memberships")[0][0] > 40
    query = "SELECT resource_link_id, outcome FROM roster_syncs WHERE resource_link_id IS NOT NULL"
    complete = {link for link, outcome in played.school.sql(query) if outcome == "complete"}
    assert complete == {"list", "object", "odd", "r"}
    query = "SELECT DISTINCT context_id, error_type FROM roster_syncs WHERE registration = 'hub'"
    errors = {error for _, error in played.school.sql(query)}
    assert {"malformed", "not_found", "refused", "unreachable", "looped", None} <= errors
    messages = played.school.sql("SELECT COUNT(message) FROM resource_link_memberships")[0][0]
    assert (messages > 40) == (played.mode == "keep")


def test_no_key_is_anywhere(played: Played) -> None:
    """API key, service keys and ltiks: in no byte of any file, the database too, and in nothing that was said."""
    assert found_in_files(played.school.directory, KEYS) == []
    assert found_in_tables(rows_of(played.school.database), KEYS) == []
    assert not holds(json.dumps(played.told).encode(), KEYS)
    assert [line for line in played.heard if holds(line.encode(), KEYS)] == []


def test_nothing_that_was_said_shows_a_member(played: Played) -> None:
    """No document, no log line down to DEBUG, no error of a row, in any mode."""
    errors = played.school.sql("SELECT error, memberships_url FROM roster_syncs")

    assert not holds(json.dumps(played.told).encode(), NEEDLES)
    assert [line for line in played.heard if holds(line.encode(), NEEDLES)] == []
    assert not holds(repr(errors).encode(), NEEDLES)


def test_no_file_but_the_database_shows_a_member(played: Played) -> None:
    """Package files are gone or empty after a load, in any mode."""
    assert found_in_files(played.school.directory, NEEDLES, but=("rosters.duckdb",)) == []


def test_the_database_shows_what_the_mode_allows(played: Played) -> None:
    """In `keep` the tables of members and no others; in the other modes nothing, in any byte of the file."""
    tables = rows_of(played.school.database)
    if played.mode == "keep":
        assert set(found_in_tables(tables, (NAME,))) <= HOLDERS
        return
    assert found_in_tables(tables, HIDDEN[played.mode]) == []
    assert not holds(played.school.database.read_bytes(), HIDDEN[played.mode])


def test_rosters_are_as_large_in_every_mode(played: Played) -> None:
    """Nobody is lost or doubled by the door: as many people a roster, as many readings, the same departures."""
    query = """
        SELECT context_id, mode, member_count, departures FROM roster_syncs
        WHERE context_id IN ('c0', 't1') ORDER BY context_id, finished_at
    """
    assert played.school.sql(query) == [
        ("c0", "full", 2, 0),
        ("c0", "full", 2, 1),
        ("c0", "full", 2, 0),
        ("t1", "full", 2, 0),
        ("t1", "differences", 2, 1),
        ("t1", "differences", 2, 1),
    ]


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("mode", ["pseudonymize", "drop"])
def test_a_load_that_broke_off_leaves_nobody_in_its_package(
    mode: str, normalized: bool, school: School
) -> None:
    """Killed after extract or after normalize: the package files, unpacked, hold what the mode allows."""
    school.shared = MODES[mode]
    school.add("c1", EVERYBODY)
    leave_pending(school, normalized=normalized)

    parquet = [*(school.directory / ".lti_rosters").rglob("memberships.*.parquet")]
    assert parquet
    assert found_in_files(school.directory, HIDDEN[mode]) == []


def test_a_load_that_is_given_up_leaves_nobody(school: School) -> None:
    """In `keep`, a package that the destination refuses for good is deleted with all that is in it."""
    school.add("c1", EVERYBODY)
    leave_pending(school, normalized=True)
    assert found_in_files(school.directory, NEEDLES)
    (path,) = (school.directory / ".lti_rosters").rglob("load/normalized/*/new_jobs/memberships.*.parquet")
    path.write_bytes(b"PAR1" + b"\x00" * 64 + b"PAR1")
    school.platform.courses["c1"].members = [member("eve")]

    told = carried_out(school)

    assert told["error"] is None
    assert found_in_files(school.directory, NEEDLES, but=("rosters.duckdb",)) == []


def test_a_run_under_another_mode_stops_before_it_asks(school: School) -> None:
    """Exit 4 with the command that goes over; nothing is loaded, dry or not, by command or from Python."""
    school.add("c1", EVERYBODY)
    carried_out(school)
    before, asked = school.everything(), len(school.platform.roster_requests)
    school.shared = MODES["pseudonymize"]

    told, dry = carried_out(school), carried_out(school, is_dry=True)

    assert (told["exit_status"], dry["exit_status"]) == (4, 4)
    assert "lti-rosters identity apply" in told["error"]["remedy"]
    assert school.everything() == before
    assert len(school.platform.roster_requests) == asked
    with pytest.raises(Exception, match="identity apply"):
        school.run("memberships")


def test_selecting_one_table_still_notes_the_mode(school: School) -> None:
    """Else nobody could tell later what its ids are."""
    school.shared = MODES["pseudonymize"]
    school.add("c1", EVERYBODY)

    school.run("memberships")

    assert school.sql("SELECT registration, identity, identity_key_id FROM registrations") == [
        ("canvas", "pseudonymize", "k1")
    ]
