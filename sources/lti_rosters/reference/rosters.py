"""The roster endpoint of a reference platform: courses, filters, pages and links in the platform's manner."""

import gzip
import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from . import pages
from .courses import Course, Member, user_id_of
from .manners import MEDIA_TYPE, Manner
from .refusals import refuse_roster
from .server import Reply, Request

CONTEXT_ROLES = "http://purl.imsglobal.org/vocab/lis/v2/membership"  # LTI Core A.2.3
PERSON_ADMINISTRATOR = "http://purl.imsglobal.org/vocab/lis/v2/person#Administrator"
SHORT_NAMES = frozenset(
    {"Administrator", "ContentDeveloper", "Instructor", "Learner", "Mentor", "Manager", "Member", "Officer"}
)
MESSAGE_TYPE = "https://purl.imsglobal.org/spec/lti/claim/message_type"
CUSTOM = "https://purl.imsglobal.org/spec/lti/claim/custom"
OUTCOME = "https://purl.imsglobal.org/spec/lti-bo/claim/basicoutcome"


def answer(
    manner: Manner, course: Course, request: Request, *, origin: str, is_known: Callable[[str], bool]
) -> Reply:
    """The roster of *course* as *request* asks for it; *is_known* tells every course's links."""
    chosen = _chosen(manner, course, request, origin=origin, is_known=is_known)
    if isinstance(chosen, Reply):
        return chosen
    window = pages.window_of(manner, request)
    end = None if window.size is None else window.start + window.size
    page = chosen[window.start : end]
    if not page and manner.empty_page_is_blank:
        return Reply(200)
    links = pages.links(manner, course, request, window=window, total=len(chosen), origin=origin)
    headers = [("Link", links)] if links else []
    body = _body(manner, course, request, page, origin)
    return Reply(200, [*headers, ("Content-Type", manner.content_type)], body)


def _chosen(
    manner: Manner, course: Course, request: Request, *, origin: str, is_known: Callable[[str], bool]
) -> list[Member] | Reply:
    """Everybody that the parameters of *request* let through, or a refusal of one of these."""
    asked = dict(reversed(request.query))  # the first of doubles counts
    rlid = None if manner.rlid == "ignored" else asked.get("rlid")
    refusal = None if rlid is None else _refuse_link(manner, course, request, rlid, is_known)
    if refusal is not None:
        return refusal
    members = list(course.members)
    if not manner.stable_order:
        random.shuffle(members)
    if manner.learner_limit is not None and len(_having("Learner", members)) > manner.learner_limit:
        return refuse_roster(manner, "too_large", request)
    if "differences" in manner.link_rels and "since" in asked:
        changes = pages.changes(manner, course, asked["since"])
        if changes is None:
            return refuse_roster(manner, "course", request, "Unknown point in time")
        members = changes
    members = _filtered(manner, members, asked.get("role"))
    return members if rlid is None else _of_link(manner, course, members, rlid, origin)


def acceptable(manner: Manner, accept: str | None) -> bool:
    """Whether the platform would answer to this Accept header."""
    return manner.accept_status is None or accept is None or accept == MEDIA_TYPE or "*/*" in accept


def compressed(reply: Reply) -> Reply:
    """The same reply with its body in gzip."""
    headers = [*reply.headers, ("Content-Encoding", "gzip")]
    return replace(reply, headers=headers, body=gzip.compress(reply.body, 1, mtime=0))


def _body(manner: Manner, course: Course, request: Request, page: list[Member], origin: str) -> bytes:
    """A membership container (NRPS §2.1)."""
    known = {"id": course.context_id, "label": course.label, "title": course.title}
    context: dict[str, Any] = {name: known[name] for name in manner.context_fields if known[name] is not None}
    if course.types is not None:
        context["type"] = course.types
    container = {"id": origin + request.path, "context": context, "members": page}
    text = json.dumps(container, ensure_ascii=manner.escapes, separators=(",", ":"))
    if manner.escapes:
        return text.replace("/", "\\/").encode()
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate can only be sent escaped
        return json.dumps(container, separators=(",", ":")).encode()


# Filters


