"""What must never leave: tokens to other hosts; secrets and members to logs, errors and files."""

import datetime as dt
import ipaddress
import json
import logging
import ssl
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from door import TOKEN, Recorder, connected, door, effort, get, json_reply, opened, post, read, registered
from lti_rosters.errors import ConfigurationError, LtiRostersError, OtherHostError, UnreachableError
from lti_rosters.keys.signing import SigningKey, private_pem
from lti_rosters.providers import nrps
from lti_rosters.providers.auth import Token, Tokens, read_token
from lti_rosters.reference.platform import CANVAS, TAO, Course, Exchange, ReferencePlatform, Reply, member
from lti_rosters.reference.server import Request
from lti_rosters.settings.registration import Registration
from lti_rosters.web.answer import Answer
from lti_rosters.web.fields import Fields
from lti_rosters.web.http import Wire, certificates
from lti_rosters.web.proxies import is_spared, proxy_url
from school import School

GOOD = json_reply(b'{"id": "x", "context": {"id": "c"}, "members": []}')
NAME = "Xanthippe"  # a member's, in every body and header of the grep tests
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def always(reply: Reply) -> Callable[[Request], Reply]:
    """A server that knows one answer."""
    return lambda _: reply


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies of the machine that runs the tests do not count."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def stranger() -> Iterator[Recorder]:
    """A server of another origin that would answer anything, and keeps what it is sent."""
    with Recorder(always(GOOD)) as server:
        yield server


# Other origins


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("call", [get, post])
def test_redirects_elsewhere_are_refused(status: int, call: Callable, stranger: Recorder) -> None:
    """No redirect, of a roster or of a token request, carries anything to another origin (E58)."""
    reply = Reply(status, [("Location", stranger.origin + "/take")])
    with Recorder(always(reply)) as server, door(server.origin) as transport:
        if call is post and status not in (307, 308):
            assert transport.exchange(call(server.origin), effort()).status == status
        else:
            with pytest.raises(OtherHostError) as raised:
                transport.exchange(call(server.origin), effort())
            assert "allow_hosts" in str(raised.value)

    assert stranger.requests == []
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "written",
    [
        "{stranger}/x",
        "http://{host}@{other}/x",
        "http://{host}:x@{other}/x",
        "//{other}/x",
        "http://{other}#@{host}/x",
        "http://{other}?@{host}/x",
        "http://localhost:{port}/x",
        "http://[::1]:{port}/x",
        "https://{host}/x",
        "ftp://{host}/x",
        "file:///etc/passwd",
        "http://169.254.169.254/latest",
        "http://{host}.evil.example/x",
        "http://{other}\\@{host}/x",
        "http://127.0.0.1:{port} /x",
    ],
)
@pytest.mark.parametrize("how", ["next link", "redirect"])
def test_links_elsewhere_are_refused(
    written: str, how: str, stranger: Recorder, tool_key: SigningKey
) -> None:
    """A next link or a redirect to any other origin, however it is dressed up, is refused (E57, E58)."""
    with opened(tool_key, CANVAS) as platform:
        host = platform.origin.removeprefix("http://")
        other = stranger.origin.removeprefix("http://")
        port = host.partition(":")[2] if "127.0.0.1:{port} " not in written else other.partition(":")[2]
        link = written.format(stranger=stranger.origin, host=host, other=other, port=port)
        reply = replace(GOOD, headers=[*GOOD.headers, ("Link", f'<{link}>; rel="next"')])
        if how == "redirect":
            reply = Reply(302, [("Location", link)])
        platform.add(Course("c1", members=[member("u1")], script=[reply]))
        with (
            connected(registered(platform, tool_key)) as connection,
            pytest.raises(LtiRostersError) as raised,
        ):
            list(nrps.pages(connection, platform.memberships_url("c1"), effort()))

    assert raised.value.error_type in ("other_host", "malformed")
    assert stranger.requests == []


