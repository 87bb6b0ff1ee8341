"""How httpx is set up and fed: certificates always verified, proxies without surprises, targets as written."""

import os
import ssl
import urllib.request
from urllib.parse import urlsplit

import httpx

from .version import __version__

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def client() -> httpx.Client:
    """A client that verifies certificates, follows nothing by itself and reads no credentials from its surroundings."""
    certificates = _certificates()
    return httpx.Client(
        headers={"user-agent": f"lti-rosters/{__version__}", "accept-encoding": "gzip"},
        verify=certificates,
        trust_env=False,
        mounts=_proxies(certificates),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
    )


def without_userinfo(url: str) -> str:
    """The URL to connect to; httpx would turn a userinfo into an Authorization header of its own."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()


def target(url: str) -> bytes:
    """Path and query as written, with only what HTTP cannot carry escaped (RFC 9112 §3.2.1)."""
    rest = url.split("//", 1)[1].split("#", 1)[0]
    start = min((index for index in (rest.find("/"), rest.find("?")) if index >= 0), default=len(rest))
    written = rest[start:]
    if not written.startswith("/"):
        written = "/" + written
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


def _certificates() -> ssl.SSLContext:
    """The authorities to trust; SSL_CERT_FILE and SSL_CERT_DIR are respected."""
    return httpx.create_ssl_context(verify=True, trust_env=True)


def _proxies(certificates: ssl.SSLContext) -> dict[str, httpx.BaseTransport | None]:
    """HTTPS_PROXY for https alone, where it tunnels and sees nothing; plain http is loopback and never proxied."""
    proxy = urllib.request.getproxies().get("https")
    spared = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
    hosts = [host.strip().lstrip(".") for host in spared if host.strip()]
    if not proxy or "*" in hosts:
        return {}
    mounts: dict[str, httpx.BaseTransport | None] = {f"all://{host}": None for host in LOOPBACK}
    mounts |= {f"all://*{host}": None for host in hosts}
    mounts["https://"] = httpx.HTTPTransport(proxy=proxy, verify=certificates)
    return mounts
