"""One suite for every provider: the same courses give the same tables, whichever way they were read."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replies import Page, body, pages

from commands import carried_out
from fake_ltiaas import FakeLtiaas, documented, refused
from lti_rosters.keys.signing import SigningKey
from lti_rosters.providers.ltiaas_page import address_in, bare
from lti_rosters.reference.platform import CANVAS, MOODLE, TAO, Course, Manner, ReferencePlatform, member
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
TOM = member("tom", ["Instructor"])
ADA = member("ada", ["Instructor", "http://purl.imsglobal.org/vocab/lis/v2/person#Administrator"])
TWO = [["ann"], ["ben"]]
PAIR = {"ann", "ben"}
Case = tuple[list[Any], set[str], str, str | None]


def reads(sends: Any, *roster: str) -> Case:
    """One kind of answer, night after night, and who is on the roster then."""
    return [sends], set(roster), "complete", None


def fails(sends: Any, error_type: str, outcome: str = "failed") -> Case:
    """Ann and Ben at first, then what must change nothing."""
    return [pages(*TWO), sends], PAIR, outcome, error_type


def turns(sends: Any, *roster: str, outcome: str = "complete") -> Case:
    """Ann and Ben at first, then another roster."""
    return [pages(*TWO), sends], set(roster), outcome, None


AGAIN = Page(["ben"], links=['<?page=2>; rel="next"'])
ELSEWHERE = Page(["ann"], links=['<https://evil.example/p2>; rel="next"'])
# course -> what it sends night by night, whom the last night leaves, how the last night ends
CASES: dict[str, Case] = {
    "normal": reads(pages(ODD), "7", "ben", "eve"),
    "paged": reads(pages(["ann"], [], ["ben", "ann"], ["eve"]), "ann", "ben", "eve"),
    "empty": reads(pages([])),
    "departures": turns(pages(["ann"], ["kim"]), "ann", "kim"),
    "unchanged": turns(pages(["ben"], ["ann"]), "ann", "ben", outcome="unchanged"),
    "emptied": turns(pages([])),
    "failed_page": fails(pages(["ann"], body("", 500)), "unreachable"),
    "cut_page": fails(pages(["ann"], body(b'{"members": [{"user')), "malformed"),
    "refused": fails(lambda _: body("", 401), "refused"),
    "refused_page": fails(pages(["ann"], body("", 403)), "refused"),
    "not_json": fails(lambda _: body(b"["), "malformed"),
    "no_members": fails(lambda _: body({"context": {"id": "x"}}), "malformed"),
    "other_context": fails(pages(["ann"], Page(["zoe"], context={"id": "zz"})), "malformed"),
    "looped": fails(pages(["ann"], AGAIN), "looped"),
    "malformed_members": fails(pages([{}, {}, {}, {}, {}, {}, member("ann")]), "malformed"),
    "not_offered": fails(lambda _: body("", 404), "not_found", "unavailable"),
    "lost_page": fails(pages(["ann"], body("", 404)), "not_found"),
    "throttled": fails(lambda _: body("", 429, Retry_After="9999"), "throttled"),
    "too_large": fails(pages(crowd(11)), "too_large", "too_large"),
}
COMPARED = ("memberships", "membership_roles", "membership_log", LINKS)
"""Columns that name the registration or the moment differ; all others must be equal."""
OWN = ("context_key", "registration", "sync_id", "synced_at", "observed_at", "_dlt_load_id")


PROVIDERS = ("nrps", "ltiaas")
LIMITS = {"max_attempts": 1, "max_members": 10}
# further registrations of either provider -> their options, and what their one course sends night by night
WAYS: dict[str, tuple[Manner, dict[str, Any], list[Any]]] = {
    "filtered": (MOODLE, {"role": "instructor"}, [[TOM, ADA, "ann"], [ADA, "ann"]]),
    "filtered_pages": (MOODLE, {"role": "learner", "page_size": 1}, [["ann", TOM, "ben"], ["ben", TOM]]),
    "differing": (TAO, {"use_differences": True}, [["ann", "ben"], ["ben", "eve"]]),
    "elsewhere": (CANVAS, {}, [["ann", "ben"], pages(ELSEWHERE)]),
}
LEFT = {
    "filtered": {"ada"},
    "filtered_pages": {"ben"},
    "differing": {"ben", "eve"},
    "elsewhere": {"ann", "ben"},
}


@pytest.fixture(scope="module")
def played(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """Every case over its nights, read through both providers side by side."""
    with School(tmp_path_factory.mktemp("providers"), tool_key) as school:
        platforms = pair(school, tool_key, "", CANVAS, LIMITS)
        for platform in platforms:
            for name in CASES:
                platform.add(Course(name, links={"r1": None}))
            platform.add(Course("normal", key="again", members=people(["zoe"])))
        names = [*CASES, "again"]
        school.catalogue = {
            "nrps": [{"memberships_url": platforms[0].memberships_url(name)} for name in names],
            "ltiaas": [{"service_key": f"SERV-{name}"} for name in names],
        }
        for rows in school.catalogue.values():
            rows[0]["resource_link_id"] = "r1"
        ways = {way: pair(school, tool_key, f"_{way}", *given[:2]) for way, given in WAYS.items()}
        for way, both in ways.items():
            school.catalogue[f"ltiaas_{way}"] = [{"service_key": "SERV-c1"}]
            for platform in both:
                platform.add(Course("c1"))
        for night in (0, 1):
            tonight(night, platforms, ways)
            school.run()
        yield school


def tonight(night: int, platforms: list[ReferencePlatform], ways: dict[str, list[ReferencePlatform]]) -> None:
    """Let every course answer what it sends in that night."""
    for platform in platforms:
        for name, (sends, *_) in CASES.items():
            answer(platform.courses[name], sends[min(night, len(sends) - 1)])
    for way, (*_, sends) in WAYS.items():
        for platform in ways[way]:
            answer(platform.courses["c1"], sends[night])


def answer(course: Course, given: Any) -> None:
    """Let *course* answer with a script, or with these members."""
    course.script = given if callable(given) else None
    course.members = [] if callable(given) else people(given)


def pair(
    school: School, tool_key: SigningKey, suffix: str, manner: Manner, options: dict[str, Any]
) -> list[ReferencePlatform]:
    """The registrations nrps*suffix* and ltiaas*suffix*, each with a platform of its own behind it."""
    lms = school.open(f"nrps{suffix}", manner, **options)
    behind = school.open("behind", manner)
    school.platforms.pop("behind")
    fake = school._open.enter_context(FakeLtiaas(behind, tool_key))
    school.register(f"ltiaas{suffix}", fake, **options, **fake.options)  # type: ignore[arg-type]
    return [lms, behind]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", CASES)
def test_every_case_ends_alike(played: School, provider: str, name: str) -> None:
    """Outcome, error type and roster are those of the case, through either provider."""
    sends, roster, outcome, error_type = CASES[name]
    if len(sends) == 1:
        outcome = "unchanged"  # the second night brings the same
    key = context_key(provider, name)

    ((found, kind),) = played.sql(
        "SELECT outcome, error_type FROM roster_syncs WHERE context_key = ? AND resource_link_id IS NULL "
        "AND error_type IS DISTINCT FROM 'duplicate_context' ORDER BY finished_at DESC LIMIT 1",
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
        for provider in PROVIDERS
    ]

    assert rows[0] == rows[1]
    assert rows[0]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_leaves_the_same_roster(played: School, provider: str, way: str) -> None:
    """A role filter that Moodle misreads or loses, differences, a next link that leaves the platform."""
    assert played.members("c1", f"{provider}_{way}") == LEFT[way]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_equal_tables(played: School, way: str) -> None:
    """Row by row, for the further registrations too."""
    for table in COMPARED[:3]:
        columns = ", ".join(name for (name, *_) in played.sql(f"DESCRIBE {table}") if name not in OWN)
        rows = [
            played.sql(f"SELECT {columns} FROM {table} WHERE registration = ? ORDER BY ALL", f"{each}_{way}")
            for each in PROVIDERS
        ]
        assert rows[0] == rows[1]
        assert rows[0]


def last(school: School, columns: str, registration: str) -> tuple[Any, ...]:
    """*columns* of the last sync of a registration's course `c1`."""
    return school.sql(
        f"SELECT {columns} FROM roster_syncs WHERE registration = ? ORDER BY finished_at DESC LIMIT 1",
        registration,
    )[0]


