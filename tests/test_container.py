"""Membership containers and their members, as the platforms send them and worse."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lti_rosters.errors import MalformedError
from lti_rosters.providers.container import Member, Page, merge, read_container, read_page

PLATFORMS = Path(__file__).parent / "platforms"
LEARNER = "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"


def page_of(*members: object, **container: object) -> Page:
    """Read a page with *members*, as bytes, as it comes from a platform."""
    body = {"context": {"id": "c1"}, "members": list(members)} | container
    return read_page(json.dumps(body).encode())


def member_of(**fields: object) -> Member:
    """Read one member with *fields* beside its user_id."""
    return page_of({"user_id": "u1", **fields}).members[0]


def sample(name: str) -> Page:
    """Read one of the platforms' samples."""
    return read_page((PLATFORMS / f"{name}.json").read_bytes())


# What the platforms send


@pytest.mark.parametrize(
    ("name", "context_id", "members"),
    [
        ("blackboard_page1", "a1b2c3d4e5f64718a9bacbdcedfe0f10", 3),
        ("blackboard_groups_rlid_page", "a1b2c3d4e5f64718a9bacbdcedfe0f10", 2),
        ("canvas_page1", "4dde05e8ca1973bcca9bffc13e1548820eee93a3", 5),
        ("canvas_group_page", "7c0ae2d0", 2),
        ("canvas_private_page", "4dde05e8ca1973bcca9bffc13e1548820eee93a3", 1),
        ("canvas_rlid_page", "4dde05e8ca1973bcca9bffc13e1548820eee93a3", 1),
        ("classera_page", None, 1),
        ("coursera_page", "nrps-context-id-differs-from-launch", 1),
        ("d2l_page1_UNVERIFIED", "6606", 1),
        ("moodle_page1", "79", 2),
        ("moodle_rlid_page", "79", 1),
        ("openedx_page1", "course-v1:edX+DemoX+2026", 2),
        ("openedx_pii_page", "course-v1:edX+DemoX+2026", 1),
        ("openolat_page", "repo-4712", 1),
        ("sakai_page1", "7d6f2c1e-site", 2),
        ("schoology_page1", "7001", 2),
        ("tao_devkit_page1", "default", 2),
        ("tao_devkit_differences", "default", 2),
    ],
)
def test_every_platform_is_read(name: str, context_id: str | None, members: int) -> None:
    """Every platform's page gives its context and all of its members."""
    page = sample(name)

    assert (page.context_id, len(page.members), page.malformed) == (context_id, members, 0)


def test_a_member_with_everything() -> None:
    """Canvas with full consent: every field lands in its place."""
    found = sample("canvas_page1").members[0]

    assert found == Member(
        user_id="535fa085f22b4655f48cd5a36a9215f64c062838",
        status="Active",
        roles=("http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor",),
        name="Ada Teacher",
        given_name="Ada",
        family_name="Teacher",
        middle_name=None,
        email="ada@example.edu",
        picture="https://canvas.example.edu/images/messages/avatar-50.png",
        lis_person_sourcedid="SIS-0001",
        lti11_legacy_user_id="535fa085f22b4655f48cd5a36a9215f64c062838",
        extra=None,
        message=None,
    )


def test_no_personal_data_e10() -> None:
    """E09, E10: without consent there are ids and roles alone; the legacy id is kept beside the user_id."""
    found = sample("canvas_private_page").members[0]

    assert found == (
        "b0d1d1f0-5a53-4a0f-9d64-1b4b5d1f0005", "Active", (LEARNER,),
        None, None, None, None, None, None, None, "9a2f0c5d2b1c", None, None,
    )  # fmt: skip


def test_statuses_of_a_differences_answer() -> None:
    """Deleted is a status like the others; what it means is decided elsewhere (E03)."""
    assert [member.status for member in sample("tao_devkit_differences").members] == ["Deleted", "Active"]


def test_extra_fields_are_kept_e15() -> None:
    """E15: fields that the standard doesn't name are kept, as JSON with sorted keys."""
    found = sample("sakai_page1").members[1]

    assert found.extra == (
        '{"group_enrollments":[{"group_id":"g-1"}],'
        '"sakai_ext":{"sakai_groups":[{"id":"g-1","title":"Group A"}],"sakai_role":"access"}}'
    )


# The container


def test_missing_context_e24() -> None:
    """E24: Classera sends no context; that is no fault of the page."""
    page = sample("classera_page")

    assert (page.context_id, page.label, page.title, page.types) == (None, None, None, ())


