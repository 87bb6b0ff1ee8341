"""One suite for every provider: the same courses give the same tables, whichever way they were read."""

from collections.abc import Iterator
from typing import Any

import pytest
from replies import Page, body, pages

from fake_ltiaas import FakeLtiaas, refused
from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import CANVAS, Course, member
from lti_rosters.rosters.fingerprint import context_key
from school import LINKS, School, crowd, people

ODD = [
    member(
        7, given_name="Ann", family_name="Ox", middle_name="B", email="a@x.example", picture="https://x/p?1"
    ),
    member("ben", roles=["Instructor", "Nonsense"], lis_person_sourcedid="SIS", lti11_legacy_user_id="9"),
    member("eve", status="inactive", sakai_ext={"a": [1]}, name="Eve"),
    member("gone", status="Deleted"),
    member("eve", roles=["Mentor"]),
    {"roles": ["Learner"]},
]
TWO = [["ann"], ["ben"]]


def broken(*given: Any) -> list[Any]:
    """Ann and Ben at first, then what is *given*, which must change nothing."""
    return [pages(*TWO), *given]


# course -> what it sends night by night, whom the last night leaves, how the last night ends
# ruff: noqa: E501
CASES: dict[str, tuple[list[Any], set[str], str, str | None]] = {
    "normal": ([pages(ODD)], {"7", "ben", "eve"}, "complete", None),
    "paged": ([pages(["ann"], [], ["ben", "ann"], ["eve"])], {"ann", "ben", "eve"}, "complete", None),
    "empty": ([pages([])], set(), "complete", None),
    "departures": (broken(pages(["ann"], ["kim"])), {"ann", "kim"}, "complete", None),
    "unchanged": (broken(pages(["ben"], ["ann"])), {"ann", "ben"}, "unchanged", None),
    "failed_page": (broken(pages(["ann"], body("", 500))), {"ann", "ben"}, "failed", "unreachable"),
    "not_json": (broken(lambda _: body(b"[")), {"ann", "ben"}, "failed", "malformed"),
    "no_members": (broken(lambda _: body({"context": {"id": "x"}})), {"ann", "ben"}, "failed", "malformed"),
    "other_context": (broken(pages(["ann"], Page(["zoe"], context={"id": "zz"}))), {"ann", "ben"}, "failed", "malformed"),
    "looped": (broken(pages(["ann"], Page(["ben"], links=['<?page=2>; rel="next"']))), {"ann", "ben"}, "failed", "looped"),
    "malformed_members": (broken(pages([{}, {}, {}, {}, {}, {}, member("ann")])), {"ann", "ben"}, "failed", "malformed"),
    "not_offered": (broken(lambda _: body("", 404)), {"ann", "ben"}, "unavailable", "not_found"),
    "throttled": (broken(lambda _: body("", 429, Retry_After="9999")), {"ann", "ben"}, "failed", "throttled"),
    "too_large": (broken(pages(crowd(11))), {"ann", "ben"}, "too_large", "too_large"),
}  # fmt: skip
COMPARED = ("memberships", "membership_roles", "membership_log", LINKS)
"""Columns that name the registration or the moment differ; all others must be equal."""
OWN = ("context_key", "registration", "sync_id", "synced_at", "observed_at", "_dlt_load_id")


