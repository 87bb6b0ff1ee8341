"""Bodies: from bytes to one clean JSON object, or a fault that says what it looks like."""

import json
import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lti_rosters.errors import MalformedError
from lti_rosters.providers.body import decode, json_text

SECRET = "Zelda"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        pytest.param(
            b"<!DOCTYPE html><html><title>Zelda", "an HTML page .* likely a login page", id="E29 html"
        ),
        pytest.param(b"\n <HTML>Zelda", "an HTML page", id="E29 html, upper case"),
        pytest.param(b"<?xml version='1.0'?><a>Zelda</a>", "HTML or XML", id="XML"),
        pytest.param(b"<br /><b>Notice</b>Zelda", "HTML or XML", id="a PHP notice"),
        pytest.param(b"Zelda", "a text that is not JSON", id="text"),
        pytest.param(b"\x1f\x8b\x08Zelda", "a text that is not JSON", id="compressed bytes"),
        pytest.param('{"a":"Zelda"}'.encode("utf-16"), "a text that is not JSON", id="UTF-16"),
        pytest.param(b"", "a text that is not JSON", id="nothing"),
        pytest.param(b'{"members":[{"name":"Zelda"}', "JSON that breaks off", id="truncated after an object"),
        pytest.param(b'{"members":[{"name":"Zel', "JSON that breaks off", id="truncated in a text"),
        pytest.param(b'{"members":[{"name":"Zelda",', "JSON that breaks off", id="truncated after a comma"),
        pytest.param(b'{"members":["Zelda"],"a":tru', "JSON that breaks off", id="truncated in a word"),
        pytest.param(b'{"a":"Zelda"}{"a":"Zelda"}', "more than one JSON value", id="two objects"),
        pytest.param(b'{"a":1} Zelda', "more than one JSON value", id="an object and a text"),
        pytest.param(b'["Zelda"]', "a JSON list where an object is due", id="list"),
        pytest.param(b"[]", "a JSON list where an object is due", id="empty list"),
        pytest.param(b"12", "a JSON value where an object is due", id="number"),
        pytest.param(b'"Zelda"', "a JSON value where an object is due", id="JSON text"),
        pytest.param(b"null", "a JSON value where an object is due", id="null"),
        pytest.param(
            b'{"members":["Zelda",]}', "JSON with a fault at character [12]", id="E31 trailing comma"
        ),
        pytest.param(b"{'members':['Zelda']}", "JSON with a fault at character 1", id="single quotes"),
        pytest.param(b'{"members":[NaN],"a":"Zelda"}', "a number that cannot be read", id="NaN"),
        pytest.param(b'{"members":[-Infinity]}', "a number that cannot be read", id="infinity"),
        pytest.param(b'{"members":[1e999]}', "a number that cannot be read", id="too large a float"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", "a number that cannot be read", id="too long an integer"),
        pytest.param(b"[" * 200_000, "nested too deeply", id="a nesting bomb of lists"),
        pytest.param(b'{"a":' * 200_000, "nested too deeply", id="a nesting bomb of objects"),
        pytest.param(b'{"a":"\\u0000' + b'","a":[' * 900 + b"]" * 900 + b"}", ".", id="doubled keys, deep"),
    ],
)
def test_what_is_no_json_object_is_named_without_showing_it(body: bytes, what: str) -> None:
    """The error says what came, has a remedy, and shows nothing of the body, nor does its cause."""
    with pytest.raises(MalformedError, match=what) as caught:
        decode(body)

    assert caught.value.remedy
    assert SECRET not in str(caught.value)
    assert not hasattr(caught.value.__context__, "doc")


def test_utf8_whatever_comes_first_e31() -> None:
    """E16, E31: a byte-order mark is let pass and the text read as UTF-8."""
    body = '\ufeff{"name":"Zoë 🦉","members":[]}'.encode()

    assert decode(body) == {"name": "Zoë 🦉", "members": []}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (b'"a\\u0000b"', "a\ufffdb"),
        (b'"a\\ud800b"', "a\ufffdb"),
        (b'"\\udc00\\ud800"', "\ufffd\ufffd"),
        (b'"\\ud83e\\udd89"', "🦉"),
        (b'"a\xffb"', "a\ufffdb"),
        (b'"a\x00b"', "a\ufffdb"),
        (b'"a\tb\nc"', "a\tb\nc"),
        (b'"a\\/b"', "a/b"),
    ],
)
def test_texts_become_storable(written: bytes, expected: str) -> None:
    """NUL, lone surrogates and bytes that are no UTF-8 become U+FFFD, in keys and values at any depth."""
    found = decode(b'{"members":[{"x":[{' + written + b":" + written + b"}]}]}")

    assert found == {"members": [{"x": [{expected: expected}]}]}