@pytest.mark.parametrize(
    ("context_id", "expected"),
    [
        ("79", "79"),
        (79, "79"),
        (10**25, str(10**25)),
        (79.0, "79"),
        (" Ab ", " Ab "),
        ("", None),
        (" ", None),
        (None, None),
    ],
)
def test_context_id_is_text_e27(context_id: object, expected: str | None) -> None:
    """E27: a number becomes text; case and spaces stay; nothing is no id."""
    assert page_of(context={"id": context_id}).context_id == expected


@pytest.mark.parametrize(
    "context", [{"id": {}}, {"id": ["1"]}, {"id": True}, {"id": 1.5}, "c1", 7, ["c1"], False]
)
def test_an_unreadable_context_is_refused(context: object) -> None:
    """A context that can't be told must not be taken for another."""
    with pytest.raises(MalformedError, match="context"):
        page_of(context=context)


def test_context_texts_e28() -> None:
    """E28: label and title may be null, empty, numbers."""
    page = page_of(context={"id": "1", "label": None, "title": 2026})

    assert (page.label, page.title) == (None, "2026")


@pytest.mark.parametrize(
    "context",
    [
        {"type": ["http://x/course#CourseSection", "Group"]},
        {"types": ["http://x/course#CourseSection", " Group ", None, ""]},
        {"type": "http://x/course#CourseSection, Group"},
        {"type": [], "types": [["http://x/course#CourseSection"], "Group", "Group"]},
    ],
)
def test_context_types(context: dict[str, object]) -> None:
    """The types come as a list or as a text, under either name."""
    assert page_of(context=context).types == ("http://x/course#CourseSection", "Group")


def test_no_members_is_an_empty_roster_e21() -> None:
    """E21: an empty list is an answer."""
    page = page_of()

    assert (page.members, page.malformed, page.empty_body) == ([], 0, False)


@pytest.mark.parametrize("members", [None, {}, "", 0, False, {"0": {"user_id": "1"}}])
def test_missing_members_are_no_empty_roster_e22(members: object) -> None:
    """E22: an answer without a list of members must not empty the course."""
    with pytest.raises(MalformedError, match="members"):
        page_of(members=members)


def test_an_object_without_members_e22() -> None:
    """E22: Moodle's own error body is no roster."""
    with pytest.raises(MalformedError, match="has no members"):
        read_page(b'{"status":404,"reason":"Not Found"}')


@pytest.mark.parametrize("body", [b"", b" \r\n\t", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_an_empty_body_is_told_apart_e23(body: bytes) -> None:
    """E23: Sakai answers an empty course without a byte; what that means is decided elsewhere."""
    assert read_page(body) == Page(None, None, None, (), [], 0, empty_body=True)


def test_version_1_is_named_e30() -> None:
    """E30: a JSON-LD container is recognised, never taken for an empty roster."""
    with pytest.raises(MalformedError, match="version 1 membership container"):
        sample("moodle_legacy_jsonld_v1")


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"error": "above_response_limit"}, "an error (above_response_limit) with"),
        ({"error": {"code": "token.notFound-404"}}, "an error with"),
        ({"error": {"code": "token.notFound"}}, "an error (token.notFound) with"),
        ({"error": "zelda.fitz-1"}, "an error with"),
        ({"error": "user_zelda"}, "an error with"),
        ({"error": {"code": 42}}, "an error with"),
        ({"errors": [{"code": "denied", "message": "Zelda"}]}, "an error (denied) with"),
        ({"error": "Zelda is not allowed"}, "an error with"),
        ({"errors": ["a b"], "members": []}, "an error with"),
        ({"error": "x" * 61, "members": None}, "an error with"),
    ],
)
def test_an_error_in_place_of_members_is_named(body: dict[str, object], shown: str) -> None:
    """An error with status 200 is no roster; a code of it is shown, and nothing that could be a login."""
    with pytest.raises(MalformedError) as caught:
        read_page(json.dumps(body).encode())

    assert shown in str(caught.value)
    assert "zelda" not in str(caught.value).lower()


@pytest.mark.parametrize("extra", [{"error": None}, {"errors": []}, {"id": "https://elsewhere.example/?x"}])
def test_what_the_container_says_besides_does_not_matter_e32(extra: dict[str, object]) -> None:
    """E32: the container's id and other keys are not looked at."""
    assert len(page_of({"user_id": "1"}, **extra).members) == 1


