"""URLs: origins, what may be asked, what may be stored, parameters added."""

from contextlib import suppress
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lti_rosters.errors import ConfigurationError
from lti_rosters.web.urls import (
    carries_secret,
    check_url,
    is_loopback,
    origin,
    with_parameters,
    without_secrets,
    without_userinfo,
)

NAMES = st.text("abcdefghijklmnopqrstuvwxyzABC_-", min_size=1, max_size=12)
VALUES = st.text(max_size=20)
ANY_URL = st.one_of(
    st.text(max_size=60),
    st.builds(
        "https://{}/{}?{}#{}".format, st.text(max_size=10), st.text(max_size=10), st.text(max_size=30), VALUES
    ),
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Canvas.Example/courses/1", "https://canvas.example:443"),
        ("http://localhost/x", "http://localhost:80"),
        ("https://a.example:8443/x?y#z", "https://a.example:8443"),
        ("HTTPS://user:pass@a.example/", "https://a.example:443"),
        ("https://[::1]:9/x", "https://[::1]:9"),
        ("https://a.example:", "https://a.example:443"),
    ],
)
def test_origin(url: str, expected: str) -> None:
    """An origin is scheme, lower-case host and port, the default port written out."""
    assert origin(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "courses.csv",
        "//a.example/x",
        "ftp://a.example/",
        "https:///x",
        "https://a.example:port/",
        "https://a.example:99999/",
        "https://a.example:0/",
        "https://[::1/x",
        "https://a.example\\@evil.example/",
        "https://a.exa\nmple/",
        "https://a.example /",
        "https://a%2eexample/",
        "https://a\u2100b.example/",
        "https://a\u200bb.example/",
        "https://\u212a.example/",
        "https://a\u3002example/",
    ],
)
def test_origin_of_what_readers_may_understand_differently(url: str) -> None:
    """What two readers of URLs may take for two hosts has no origin."""
    with pytest.raises(ValueError):  # noqa: PT011  (the message is for logs alone)
        origin(url)


AUTHORITY = st.text("a1.:@[]%/\\\\?#\t 0x-_~éKk\u212a\u2100\u3002\uff0e\uff61\u017f\xdf", max_size=14)


@settings(deadline=None)  # other work on the machine shall not fail it
@given(st.sampled_from(["https://", "http://", "HTTPS://", "https:", "https:///"]), AUTHORITY)
@example("https://", "a@1")
@example("https://", "1:1@a:01/")
@example("https://", "0:0")
def test_origin_is_where_httpx_would_connect(scheme: str, rest: str) -> None:
    """Whatever has an origin is what the client of the transport would connect to, or it refuses it.

    A host beyond ASCII is spelt in Punycode by the client; there, two URLs of one origin must be one host.
    """
    url = f"{scheme}{rest}"
    try:
        ours = origin(url)
        client = httpx.URL(url)
        from_ours = httpx.URL(ours)
    except (ValueError, httpx.InvalidURL):
        return

    host = f"[{client.host}]" if ":" in client.host else client.host.lower()
    port = client.port or {"https": 443, "http": 80}[client.scheme]
    assert (client.scheme, client.raw_host) == (from_ours.scheme, from_ours.raw_host)
    assert ours == f"{client.scheme}://{host}:{port}" or not ours.isascii()


@settings(deadline=None)
@given(st.text("a0:.-/[]1", max_size=12))
@example("a:0/")
def test_what_may_be_asked_has_an_origin(rest: str) -> None:
    """A URL that is let through, by the short way too, is not refused later, in the middle of a run."""
    with suppress(ConfigurationError):
        check_url(f"https://{rest}", "memberships_url")
        assert origin(f"https://{rest}")


def test_origins_differ_by_port_and_scheme() -> None:
    """Another port or scheme is another origin."""
    three = {origin("https://a.example"), origin("https://a.example:444"), origin("http://a.example:443")}

    assert len(three) == 3


