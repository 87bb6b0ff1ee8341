"""Edge cases of members and containers, end to end: E01 to E33."""

from collections.abc import Iterator
from typing import Any

import pytest
from play import LEARNER, Played, Scenario, breaks, check, complete, failed, nights, person, reads, unchanged
from replies import HERE, Page, body, pages

from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import MOODLE, OPENOLAT, SAKAI, Course, member
from school import TABLES, School, crowd

LOGIN = "<!DOCTYPE html><html><head><title>Log in</title></head><body>Hello Ann Example</body></html>"
V1 = {
    "@context": "http://purl.imsglobal.org/ctx/lis/v2/MembershipContainer",
    "@type": "Page",
    "pageOf": {
        "@type": "LISMembershipContainer",
        "membershipSubject": {"membership": [{"member": {"userId": "ann"}, "role": ["Learner"]}]},
    },
}
MESSAGES: list[Any] = [None, [], [{"custom": {"n": 1, "yes": True}}], {"custom": {"sections": "[1, 2]"}}]
NONE: dict[str, Any] = dict.fromkeys(("name", "given_name", "family_name", "middle_name", "email", "picture"))
WRITTEN = {
    "emoji": "Zoë 🎓 Example",
    "rtl": "ليلى \u200fمثال",
    "zero-width": "A\u200bB",
    "nfd": "E\u0301va",
    "nfc": "\u00c9va",
    "full-width": "Ａｎｎ",
    "tab": "\tAnn\t",
    "padded": "  Ann  ",
    "entity": "A &amp; B",  # E17
    "formula": "=SUM(A1)",  # E18
    "plus": "+1 Ann",
}


def sent(content: Any, **headers: str) -> Any:
    """One answer with *content* as its body."""
    return pages(body(content, **headers))


def told(*users: str, **context: Any) -> Any:
    """One page of active learners whose context is *context*."""
    return pages(Page(users, context=context))


def titled(**fields: Any) -> Any:
    """A course's row beside its id."""
    return {"title": None, "label": None, **fields}


ANN = '{"user_id": "ann", "roles": ["Learner"]}'