# Identity


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (123456, "123456"),
        (0, "0"),
        (-5, "-5"),
        (2**53 + 1, "9007199254740993"),
        (2**64 - 1, "18446744073709551615"),
        (123456789012345678901234567890, "123456789012345678901234567890"),
        (4.0, "4"),
        (1e22, "10000000000000000000000"),
        ("1", "1"),
        (" Ab ", " Ab "),
        ("\u200b", "\u200b"),
    ],
)
def test_user_ids_are_text_e04(sent: object, expected: str) -> None:
    """E04, E06: numbers become text without exponent; a text is neither trimmed nor folded."""
    assert page_of({"user_id": sent}).members[0].user_id == expected


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"user_id": None},
        {"user_id": ""},
        {"user_id": " \t"},
        {"user_id": "\u00a0"},
        {"user_id": True},
        {"user_id": 1.5},
        {"user_id": ["1"]},
        {"user_id": {"id": "1"}},
        {"userId": "1"},
        "1",
        1,
        None,
        [],
        [{"user_id": "1"}],
    ],
)
def test_a_member_without_id_is_set_aside_e05(odd: object) -> None:
    """E05: a member that can't be told is counted and left out; the others stay."""
    page = page_of({"user_id": "a"}, odd, {"user_id": "b"})

    assert [member.user_id for member in page.members] == ["a", "b"]
    assert page.malformed == 1


@pytest.mark.parametrize("field", ["user_id", "status", "roles"])
def test_a_member_that_contradicts_itself_is_set_aside_e31(field: str) -> None:
    """E31: user_id, status or roles twice with different values: that member alone is malformed."""
    body = f'{{"members":[{{"user_id":"a","{field}":"x","{field}":"y"}},{{"user_id":"b"}}]}}'

    page = read_page(body.encode())

    assert ([member.user_id for member in page.members], page.malformed) == (["b"], 1)


def test_ids_that_differ_in_case_are_different_members_e06() -> None:
    """E06: nothing is merged in reading."""
    page = page_of({"user_id": "a"}, {"user_id": "A"}, {"user_id": "a "})

    assert [member.user_id for member in page.members] == ["a", "A", "a "]


# Status and roles


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("Active", "Active"),
        (None, "Active"),
        ("", "Active"),
        (" active", "Active"),
        ("ACTIVE", "Active"),
        ("inActive ", "Inactive"),
        ("DELETED", "Deleted"),
        (" On Leave", " On Leave"),
        (1, "1"),
        (True, "true"),
        ({"b": 1, "a": "Active"}, '{"a":"Active","b":1}'),
        (["Active"], '["Active"]'),
    ],
)
def test_status_e02(sent: object, expected: str) -> None:
    """E01, E02, E03: known statuses in any dress, missing and blank means Active, the rest as sent."""
    assert member_of(status=sent).status == expected


def test_missing_status_e01() -> None:
    """E01: no status means Active (NRPS §2.3)."""
    assert member_of().status == "Active"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param([], (), id="E34 none"),
        pytest.param(None, (), id="E34 null"),
        pytest.param([""], (), id="E35 blank"),
        pytest.param(["", " Learner ", "\t"], ("Learner",), id="E35 spaces"),
        pytest.param("Learner", ("Learner",), id="E36 text"),
        pytest.param("Instructor, Learner,,", ("Instructor", "Learner"), id="E36 names in a text"),
        pytest.param(LEARNER, (LEARNER,), id="E36 URI in a text"),
        pytest.param(["b", "a", "b", " a"], ("b", "a"), id="E37 doubles"),
        pytest.param(["Learner", LEARNER], ("Learner", LEARNER), id="E37 both forms, as sent"),
        pytest.param(["a,b"], ("a,b",), id="a comma in a list's entry belongs to it"),
        pytest.param([1, True, None, 1.5, {"role": "x"}, "a"], ("a",), id="what is no text is left out"),
        pytest.param([["a", "b"], "c", [["d"], 1]], ("a", "b", "c"), id="a list in the list is opened once"),
        pytest.param(7, (), id="number"),
        pytest.param({"role": "Learner"}, (), id="object"),
        pytest.param(["\0"], ("\ufffd",), id="NUL"),
    ],
)
def test_roles(sent: object, expected: tuple[str, ...]) -> None:
    """E34-E37: roles as sent, in their order, without blanks and doubles."""
    assert member_of(roles=sent).roles == expected


