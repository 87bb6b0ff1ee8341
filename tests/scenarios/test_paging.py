"""Edge cases of paging, end to end: E52 to E74 (those of resource links aside)."""

import gzip
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from play import LEARNER, Played, Scenario, breaks, check, complete, nights, person, reads
from replies import Page, Script, body, pages, url

from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import (
    BLACKBOARD,
    CANVAS,
    D2L,
    MOODLE,
    OPEN_EDX,
    SAKAI,
    SCHOOLOGY,
    TAO,
    Exchange,
    ReferencePlatform,
    Reply,
    member,
)
from school import School, crowd

BOTH = ["ann", "ben"]
MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership"
ADMINISTRATOR = "http://purl.imsglobal.org/vocab/lis/v2/system/person#Administrator"
NEXT = [  # E53: one link, however it is written
    "<{next}>; rel=next",
    "<{next}>; rel='next'",
    '<{next}>; rel="next last"',
    '<{next}>; REL="NEXT"',
    '<{next}>;rel="next"',
    '<{next}> ; rel = "next"',
    '<{next}>; title="a, b; rel=prev"; type="x/y"; rel="next"',
    '<{next}&ids=1,2;3>; rel="next"',
    "<{next}&q=%2fA%2FB>; rel=next",
]
SEVERAL = [  # E54
    ('<{next}&x=1>; rel="prev",<{next}>; rel="next",<{next}&x=2>; rel="last"',),
    ('<{next}&since=1>; rel="differences", <{next}>; rel="next"',),
    ('<{next}&x=1>; rel="first"', '<{next}>; rel="next"'),
    ('<{next}>; rel="next"', '<{next}>; rel="next"'),
]
BROKEN = ['<{next}; rel="next"', "{next}; rel=next", '<{next}>; rel="next']
MOODLE_ADMIN = member("adm", ("Instructor", ADMINISTRATOR))


def linked(*links: str) -> Script:
    """Two pages, the first with *links* to the second."""
    return pages(Page(["ann"], links=links), Page(["ben"], links=[]))


def endless(exchange: Exchange) -> Reply | None:
    """Page after page with the same two people and a link that was never there before."""
    number = int(exchange.query.get("page", "1"))
    return Page(BOTH).reply(exchange, url(exchange, f"page={number + 1}"))


def void(exchange: Exchange) -> Reply | None:
    """Page after page with nobody and a link that was never there before."""
    number = int(exchange.query.get("page", "1"))
    return Page([]).reply(exchange, url(exchange, f"page={number + 1}"))


def growing(exchange: Exchange) -> Reply | None:
    """Page after page with somebody new on each."""
    number = int(exchange.query.get("page", "1"))
    return Page([f"u{number}"]).reply(exchange, url(exchange, f"page={number + 1}"))


def slow(exchange: Exchange) -> Reply | None:
    """Somebody new on each page, and each page takes its time."""
    reply = growing(exchange)
    assert reply is not None
    return replace(reply, delay=0.1)


def cycle(*queries: str) -> Script:
    """Page n links to the n-th of *queries* under rel next; the last has no link where there are fewer."""
    given = [Page([f"u{number}"], links=[f'<?{query}>; rel="next"']) for number, query in enumerate(queries)]
    return pages(*given)


def at_page_two(fault: Reply | Script) -> Script:
    """A good first page, then *fault*."""
    return pages(["ann", "zoe"], fault)


def spoilt(**changes: Any) -> Script:
    """A second page that would be good but for *changes* of its reply."""

    def page(exchange: Exchange) -> Reply:
        return replace(Page(["yan"]).reply(exchange, None), **changes)

    return page


def large(exchange: Exchange) -> Reply:
    """A page of more than a megabyte."""
    return Page([member("yan", name="n" * 1_100_000)]).reply(exchange, None)


def compressed(exchange: Exchange) -> Reply:
    """The same, a few kilobytes on the wire."""
    reply = large(exchange)
    return replace(
        reply, headers=[*reply.headers, ("Content-Encoding", "gzip")], body=gzip.compress(reply.body)
    )


def cut_gzip(exchange: Exchange) -> Reply:
    """A compressed page whose end is missing, under a Content-Length that fits what comes."""
    reply = Page(["yan"]).reply(exchange, None)
    return replace(
        reply, headers=[*reply.headers, ("Content-Encoding", "gzip")], body=gzip.compress(reply.body)[:-12]
    )


def roles_sent(*sent: tuple[str, str]) -> list[Any]:
    """Members with one role each."""
    return [member(each, (role,)) for each, role in sent]


CLASS = roles_sent(
    ("lea", "Learner"), ("tom", "Instructor"), ("lou", "Learner"), ("tia", "Instructor"), ("max", "Mentor")
)
STAFF = {"tom": person("Instructor"), "tia": person("Instructor")}
FULL = [member(each["user_id"], [f"{MEMBERSHIP}#{role}" for role in each["roles"]]) for each in CLASS]