def test_differences_link_elsewhere_is_refused(
    stranger: Recorder, tool_key: SigningKey, tmp_path: Path
) -> None:
    """A differences link to another origin gets no request, and the roster fails (E57)."""

    def lead_away(exchange: Exchange) -> Reply:
        reply = exchange.serve()
        kept = [(name, value) for name, value in reply.headers if name.lower() != "link"]
        return replace(reply, headers=[*kept, ("Link", f'<{stranger.origin}/x?since=1>; rel="differences"')])

    with School(tmp_path / "school", tool_key) as school:
        school.open("tao", TAO, use_differences=True, max_attempts=1)
        school.add("c1", ["ann", "ben"], script=lead_away)
        assert school.run().outcomes == {"c1": "complete"}
        run = school.run()

        assert run.errors == {"c1": "other_host"}
        assert school.members("c1") == {"ann", "ben"}
    assert stranger.requests == []


def test_allowed_host_gets_the_token(stranger: Recorder) -> None:
    """An origin of allow_hosts is followed to, token and all (E57)."""
    with (
        Recorder([Reply(302, [("Location", stranger.origin + "/ok")])]) as server,
        door(server.origin, stranger.origin) as transport,
    ):
        assert read(transport, server.origin).url == stranger.origin + "/ok"

    assert stranger.requests[0].header("Authorization") == f"Bearer {TOKEN}"


@pytest.mark.parametrize("call", [get, post])
def test_userinfo_is_never_sent(call: Callable) -> None:
    """A user and password in a URL become no Basic, and stand in no header (E150)."""
    with Recorder(always(GOOD)) as server, door(server.origin) as transport:
        url = server.origin.replace("//", "//ann:hush@") + "/x"
        transport.exchange(call(url), effort())

    headers = dict(server.requests[0].headers)
    assert "hush" not in str(headers)
    assert [value for name, value in headers.items() if name.lower() == "authorization"] == (
        [f"Bearer {TOKEN}"] if call is get else []
    )


def test_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of the user's ~/.netrc go nowhere."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ann password hush\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with Recorder(always(GOOD)) as server, door(server.origin) as transport:
        transport.exchange(post(server.origin), effort())

    assert server.requests[0].header("Authorization") is None


def test_cookies_are_not_kept() -> None:
    """A Set-Cookie, on an answer or a redirect, makes no state: no request bears a cookie."""
    cookie = ("Set-Cookie", "session=1; Path=/")
    replies = [replace(GOOD, headers=[cookie]), Reply(302, [("Location", "/b"), cookie]), GOOD, GOOD]
    with Recorder(replies) as server, door(server.origin) as transport:
        for _ in range(3):
            read(transport, server.origin)

    assert len(server.requests) == 4
    assert [request.header("Cookie") for request in server.requests] == [None] * 4


# Proxies