def test_missing_roles_e34() -> None:
    """E34: a member without roles is kept."""
    assert member_of().roles == ()


def test_roles_of_one_member_do_not_reach_another() -> None:
    """Lists that look alike to a dictionary (1, true, 1.0) are still read each by itself."""
    page = page_of(*({"user_id": "u", "roles": roles} for roles in ([1, "a"], [True, "a"], ["1", "a"], "1a")))

    assert [member.roles for member in page.members] == [("a",), ("a",), ("1", "a"), ("1a",)]


# Texts


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(" Ada\tLovelace ", id="E16 spaces"),
        pytest.param("👩‍🏫 \u202bعلي\u202c ｆｕｌｌ", id="E16 emoji, right to left, full width"),
        pytest.param("Zoe\u0308", id="E16 NFD"),
        pytest.param("Zoë", id="E16 NFC"),
        pytest.param("A &amp; B", id="E17"),
        pytest.param("=1+1", id="E18"),
        pytest.param("ina@example", id="E11 malformed address"),
    ],
)
def test_texts_stay_as_sent(text: str) -> None:
    """E11, E16, E17, E18: nothing is trimmed, normalised or unescaped."""
    assert member_of(name=text).name == text


@pytest.mark.parametrize("field", Member._fields[3:11])
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("", None),
        (None, None),
        (" ", " "),
        (12, "12"),
        (0, "0"),
        (3.0, "3"),
        (1.5, "1.5"),
        (10**30, str(10**30)),
    ],
)
def test_named_texts(field: str, sent: object, expected: str | None) -> None:
    """E11, E12: "" is nothing, a number is text."""
    found = member_of(**{field: sent})

    assert (getattr(found, field), found.extra) == (expected, None)


@pytest.mark.parametrize("field", Member._fields[3:11])
@pytest.mark.parametrize("sent", [{"b": 1, "a": [2]}, ["x"], [], {}, False])
def test_what_is_no_text_moves_to_extra(field: str, sent: object) -> None:
    """An object, list or truth value where a text is due is kept in extra under the field's name."""
    found = member_of(**{field: sent, "x": "y"})

    assert getattr(found, field) is None
    assert json.loads(found.extra or "") == {field: sent, "x": "y"}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([], "[]"),
        ({"b": 1, "a": 2}, '{"b":1,"a":2}'),
        ([{"c": {"canvas_user_id": 1, "n": None}}], '[{"c":{"canvas_user_id":1,"n":null}}]'),
        ("text", '"text"'),
        (None, None),
        ([10**30, "\ud800"], '[1000000000000000000000000000000,"\ufffd"]'),
    ],
)
def test_message_e13(sent: object, expected: str | None) -> None:
    """E13: a message of any shape is kept as JSON, and never in extra."""
    found = member_of(message=sent)

    assert (found.message, found.extra) == (expected, None)


def test_no_text_keeps_nul_or_lone_surrogates() -> None:
    """Ids, roles, texts, extra, message, label and title: all are cleaned."""
    bad, good = "x\0\ud800y", "x\ufffd\ufffdy"
    fields: dict[str, Any] = {"user_id": bad, "status": bad, "roles": [bad], "name": bad, bad: {bad: bad}}

    page = page_of(
        {**fields, "message": {bad: bad}}, context={"id": bad, "label": bad, "title": bad, "type": bad}
    )

    assert (page.context_id, page.label, page.title, page.types) == (good, good, good, (good,))
    assert page.members[0][:4] == (good, good, (good,), good)
    assert page.members[0].extra == f'{{"{good}":{{"{good}":"{good}"}}}}'
    assert page.members[0].message == f'{{"{good}":"{good}"}}'


def test_camel_case_fields_are_extra() -> None:
    """Names that the standard doesn't know go to extra, whatever they resemble."""
    assert (
        member_of(givenName="Ada", ext_user_username="ada").extra
        == '{"ext_user_username":"ada","givenName":"Ada"}'
    )


# Merging


def test_roles_are_united_e68() -> None:
    """E68: a user listed twice has the roles of both listings."""
    merged = merge(member_of(roles=["a", "b"]), member_of(roles=["c", "a"]))

    assert merged.roles == ("a", "b", "c")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("Active", "Deleted", "Active"),
        ("Inactive", "Active", "Active"),
        ("Deleted", "Inactive", "Inactive"),
        ("Odd", "Deleted", "Deleted"),
        ("Inactive", "Odd", "Odd"),
    ],
)
def test_active_wins_e68(first: str, second: str, expected: str) -> None:
    """E68: Active in either listing wins, else the later status."""
    assert merge(member_of(status=first), member_of(status=second)).status == expected