FAULTS: dict[str, tuple[Reply | Script, str]] = {
    "answers 500": (body("oops", 500), "unreachable"),
    "answers 403": (body("no", 403), "refused"),
    "answers 401": (body("no", 401), "refused"),
    "answers 400": (body("bad cursor", 400), "malformed"),  # E72: no restart, the next night reads anew
    "answers 404": (body("gone", 404), "not_found"),
    "answers 410": (body("gone", 410), "not_found"),
    "answers 413": (body("", 413), "too_large"),
    "is a login page": (body("<html><title>Log in</title></html>", Content_Type="text/html"), "malformed"),
    "is cut in its body": (spoilt(cut_after=40), "unreachable"),
    "is cut in a chunked body": (spoilt(cut_after=40, chunked=True), "unreachable"),
    "is cut in a compressed body": (cut_gzip, "unreachable"),
    "is reset": (Reply(reset=True), "unreachable"),
    "has no status that can be read": (Reply(raw=b"HTTP/1.0 0 \r\n\r\n"), "malformed"),
    "is half a container": (body('{"context": {"id": "x"}, "members": [{"user_id": "yan"'), "malformed"),
    "has no members": (body({"context": {}}), "malformed"),
    "is an error of a gateway": (body({"error": "upstream"}), "malformed"),
    "redirects to another host": (body("", 302, Location="https://elsewhere.example/"), "other_host"),
    "redirects for ever": (body("", 302, Location="?page=2"), "looped"),
}