@pytest.mark.parametrize(
    "name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_never_proxied(
    name: str, host: str, stranger: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No proxy of the environment sees a request to this machine."""
    monkeypatch.setenv(name, stranger.origin)
    with Recorder([GOOD]) as server:
        url = server.origin.replace("127.0.0.1", host)
        with door(url) as transport:
            assert read(transport, url).status == 200

    assert stranger.requests == []


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
def test_other_proxies_do_not_count(name: str, stranger: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY and ALL_PROXY are no proxies for https."""
    monkeypatch.setenv(name, stranger.origin)

    assert proxy_url() is None


def test_https_proxy_only_tunnels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy for https is asked for a tunnel, with its own credentials and never with ours."""
    with Recorder(always(Reply(502))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.origin.replace("//", "//me:mine@"))
        url = "https://canvas.example/api?access_token=hush"
        with door(url, max_attempts=1) as transport, pytest.raises(UnreachableError) as raised:
            read(transport, url)

    (request,) = proxy.requests
    assert (request.method, request.target) == ("CONNECT", "canvas.example:443")
    assert request.header("Authorization") is None
    assert (request.header("Proxy-Authorization") or "").startswith("Basic ")
    assert TOKEN not in str(request)
    assert "hush" not in str(request) + str(raised.value)
    assert "mine" not in str(raised.value)


@pytest.mark.parametrize(
    "spared", ["canvas.example", ".example", "x, canvas.example:443", "*", "EXAMPLE", "*.example"]
)
def test_spared_hosts_are_asked_directly(spared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY is respected in all its forms."""
    monkeypatch.setenv("NO_PROXY", spared)

    assert is_spared("https://canvas.example/x")


@pytest.mark.parametrize(
    "spared",
    [
        "",
        " , ",
        "nvas.example",
        "canvas.example:8443",
        "canvas.example.org",
        "::1,127.0.0.1,[::1]:9",
        ".",
        "[",
        ":",
    ],
)
def test_other_hosts_are_not_spared(spared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that only ends alike, another port, or nonsense spares nobody and breaks nothing."""
    monkeypatch.setenv("NO_PROXY", spared)

    assert not is_spared("https://canvas.example/x")


@pytest.mark.parametrize(
    ("spared", "url"), [("::1,fd00::7", "https://[fd00::7]/x"), ("10.0.0.7", "https://10.0.0.7/x")]
)
def test_addresses_are_spared(spared: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses of either kind may stand in NO_PROXY."""
    monkeypatch.setenv("no_proxy", spared)

    assert is_spared(url)


@pytest.mark.parametrize(
    "value", ["socks5://me:hush@x:1", "http://", "http://me:hush@x:port", "ftp://me:hush@x"]
)
def test_unusable_proxy_is_a_setting(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that cannot be used is a configuration error, and its password is not shown."""
    monkeypatch.setenv("HTTPS_PROXY", value)

    with pytest.raises(ConfigurationError) as raised:
        Wire(threading.Event())
    assert "hush" not in str(raised.value)


def test_proxy_without_a_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """`proxy.example:3128` is a proxy as well."""
    monkeypatch.setenv("https_proxy", "proxy.example:3128")

    assert proxy_url() == "http://proxy.example:3128"
    Wire(threading.Event()).close()


# Certificates


class Authority:
    """A certificate authority of our own, and certificates signed by it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "School CA")])
        basic = x509.BasicConstraints(ca=True, path_length=None)
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = self._built(self.name, self.key.public_key(), 30).add_extension(basic, critical=True)
        signed = certificate.add_extension(usage, critical=True).sign(self.key, hashes.SHA256())
        self.file = folder / "ca.pem"
        self.file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def _built(self, subject: x509.Name, key: Any, days: int) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=60))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )

    def context(self, address: str, days: int = 30) -> ssl.SSLContext:
        """A server's context with a certificate for *address* that lasts *days*."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "school")])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        built = self._built(subject, key.public_key(), days).add_extension(names, critical=False)
        signed = built.add_extension(usage, critical=False).sign(self.key, hashes.SHA256())
        file = self.folder / f"server-{address}-{days}.pem"
        pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        file.write_bytes(
            signed.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority that nobody knows."""
    return Authority(tmp_path)


def asked_over_tls(context: ssl.SSLContext) -> tuple[Answer | LtiRostersError, list[Request]]:
    """What a server with *context* is sent, and what comes of it."""
    recorder = Recorder(always(GOOD))
    listener = recorder.server._listener
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    with recorder:
        url = recorder.origin.replace("http:", "https:") + "/x"
        with door(url, max_attempts=2) as transport:
            try:
                return read(transport, url), recorder.requests
            except LtiRostersError as error:
                return error, recorder.requests