SCENARIOS = [
    reads(
        "E01 missing and null status are Active",
        [member("ann", status=None), member("ben") | {"status": None}],
        {"ann": LEARNER, "ben": LEARNER},
    ),
    reads(
        "E02 a known status is read without regard to case and spaces, an unknown one kept as sent",
        [
            member("pad", status=" active"),
            member("up", status="ACTIVE"),
            member("off", status="inACTIVE "),
            member("odd", status=" Suspended"),
            member("num", status=5),
            member("obj", status={"is": "odd"}),
        ],
        {
            "pad": LEARNER,
            "up": LEARNER,
            "off": person("Learner", status="Inactive"),
            "odd": person("Learner", status=" Suspended"),
            "num": person("Learner", status="5"),
            "obj": person("Learner", status='{"is":"odd"}'),
        },
    ),
    Scenario(
        "E03 Deleted in a full listing means not on the roster",
        (
            complete(
                ["ann", member("ben", status="Deleted")], {"ann": LEARNER}, member_count=1, departures=0
            ),
            complete(
                ["ben", member("ann", status="deleted")], {"ben": LEARNER}, member_count=1, departures=1
            ),
        ),
    ),
    Scenario(
        'E04 a numeric user_id is its text, and 1 and "1" are one user',
        (
            complete(
                [member(1), member(12345678901234567890123), member(2.0)],
                {"1": LEARNER, "12345678901234567890123": LEARNER, "2": LEARNER},
            ),
            unchanged(
                [member("1"), member("12345678901234567890123"), member("2")],
                {"1": LEARNER, "12345678901234567890123": LEARNER, "2": LEARNER},
            ),
        ),
    ),
    reads(
        'E04 1 and "1" listed together are one row',
        [member(1), member("1", ("Instructor",))],
        {"1": person("Instructor", "Learner")},
        sync={"duplicate_members": 1},
    ),
    reads(
        "E05 members without a user_id, or no object, are set aside and counted",
        [*crowd(3), {"roles": ["Learner"]}, member(""), member(None), 7, member(" ")],
        {f"u{n}": LEARNER for n in range(3)},
        sync={"malformed_members": 5, "member_count": 3},
    ),
    breaks(
        "E05 more than five and more than a tenth malformed fail the roster",
        "malformed",
        [*crowd(50), *[member("")] * 6],
    ),
    reads(
        "E05 six malformed in sixty are no more than a tenth",
        [*crowd(54), *[member("")] * 6],
        {f"u{n}": LEARNER for n in range(54)},
        sync={"malformed_members": 6},
    ),
    reads("E06 ids that differ in case or outer spaces are different users", ["ann", "Ann", " ann", "ann "]),
    reads(
        "E09 the LTI 1.1 id is stored and no key",
        [member("ann", lti11_legacy_user_id="old"), member("ben", lti11_legacy_user_id="old")],
        {
            "ann": {**LEARNER, "lti11_legacy_user_id": "old"},
            "ben": {**LEARNER, "lti11_legacy_user_id": "old"},
        },
    ),
    reads(
        "E10 names for some members only",
        ["ann", member("ben", name="Ben Example", email="ben@school.example")],
        {
            "ann": {**LEARNER, **NONE},
            "ben": {**LEARNER, **NONE, "name": "Ben Example", "email": "ben@school.example"},
        },
    ),
    Scenario(
        "E10 names that the platform stops sending are cleared without an alarm",
        (
            complete([member("ann", name="Ann Example")], {"ann": {**LEARNER, "name": "Ann Example"}}),
            complete(["ann"], {"ann": {**LEARNER, **NONE}}, departures=0),
        ),
    ),
    reads(
        "E11 a shared, an empty and a malformed mail address",
        [
            member(each, email=mail)
            for each, mail in (
                ("ann", "a@school.example"),
                ("ben", "a@school.example"),
                ("eve", ""),
                ("zoe", "not a mail"),
            )
        ],
        {
            "ann": {"email": "a@school.example"},
            "ben": {"email": "a@school.example"},
            "eve": {"email": None},
            "zoe": {"email": "not a mail"},
        },
    ),
    reads(
        "E12 an empty lis_person_sourcedid is none",
        [member("ann", lis_person_sourcedid="")],
        {"ann": {"lis_person_sourcedid": None}},
    ),
    reads(
        "E13 a message in any form",
        [member(f"u{n}", message=message) for n, message in enumerate(MESSAGES)],
        {f"u{n}": {**LEARNER, "extra": None} for n in range(4)},
    ),
    Scenario(
        "E14 E99 a message whose custom values change or stay unresolved changes nothing",
        (
            complete([member("ann", message=[{"custom": {"who": "$User.id", "sections": "1,2"}}])], ["ann"]),
            unchanged(
                [
                    member(
                        "ann", message=[{"custom": {"who": "$Person.id", "sections": "[1]"}, "launchid": 7}]
                    )
                ],
                ["ann"],
            ),
        ),
    ),
    reads(
        "E15 fields that the standard doesn't name are kept as JSON",
        [
            member(
                "ann",
                sakai_ext={"eid": "a1"},
                group_enrollments=[{"group_id": "g"}],
                ext_user_username="ann1",
            )
        ],
        {
            "ann": {
                **LEARNER,
                "extra": '{"ext_user_username":"ann1","group_enrollments":[{"group_id":"g"}],'
                '"sakai_ext":{"eid":"a1"}}',
            }
        },
    ),
    reads(
        "E16 E17 E18 names are stored letter by letter",
        pages(
            Page(
                [member(each, name=name) for each, name in WRITTEN.items()],
                headers={"Content-Type": "application/json"},
            )
        ),
        {each: {**LEARNER, "name": name} for each, name in WRITTEN.items()},
    ),
    reads(
        "E19 the ids of a roster are taken as they are: one person's in one course",
        [member("ann-1", email="ann@school.example", lti11_legacy_user_id="ann")],
        {"ann-1": {**LEARNER, "email": "ann@school.example"}},
    ),
    reads(
        "E19 another id of the same person in another course is nobody's merger",
        [member("ann-2", email="ann@school.example", lti11_legacy_user_id="ann")],
        {"ann-2": {**LEARNER, "email": "ann@school.example"}},
    ),
    reads(
        "E20 a suspended account served as Active is Active",
        [member("ann", account_state="suspended")],
        {"ann": LEARNER},
        manner=MOODLE,
    ),
    Scenario(
        "E21 a complete and empty roster empties the course",
        (
            complete(["ann", "ben"]),
            complete([], departures=2, readings=2, member_count=0),
            unchanged([], readings=1),
        ),
    ),
    reads("E21 a course that is empty from the beginning", [], sync={"member_count": 0, "readings": 1}),
    breaks("E22 members are missing", "malformed", pages(Page(fields={"members": HERE}))),
    breaks("E22 members are null", "malformed", sent({"context": {"id": "x"}, "members": None})),
    breaks("E22 members are an object", "malformed", sent({"context": {"id": "x"}, "members": {}})),
    breaks("E23 a first page of zero bytes fails", "malformed", sent(b"")),
    breaks("E23 a first page of white space fails", "malformed", sent(b" \r\n")),
    breaks(
        "E23 OpenOLAT answers zero bytes where something went wrong", "malformed", sent(b""), manner=OPENOLAT
    ),
    breaks("E23 a status 204 has no byte either", "malformed", pages(body(b"", 204))),
    breaks("E23 Sakai's page without active members is not taken for empty", "malformed", [], manner=SAKAI),
    Scenario(
        "E23 Sakai's page without active members empties the course where zero_bytes says so",
        (complete(["ann"]), complete([], departures=1, readings=2), unchanged([])),
        manner=SAKAI,
        options={"zero_bytes": "empty"},
    ),
    reads(
        "E23 E24 a course that never had a byte is empty under the catalogue's id where zero_bytes says so",
        pages(body(b"")),
        {},
        options={"zero_bytes": "empty"},
        catalogue={"context_id": "unread"},
        context_id="unread",
    ),
    reads(
        "E23 a later page of zero bytes is the end",
        pages(["ann"], body(b"")),
        ["ann"],
        sync={"page_count": 2},
    ),
    Scenario(
        "E24 the catalogue's id stands in for a missing context",
        (
            complete(
                pages(Page(["ann"], context=HERE, fields={"context": None})),
                ["ann"],
                context={"context_id": "biology"},
            ),
            unchanged(pages(Page(["ann"], fields={"context": {}})), ["ann"]),
        ),
        catalogue={"context_id": "biology"},
        context_id="biology",
    ),
    Scenario(
        "E25 the platform's id wins over the catalogue's",
        (
            failed(pages(body("broken")), "malformed", []),
            complete(told("ann", id="real"), ["ann"], context={"context_id": "real"}),
            unchanged(told("ann", id="real"), ["ann"]),
        ),
        catalogue={"context_id": "guessed"},
        context_id="real",
    ),
    breaks(
        "E26 a context id that changes between pages",
        "malformed",
        pages(["ann"], Page(["zoe"], context={"id": "other"})),
    ),
    reads(
        "E27 a numeric context id is its text",
        told("ann", id=4711),
        ["ann"],
        context={"context_id": "4711"},
        context_id="4711",
    ),
    Scenario(
        "E28 label and title may be null and may change; the key stays",
        (
            complete(told("ann", id="c28", label=None, title=None), ["ann"], context=titled()),
            unchanged(
                told("ann", id="c28", label="BIO", title="Biology"),
                ["ann"],
                context=titled(label="BIO", title="Biology"),
            ),
            unchanged(
                told("ann", id="c28", label="BIO", title="Biology II"),
                ["ann"],
                context=titled(label="BIO", title="Biology II"),
            ),
            unchanged(
                told("ann", id="c28", label=None, title=None),
                ["ann"],
                context=titled(label="BIO", title="Biology II"),
            ),
        ),
        context_id="c28",
    ),
    *[
        reads(f"E29 a roster served as {kind}", pages(Page(["ann"], headers={"Content-Type": kind})), ["ann"])
        for kind in (
            "application/json",
            "application/vnd.ims.lis.v2.membershipcontainer+json",
            "text/html; charset=utf-8",
            "text/plain; charset=latin-1",
        )
    ],
    breaks("E29 a login page with status 200", "malformed", sent(LOGIN, Content_Type="text/html")),
    breaks("E29 a login page served as a roster", "malformed", sent(LOGIN)),
    breaks("E30 a version 1 container is no empty roster", "malformed", sent(V1)),
    reads(
        "E31 a byte-order mark",
        pages(body(b'\xef\xbb\xbf{"context": {"id": "bom"}, "members": [%s]}' % ANN.encode())),
        ["ann"],
        context_id="bom",
    ),
    breaks("E31 a trailing comma", "malformed", sent(f'{{"members": [{ANN},]}}')),
    breaks("E31 members twice", "malformed", sent(f'{{"members": [{ANN}], "members": []}}')),
    breaks(
        "E31 two contexts in one container",
        "malformed",
        sent('{"context": {"id": "a"}, "members": [], "context": {"id": "b"}}'),
    ),
    breaks("E31 a body that ends in the middle", "malformed", sent(f'{{"members": [{ANN}, {{"user')),
    breaks("E31 two containers in one body", "malformed", sent(f'{{"members": [{ANN}]}}{{"members": []}}')),
    reads(
        "E31 a member with two user_ids is set aside",
        sent(f'{{"context": {{"id": "twice"}}, "members": [{ANN}, {{"user_id": "x", "user_id": "y"}}]}}'),
        ["ann"],
        sync={"malformed_members": 1},
        context_id="twice",
    ),
    Scenario(
        "E32 E99 the container's own id is neither followed nor part of the content",
        (
            complete(pages(Page(["ann"], fields={"id": "https://elsewhere.example/a?x=1"})), ["ann"]),
            unchanged(pages(Page(["ann"], fields={"id": "https://elsewhere.example/b?x=2"})), ["ann"]),
        ),
    ),
    reads(
        "E33 a hidden course is served like any other",
        [member("ann"), member("tess", ("Instructor",))],
        {"ann": LEARNER, "tess": person("Instructor")},
        manner=MOODLE,
    ),
    breaks(
        "an error body with status 200", "malformed", sent({"errors": [{"message": "Ann Example is bad"}]})
    ),
    breaks("a list instead of an object", "malformed", sent(f"[{ANN}]")),
]