SCENARIOS = [
    *[
        reads(f"E52 {manner.name} pages as it likes", crowd(count), page_count=None)
        if False
        else reads(
            f"E52 {manner.name} pages as it likes", crowd(count), sync={"page_count": expected}, manner=manner
        )
        for manner, count, expected in (
            (CANVAS, 120, 3),
            (SCHOOLOGY, 201, 3),
            (BLACKBOARD, 1001, 2),
            (MOODLE, 300, 1),
        )
    ],
    *[reads(f"E53 {link}", linked(link), BOTH) for link in NEXT],
    *[reads(f"E54 {' and '.join(links)}", linked(*links), BOTH) for links in SEVERAL],
    *[
        reads(f"E55 a relative next link {query}", linked(f"<{query}>; rel=next"), BOTH)
        for query in ("?page=2", "names_and_roles?page=2", "./names_and_roles?page=2")
    ],
    *[
        breaks(f"E53 a header that cannot be read may hold the next link: {link}", "malformed", linked(link))
        for link in BROKEN
    ],
    breaks(
        "E54 two different next links", "malformed", linked('<{next}>; rel="next", <{next}&x=1>; rel="next"')
    ),
    breaks(
        "E57 a next link to another host", "other_host", linked('<https://elsewhere.example/p2>; rel="next"')
    ),
    breaks("E57 a next link to another port", "other_host", linked('<http://127.0.0.1:1/p2>; rel="next"')),
    breaks("E57 a next link to a file", "malformed", linked('<file:///etc/passwd>; rel="next"')),
    breaks(
        "E57 a next link without encryption", "other_host", linked('<http://canvas.example/p2>; rel="next"')
    ),
    reads("E58 a redirect within the platform", pages(body("", 302, Location="?page=2"), BOTH), BOTH),
    breaks(
        "E58 a redirect to another host",
        "other_host",
        pages(body("", 307, Location="https://elsewhere.example/")),
    ),
    breaks("E59 the last page repeats the link that led to it", "looped", cycle("page=2", "page=2")),
    breaks("E59 two pages that link to each other", "looped", cycle("page=2", "page=3", "page=2")),
    breaks("E59 the first page links to itself", "looped", cycle("page=1")),
    *[
        reads(
            f"E59 a page that repeats its link is the end where repeated_next says so: {queries}",
            cycle(*queries),
            [f"u{n}" for n in range(len(queries))],
            options={"repeated_next": "end"},
        )
        for queries in (("page=2", "page=2"), ("page=1",))
    ],
    breaks(
        "E59 two pages that link to each other, with repeated_next = end",
        "looped",
        cycle("page=2", "page=3", "page=2"),
        options={"repeated_next": "end"},
    ),
    breaks("E60 ever new links that bring nobody new", "looped", endless),
    breaks("E60 ever new links and nobody at all", "looped", void),
    breaks(
        "E60 ever new links that bring nobody new, with repeated_next = end",
        "looped",
        endless,
        options={"repeated_next": "end"},
    ),
    reads(
        "E61 an empty page with a next link", pages(["ann"], [], [], ["ben"]), BOTH, sync={"page_count": 4}
    ),
    reads("E61 an empty first page with a next link", pages([], BOTH), BOTH, sync={"page_count": 2}),
    reads("E61 ten empty pages in a row", pages(["ann"], *[[]] * 10, ["ben"]), BOTH, sync={"page_count": 12}),
    breaks("E61 eleven empty pages in a row", "looped", pages(["ann"], *[[]] * 11, ["ben"])),
    reads("E62 Canvas clips page_size at 50", crowd(120), sync={"page_count": 3}, options={"page_size": 100}),
    reads(
        "E62 D2L does not know page_size",
        crowd(120),
        sync={"page_count": 1},
        manner=D2L,
        options={"page_size": 7},
    ),
    reads(
        "E62 Moodle pages when asked",
        crowd(120),
        sync={"page_count": 3},
        manner=MOODLE,
        options={"page_size": 50},
    ),
    reads(
        "E64 a URL that has a query already",
        crowd(3),
        sync={"page_count": 2},
        query="?placement_id=7&x=&x=1",
        manner=TAO,
        options={"page_size": 2},
    ),
    *[
        reads(
            f"E65 {manner.name} loses the role on later pages",
            CLASS,
            STAFF,
            manner=manner,
            options={"role": "Instructor", "page_size": 2},
            sync={"member_count": 2},
        )
        for manner in (MOODLE, SAKAI)
    ],
    # Page 1 is the first instructor, page 2 the second person: the same one. It cannot be told from a loop, so the
    # roster is read without the role.
    Scenario(
        "E65 a lost role that makes a page bring nobody new is left out",
        (
            complete(CLASS[1:2], {"tom": person("Instructor")}),
            complete(CLASS, STAFF, departures=0, readings=1),
            complete(CLASS[1:2], {"tom": person("Instructor")}, departures=1),
        ),
        manner=MOODLE,
        options={"role": "Instructor", "page_size": 1},
    ),
    reads("E66 Open edX ignores the role", CLASS, STAFF, manner=OPEN_EDX, options={"role": "Instructor"}),
    reads(
        "E66 Moodle answers an unknown filter with everybody",
        CLASS,
        {"max": person("Mentor")},
        manner=MOODLE,
        options={"role": "Mentor"},
    ),
    reads("E66 Canvas knows full URIs alone", FULL, STAFF, options={"role": "Instructor"}),
    reads(
        "E67 Moodle counts an administrator among the learners",
        [*CLASS, MOODLE_ADMIN],
        {"lea": LEARNER, "lou": LEARNER},
        manner=MOODLE,
        options={"role": "Learner"},
    ),
    reads(
        "E68 one person on two pages is one row",
        pages(
            [member("ann", ("Learner",), status="Inactive", name="Ann", email="a@school.example"), "ben"],
            [member("ann", ("Mentor",), name="Ann E.", email=None), "eve"],
        ),
        {
            "ann": person("Learner", "Mentor", name="Ann E.", email="a@school.example"),
            "ben": LEARNER,
            "eve": LEARNER,
        },
        sync={"duplicate_members": 1, "member_count": 3},
    ),
    *[
        breaks(
            f"E70 page 2 {name}",
            error_type,
            at_page_two(fault),
            outcome="too_large" if error_type == "too_large" else "failed",
        )
        for name, (fault, error_type) in FAULTS.items()
    ],
    breaks(
        "E70 page 2 answers 503 for longer than we wait",
        "unreachable",
        at_page_two(body("", 503, Retry_After="4000")),
        options={"max_wait": 101},
    ),
    breaks(
        "E70 page 2 is throttled for longer than we wait",
        "throttled",
        at_page_two(body("", 429, Retry_After="4000")),
        options={"max_wait": 102},
    ),
    breaks(
        "E70 E57 page 2 leads to another host",
        "other_host",
        pages(["ann"], Page(["yan"], links=['<https://elsewhere.example/p3>; rel="next"'])),
    ),
    breaks(
        "E71 more members than max_members",
        "too_large",
        [*crowd(5)],
        outcome="too_large",
        options={"max_members": 4},
    ),
    breaks(
        "E71 more members than max_members on the second page",
        "too_large",
        pages(crowd(4), ["zoe"]),
        outcome="too_large",
        options={"max_members": 4},
    ),
    reads("E71 as many members as max_members", crowd(4), options={"max_members": 4}),
    breaks(
        "E71 more pages than max_pages", "too_large", growing, outcome="too_large", options={"max_pages": 3}
    ),
    reads(
        "E71 as many pages as max_pages",
        pages(["ann"], ["ben"], ["eve"]),
        ["ann", "ben", "eve"],
        options={"max_pages": 3},
    ),
    breaks(
        "a body larger than max_body_mb",
        "too_large",
        pages(large),
        outcome="too_large",
        options={"max_body_mb": 1},
    ),
    breaks(
        "a body larger than max_body_mb once it is decompressed",
        "too_large",
        pages(compressed),
        outcome="too_large",
        options={"max_body_mb": 1},
    ),
    breaks(
        "E70 a roster that takes longer than roster_timeout", "timeout", slow, options={"roster_timeout": 0.5}
    ),
    breaks(
        "E70 a page that sends no byte within timeout",
        "timeout",
        pages(["ann"], spoilt(delay=0.6)),
        options={"timeout": 0.2, "max_attempts": 1},
    ),
    reads("E73 an exactly filled last page has no next link", crowd(100), sync={"page_count": 2}),
    reads("E73 a page beyond the end is empty and the last", pages(BOTH, []), BOTH, sync={"page_count": 2}),
]