def test_the_last_value_wins_e68() -> None:
    """E68: of other fields the last that is not null."""
    first = member_of(name="A", email="a@x", message=[1], x={"a": 1}, y=1)
    second = member_of(name="B", email="", z=2, x={"b": 1})

    merged = merge(first, second)

    assert (merged.name, merged.email, merged.message) == ("B", "a@x", "[1]")
    assert merged.extra == '{"x":{"b":1},"y":1,"z":2}'


def test_merging_what_is_nested_too_deeply_is_refused() -> None:
    """A depth that one stack could read and a deeper one can't ends in our own error."""
    deep = member_of()._replace(extra='{"x":' + "[" * 100_000 + "]" * 100_000 + "}")

    with pytest.raises(MalformedError, match="nested too deeply"):
        merge(deep, member_of(y=1))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["Active", "Learner", "", " ", "\0", "\ud800", 10**30]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
ENTRIES = st.dictionaries(st.sampled_from([*Member._fields[:11], "message", "ext"]), JSON, max_size=8)
CONTEXTS = JSON | st.fixed_dictionaries({"id": JSON, "label": JSON, "title": JSON, "type": JSON})


def written(entries: list[dict[str, Any]]) -> bytes:
    """The body of a page with *entries*; JSON knows no NaN and no infinity."""
    return json.dumps({"members": entries}).replace("NaN", "null").replace("Infinity", "1").encode()


@given(
    st.fixed_dictionaries({"context": CONTEXTS, "members": JSON | st.lists(ENTRIES | JSON, max_size=4)})
    | ENTRIES
)
def test_no_json_raises_anything_but_our_error(container: dict[str, Any]) -> None:
    """Any JSON object gives a page in which every member is accounted for, or MalformedError."""
    try:
        page = read_container(container)
    except MalformedError:
        return

    assert len(page.members) + page.malformed == len(container["members"])


@given(st.lists(ENTRIES, max_size=4))
def test_what_is_read_can_be_stored(entries: list[dict[str, Any]]) -> None:
    """Every text of a page is UTF-8 without NUL, every JSON text is JSON."""
    for member in read_page(written(entries)).members:
        texts = [*member.roles, *(text for text in member if isinstance(text, str))]
        assert "\0" not in "".join(texts).encode().decode()
        assert all(json.loads(text) is not None for text in (member.extra, member.message) if text)


FIELDS = st.sampled_from(
    [
        None,
        "",
        " ",
        "a",
        "Active",
        "inactive ",
        "Deleted",
        3,
        1.5,
        True,
        [],
        ["Learner"],
        ["Learner", " ", 1],
        ["Learner", "Learner"],
        [["Learner"]],
        [[]],
        {},
        "Learner,Mentor",
    ]
)


@given(st.data())
def test_members_alike_are_read_as_each_by_itself(data: st.DataObject) -> None:
    """A page whose members have the same fields is read field by field, and gives what one by one gives."""
    names = data.draw(st.sets(st.sampled_from([*Member._fields[:11], "message", "ext"]), min_size=1))
    usual = st.fixed_dictionaries(
        {name: st.sampled_from(["a", "b", ""]) for name in names}
        | (
            {"roles": st.sampled_from([[], ["Learner"], ["Learner", "Mentor", "Learner"]])}
            if "roles" in names
            else {}
        )
    )
    odd = st.fixed_dictionaries(dict.fromkeys(names, FIELDS))
    entries = data.draw(
        st.lists(usual, min_size=1, max_size=4) | st.lists(usual | odd, min_size=1, max_size=4)
    )

    alike = read_container({"members": entries}).members
    alone = [read_container({"members": [entry, None]}).members for entry in entries]  # None is no member

    assert alike == [member for members in alone for member in members]
    assert all(type(member) is Member for member in alike)


@given(st.data())
def test_merging_a_member_with_itself_changes_nothing(data: st.DataObject) -> None:
    """Merging is idempotent, whatever the member holds, and so is merging the result again."""
    first, second = read_page(written([data.draw(ENTRIES) | {"user_id": "u"} for _ in range(2)])).members

    merged = merge(first, second)

    assert merge(first, first) == first
    assert merge(merged, second) == merged
    assert set(merged.roles) == {*first.roles, *second.roles}