def _filtered(manner: Manner, members: list[Member], role: str | None) -> list[Member]:
    if manner.learners_only:
        return _having("Learner", members)
    if role is None or manner.role_filter == "ignored":
        return members
    match manner.role_filter:
        case "moodle":
            return _moodle_filtered(members, role.removeprefix(f"{CONTEXT_ROLES}#"))
        case "exact":
            return [member for member in members if role in _roles(member)]
        case "uri" if not role.startswith(CONTEXT_ROLES):
            return []  # Canvas: a short, unknown or institution role is nobody's
        case _ if role in SHORT_NAMES or role.startswith(f"{CONTEXT_ROLES}#"):
            return _having(role.removeprefix(f"{CONTEXT_ROLES}#"), members)
        case _:
            return [member for member in members if role in _roles(member)]


def _moodle_filtered(members: list[Member], name: str) -> list[Member]:
    """Moodle knows two filters, and counts a site administrator among the learners."""
    if name not in ("Learner", "Instructor"):
        return members
    return [
        member
        for member in members
        if (name == "Learner")
        == (PERSON_ADMINISTRATOR in _roles(member) or "Instructor" not in _roles(member))
    ]


def _having(principal: str, members: list[Member]) -> list[Member]:
    """Members with the context role *principal* or a sub-role of it (NRPS §2.4.1)."""
    names = {principal, principal.upper(), f"{CONTEXT_ROLES}#{principal}"}
    beginning = f"{CONTEXT_ROLES}/{principal}#"
    return [
        member
        for member in members
        if any(role in names or role.startswith(beginning) for role in _roles(member))
    ]


def _roles(member: Any) -> list[str]:
    """The roles of a member, [] for whatever a test put in its place."""
    roles = member.get("roles") if isinstance(member, dict) else None
    return [role for role in roles if isinstance(role, str)] if isinstance(roles, list) else []


# Resource links (NRPS §3)


def _refuse_link(
    manner: Manner, course: Course, request: Request, rlid: str, is_known: Callable[[str], bool]
) -> Reply | None:
    if manner.rlid == "refused":
        return refuse_roster(manner, "rlid", request, 'Invalid parameter: "query.rlid" is not allowed')
    if rlid in course.links or (manner.rlid == "canvas" and rlid == course.context_id):
        return None
    if manner.rlid == "moodle" and (not rlid.isdecimal() or is_known(rlid)):
        # Recorded: Moodle takes its own error code, 0, for a status.
        return Reply(raw=b"HTTP/1.0 0 Invalid course module ID: 12\r\nConnection: close\r\n\r\n")
    return refuse_roster(manner, "rlid", request, f"LTI link {rlid} doesn't exist")


def _of_link(manner: Manner, course: Course, members: list[Member], rlid: str, origin: str) -> list[Member]:
    """The members who reach the link, each with a `message` (NRPS §3.2, §3.3)."""
    reached = course.links.get(rlid)
    kept = [member for member in members if reached is None or user_id_of(member) in reached]
    return [
        {"message": _message(manner, user_id_of(member), rlid, origin), **member}
        if isinstance(member, dict)
        else member
        for member in kept
    ]


def _message(manner: Manner, user_id: str, rlid: str, origin: str) -> Any:
    claims: dict[str, Any] = {MESSAGE_TYPE: "LtiResourceLinkRequest"}
    if manner.rlid == "moodle":
        # Another launchid at each request, as recorded: an unchanged roster never looks the same twice.
        data = {"instanceid": rlid, "userid": user_id, "typeid": "1", "launchid": random.randrange(10**9)}  # noqa: S311
        handle = {"data": data, "hash": hashlib.sha256(json.dumps(data).encode()).hexdigest()}
        service = f"{origin}/mod/lti/service.php"
        claims[OUTCOME] = {"lis_result_sourcedid": json.dumps(handle), "lis_outcome_service_url": service}
    elif manner.rlid == "canvas":
        number = int(hashlib.sha256(user_id.encode()).hexdigest()[:6], 16)
        claims |= {"locale": "en", "https://www.instructure.com/canvas_user_id": number}
        claims[CUSTOM] = {"canvas_user_id": str(number), "section_ids": "11,12"}
    else:
        claims[CUSTOM] = {"person": user_id}
    return claims if manner.rlid == "object" else [claims]
