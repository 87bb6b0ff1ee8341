"""The steps of a platform that speaks NRPS: our key, our JWKS, the token and its scope, then the roster."""

import json
from typing import Any

from ..errors import ConfigurationError, MalformedError, ScopeError
from ..keys.files import is_open
from ..keys.jwks import examine
from ..keys.published import PATIENCE, read_published
from ..keys.rotation import Ring, read_ring
from ..keys.signing import SigningKey
from ..providers.auth import SCOPE
from ..web.urls import is_loopback
from .rosters import COMMON
from .step import Finding, Found, warning
from .visit import Procedure, Visit

LONGEST_SCOPE = 300  # characters


def key(visit: Visit) -> Found:
    """Show the key that signs; the settings have read it already."""
    found = _key(visit)
    path = visit.registration.key_path
    findings = []
    if path is not None and is_open(path):
        findings.append(
            warning(ConfigurationError, "others than its owner may read the key file.", f"chmod 600 {path}")
        )
    facts = {"bits": found.bits, "algorithm": "RS256", "kid": found.kid}
    return Found(detail=f"RSA {found.bits}, RS256, kid {found.kid}", findings=tuple(findings), facts=facts)


def jwks(visit: Visit) -> Found:
    """Read our own JWKS as the platform does, where its address is known."""
    registration = visit.registration
    if registration.jwks_url is None:
        return Found(detail="its address is not known here; set jwks_url to have it read", is_skipped=True)
    ring = _ring(visit)
    signing, others = _key(visit), list(ring.keys[1:]) if ring else []
    timeout = min(PATIENCE, registration.options.timeout)
    found = read_published(registration.jwks_url, where=registration.name, timeout=timeout, stop=visit.stop)
    findings = [
        Finding(
            error=MalformedError(f"our JWKS: {remark.what}", where=registration.name, remedy=remark.remedy),
            is_fault=remark.is_fault,
        )
        for remark in examine(found.body, found.media_type, [signing], others)
    ]
    if found.is_redirected:
        findings.append(
            warning(MalformedError, "our JWKS redirects.", "Give platforms the address it ends at.")
        )
    if is_loopback(registration.jwks_url):
        what = "jwks_url is on this machine alone: no other one can read it."
        findings.append(warning(ConfigurationError, what, "Set it to the address that platforms have."))
    return Found(
        detail=f"kid {signing.kid} is published", findings=tuple(findings), facts={"max_age": found.max_age}
    )


def token(visit: Visit) -> Found:
    """Ask for a token; a platform that only refuses the scope has not refused our assertion."""
    try:
        visit.connection.tokens.token(visit.effort)
    except ScopeError:
        return Found(detail="our assertion is not what was refused")
    life = _answered(visit).get("expires_in")
    told = f", for {life:,} s" if isinstance(life, int) and not isinstance(life, bool) else ""
    return Found(detail=f"granted{told}")


def scope(visit: Visit) -> Found:
    """Look whether the membership scope was granted (NRPS §3.6.1.2)."""
    visit.connection.tokens.token(visit.effort)  # at hand, or the ScopeError from before
    said = _answered(visit).get("scope")
    if not isinstance(said, str):
        return Found(detail="not told, so the one asked for (RFC 6749 §5.1)", facts={"granted": None})
    granted = [each for each in said[:LONGEST_SCOPE].replace(",", " ").split() if each == SCOPE]
    return Found(detail="the membership scope is granted", facts={"granted": granted})


STEPS = (
    Procedure("key", key),
    Procedure("jwks", jwks, needs=("key",)),
    Procedure("token", token, needs=("key",)),
    Procedure("scope", scope, needs=("token",)),
    *COMMON,
)


def _key(visit: Visit) -> SigningKey:
    found = visit.registration.key
    if found is None:  # a Registration made in Python
        raise ConfigurationError("there is no private key.", where=visit.registration.name)
    return found


def _ring(visit: Visit) -> Ring | None:
    path = visit.registration.key_path
    return None if path is None else read_ring(path)


def _answered(visit: Visit) -> dict[str, Any]:
    """The fields of the token endpoint's answer; never shown but for two of them."""
    heard = visit.heard(token=True)
    try:
        fields = json.loads(heard.answer.body.decode("utf-8-sig")) if heard else {}
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}