@pytest.fixture(scope="module")
def played(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Every scenario of this module, played."""
    with nights(tmp_path_factory.mktemp("paging"), tool_key, SCENARIOS) as played:
        yield played


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_tables_hold_what_they_must(played: Played, scenario: Scenario) -> None:
    """After every night the tables hold exactly what the scenario says."""
    check(played, scenario)


# What is asked


def test_nothing_is_asked_for_that_was_not_set(school: School) -> None:
    """E63 E74: no parameter is sent unasked: Schoology refuses some by name, Sakai loops on limit=0."""
    school.add("c1", ["ann"])

    school.run()

    assert [request.target for request in school.platform.roster_requests] == [
        "/api/lti/courses/c1/names_and_roles"
    ]


@pytest.mark.parametrize("size", [0, -1, "many"])
def test_page_size_that_is_no_positive_number_is_refused(school: School, size: object) -> None:
    """E63: a page size of zero, less, or text is a fault of the settings; nothing is asked."""
    school.add("c1", ["ann"])

    with pytest.raises(Exception, match="page_size"):
        school.run(page_size=size)

    assert school.platform.requests == []


def test_parameters_go_on_the_first_request_alone(school: School) -> None:
    """E56 E64: limit and role are merged into the first URL, and the next link is used byte for byte."""
    opaque = "/api/lti/courses/c1/names_and_roles?page=2&Cursor=aB%2fC==,;[x]|y&B=&b"
    course = school.add("c1")
    course.script = pages(Page([member("ann")], links=[f"<{opaque}>; rel=next"]), Page(["ben"], links=[]))
    school.catalogue["canvas"] = [
        school.platform.memberships_url("c1") + "?rlid=r1&limit=3&placement_id=7&x=&x=1"
    ]

    school.run(page_size=2, role="Learner")

    first = "/api/lti/courses/c1/names_and_roles?rlid=r1&limit=3&placement_id=7&x=&x=1&role="
    role = "http%3A%2F%2Fpurl.imsglobal.org%2Fvocab%2Flis%2Fv2%2Fmembership%23Learner"
    asked = [request.target for request in school.platform.roster_requests]
    assert asked == [first + role, opaque, first.removesuffix("&role="), opaque]  # filtered, then whole


def test_token_goes_to_no_other_host(school: School) -> None:
    """E57 E58: next link and redirect to a second server: it is not even asked."""
    with ReferencePlatform(CANVAS, tool_keys=[]) as other:
        stolen = other.origin + "/api/lti/courses/c1/names_and_roles"
        school.add("c1", script=pages(Page(["ann"], links=[f"<{stolen}>; rel=next"])))
        school.add("c2", script=pages(body("", 302, Location=stolen)))

        run = school.run()

        assert other.requests == []
    assert [sync.error_type for sync in run.syncs] == ["other_host"] * 2


def test_other_host_is_followed_where_it_is_allowed(school: School) -> None:
    """E57: a host in allow_hosts gets the token, as vanity domains need it."""
    with ReferencePlatform(CANVAS, tool_keys=[]) as other:
        other.routes["/p2"] = lambda _: body({"context": {"id": "c1"}, "members": [member("ben")]})
        school.options["canvas"]["allow_hosts"] = [other.origin]
        school.add("c1", script=pages(Page(["ann"], links=[f"<{other.origin}/p2>; rel=next"])))

        run = school.run()

    assert run.outcomes == {"c1": "complete"}
    assert school.members("c1") == {"ann", "ben"}


def test_expired_cursor_is_not_restarted(school: School) -> None:
    """E72: a page 2 that is gone fails the roster after one walk; nobody is asked again the same night."""
    school.add("c1", script=pages(["ann"], body("", 410)))

    run = school.run()

    assert len(school.platform.roster_requests) == 2
    assert set(run.errors.values()) == {"not_found"}
    assert school.sql("SELECT outcome, http_status FROM roster_syncs") == [("failed", 410)]