@pytest.mark.parametrize(
    "number", [2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30, 123456789012345678901234567890]
)
@pytest.mark.parametrize(
    "layout", ['{{"members":[{{"user_id":{0}}}]}}', '{{"members":[{{"a":[1, {0}]}}],"x": {0}}}']
)
def test_integers_stay_exact(number: int, layout: str) -> None:
    """Integers beyond 64 bits don't become floats, wherever they stand."""
    body = layout.format(number)

    assert decode(body.encode()) == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        '{"context":{"id":"1"},"members":[],"context":{"id":"2"}}',
        '{"context":{"id":"1","id":"2"},"members":[]}',
        '{"members":[],"context":{"id":"1","id":"2"}}',
        '{"members":[{"user_id":"1"}],"members":[]}',
        '{"id":"1","members":[],"id":["2"]}',
        '{"members":[],"x":[1],"x":[2]}',
        '{"members":[],"x":[1],"context":{"id":"1"},"y":2,"context":{"id":"2"}}',
        '{"members":[],"é":1,"context":{"id":"1","id":"2"}}',
        '{"members":[],"\\n":1,"context":{"id":"1","id":"2"}}',
        '{"members":[{"x":1},{"x":[{"y":1}]}],"x":2,"y":3,"context":{"id":"1"},"context":{"id":"2"}}',
        '{"members":[],"m\\u0065mbers":[{"user_id":"1"}]}',
        '{"context":{"id":"1"},"members":[],"con\\u0074ext":{"id":"2"}}',
    ],
)
def test_a_container_that_says_two_things_is_refused_e31(body: str) -> None:
    """E31: a key twice with different values, in the container or its context: nobody knows which holds."""
    with pytest.raises(MalformedError, match="names a key twice"):
        decode(body.encode())


@pytest.mark.parametrize(
    "body",
    [
        '{"context":{"id":"1"},"members":[],"context":{"id":"1"}}',
        '{"context":{"id":"1","id":"1"},"members":[{"user_id":"1","user_id":"1","name":"a","name":"b"}]}',
        '{"context":{"id":"1","title":"the \\"members\\" list"},"members":[{"user_id":"members"}]}',
        '{"members":[{"user_id":"context","x":{"id":1,"id":2}}],"next":"x","context":{"id":"1"}}',
        '{"members":[{"user_id":"user_id"}]}',
    ],
)
def test_doubled_keys_that_decide_nothing_are_let_pass(body: str) -> None:
    """The same value twice, or a doubled key of no weight: the last holds, as JSON readers do."""
    assert decode(body.encode()) == json.loads(body)


@pytest.mark.parametrize("key", ["user_id", "roles", "status"])
@pytest.mark.parametrize("second", ["{}", "user\\u005fid"])
def test_a_member_that_says_two_things_is_blanked(key: str, second: str) -> None:
    """A member with user_id, roles or status twice, with different values, is no member any more."""
    doubled = second.format(key) if "{" in second else "".join(f"\\u{ord(each):04x}" for each in key)
    body = f'{{"members":[{{"{key}":"a","{doubled}":"b"}},{{"user_id":"c"}}]}}'

    assert decode(body.encode()) == {"members": [None, {"user_id": "c"}]}


def test_json_text_is_compact_and_sorted() -> None:
    """Keys are sorted at every depth, letters stay letters."""
    assert json_text({"b": {"d": 1, "c": "é"}, "a": None}, sort=True) == '{"a":null,"b":{"c":"é","d":1}}'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 10**30, "a": 1.5}, '{"a":1.5,"b":1000000000000000000000000000000}'),
        ({"\0a": "\ud800"}, '{"\ufffda":"\ufffd"}'),
    ],
)
def test_json_text_of_odd_values(value: Any, expected: str) -> None:
    """Integers beyond 64 bits stay exact; no lone surrogate gets through."""
    assert json_text(value, sort=True) == expected.replace("\0", "\ufffd")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=8) | st.sampled_from(["context", "members"]), JSON))
def test_fast_and_tolerant_reading_agree(value: dict[str, Any]) -> None:
    """Any object without NUL is read back as it was written, whichever reader took it."""
    body = json.dumps(value).replace("\\u0000", "-")
    assume(len(json.loads(body)) == len(value))  # two keys may differ in their NUL alone

    assert decode(body.encode()) == json.loads(body)