def test_differences_where_they_are_offered(played: School) -> None:
    """The platform offers them, LTIAAS does not pass them on: there the setting changes nothing."""
    assert [last(played, "mode, outcome", f"{each}_differing") for each in PROVIDERS] == [
        ("differences", "complete"),
        ("full", "complete"),
    ]


def test_a_next_link_that_leaves(played: School) -> None:
    """Ours refuses to follow it; LTIAAS is asked for it, with no key of the platform's, and refuses itself."""
    assert [last(played, "outcome, error_type", f"{each}_elsewhere") for each in PROVIDERS] == [
        ("failed", "other_host"),
        ("failed", "malformed"),
    ]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_two_entries_of_one_context(played: School, provider: str) -> None:
    """The first in the catalogue is in force, both nights; the other says that it was not needed."""
    rows = played.sql(
        "SELECT outcome, error_type FROM roster_syncs WHERE context_key = ? AND resource_link_id IS NULL "
        "AND error_type IS NOT NULL",
        context_key(provider, "normal"),
    )

    assert rows == [("unchanged", "duplicate_context")] * 2
    assert "zoe" not in played.members("normal", provider)


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
    """A service key, a ltik, or (unverified) Bearer with the LMS's address; role and page size are sent.

    The filter is new, so two pages of learners are followed by three of everybody.
    """
    value = {"service key": "SERV-c1", "ltik": "LTIK-c1", "bearer": hub.memberships_url("c1")}[way]
    school.catalogue["hub"] = [{ROWS[way]: value, "context_id": "c1"}]

    run = school.run(role="learner", page_size=1)

    assert run.outcomes == {"c1": "complete"}
    assert school.members("c1") == {"ann", "ben"}
    assert len(hub.requests) == 5
    assert ["Learner" in str(hub.requests[at].query) for at in (0, 2)] == [True, False]
    assert "limit" in str(hub.requests[0].query)


