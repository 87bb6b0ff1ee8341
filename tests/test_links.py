"""Reading Link headers (RFC 8288)."""

import string
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lti_rosters.errors import MalformedError
from lti_rosters.web.links import Link, read_links, target

BASE = "https://lms.example.edu/courses/4/members?limit=50"
URL = "https://LMS.example.edu/Next?page=2&Cursor=aB%2fc"


def next_of(*headers: str) -> str | None:
    """The next page that *headers* name."""
    return target(read_links(headers, BASE), "next")


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(f'<{URL}>; rel="next"', id="quoted"),
        pytest.param(f"<{URL}>; rel=next", id="unquoted"),
        pytest.param(f"<{URL}>;rel='next'", id="single quotes"),
        pytest.param(f"<{URL}>; rel='last next'", id="single quotes, several values"),
        pytest.param(f'<{URL}>; rel="next last"', id="several values"),
        pytest.param(f'<{URL}>; rel="last,next"', id="several values with a comma"),
        pytest.param(f"<{URL}>; rel='next", id="a quote left open"),
        pytest.param(f"<{URL}>; rel=last next", id="several values without quotes"),
        pytest.param(f'<{URL}>; Rel="NEXT"', id="upper case"),
        pytest.param(f"<{URL}>;REL = NEXT ;", id="spaces around the equals sign, a semicolon at the end"),
        pytest.param(f'<{URL}>; type="a/b"; rel="next"', id="rel not first"),
        pytest.param(f'<{URL}>; title="<b>; rel=first, x"; rel="next"', id="a link within a title"),
        pytest.param(f'<{URL}>; title="a \\"b\\"; c, \\\\"; rel="next"', id="escapes in a title"),
        pytest.param(f"<{URL}>; title*=UTF-8''n%20x; rel=next", id="extended parameter"),
        pytest.param(f"<{URL}>; title=O'Brien; rel=next", id="an apostrophe"),
        pytest.param(f"<{URL}>; title='tis; rel=next, </p>; title='x; rel=prev", id="two apostrophes"),
        pytest.param(f"<{URL}>; crossorigin; rel=next", id="parameter without value"),
        pytest.param(f"<{URL}>; rel; rel=next", id="a rel that says nothing"),
        pytest.param(f'<{URL}>; rel="next"; rel="prev"', id="the first rel counts"),
        pytest.param(f", ,<{URL}>; rel=next, ,", id="empty elements"),
        pytest.param(f"< {URL} >; rel=next", id="spaces inside the brackets"),
        pytest.param(f'<{URL}>; anchor="{BASE}"; rel=next', id="anchored to the page itself"),
        pytest.param(f'<{URL}>; anchor="#members"; rel=next', id="anchored within the page"),
    ],
)
def test_every_form_of_a_next_link_is_read_e53(header: str) -> None:
    """E53: whatever form RFC 8288 allows, and some it doesn't, the next page is found, verbatim."""
    found = next_of(header)

    assert found == URL


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/x,y;z?p=1,2;3",
        "https://a.example/x/../y//.?",
        "HTTPS://A.example:443/%7Euser/%zz?q=a b#F",
        "https://a.example/?next=<b",
        "urn:x:next",
    ],
)
def test_an_absolute_target_is_used_verbatim_e56(url: str) -> None:
    """E53, E56: commas, semicolons, case, dots and escapes of a URL stay as they are."""
    found = next_of(f'<{url}>; rel="next"')

    assert found == url


def test_first_of_two_rels_counts() -> None:
    """A second rel of one link is ignored (RFC 8288 §3.3)."""
    found = read_links(['</p>; rel="prev"; rel="next"'], BASE)

    assert [Link("https://lms.example.edu/p", frozenset({"prev"}))] == found


def test_links_of_several_headers_form_one_list_e54() -> None:
    """E54: several headers, several links in one, no space after a comma (Canvas), next not first (TAO)."""
    headers = [
        '<https://a.example/?s=1>; rel="differences",<https://a.example/1>; rel="first"',
        "<https://a.example/2>;rel=next",
    ]

    found = read_links(headers, BASE)

    assert [rel for link in found for rel in link.rels] == ["differences", "first", "next"]
    assert target(found, "differences") == "https://a.example/?s=1"
    assert target(found, "next") == "https://a.example/2"


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("?page=2", "https://lms.example.edu/courses/4/members?page=2"),
        ("more?x=%2f", "https://lms.example.edu/courses/4/more?x=%2f"),
        ("../5/Members;v=1?", "https://lms.example.edu/courses/5/Members;v=1?"),
        ("/Top/./a/..?q=../x", "https://lms.example.edu/Top/?q=../x"),
        ("//other.example/x/../y", "https://other.example/x/../y"),
        ("", "https://lms.example.edu/courses/4/members?limit=50"),
        ("../../../../x", "https://lms.example.edu/x"),
        ("#f", "https://lms.example.edu/courses/4/members?limit=50#f"),
    ],
)
def test_a_relative_target_is_resolved_e55(reference: str, expected: str) -> None:
    """E55: a relative target is resolved against the URL of the response (RFC 3986 §5.2)."""
    found = next_of(f"<{reference}>; rel=next")

    assert found == expected


