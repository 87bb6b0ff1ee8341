"""How httpx is set up and fed: certificates verified, proxies without surprises, targets as written."""

import functools
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from ..errors import ConfigurationError
from ..version import __version__
from .connections import IDLE, Connections
from .proxies import is_spared, proxy_url
from .wire import Backend, Watch

USER_AGENT = f"lti-rosters/{__version__}"


class Wire(httpx.BaseTransport):
    """An httpx transport without a client above it: that keeps cookies, makes a userinfo Basic, logs URLs."""

    def __init__(self, stop: threading.Event) -> None:
        """Raises ConfigurationError where the environment names certificates or a proxy of no use."""
        self.watch = Watch(stop)
        self._certificates = certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        self._direct = Connections(Backend(self.watch), self._certificates)
        proxy = proxy_url()
        self._proxied = self._proxy(proxy) if proxy else None
        self.watch.silence()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*; the body is read from the response, which raises httpx's errors as well.

        Its extension "target" goes before the path of its URL.
        """
        target = request.extensions.get("target", request.url.raw_path)
        with _told_as_httpx():
            if self._proxied is not None and _is_proxied(str(request.url)):
                answer = self._proxied.handle_request(_as_httpcore(request, target))
                status, headers, body = answer.status, answer.headers, answer.stream
            else:
                status, headers, body = self._direct.handle_request(request, target)
        return httpx.Response(status, headers=headers, stream=_Stream(body))

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
            ssl_context=self._certificates,
            proxy_ssl_context=self._certificates if at.scheme == "https" else None,
            max_connections=None,
            keepalive_expiry=IDLE,
            network_backend=Backend(self.watch),
        )


class _Stream(httpx.SyncByteStream):
    def __init__(self, body: Any) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        with _told_as_httpx():
            yield from self._body

    def close(self) -> None:
        self._body.close()


def _is_proxied(url: str) -> bool:
    return url.startswith("https:") and not is_spared(url)


def _as_httpcore(request: httpx.Request, target: bytes) -> httpcore.Request:
    """*request* as the engine of proxies takes it; "target" among its extensions would go to the proxy, too."""
    url, extensions = request.url, {**request.extensions}
    extensions.pop("target", None)
    at = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=target)
    return httpcore.Request(
        request.method, at, headers=request.headers.raw, content=request.content, extensions=extensions
    )


@contextmanager
def _told_as_httpx() -> Iterator[None]:
    """Every error of the engine has its namesake in httpx."""
    try:
        yield
    except tuple(_namesakes()) as error:
        raise _namesakes()[type(error)](str(error)) from error


@functools.cache
def _namesakes() -> dict[type[Exception], type[httpx.TransportError]]:
    pairs = ((getattr(httpcore, name), getattr(httpx, name, None)) for name in httpcore.__all__)
    return {
        ours: theirs
        for ours, theirs in pairs
        if isinstance(theirs, type) and issubclass(theirs, httpx.TransportError)
    }


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