@pytest.fixture(scope="module")
def played(tool_key: SigningKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Every scenario of this module, played."""
    with nights(tmp_path_factory.mktemp("members"), tool_key, SCENARIOS) as played:
        yield played


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_tables_hold_what_they_must(played: Played, scenario: Scenario) -> None:
    """After every night the tables hold exactly what the scenario says."""
    check(played, scenario)


def test_one_user_id_in_two_registrations_is_two_people(school: School) -> None:
    """E07 E08: rows are kept apart by registration, whatever issuer and ids they share."""
    other = school.open("canvas_two")
    school.add("c1", ["ann"])
    other.add(Course("c1", members=[member("ann", ("Instructor",))]))

    school.run()

    rows = school.sql("SELECT registration, user_id, primary_role FROM memberships ORDER BY ALL")
    assert rows == [("canvas", "ann", "learner"), ("canvas_two", "ann", "instructor")]
    assert school.sql("SELECT count(DISTINCT context_key) FROM memberships") == [(2,)]


def test_columns_exist_though_nobody_sends_names(school: School) -> None:
    """E10: every column is there after a first load in which no member has a name."""
    school.add("c1", ["ann"])

    school.run()

    assert school.sql(
        "SELECT name, given_name, family_name, middle_name, email, picture FROM memberships"
    ) == [(None,) * 6]


def test_nested_fields_make_no_tables_or_columns(school: School) -> None:
    """E13: messages and unknown fields, however nested, change no table's shape."""
    school.add("c1", ["ann"])
    school.run()
    before = school.sql("SELECT table_name, column_name FROM information_schema.columns ORDER BY ALL")
    school.add(
        "c1", [member("ann", message=[{"https://a.example/b": {"x": [1]}}], odd={"deep": [{"er": 1}]})]
    )

    school.run()

    assert school.sql("SELECT table_name, column_name FROM information_schema.columns ORDER BY ALL") == before
    tables = {
        table
        for (table,) in school.sql("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'lti_raw'")
    }
    assert {table for table in tables if not table.startswith("_dlt_")} == set(TABLES)