@pytest.fixture(scope="module")
def played(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """Every case over its nights, read through both providers side by side."""
    with School(tmp_path_factory.mktemp("providers"), tool_key) as school:
        options = {"max_attempts": 1, "max_members": 10}
        lms = school.open("nrps", CANVAS, **options)
        behind = school.open("behind", CANVAS)
        school.platforms.pop("behind")
        fake = school._open.enter_context(FakeLtiaas(behind, tool_key))
        school.register("ltiaas", fake, **options, **fake.options)  # type: ignore[arg-type]
        for platform in (lms, behind):
            for name in CASES:
                platform.add(Course(name, links={"r1": None}))
        school.catalogue = {
            "nrps": [{"memberships_url": lms.memberships_url(name)} for name in CASES],
            "ltiaas": [{"service_key": f"SERV-{name}"} for name in CASES],
        }
        school.catalogue["nrps"][0]["resource_link_id"] = "r1"
        school.catalogue["ltiaas"][0]["resource_link_id"] = "r1"
        for night in (0, 1):
            for platform in (lms, behind):
                for name, (sends, *_) in CASES.items():
                    platform.courses[name].script = sends[min(night, len(sends) - 1)]
            school.run()
        yield school


@pytest.mark.parametrize("provider", ["nrps", "ltiaas"])
@pytest.mark.parametrize("name", CASES)
def test_every_case_ends_alike(played: School, provider: str, name: str) -> None:
    """Outcome, error type and roster are those of the case, through either provider."""
    sends, roster, outcome, error_type = CASES[name]
    if len(sends) == 1:
        outcome = "unchanged"  # the second night brings the same
    key = context_key(provider, name)

    ((found, kind),) = played.sql(
        "SELECT outcome, error_type FROM roster_syncs WHERE context_key = ? AND resource_link_id IS NULL"
        " ORDER BY finished_at DESC LIMIT 1",
        key,
    )

    assert (found, kind) == (outcome, error_type)
    assert played.members(name, provider) == roster


@pytest.mark.parametrize("table", COMPARED)
def test_both_providers_give_equal_tables(played: School, table: str) -> None:
    """Row by row and column by column, row hashes included."""
    columns = ", ".join(name for (name, *_) in played.sql(f"DESCRIBE {table}") if name not in OWN)

    rows = [
        played.sql(f"SELECT {columns} FROM {table} WHERE registration = ? ORDER BY ALL", provider)
        for provider in ("nrps", "ltiaas")
    ]

    assert rows[0] == rows[1]
    assert rows[0]


def test_no_secret_is_stored(played: School) -> None:
    """Neither the API key nor a service key stands in any row."""
    text = repr(played.everything())

    assert "SERV-" not in text
    assert "api-key-of-acme" not in text


# What LTIAAS alone has


@pytest.fixture
def hub(school: School, tool_key: SigningKey) -> Iterator[FakeLtiaas]:
    """An account with one course of Ann, Ben and a teacher, registered as `hub`."""
    lms = school.platforms.pop("canvas")
    with FakeLtiaas(lms, tool_key) as fake:
        school.register("hub", fake, max_attempts=1, **fake.options)  # type: ignore[arg-type]
        lms.add(
            Course("c1", members=people(["ann", "ben", member("tom", ["Instructor"])]), links={"r1": ["ann"]})
        )
        yield fake


ROWS = {"service key": "service_key", "ltik": "ltik", "bearer": "memberships_url"}


@pytest.mark.parametrize("way", ROWS)
def test_ways_to_authenticate(school: School, hub: FakeLtiaas, way: str) -> None:
    """A service key, a ltik, or (unverified) Bearer with the LMS's address; role and page size are sent."""
    value = {"service key": "SERV-c1", "ltik": "LTIK-c1", "bearer": hub.memberships_url("c1")}[way]
    school.catalogue["hub"] = [{ROWS[way]: value, "context_id": "c1"}]

    run = school.run(role="learner", page_size=1)

    assert run.outcomes == {"c1": "complete"}
    assert school.members("c1") == {"ann", "ben"}
    assert len(hub.requests) == 2
    assert "limit" in str(hub.requests[0].query)


CODES = {
    "INVALID_LTIK_AUTH_AUTHORIZATION_HEADER": (401, "failed", "refused"),
    "UNREGISTERED_OR_INACTIVE_PLATFORM": (401, "failed", "refused"),
    "INACTIVE_SERVICE": (403, "failed", "scope"),
    "SERVICE_NOT_AVAILABLE_FOR_CONTEXT": (400, "unavailable", "not_found"),
    "INVALID_LIMIT_PARAMETER": (400, "failed", "malformed"),
}


@pytest.mark.parametrize("code", CODES)
def test_codes_become_errors(school: School, hub: FakeLtiaas, code: str) -> None:
    """The code is told, with what to do; no key is."""
    status, outcome, error_type = CODES[code]
    hub.faults["SERV-c1"] = refused(status, code)
    school.catalogue["hub"] = [{"service_key": "SERV-c1", "context_id": "c1"}]

    (sync,) = school.run().syncs

    assert (sync.outcome, sync.error_type) == (outcome, error_type)
    assert code in (sync.error or "")
    assert "SERV-c1" not in (sync.error or "")


def test_stale_service_key_and_foreign_api_key(school: School, hub: FakeLtiaas) -> None:
    """Both are refused, and the message names both causes; the good course is read."""
    school.catalogue["hub"] = [
        {"service_key": "SERV-old", "context_id": "c0"},
        {"service_key": "SERV-c1", "context_id": "c1"},
    ]

    run = school.run()

    assert run.outcomes == {"c0": "failed", "c1": "complete"}
    error = run.sync("c0").error or ""
    assert "may be stale" in error
    assert "another account" in error
    hub.api_key = "changed"
    assert school.run().errors == {"c0": "refused", "c1": "refused"}


def test_the_key_goes_to_the_account_alone(school: School, hub: FakeLtiaas) -> None:
    """E140: whatever `next` says, the API key never reaches another host."""
    hub.lms.courses["c1"].script = pages(Page(["ann"], links=["<https://evil.example/p2>; rel=next"]))
    school.catalogue["hub"] = [{"service_key": "SERV-c1", "context_id": "c1"}]

    run = school.run()

    assert run.outcomes == {"c1": "failed"}
    assert all("SERVICE-AUTH" not in str(exchange.headers) for exchange in hub.lms.requests)


def test_links_through_ltiaas(school: School, hub: FakeLtiaas) -> None:
    """A resource link is asked as `resourceLinkId`."""
    school.catalogue["hub"] = [{"service_key": "SERV-c1", "resource_link_id": "r1"}]

    school.run()

    assert (set(school.link("c1", "r1")), len(school.members("c1"))) == ({"ann"}, 3)
    assert [dict(request.query).get("resourceLinkId") for request in hub.requests] == [None, "r1"]


def token(
    key: str | None, *, available: bool | None = True, platform: str = "p1", link: str = "l1"
) -> dict[str, Any]:
    """A stored ID token of the course `c1`."""
    flag = {} if available is None else {"namesAndRoles": {"available": available}}
    return {
        "platform": {"id": platform},
        "launch": {"context": {"id": "c1", "title": "Botany"}, "resourceLink": {"id": link}},
        "services": {**flag, **({"serviceKey": key} if key else {})},
    }


def test_stored_id_tokens(school: School, hub: FakeLtiaas) -> None:
    """The newest key of a course is used, once, and its links are not asked for."""
    school.catalogue["hub"] = [token("SERV-old"), token("SERV-c1", link="l2")]

    run = school.run()

    assert (run.outcomes, run.links, len(hub.requests)) == ({"c1": "complete"}, {}, 1)


def test_unavailable_id_token(school: School, hub: FakeLtiaas) -> None:
    """Without the roster service the course is unavailable, which is no failure; nothing is asked."""
    school.catalogue["hub"] = [token(None, available=False)]

    assert school.run().outcomes == {"c1": "unavailable"}
    assert hub.requests == []


def test_two_accounts_of_one_platform_do_not_mix(
    school: School, hub: FakeLtiaas, tool_key: SigningKey
) -> None:
    """The same course through two accounts is two courses."""
    with FakeLtiaas(hub.lms, tool_key, "another-key") as other:
        school.register("other", other, **other.options)  # type: ignore[arg-type]
        row = {"service_key": "SERV-c1"}
        school.catalogue = {"hub": [row], "other": [row]}
        school.run()

    keys = {key for (key,) in school.sql("SELECT DISTINCT context_key FROM memberships")}
    assert keys == {context_key("hub", "c1"), context_key("other", "c1")}