def test_unknown_authority_is_refused(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that nobody vouches for gets no request, is asked once, and the remedy is told."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    error, requests = asked_over_tls(authority.context("127.0.0.1"))

    assert isinstance(error, UnreachableError)
    assert "SSL_CERT_FILE" in str(error)
    assert requests == []


def test_authority_of_ssl_cert_file_is_trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE names the authorities to trust."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    answer, requests = asked_over_tls(authority.context("127.0.0.1"))

    assert isinstance(answer, Answer)
    assert answer.status == 200
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("address", "days"), [("127.0.0.2", 30), ("127.0.0.1", -1)], ids=["other host", "expired"]
)
def test_wrong_certificates_are_refused(
    address: str, days: int, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate of another host, or one that has run out, is refused though its authority is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    error, requests = asked_over_tls(authority.context(address, days))

    assert isinstance(error, UnreachableError)
    assert "certificate" in str(error)
    assert requests == []


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_unusable_ssl_cert_file_is_a_setting(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE without a certificate is a configuration error, not a bug and not a refusal."""
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))

    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        Wire(threading.Event())


@pytest.mark.parametrize(
    ("urls", "is_told"),
    [(["http://lms.example/c"], False), (["http://lms.example/c", "https://sso.lms.example/token"], True)],
)
def test_certificates_are_read_where_tls_will_be_talked(
    urls: list[str], is_told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One origin with TLS among those of a registration is enough, before anything is asked."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))

    with pytest.raises(ConfigurationError) if is_told else nullcontext(), door(*urls):
        pass


def test_session_keys_are_never_written(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSLKEYLOGFILE, left over from somebody's debugging, gets no key of our sessions."""
    file = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    answer, _ = asked_over_tls(authority.context("127.0.0.1"))

    assert isinstance(answer, Answer)
    assert not file.exists() or "CLIENT" not in file.read_text()
    assert certificates.__wrapped__(None, None).keylog_filename is None


# Logs, errors, files


class Ears(logging.Handler):
    """Hears everything that anybody logs, down to DEBUG."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep *record* as text, its traceback included."""
        self.heard.append(self.format(record))


@pytest.fixture
def ears() -> Iterator[Ears]:
    """Every logger at DEBUG, and what they say."""
    ears = Ears()
    names = ["", *logging.root.manager.loggerDict, "httpx", "httpcore", "httpcore.http11", "lti_rosters"]
    before = {name: (logging.getLogger(name).level, logging.getLogger(name).propagate) for name in names}
    logging.getLogger().addHandler(ears)
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
        logging.getLogger(name).propagate = True
    yield ears
    logging.getLogger().removeHandler(ears)
    for name, (level, propagate) in before.items():
        logging.getLogger(name).setLevel(level)
        logging.getLogger(name).propagate = propagate


def test_others_may_log_their_requests(ears: Ears) -> None:
    """Only our own requests are kept out of httpcore's log: whoever else uses it still finds theirs."""
    with Recorder(always(GOOD)) as server, door(server.origin) as transport:
        read(transport, server.origin + "/ours?access_token=hush")
        ours = list(ears.heard)
        httpx.get(server.origin + "/theirs", trust_env=False)

    assert ours == []
    assert any("/theirs" in line for line in ears.heard)
    assert any("receive_response_headers" in line for line in ears.heard)


SPOILT: dict[str, Reply] = {
    "html": Reply(200, [("Content-Type", "text/html")], f"<h1>{NAME}</h1>".encode()),
    "cut": replace(json_reply(f'{{"members": [{{"name": "{NAME}", "user_id": "1"'.encode())),
    "cut-length": Reply(200, [], f'{{"members": ["{NAME}"]}}'.encode(), cut_after=25),
    "two": json_reply(f'{{"members": []}} {{"{NAME}": 1}}'.encode()),
    "no-list": json_reply(json.dumps({"context": {"id": "c"}, "members": NAME}).encode()),
    "other-ids": json_reply(json.dumps({"context": {"id": NAME}, "members": {NAME: 1}}).encode()),
    "malformed": json_reply(
        json.dumps({"context": {"id": "m"}, "members": [{"name": NAME}, [NAME], NAME] * 4}).encode()
    ),
    "refused": json_reply(json.dumps({"error": NAME}).encode(), 403),
    "missing": json_reply(NAME.encode(), 404),
    "broken": json_reply(NAME.encode(), 500),
    "teapot": json_reply(NAME.encode(), 418),
    "throttled": Reply(429, [("Retry-After", "999")], NAME.encode()),
    "no-http": Reply(raw=f"HTTP/9 {NAME} closed connection\r\n\r\n".encode()),
    "bad-header": Reply(raw=f"HTTP/1.1 200 OK\r\n{NAME} disconnected\r\n\r\n".encode()),
    "bad-reason": Reply(503, reason=NAME),
    "bad-link": replace(GOOD, headers=[("Link", f'<https://[{NAME}>; rel="next"')]),
    "bad-link-2": replace(GOOD, headers=[("Link", f'{NAME} next; rel="next"')]),
    "looped": replace(GOOD, headers=[("Link", f'</loop?x={NAME}>; rel="next"')]),
    "redirect": Reply(302, [("Location", f"https://[{NAME}")]),
    "other-host": Reply(302, [("Location", f"https://evil.example/{NAME}?access_token={NAME}")]),
    "coding": Reply(200, [("Content-Encoding", NAME)], b"x"),
}


def spoil(platform: ReferencePlatform) -> None:
    """One course per way to fail, each of which shows the member's name to us."""
    platform.routes["/loop"] = lambda _: SPOILT["looped"]
    for key, reply in SPOILT.items():
        platform.add(Course(key, members=[member("1", name=NAME)], script=lambda _, reply=reply: reply))


@pytest.mark.parametrize("key", list(SPOILT))
def test_errors_show_no_member(key: str, tool_key: SigningKey, ears: Ears) -> None:
    """Whatever a platform sends, its text stands in no error and in no log (E149, E151)."""
    with opened(tool_key, CANVAS) as platform:
        spoil(platform)
        with connected(registered(platform, tool_key), max_attempts=2) as connection:
            told = ""
            try:
                for _ in zip(
                    range(3), nrps.pages(connection, platform.memberships_url(key), effort()), strict=False
                ):
                    pass
            except LtiRostersError as error:
                told = f"{error!r} {error} {error.__dict__}"

    assert platform.roster_requests
    assert NAME.lower() not in (told + "\n".join(ears.heard)).lower()


TOKEN_ANSWERS = [
    (400, '{"error": "invalid_client", "error_description": "bad assertion %s"}'),
    (400, '{"error": {"access_token": "%s"}}'),
    (400, "assertion %s is bad"),
    (400, '{"access_token": "hush-7"'),
    (200, '{"access_token": "hush 7"}'),
    (200, '{"access_token": "hush-7", "token_type": "mac"}'),
    (200, '{"access_token": "hush-7", "scope": ""}'),
    (200, '{"access_token": "hush-7", '),
    (200, '["hush-7"]'),
    (500, '{"access_token": "hush-7"}'),
    (400, '{"error": "%s"}'),
    (401, '"%s"'),
]


@pytest.mark.parametrize(("status", "text"), TOKEN_ANSWERS)
def test_errors_show_no_token(status: int, text: str, tool_key: SigningKey, ears: Ears) -> None:
    """A token endpoint that repeats our assertion, or fails with a token, shows neither (E149)."""
    sent: list[str] = []

    def echo(exchange: Exchange) -> Reply:
        form = dict(pair.split("=", 1) for pair in exchange.body.decode().split("&"))
        sent.append(form["client_assertion"])
        return json_reply(text.replace("%s", sent[-1]).encode(), status)

    with opened(tool_key, CANVAS) as platform:
        platform.token_script = echo
        with connected(registered(platform, tool_key), max_attempts=2) as connection:
            with pytest.raises(LtiRostersError) as raised:
                connection.tokens.token(effort())
            told = (
                f"{raised.value!r} {raised.value} {raised.value.__dict__} {connection.tokens!r}"
                + "\n".join(ears.heard)
            )

    assert sent
    assert "hush" not in told
    for assertion in sent:
        assert all(part[:16] not in told for part in assertion.split("."))


SECRET = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMDAifQ.c2lnbmF0dXJl"
PARTED = {
    "utf-16": SECRET.encode("utf-16"),
    "utf-16-be": SECRET.encode("utf-16-be"),
    "utf-32": SECRET.encode("utf-32"),
    "escaped": "\\u0000".join(SECRET).encode(),
    "described": json.dumps({"error": "x", "error_description": "\0".join(SECRET)}).encode(),
    "code": json.dumps({"error": "\u200b".join(SECRET)}).encode(),
    "joined": json.dumps({"error": "\u034f".join(SECRET)}).encode(),
    "separators": json.dumps({"error": "\x1f".join(SECRET)}).encode(),
    "spaced": json.dumps({"error": " ".join(SECRET)}).encode(),
    "lines": json.dumps({"error": "\r\n".join(SECRET)}).encode(),
    "wide": json.dumps({"error": "".join(chr(ord(c) + 0xFEE0) for c in SECRET)}).encode(),
    "hidden field": '{"access_token": "abc"}'.encode("utf-16"),
    "hidden list": '["abc"]'.encode("utf-16"),
}


@pytest.mark.parametrize("status", [200, 302, 400, 401, 500, 501])
@pytest.mark.parametrize("how", list(PARTED))
def test_parted_secret_is_not_shown(how: str, status: int) -> None:
    """A secret whose letters stand apart, by bytes or characters nobody sees, is left out as well (E149)."""
    own = Registration(name="school", token_url="https://school.example/token")
    answer = Answer(status, Fields(), PARTED[how], own.token_url)
    with pytest.raises(LtiRostersError) as raised:
        read_token(answer, own, asked_at=0, now=0)

    told = "".join(c for c in unicodedata.normalize("NFKC", str(raised.value)) if c.isascii() and c.isalnum())
    for part in ("abc", "eyJhbGci", "c2lnbmF0", "SUzI1NiJ9", "xMDAifQ"):
        assert part not in told


@pytest.mark.parametrize("status", [200, 201, 204])
@pytest.mark.parametrize(
    "body", [b"hush", b'{"error": "hush", "error_description": "hush"}', b'{"a": "hush"}']
)
def test_nothing_of_a_grant_is_quoted(status: int, body: bytes) -> None:
    """An answer that is meant to hold a token is not quoted, whatever it holds (E149)."""
    own = Registration(name="school", token_url="https://school.example/token")
    with pytest.raises(LtiRostersError) as raised:
        read_token(Answer(status, Fields(), body, own.token_url), own, asked_at=0, now=0)

    assert "hush" not in str(raised.value)


def test_registration_hides_its_extra_claims() -> None:
    """Further claims may be secrets of a platform's own."""
    assert "hush" not in repr(Registration(name="school", extra_claims={"password": "hush"}))


def test_token_url_with_a_secret_is_not_shown(tool_key: SigningKey) -> None:
    """Secrets in the token URL or the audience do not reach the refusal (E150)."""
    with ReferencePlatform(CANVAS, tool_keys=[]) as platform:
        own = registered(platform, tool_key)
        url = own.token_url.replace("//", "//ann:hush@") + "?access_token=hush"
        with (
            connected(replace(own, token_url=url, audience=url)) as connection,
            pytest.raises(LtiRostersError) as raised,
        ):
            connection.tokens.token(effort())

    assert "hush" not in str(raised.value)


def test_nothing_secret_is_written(school: School, tool_key: SigningKey, ears: Ears) -> None:
    """A whole run at DEBUG: no token, assertion, key or URL secret in a log, an error, a table or a file."""
    platform = school.platform
    spoil(platform)
    school.add("good", [member(f"u{n}", name=NAME, email=f"{NAME}@x.example") for n in range(60)])
    school.add(
        "revoked", ["u1"], script=lambda _: platform.revoke_all() if platform.tokens_issued == 1 else None
    )
    urls = [platform.memberships_url(key) + "?access_token=hush-secret-77" for key in platform.courses]
    school.catalogue["canvas"] = urls
    run = school.run()
    school.run()

    tokens = {request.headers.get("authorization", "") for request in platform.roster_requests}
    assertions = {request.body.decode() for request in platform.token_requests}
    assert run.outcomes["good"] == "complete"
    assert len(tokens) > 1
    secrets = {token.removeprefix("Bearer ") for token in tokens if token}
    secrets |= {
        part[:24]
        for form in assertions
        for part in form.split("client_assertion=")[1].split("&")[0].split(".")
    }
    secrets |= {line for line in private_pem(tool_key).splitlines() if len(line) == 64} | {"hush-secret-77"}
    written = {
        path: path.read_bytes()
        for path in school.directory.rglob("*")
        if path.is_file() and path.name != "tool.pem"
    }
    errors = "\n".join(f"{sync.error} {sync!r}" for sync in run.syncs if sync.roster is None)
    heard = "\n".join(ears.heard)

    assert written
    assert [
        path for path, held in written.items() if any(secret.encode() in held for secret in secrets)
    ] == []
    assert [secret for secret in secrets if secret in errors + heard] == []
    assert NAME.lower() not in (errors + heard).lower()


def test_requests_and_answers_hide_themselves() -> None:
    """The repr of what passes through the transport shows neither token, nor URL, nor body."""
    call = get("https://school.example/x?access_token=hush", "hush")
    answer = Answer(200, Fields([(b"link", b"hush")]), b"hush", "https://x.example/?sig=hush")

    assert "hush" not in repr(call) + repr(answer) + repr(Token("hush", 1.0))


def test_transport_and_tokens_hide_the_token(tool_key: SigningKey) -> None:
    """Nor do the objects that hold them."""
    with opened(tool_key, CANVAS) as platform, connected(registered(platform, tool_key)) as connection:
        token = connection.tokens.token(effort())
        shown = repr(connection)

    assert isinstance(connection.tokens, Tokens)
    assert token.value not in shown
