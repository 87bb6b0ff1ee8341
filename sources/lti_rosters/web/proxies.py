"""Which proxy a host is asked through: HTTPS_PROXY, for https alone and never for this machine."""

import os
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from .urls import is_loopback

SCHEMES = ("http", "https")  # a proxy that tunnels (CONNECT, RFC 9110 §9.3.6) and sees nothing


def proxy_url() -> str | None:
    """The proxy that the environment names for https, None without one. Raises ConfigurationError.

    HTTP_PROXY and ALL_PROXY do not count: plain http is this machine, which is never asked through a proxy.
    """
    named = (os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY") or "").strip()
    if not named:
        return None
    url = named if "://" in named else f"http://{named}"
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:  # it may hold a password, so it is not shown
        raise ConfigurationError(
            "HTTPS_PROXY names no proxy that can be used.",
            remedy="It must look like http://proxy.example:3128",
        )
    return url


def is_spared(url: str) -> bool:
    """Whether NO_PROXY spares the host of *url*: by its name, its domain or its address; `*` spares all."""
    if is_loopback(url):
        return True
    parts = urlsplit(url)
    host, port = (parts.hostname or "").rstrip("."), str(parts.port or 443)
    spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return any(_matches(entry.strip().lower(), host, port) for entry in spared.split(",") if entry.strip())


def _matches(entry: str, host: str, port: str) -> bool:
    if entry == "*":
        return True
    if entry.startswith("["):
        name, _, tail = entry[1:].partition("]")
        of_port = tail.removeprefix(":")
    elif entry.count(":") == 1:
        name, _, of_port = entry.partition(":")
    else:
        name, of_port = entry, ""
    if of_port and of_port != port:
        return False
    name = name.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))
