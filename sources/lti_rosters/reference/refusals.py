"""How a reference platform says no: the status, headers and body that its kind of platform sends."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from .manners import MEDIA_TYPE, Manner
from .server import Reply, Request

TokenFault = Literal[
    "request",
    "grant",
    "client",
    "algorithm",
    "kid",
    "signature",
    "claim",
    "audience",
    "expired",
    "early",
    "replay",
    "scope",
]
RosterFault = Literal[
    "missing", "token", "expired", "scope", "accept", "method", "course", "rlid", "too_large"
]

JSON = "application/json; charset=utf-8"
TOKEN_CODES: Mapping[TokenFault, str] = {  # RFC 6749 §5.2
    "request": "invalid_request",
    "grant": "unsupported_grant_type",
    "client": "invalid_client",
    "kid": "invalid_client",
    "signature": "invalid_client",
    "scope": "invalid_scope",
}
ROSTER_TEXTS: Mapping[RosterFault, str] = {
    "missing": "Missing access token",
    "token": "Invalid access token",
    "expired": "Access token expired",
    "scope": "Insufficient permissions",
    "accept": f"Not acceptable request content type, accepts: {MEDIA_TYPE}",
    "method": "Not acceptable request method",
    "course": "Context not found",
    "rlid": "Invalid 'rlid' parameter",
    "too_large": "Too many members",
}
ROSTER_STATUS: Mapping[RosterFault, int] = {"method": 405, "course": 404, "rlid": 404, "too_large": 403}


def refuse_token(manner: Manner, fault: TokenFault, text: str) -> Reply:
    """Refuse a token request in *manner*; *text* says why in words."""
    code = TOKEN_CODES.get(fault, "invalid_grant" if manner.style == "d2l" else "invalid_request")
    match manner.style:
        case "moodle":
            return _moodle_token(fault, text)
        case "canvas":
            status, extra = (
                (401, [("WWW-Authenticate", "Canvas OAuth 2.0")]) if fault == "client" else (400, [])
            )
            code = "invalid_request" if fault in ("kid", "signature") else code
            return _json(status, {"error": code, "error_description": text}, extra)
        case "d2l":
            return _json(400, {"error": code, "error_description": f"Error validating assertion: {text}"})
        case "sakai":
            return _json(
                400, {"error": code}, [("X-Tsugi-LTI13-Error-Detail", text), ("Cache-Control", "no-store")]
            )
        case "openolat":
            return Reply(200)  # an exception there ends in an empty answer
        case "tao":
            code = "invalid_scope" if fault == "scope" else "invalid_client"
            return _json(400 if fault == "scope" else 401, {"error": code, "error_description": text})
        case _:
            return _json(400, {"error": code})


def refuse_roster(manner: Manner, fault: RosterFault, request: Request, text: str = "") -> Reply:
    """Refuse a roster request in *manner*; *text* replaces the usual words."""
    text = text or ROSTER_TEXTS[fault]
    status = _roster_status(manner, fault)
    match manner.style:
        case "canvas":
            kind = {401: "unauthorized", 404: "not_found"}.get(status, "bad_request")
            return _json(status, {"errors": {"type": kind, "message": text}})
        case "moodle":
            return _moodle_roster(status, fault, request, text)
        case "sakai":
            code = (
                "signature_error" if fault == "token" else "invalid_authorization" if status == 403 else text
            )
            return _json(status, {"error": code})
        case "open_edx" if fault == "too_large":
            return _json(status, {"error": "above_response_limit", "explanation": text})
        case "open_edx":
            return _json(status, {"detail": text})
        case "tao":
            return Reply(status, [("Content-Type", "text/html; charset=UTF-8")], text.encode())
        case _:
            return _json(status, {"error": text})


def throttled(manner: Manner, retry_after: float | str | None = None) -> Reply:
    """Say "too many requests" in *manner*; *retry_after* (seconds, or a date) replaces what it would send."""
    wait = manner.throttle_after if retry_after is None else retry_after
    headers = [("Content-Type", "text/plain; charset=utf-8")]
    if manner.style == "canvas":
        headers += [("X-Rate-Limit-Remaining", "0.0"), ("X-Request-Cost", "0.4361")]
    if wait is not None:
        headers.append(("Retry-After", str(wait)))
    return Reply(manner.throttle_status, headers, manner.throttle_body.encode())


def maintenance() -> Reply:
    """The answer of a Moodle under maintenance, on its token and roster URLs alike."""
    headers = [("Retry-After", "300"), ("Content-Type", "text/html; charset=utf-8")]
    page = b"<!DOCTYPE html>\n<html><head><title>Under maintenance</title></head><body></body></html>\n"
    return Reply(503, headers, page, reason="Moodle under maintenance")


def _roster_status(manner: Manner, fault: RosterFault) -> int:
    if fault == "accept":
        return manner.accept_status or 406
    if fault == "method" and manner.style == "moodle":
        return 400
    if fault == "rlid" and manner.style in ("canvas", "plain"):
        return 400
    if fault == "scope" and manner.style == "sakai":
        return 400
    return ROSTER_STATUS.get(fault, manner.auth_status)


def _moodle_token(fault: TokenFault, text: str) -> Reply:
    """Always 400; free text, or a code where Moodle has one; an unknown kid breaks its own JSON."""
    kept = {"request": "invalid_request", "grant": "unsupported_grant_type", "client": "invalid_client"}
    words = {
        "scope": "invalid_scope",
        "signature": "Signature verification failed",
        "expired": "Expired token",
    }
    error = {**kept, **words, "kid": '"kid" invalid, unable to lookup correct key'}.get(fault, text)
    body = f'{{\n  "error" : "{error}"\n}}'
    return Reply(400, [("Content-Type", "text/html; charset=utf-8")], body.encode())


def _moodle_roster(status: int, fault: RosterFault, request: Request, text: str) -> Reply:
    accept = request.header("Accept") or ""
    path = request.path.partition("services.php")[2]
    reasons = {
        "accept": f"No handler found for {path} {accept}",
        "method": f"No handler found for {path} {accept}",
        "course": f"Not Found: {text}",
        "rlid": f"Not Found: {text}",
    }
    reason = reasons.get(fault, "Unauthorized")
    asked = {"method": request.method, "url": request.target, "accept": accept}
    return _json(status, {"status": status, "reason": reason, "request": asked}, reason=reason)


def _json(
    status: int, content: Any, headers: list[tuple[str, str]] | None = None, *, reason: str | None = None
) -> Reply:
    body = json.dumps(content).encode()
    return Reply(status, [*(headers or []), ("Content-Type", JSON)], body, reason=reason)