@pytest.mark.parametrize(
    "url",
    [
        "https://canvas.example/api/lti/courses/1/names_and_roles",
        "https://canvas.example:8443/x?a=b&a=",
        "https://user:pass@canvas.example/x",
        "https://bücher.example/x",
        "http://localhost:8000/x",
        "http://127.0.0.1/x",
        "http://127.8.9.10:1/x",
        "http://[::1]:8000/x",
    ],
)
def test_urls_that_may_be_asked(url: str) -> None:
    """Absolute https URLs may be asked, and http ones on this machine."""
    check_url(url, "token_url")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("canvas.example/x", "not an absolute URL"),
        ("/x", "not an absolute URL"),
        ("file:///etc/passwd", "not an absolute URL"),
        ("https://", "no host"),
        ("https://a b.example/", "white space"),
        ("https://a.example/\x07", "control character"),
        ("https://a.example:x/", "host or port"),
        ("https://a.example:0/", "no port 0"),
        ("https://a.example:00", "no port 0"),
        ("http://canvas.example/x", "without TLS"),
        ("http://127.0.0.1.evil.example/x", "without TLS"),
        ("http://128.0.0.1/x", "without TLS"),
        ("http://localhost.evil.example/x", "without TLS"),
        ("http://[::2]/x", "without TLS"),
        ("http://[::ffff:127.0.0.1]/x", "without TLS"),
        ("http://127.1/x", "without TLS"),
    ],
)
def test_urls_that_may_not_be_asked(url: str, why: str) -> None:
    """Anything else is refused, with the setting and the reason."""
    with pytest.raises(ConfigurationError, match=why) as caught:
        check_url(url, "token_url")

    assert caught.value.what.startswith("token_url is ")


def test_refusal_hides_secrets() -> None:
    """The message of a refused URL has neither its password nor its token."""
    with pytest.raises(ConfigurationError) as caught:
        check_url("http://user:hunter2@a.example/x?access_token=abc123&id=7", "memberships_url")

    assert "http://a.example/x?id=7" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "abc123" not in str(caught.value)


def test_refusal_does_not_repeat_what_is_no_url() -> None:
    """A text that is no URL may be a secret in the wrong place: it is not repeated."""
    with pytest.raises(ConfigurationError) as caught:
        check_url("s3cret-token", "base_url")

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "access_token",
            "accessToken",
            "ACCESS-TOKEN",
            "token",
            "wstoken",
            "id_token",
            "X-Amz-Security-Token",
        ),
        *("key", "api_key", "apikey", "x-api-key", "service_key", "private_key", "oauth_consumer_key"),
        *("secret", "client_secret", "sig", "signature", "X-Amz-Signature", "X-Amz-Credential", "hmac"),
        *("password", "passwd", "pwd", "auth", "oauth", "authorization", "ltik", "jwt", "assertion"),
        *("client_assertion", "code", "session", "sessionid", "PHPSESSID", "jsessionid", "sesskey"),
        "access%5Ftoken",
    ],
)
def test_secret_parameters(name: str) -> None:
    """A parameter whose name speaks of a secret is taken out (E150)."""
    url = f"https://a.example/x?id=7&{name}=abc123&limit=5"

    assert without_secrets(url) == "https://a.example/x?id=7&limit=5"
    assert carries_secret(url)


@pytest.mark.parametrize(
    "name",
    [
        *("placement_id", "keyword", "rlid", "limit", "role", "page", "per_page", "from", "since", "start"),
        *(
            "context_id",
            "course_code",
            "course_key",
            "context_key",
            "academic_session",
            "academic_session_id",
        ),
        *("author", "authority", "compass", "encode", "country", "monkey_business", "design", "signup"),
        *("assignment_id", "classification", "unicode", "postcode", "cid", "bookmark", "groups"),
    ],
)
def test_plain_parameters(name: str) -> None:
    """A parameter that only resembles a secret's stays: it may be what tells two courses apart."""
    url = f"https://a.example/x?{name}=abc123"

    assert without_secrets(url) == url
    assert not carries_secret(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:pw@a.example/x", "https://a.example/x"),
        ("https://user:p@w@a.example/x", "https://a.example/x"),
        ("https://a.example/x#access_token=1", "https://a.example/x"),
        ("https://a.example/x?token=1", "https://a.example/x"),
        ("https://a.example/x?", "https://a.example/x?"),
        ("https://a.example/x?&&b=%20+%2F&a&a=&", "https://a.example/x?&&b=%20+%2F&a&a=&"),
        ("https://a.example/x;jsessionid=AB12?y=1", "https://a.example/x?y=1"),
        ("https://a.example/x;v=2?y=1", "https://a.example/x;v=2?y=1"),
        ("https://a.example/x?a=1;token=b;c&d=2", "https://a.example/x?a=1&d=2"),
        ("https://a.example/x?d=eyJhbGciOi.eyJzdWIi.c2ln", "https://a.example/x"),
        ("https://a.example/x?eyJhbGciOi.eyJzdWIi.c2ln", "https://a.example/x"),
        ("https://a.example/x?next=https%3A%2F%2Fb.example%2F%3Ftoken%3D1&c=2", "https://a.example/x?c=2"),
        ("https://a.example/x?next=%252F%253Ftoken%253D1&c=2", "https://a.example/x?c=2"),
        ("https://a.example/x?next=https%3A%2F%2Fu%3Ap%40b.example&c=2", "https://a.example/x?c=2"),
        ("//u:p@a.example/x", "//a.example/x"),
    ],
)
def test_without_secrets(url: str, expected: str) -> None:
    """User, fragment and secrets go, wherever they hide; the rest is byte for byte as it was."""
    assert without_secrets(url) == expected