TOKENS = st.sampled_from(
    [
        "null",
        "true",
        "1",
        "1.0",
        "1e5",
        "-0",
        "18446744073709551616",
        "1234567890123456789012",
        '"a"',
        '"é"',
        '"\\u0061"',
        '"\\/"',
        '"\\"members\\":[]"',
        '"members"',
        '""',
    ]
)
INNER = st.recursive(
    TOKENS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(st.tuples(st.sampled_from(["id", "members", "x"]), inner), max_size=3).map(tuple)
    ),
    max_leaves=6,
)
PEOPLE = st.lists(
    st.lists(st.tuples(st.sampled_from(["user_id", "status", "roles", "x"]), INNER), max_size=4).map(tuple)
    | INNER,
    max_size=3,
)
FRAME = st.lists(
    st.tuples(st.sampled_from(["id", "context", "x"]), INNER) | st.tuples(st.just("members"), PEOPLE),
    max_size=4,
).map(tuple)


def spelled(value: Any, blank: str) -> str:
    """The JSON text of tokens, lists, and objects as tuples of pairs, with *blank* behind what separates."""
    if isinstance(value, str):
        return value
    parts = [
        f'"{each[0]}":{blank}{spelled(each[1], blank)}' if isinstance(value, tuple) else spelled(each, blank)
        for each in value
    ]
    left, right = "{}" if isinstance(value, tuple) else "[]"
    return left + f",{blank}".join(parts) + right


def outcome(text: str) -> Any:
    """What a body comes to: an object, or the error's words."""
    try:
        return decode(text.encode())
    except MalformedError as error:
        return str(error)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            '{"x":{"members":[{"user_id":"b"}]},"members":[{"user_id":"a","user_id":"b"}]}',
            {"x": {"members": [{"user_id": "b"}]}, "members": [None]},
        ),
        (
            '{"x":{"members":[{"user_id":"b"}]},"members": [{"user_id":"b"}]}',
            {"x": {"members": [{"user_id": "b"}]}, "members": [{"user_id": "b"}]},
        ),
        ('{"id":18446744073709551616,"members":[]}', {"id": 2**64, "members": []}),
        ('{"members":[{"user_id":18446744073709551616}]}', {"members": [{"user_id": 2**64}]}),
        ('{"members":[{"user_id":1,"user_id":1}]}', {"members": [{"user_id": 1}]}),
        ('{"members":[{"status":"a","status":"b"}],"x":1}', {"members": [None], "x": 1}),
        ('{"members":[{"user_id":"a"}],"members":[{"user_id":"a"}]}', {"members": [{"user_id": "a"}]}),
    ],
)
def test_members_are_compared_where_they_stand(body: str, expected: dict[str, Any]) -> None:
    """What stands elsewhere under their name, or beside them, is not taken for them."""
    found = decode(body.encode())

    assert found == expected
    assert json.dumps(found) == json.dumps(expected)  # 1 is not 1.0


@given(FRAME)
def test_layout_changes_nothing(container: tuple[tuple[str, Any], ...]) -> None:
    """Written as tightly as we would write it or with blanks, a body says the same, doubled keys included.

    The former is read by a comparison, the latter by counting keys or by the tolerant reader.
    """
    tight, loose = outcome(spelled(container, "")), outcome(spelled(container, " "))

    assert tight == loose
    assert json.dumps(tight) == json.dumps(loose)  # 1 is not 1.0


@given(st.binary() | st.text(st.sampled_from('{}[]":,\\u0d8members1e9-<'), max_size=60).map(str.encode))
def test_no_bytes_raise_anything_but_our_error(body: bytes) -> None:
    """Arbitrary bytes give an object or MalformedError."""
    try:
        found = decode(body)
    except MalformedError:
        return

    assert isinstance(found, dict)


@pytest.mark.parametrize("depth", range(50, sys.getrecursionlimit() + 100, 75))
def test_depth_is_bounded_by_an_error_of_ours(depth: int) -> None:
    """However deep a body is nested, it is read or refused; nothing else comes out."""
    nested = b'{"k":[' * depth + b"]}" * depth + b"}]}"
    for start, user_id in ((b"a", "a"), (b"a\\u0000", "a\ufffd")):
        with suppress(MalformedError):
            assert (
                decode(b'{"members":[{"user_id":"' + start + b'","x":' + nested)["members"][0]["user_id"]
                == user_id
            )