def test_base_without_path() -> None:
    """A relative path against a bare origin begins at its root."""
    found = read_links(["<x>; rel=next"], "https://lms.example.edu")

    assert found[0].target == "https://lms.example.edu/x"


def test_next_of_another_resource_is_ignored() -> None:
    """A link whose anchor names another resource says nothing about this page (RFC 8288 §3.2)."""
    found = read_links(['</p2>; rel="next"; anchor="/another"'], BASE)

    assert found == []


@pytest.mark.parametrize("header", ["", " ", ",", " , ,"])
def test_an_empty_header_holds_no_link(header: str) -> None:
    """An empty header is no fault."""
    assert read_links([header], BASE) == []


@pytest.mark.parametrize(
    "header",
    [
        'https://a.example/2; rel="next"',
        '<https://a.example/2; rel="next"',
        '<https://a.example/2> rel="next"',
        '<https://a.example/2>; rel="next',
        '<https://a.example/2>; rel="prev"x; rel="NEXT"',
        '</1>; rel="first", </2>; title=5" wide; rel=next',
        "&lt;https://a.example/2&gt;; rel=next",
        "</1>; title='a, </2>; rel=prev' rel=next",
        "</1>; rel=prev rel=next",
    ],
)
def test_a_broken_header_that_may_name_a_next_page_is_refused(header: str) -> None:
    """What can't be read must not pass for "no next page": that would cut the roster."""
    with pytest.raises(MalformedError, match="may name a next page"):
        read_links([header], BASE)


def test_a_broken_rest_without_next_is_ignored() -> None:
    """A fault in what cannot be a next link leaves the links before it in force."""
    found = next_of('<https://a.example/2>; rel="next", <https://a.example/1>; rel="pre')

    assert found == "https://a.example/2"


def test_two_different_next_pages_are_refused() -> None:
    """Nobody can tell which of two next pages is right."""
    links = read_links(["</a>; rel=next", "</b>; rel=next"], BASE)

    with pytest.raises(MalformedError, match="two different next pages"):
        target(links, "next")


def test_the_same_next_page_twice_is_one() -> None:
    """A link that a proxy doubled is no fault."""
    assert next_of("</a>; rel=next, </a>; rel=next") == "https://lms.example.edu/a"


def test_the_first_target_of_another_relation_counts() -> None:
    """Two differences links: the first is taken."""
    links = read_links(["</a>; rel=differences, </b>; rel=differences"], BASE)

    assert target(links, "differences") == "https://lms.example.edu/a"


def test_a_missing_relation_has_no_target() -> None:
    """No link, no target."""
    assert target(read_links(["</a>; rel=prev"], BASE), "next") is None


def test_an_error_shows_nothing_of_the_header() -> None:
    """URLs can carry secrets, so an error never repeats one."""
    with pytest.raises(MalformedError) as caught:
        next_of('<https://a.example/?access_token=SECRET>; rel="next')

    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "part",
    [
        "<",
        "<a>;",
        '<a>;t="',
        "<a>;t='",
        "<a>;t='b,",
        ';"\\',
        "<a>;t=\\'",
        ", ",
        "<a>;=;",
        "<../a>,",
        '<a>;x="\\',
    ],
)
def test_reading_takes_linear_time(part: str) -> None:
    """A long header of anything is read, or refused, at once; quadratic time would take minutes."""
    header = part * (300_000 // len(part))
    started = time.process_time()

    with suppress(MalformedError):
        read_links([header], BASE)

    assert time.process_time() - started < 2


TARGETS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="<>"), max_size=30)
TOKENS = st.text(string.ascii_letters + string.digits + "-.", min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"]), max_size=20)
PARAMETERS = st.lists(st.tuples(TOKENS, VALUES), max_size=3)
LINKS = st.lists(
    st.tuples(TARGETS, st.lists(TOKENS, min_size=1, max_size=3), PARAMETERS, PARAMETERS),
    min_size=1,
    max_size=5,
)


def written(name: str, value: str) -> str:
    """One parameter as RFC 8288 writes it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'; {name}="{escaped}"'


@given(LINKS, st.sampled_from([",", ", ", " , ,"]), st.booleans())
def test_generated_links_are_read_back(
    links: list[tuple[str, list[str], list[tuple[str, str]], list[tuple[str, str]]]], comma: str, split: bool
) -> None:
    """Any targets, relations and parameters, written by the grammar, are read back exactly."""
    texts = [
        f"<https://h.example/{path}>"
        + "".join(written(f"x-{name}", value) for name, value in before)
        + written("rel", " ".join(rels))
        + "".join(written(f"x-{name}", value) for name, value in after)
        for path, rels, before, after in links
    ]

    found = read_links(texts if split else [comma.join(texts)], BASE)

    expected = [
        Link(f"https://h.example/{path}", frozenset(rel.lower() for rel in rels)) for path, rels, *_ in links
    ]
    assert expected == found


@given(st.lists(st.text(st.sampled_from("<>;,=\"'\\ relnxt/:?#.") | st.characters(), max_size=60)), st.text())
def test_no_header_raises_anything_but_our_error(headers: list[str], base: str) -> None:
    """Whatever stands in the headers, the reader gives absolute-or-as-sent links or MalformedError."""
    try:
        links = read_links(headers, base)
    except MalformedError:
        return

    assert all(rel == rel.lower() for link in links for rel in link.rels)
