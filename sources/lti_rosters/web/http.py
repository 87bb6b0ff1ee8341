"""How requests go out: certificates verified, proxies without surprises, targets as written."""

import functools
import os
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpcore
import httpx

from ..errors import ConfigurationError
from ..version import __version__
from .connections import IDLE, Body, Connections, Request
from .fields import Fields
from .proxies import is_spared, proxy_url
from .wire import Backend, Watch

USER_AGENT = f"lti-rosters/{__version__}"


@dataclass(frozen=True, slots=True)
class Response:
    """Status and headers of a response, its body as it comes (not decoded); to be closed."""

    status: int
    headers: Fields = field(repr=False)
    _body: "Body | httpcore.Response" = field(repr=False)

    def pieces(self) -> Iterator[bytes]:
        """Yield the body; raises httpx's errors."""
        try:
            yield from self._body if isinstance(self._body, Body) else self._body.iter_stream()
        except FAULTS as error:
            raise _as_httpx(error) from error

    def close(self) -> None:
        """Give the connection back, or close it."""
        self._body.close()


class Wire:
    """What takes every request: straight to the platform, or through a proxy."""

    def __init__(self, stop: threading.Event, *, is_secure: bool = True) -> None:
        """Raises ConfigurationError where the environment names certificates or a proxy of no use.

        Certificates are read where *is_secure* says that TLS will be talked: that takes as long as a hundred pages.
        """
        self.watch = Watch(stop)
        named = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
        self._certificates = functools.partial(certificates, *named)
        if is_secure:
            self._certificates()  # where they are of no use, that is told before anything is asked
        self._direct = Connections(Backend(self.watch), self._certificates)
        proxy = proxy_url()
        self._proxied = self._proxy(proxy) if proxy else None
        self.watch.silence()

    def ask(self, request: Request) -> Response:
        """Send *request*; raises httpx's errors."""
        try:
            if self._proxied is not None and _is_proxied(str(request.origin)):
                answer = self._proxied.handle_request(_as_httpcore(request))
                return Response(answer.status, Fields(answer.headers), answer)
            status, headers, body = self._direct.ask(request)
        except FAULTS as error:
            raise _as_httpx(error) from error
        return Response(status, Fields(headers), body)

    def close(self) -> None:
        """Close every connection."""
        self.watch.release()
        for pool in (self._direct, self._proxied):
            if pool is not None:
                pool.close()

    def _proxy(self, url: str) -> httpcore.ConnectionPool:
        proxy = httpx.Proxy(url)
        at = proxy.url
        return httpcore.HTTPProxy(
            proxy_url=httpcore.URL(scheme=at.raw_scheme, host=at.raw_host, port=at.port, target=at.raw_path),
            proxy_auth=proxy.raw_auth,
            ssl_context=self._certificates(),
            proxy_ssl_context=self._certificates() if at.scheme == "https" else None,
            max_connections=None,
            keepalive_expiry=IDLE,
            network_backend=Backend(self.watch),
        )


def _is_proxied(url: str) -> bool:
    return url.startswith("https:") and not is_spared(url)


def _as_httpcore(request: Request) -> httpcore.Request:
    """*request* as the engine of proxies takes it."""
    at = request.origin
    seconds = request.timeout
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme=at.raw_scheme, host=at.raw_host, port=at.port, target=request.target),
        headers=request.head,
        content=request.content,
        extensions={
            "timeout": {
                "connect": request.connect_timeout,
                "read": seconds,
                "write": seconds,
                "pool": seconds,
            }
        },
    )


def _as_httpx(error: Exception) -> httpx.TransportError:
    """Every error of the engine has its namesake in httpx."""
    return NAMESAKES[type(error)](str(error))


def _namesakes() -> dict[type[Exception], type[httpx.TransportError]]:
    pairs = ((getattr(httpcore, name), getattr(httpx, name, None)) for name in httpcore.__all__)
    return {
        ours: theirs
        for ours, theirs in pairs
        if isinstance(theirs, type) and issubclass(theirs, httpx.TransportError)
    }


NAMESAKES = _namesakes()
FAULTS = tuple(NAMESAKES)


@functools.lru_cache(maxsize=1024)
def address(origin: str) -> httpx.URL:
    """The URL to connect to for an *origin*; httpx raises InvalidURL for a host that cannot be one."""
    return httpx.URL(origin)


def target(url: str) -> bytes:
    """Path and query as written, with only what HTTP cannot carry escaped (RFC 9112 §3.2.1)."""
    rest = url.split("//", 1)[1].split("#", 1)[0]
    start = min((index for index in (rest.find("/"), rest.find("?")) if index >= 0), default=len(rest))
    written = rest[start:]
    if not written.startswith("/"):
        written = "/" + written
    if written.isascii() and written.isprintable() and " " not in written:
        return written.encode("ascii")
    return b"".join(
        bytes([byte]) if 0x21 <= byte <= 0x7E else b"%%%02X" % byte
        for byte in written.encode("utf-8", "replace")
    )


def is_certificate_fault(error: BaseException | None) -> bool:
    """Whether *error* comes from a certificate that does not verify."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


@functools.lru_cache(maxsize=4)
def certificates(file: str | None, folder: str | None) -> ssl.SSLContext:
    """The authorities to trust: those of *file* or *folder* (SSL_CERT_FILE, SSL_CERT_DIR), or certifi's."""
    context = _authorities(file, folder)
    # SSLKEYLOGFILE would have the keys of every session written to a file.
    context.keylog_filename = None  # type: ignore[assignment]
    context.set_alpn_protocols(["http/1.1"])
    return context


def _authorities(file: str | None, folder: str | None) -> ssl.SSLContext:
    if not file and not folder:
        return httpx.create_ssl_context(verify=True, trust_env=False)
    try:
        return ssl.create_default_context(cafile=file or None, capath=None if file else folder)
    except OSError as error:
        name = "SSL_CERT_FILE" if file else "SSL_CERT_DIR"
        raise ConfigurationError(
            f"{name} names certificates that cannot be read ({type(error).__name__}).",
            remedy="It must be the path of a PEM file of authorities to trust (a folder for SSL_CERT_DIR).",
        ) from error
