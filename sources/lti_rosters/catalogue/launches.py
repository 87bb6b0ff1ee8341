"""Claims of launches (payloads of ID tokens), stored by the tool and read as rows of a catalogue."""

import math
from collections.abc import Mapping
from typing import Any

from .entries import CLAIMS, BadRowError, ContextEntry, Sender, check_address, text_of

NRPS_CLAIM = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
CONTEXT_CLAIM = "https://purl.imsglobal.org/spec/lti/claim/context"
LINK_CLAIM = "https://purl.imsglobal.org/spec/lti/claim/resource_link"
DEPLOYMENT_CLAIM = "https://purl.imsglobal.org/spec/lti/claim/deployment_id"
VERSION = "2.0"  # of the service, in service_versions (NRPS §3.6.1.1)
LONGEST = 100  # characters of an issuer in a message


def is_launch(row: Mapping[Any, Any]) -> bool:
    """Tell whether *row* is one: it has a claim of LTI."""
    return any(isinstance(name, str) and name.startswith(CLAIMS) for name in row)


def read_launch(claims: Mapping[Any, Any], where: str) -> ContextEntry:
    """Read the claims of a launch (LTI Core §5.3); version 2.0 of the service counts (NRPS §3.6.1.1).

    Without the service the context is `unavailable`. Raises BadRowError.
    """
    context = _object(claims.get(CONTEXT_CLAIM))
    link = _object(claims.get(LINK_CLAIM))
    url, why = _service(claims.get(NRPS_CLAIM))
    check_address(url)
    return ContextEntry(
        memberships_url=url,
        context_id=text_of(context.get("id"), "the context's id"),
        label=text_of(context.get("label"), "the context's label"),
        title=text_of(context.get("title"), "the context's title"),
        resource_link_id=text_of(link.get("id"), "the resource link's id"),
        where=where,
        unavailable=why,
        launched_at=moment(claims.get("iat")),
        sender=_sender(claims),
    )


def claims_of(launch: ContextEntry) -> dict[str, Any]:
    """Return of *launch* the claims that a catalogue needs: nothing of who launched stays."""
    sender = launch.sender or Sender()
    context = {"id": launch.context_id, "label": launch.label, "title": launch.title}
    claims: dict[str, Any] = {
        "iss": sender.issuer,
        "aud": list(sender.client_ids) or None,
        "iat": launch.launched_at,
        DEPLOYMENT_CLAIM: sender.deployment_id,
        CONTEXT_CLAIM: {name: value for name, value in context.items() if value},
        NRPS_CLAIM: {"context_memberships_url": launch.memberships_url, "service_versions": [VERSION]},
    }
    return {name: value for name, value in claims.items() if value}


def foreign(launch: ContextEntry, tool: Sender) -> str | None:
    """Say why *launch* is not of the registration of *tool*; None where it is, or does not tell.

    Its URL would get a token that is not meant for it, and ids of contexts are unique within a deployment of a
    platform alone (LTI Core §5.4.1). A tool without a deployment reads them all: its token is good for each.
    """
    sender = launch.sender
    if sender is None:
        return None
    if sender.issuer and tool.issuer and sender.issuer.rstrip("/") != tool.issuer.rstrip("/"):
        return f"the launch is of another platform than this registration's ({sender.issuer[:LONGEST]})."
    if sender.client_ids and tool.client_ids and not set(sender.client_ids) & set(tool.client_ids):
        return "the launch is of another client_id than this registration's."
    if sender.deployment_id and tool.deployment_id and sender.deployment_id != tool.deployment_id:
        return "the launch is of another deployment_id than this registration's: it needs one of its own."
    return None


def moment(issued: Any) -> float:
    """Return the `iat` of a token, in seconds since 1970; 0 for what is no such number."""
    if isinstance(issued, bool) or not isinstance(issued, int | float):
        return 0.0
    try:
        seconds = float(issued)
    except OverflowError:
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0


def _sender(claims: Mapping[Any, Any]) -> Sender:
    issuer, audience = claims.get("iss"), claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    return Sender(
        issuer if isinstance(issuer, str) else None,
        tuple(str(each) for each in audiences if isinstance(each, str | int)),
        _deployment(claims.get(DEPLOYMENT_CLAIM)),
    )


def _deployment(claim: Any) -> str | None:
    try:
        return text_of(claim, "the deployment's id")
    except BadRowError:
        return None  # what it is cannot matter to who is on a roster


def _service(claim: Any) -> tuple[str | None, str | None]:
    """Return the URL that *claim* offers, or why it offers none."""
    service = _object(claim)
    if not service:
        return None, "the launch carries no claim of the roster service"
    url = text_of(service.get("context_memberships_url"), "context_memberships_url")
    if url is None:
        return None, "the launch's claim of the roster service has no URL"
    versions = service.get("service_versions", service.get("service_version"))
    listed = versions if isinstance(versions, list) else [versions]
    if versions is not None and VERSION not in map(str, listed):
        return None, f"the roster service is not offered in version {VERSION}"
    return url, None


def _object(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}
