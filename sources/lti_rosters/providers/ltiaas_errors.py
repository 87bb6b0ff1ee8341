"""LTIAAS's refusals as our errors: its code is told and explained; nothing else of a body is shown."""

import json
import re
from collections.abc import Iterator
from typing import Any

from ..errors import (
    LtiRostersError,
    MalformedError,
    NotFoundError,
    RefusedError,
    ScopeError,
    TooLargeError,
    UnreachableError,
)
from ..web.answer import Answer
from .codes import shown

CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
OF_LMS = ("externalError", "externalUrl")  # in `details` where it was the LMS that refused
AUTHORIZATION = re.compile(r"INVALID_[A-Z0-9_]*AUTH[A-Z0-9_]*")

CODES: dict[str, tuple[type[LtiRostersError], str, str]] = {
    "UNREGISTERED_OR_INACTIVE_PLATFORM": (
        RefusedError,
        "the LMS is not registered with this account, or not active",
        "Activate it in the LTIAAS portal; if it stands there, api_key belongs to another account.",
    ),
    "INACTIVE_SERVICE": (
        ScopeError,
        "the names and roles service is not active for this LMS",
        "Activate it in the LTIAAS portal and in the LMS's registration of the tool.",
    ),
    "SERVICE_NOT_AVAILABLE_FOR_CONTEXT": (
        NotFoundError,
        "the launch behind this key offers no roster",
        "The LMS does not offer the service for this course, or the key is of another launch: launch it again "
        "and take services.serviceKey where services.namesAndRoles.available is true.",
    ),
}
OF_LMS_REFUSAL = (
    "Is the names and roles service active in the LMS's registration of the tool, and the tool still there? "
    "LTIAAS accepted the keys."
)
OF_SCHEME = {
    "SERVICE-AUTH-V1": "The service key may be stale: store that of a newer launch.",
    "LTIK-AUTH-V2": "A ltik holds for 24 hours: use a service key.",
    "Bearer": "Bearer with the memberships URL alone is unverified: use a service key.",
}


def check_status(answer: Answer, where: str, scheme: str) -> None:
    """Turn every status but 200 and 204 into the error it means; *scheme* is how it was asked."""
    if answer.status in (200, 204):
        return
    body = _body(answer.body)
    code = next(_codes(body), None)
    is_external = _is_external(body)
    kind: type[LtiRostersError]
    if is_external and code not in CODES and _is_refusal(answer.status, code):
        kind, what, remedy = RefusedError, "the LMS refuses LTIAAS the roster", OF_LMS_REFUSAL
    else:
        kind, what, remedy = _meaning(answer.status, code, scheme, is_known=body is not None)
        if is_external:
            what = f"the LMS behind LTIAAS did not serve the roster: {what}"
    if body is None:
        what += "; the answer is not LTIAAS's own, but the LMS's or a proxy's"
    told = f" ({answer.status}, {code})" if code else f" ({answer.status})"
    raise kind(f"{what}{told}.", where=where, remedy=remedy, http_status=answer.status)


def is_of_lms(error: LtiRostersError | None) -> bool:
    """Whether *error* is a refusal of the LMS, and so says that LTIAAS accepted the keys."""
    return error is not None and error.remedy == OF_LMS_REFUSAL


def _meaning(
    status: int, code: str | None, scheme: str, *, is_known: bool
) -> tuple[type[LtiRostersError], str, str]:
    if code in CODES:
        return CODES[code]
    stale = OF_SCHEME[scheme]
    if _is_refusal(status, code):
        remedy = f"api_key is wrong or belongs to another account. {stale}"
        return RefusedError, "LTIAAS refuses the API key or what came with it", remedy
    if status in (404, 410):
        remedy = stale if is_known else "Is base_url your account's address, https://<account>.ltiaas.com?"
        return NotFoundError, "there is no roster here", remedy
    if status == 413:
        return TooLargeError, "the roster is too large for one answer", "Set page_size."
    if status >= 500:
        return UnreachableError, "the roster could not be fetched", "The next run tries again."
    remedy = f"Try without page_size, role and resource_link_id. {stale}"
    return MalformedError, "the request is not accepted", remedy


def _is_refusal(status: int, code: str | None) -> bool:
    return status in (401, 403) or (code is not None and AUTHORIZATION.fullmatch(code) is not None)


def _body(body: bytes) -> dict[str, Any] | None:
    """LTIAAS's own error `{status, error, details}`; None for a body of another shape."""
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) and "error" in read and "status" in read else None


def _codes(body: dict[str, Any] | None) -> Iterator[str]:
    """Codes wherever its documents show them: in details' code, message or errors, or as the error itself."""
    if body is None:
        return
    details = body.get("details")
    found: list[Any] = []
    if isinstance(details, dict):
        errors = details.get("errors")
        found += [details.get("code"), details.get("message")]
        for each in errors if isinstance(errors, list) else ():
            found += [each.get("code"), each.get("message")] if isinstance(each, dict) else [each]
    for text in (*found, details, body.get("error")):
        if (code := shown(text)) is not None and CODE.fullmatch(code):
            yield code


def _is_external(body: dict[str, Any] | None) -> bool:
    details = body.get("details") if body else None
    return isinstance(details, dict) and any(details.get(name) for name in OF_LMS)