def test_max_members_with_a_role_through_ltiaas(school: School, hub: FakeLtiaas) -> None:
    """Who is stored and not asked for is not counted."""
    del hub
    school.catalogue["hub"] = [{"service_key": "SERV-c1"}]
    school.run()
    school.options["hub"]["max_members"] = 2

    assert school.run(role="instructor").outcomes == {"c1": "complete"}
    assert school.run().outcomes == {"c1": "too_large"}


HEADER = "INVALID_LTIK_AUTH_AUTHORIZATION_HEADER"
CODES = {
    HEADER: (401, "failed", "refused"),
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


@pytest.mark.parametrize(
    ("status", "outside"),
    [
        (401, {"externalUrl": "/x"}),
        (403, {"externalError": "no"}),
        (401, {"externalUrl": "/x", "code": HEADER}),
    ],
)
def test_a_refusal_of_the_lms_accuses_no_key(
    school: School, hub: FakeLtiaas, status: int, outside: dict[str, str]
) -> None:
    """Where LTIAAS asked the LMS it had accepted the key: the LMS's registration is what to look at."""
    hub.faults["SERV-c1"] = refused(status, "no", **outside)
    school.catalogue["hub"] = [{"service_key": "SERV-c1", "context_id": "c1"}]

    (sync,) = school.run().syncs

    error = sync.error or ""
    assert (sync.outcome, sync.error_type, sync.http_status) == ("failed", "refused", status)
    assert "the LMS refuses LTIAAS the roster" in error
    assert "names and roles service active in the LMS's registration of the tool" in error
    assert [words for words in ("api_key", "API key", "stale") if words in error] == []


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


AROUND = "https://acct.ltiaas.example/api/memberships?"
# what stands in `next` of the LMS's `…?page=2&per_page=1` -> whether that can be told from it
NEXTS: dict[str, tuple[Callable[[str], str], bool]] = {
    "documented": (documented, True),
    "nothing_encoded": (lambda url: f"{AROUND}url={url}", True),
    "behind_another": (lambda url: f"{AROUND}limit=1&url={url}", True),
    "query_encoded": (lambda url: f"{AROUND}url={quote(url, safe=':/?')}", True),
    "mark_encoded": (lambda url: f"{AROUND}url={quote(url, safe=':/')}&limit=9", True),
    "equals_bare": (lambda url: f"{AROUND}url={quote(url, safe='=')}", True),
    "relative": (lambda url: f"?url={quote(url, safe='')}", True),
    "the_address": (lambda url: url, True),
    "address_encoded": (lambda url: quote(url, safe=""), True),
    "encoded_twice": (lambda url: f"{AROUND}url={quote(quote(url, safe=''), safe='')}", True),
    "address_encoded_twice": (lambda url: quote(quote(url, safe=""), safe=""), True),
    "address_encoded_in_part": (lambda url: url.replace(":", "%3A"), False),
    "half_encoded": (lambda url: f"{AROUND}url={url.replace('&', '%26')}", False),
    "scheme_encoded": (lambda url: f"{AROUND}url={url.replace(':', '%3A')}", False),
    "no_query": (lambda url: f"{AROUND}url={url.partition('?')[0]}&page=2&per_page=1", False),
    "no_address": (lambda url: f"{AROUND}url={url.rpartition('/')[2].replace('&', '%26')}", False),
    "no_text": (lambda url: f"{AROUND}url=%FF{quote(url, safe='')}", False),
}


def test_no_form_of_next_loses_members(school: School, hub: FakeLtiaas) -> None:
    """E140: the LMS's address is found in whatever came, with all of its query; in doubt the roster fails."""
    for name, (form, _) in NEXTS.items():
        hub.lms.add(Course(name, members=people(["ann", "ben", "eve"])))
        hub.nexts[name] = form
    school.catalogue["hub"] = [{"service_key": f"SERV-{name}", "context_id": name} for name in NEXTS]

    run = school.run(page_size=1)

    assert run.outcomes == {name: "complete" if is_told else "failed" for name, (_, is_told) in NEXTS.items()}
    assert {*run.errors.values()} == {"malformed"}
    told = [name for name, (_, is_told) in NEXTS.items() if is_told]
    assert [school.members(name) for name in told] == [{"ann", "ben", "eve"}] * len(told)


@given(
    st.lists(st.tuples(st.text(min_size=1), st.text()), min_size=1), st.sampled_from(["", "=", ":/", ":/?"])
)
def test_an_address_comes_out_of_next_as_it_went_in(pairs: list[tuple[str, str]], safe: str) -> None:
    """However much of it is encoded; where that is not clear there is an error, never another address."""
    url = f"https://lms.example/c%C3%A9/1?{urlencode(pairs, errors='replace')}"

    assert address_in(f"limit=1&url={quote(url, safe=safe)}") == url
    assert bare(url) == bare(quote(url, safe="")) == url
    with contextlib.suppress(ValueError):
        assert address_in(f"url={url}") == url


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


@pytest.mark.parametrize("order", [1, -1])
def test_an_unavailable_id_token_beside_one_with_a_key(school: School, hub: FakeLtiaas, order: int) -> None:
    """They are one course, read with the key: no second row says that it is unavailable."""
    school.catalogue["hub"] = [token(None, available=False), token("SERV-c1", link="l2")][::order]

    run = school.run()

    assert [(sync.outcome, sync.error_type) for sync in run.syncs] == [("complete", None)]
    assert len(hub.requests) == 1


def test_the_newest_key_of_a_course_is_used(school: School, hub: FakeLtiaas) -> None:
    """By the moment of the launch, wherever it stands; a newer launch without the service changes nothing."""
    dated = [token("SERV-old"), token("SERV-c1"), token("SERV-older"), token(None, available=False)]
    for moment, row in zip((2, 3, 1, 4), dated, strict=True):
        row["iat"] = moment
    school.catalogue["hub"] = dated

    (sync,) = school.run().syncs

    assert (sync.outcome, sync.where, len(hub.requests)) == ("complete", "contexts, entry 2", 1)


def test_launches_of_a_platform_are_no_rows_of_an_account(school: School, hub: FakeLtiaas) -> None:
    """They have no service key: a fault with its line, and not one request with the API key alone."""
    from test_catalogue import launch

    school.catalogue["hub"] = [launch(hub.memberships_url("c1")), {"service_key": "SERV-c1"}]

    told = carried_out(school)

    assert told["registrations"]["hub"]["catalogue_faults"] == [
        "contexts, entry 1: an account of LTIAAS needs its own ID tokens, with a service key."
    ]
    assert ["Bearer" in str(request.headers) for request in hub.requests] == [False]
    assert told["exit_status"] == 3


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("beside", [{}, {"memberships_url": "https://lms.example/c1"}])
def test_two_keys_of_one_course_are_told(school: School, beside: dict[str, str]) -> None:
    """Design §3: the first row is in force. The other is told of by its line, without its key."""
    rows = [
        {"service_key": "SERV-old", "context_id": "c1"} | beside,
        {"service_key": "SERV-c1", "context_id": "c1"} | beside,
        {"service_key": "SERV-r1", "context_id": "c1", "resource_link_id": "r1"} | beside,
        {"service_key": "SERV-c2", "context_id": "c2"},
    ]
    school.catalogue["hub"] = rows

    told = carried_out(school)

    (warning,) = told["warnings"]
    assert warning.startswith("hub: contexts, entry 2: two rows of one course with different keys")
    assert "contexts, entry 1" in warning
    assert "SERV" not in warning
    assert told["registrations"]["hub"]["catalogue_faults"] == []


@pytest.mark.usefixtures("hub")
def test_many_courses_with_two_keys_are_told_briefly(school: School) -> None:
    """A few by their lines, the rest by their number; one key twice is nothing to tell."""
    rows = [{"service_key": f"{key}-{n}", "context_id": str(n)} for n in range(30) for key in "ab"]
    school.catalogue["hub"] = [*rows, *rows]

    told = carried_out(school, is_dry=True, limit=0)

    assert len(told["warnings"]) == 4
    assert told["warnings"][-1] == "hub: and 27 further rows of courses with different keys."


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