@settings(deadline=None)  # other work on the machine shall not fail it
@given(ANY_URL)
@example("https://[")
@example("?%")
def test_without_secrets_never_raises_and_settles(url: str) -> None:
    """Any text can be shown, and a second pass finds nothing more."""
    once = without_secrets(url)

    assert without_secrets(once) == once
    assert not carries_secret(once)


@settings(deadline=None)  # other work on the machine shall not fail it
@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=5), st.integers(0, 5), st.sampled_from(["token", "api_key"])
)
def test_one_secret_among_others(pairs: list[tuple[str, str]], at: int, name: str) -> None:
    """Taking out a secret leaves what the URL is without it."""
    plain = [f"{key}={quote(value, safe='')}" for key, value in pairs]
    mixed = [*plain[:at], f"{name}=hunter2", *plain[at:]]

    shown = without_secrets("https://a.example/x?" + "&".join(mixed))

    assert shown == without_secrets("https://a.example/x" + ("?" + "&".join(plain) if plain else ""))
    assert "hunter2" not in shown


def test_without_userinfo_keeps_the_rest() -> None:
    """Only what stands before the host goes, not an @ in path or query."""
    assert without_userinfo("https://u:p@a.example/@x?y=@#z") == "https://a.example/@x?y=@#z"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/x", "https://a.example/x?rlid=1&limit=5"),
        ("https://a.example/x?", "https://a.example/x?rlid=1&limit=5"),
        ("https://a.example/x?a=&a=%2f&b", "https://a.example/x?a=&a=%2f&b&rlid=1&limit=5"),
        ("https://a.example/x?a=1&", "https://a.example/x?a=1&rlid=1&limit=5"),
        ("https://a.example/x?rlid=9", "https://a.example/x?rlid=9&limit=5"),
        ("https://a.example/x?%72lid=9&limit=", "https://a.example/x?%72lid=9&limit="),
        ("https://a.example/x?RLID=9&limit", "https://a.example/x?RLID=9&limit&rlid=1"),
        ("https://a.example/x#y?z", "https://a.example/x?rlid=1&limit=5#y?z"),
    ],
)
def test_with_parameters(url: str, expected: str) -> None:
    """Parameters come behind the URL's own query, once each (E64)."""
    assert with_parameters(url, {"rlid": "1", "limit": "5"}) == expected


def test_with_no_parameters() -> None:
    """Without parameters a URL stays as it is."""
    assert with_parameters("https://a.example/x?#", {}) == "https://a.example/x?#"


def test_role_uri_is_encoded_in_full() -> None:
    """The URI of a role survives as one value."""
    url = with_parameters("https://a.example/x", {"role": "http://purl.imsglobal.org/v/m#Learner&x"})

    assert url == "https://a.example/x?role=http%3A%2F%2Fpurl.imsglobal.org%2Fv%2Fm%23Learner%26x"


@settings(deadline=None)  # other work on the machine shall not fail it
@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=5),
    st.dictionaries(NAMES, VALUES, max_size=4),
)
def test_parameters_are_read_back(pairs: list[tuple[str, str]], parameters: dict[str, str]) -> None:
    """The old query comes back first and unchanged, then what was not in it yet."""
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)
    before = f"https://a.example/x?{query}"

    after = with_parameters(before, parameters)

    present = {name for name, _ in pairs}
    added = [(name, value) for name, value in parameters.items() if name not in present]
    assert after.startswith(before)
    assert parse_qsl(urlsplit(after).query, keep_blank_values=True) == [*pairs, *added]


def test_loopback() -> None:
    """A name that only begins like loopback is none."""
    told = [
        is_loopback(f"http://{host}/") for host in ("localhost", "127.0.0.1", "[::1]", "localhost.example")
    ]

    assert told == [True, True, True, False]
