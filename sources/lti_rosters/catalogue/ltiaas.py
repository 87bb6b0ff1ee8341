"""ID tokens as LTIAAS's API gives them (`GET /api/idtoken`), stored by the tool and read as catalogue rows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .entries import BadRowError, ContextEntry, text_of
from .launches import moment

MOST_TOLD = 3  # rows with keys that are not used; of more the number is told
NOT_OFFERED = "the ID token says that the roster service is not available for this launch"


def is_id_token(row: Mapping[Any, Any]) -> bool:
    """Tell whether *row* is one: `services` and `launch` are objects."""
    return isinstance(row.get("services"), Mapping) and isinstance(row.get("launch"), Mapping)


def read_id_token(row: Mapping[Any, Any], where: str, provider: str) -> ContextEntry:
    """Read the context, the link and the service key of an ID token. Raises BadRowError.

    A service key alone proves no roster service (it is there for grades too), so the flag counts.
    """
    if provider != "ltiaas":
        raise BadRowError('an ID token of LTIAAS needs a registration with provider = "ltiaas".')
    launch, services = row["launch"], row["services"]
    context, link = _object(launch.get("context")), _object(launch.get("resourceLink"))
    available = _object(services.get("namesAndRoles")).get("available")
    key = _text(services.get("serviceKey"), "services.serviceKey")
    if available is not False and key is None:
        raise BadRowError("services.serviceKey is missing.")
    return ContextEntry(
        context_id=_text(context.get("id"), "launch.context.id"),
        label=_text(context.get("label"), "launch.context.label"),
        title=_text(context.get("title"), "launch.context.title"),
        resource_link_id=_text(link.get("id"), "launch.resourceLink.id"),
        service_key=None if available is False else key,
        where=where,
        unavailable=NOT_OFFERED if available is False else None,
        launched_at=moment(row.get("iat")),
        platform=_text(_object(row.get("platform")).get("id"), "platform.id"),
    )


def check_provider(provider: str) -> None:
    """Raise BadRowError where a launch of a platform is a row of an account: it has no key that LTIAAS takes."""
    if provider == "ltiaas":
        raise BadRowError("an account of LTIAAS needs its own ID tokens, with a service key.")


def token_of(launch: ContextEntry) -> dict[str, Any]:
    """Return of *launch* what a catalogue needs of its ID token: nothing of who launched stays."""
    context = {"id": launch.context_id, "label": launch.label, "title": launch.title}
    return {
        **({"iat": launch.launched_at} if launch.launched_at else {}),
        **({"platform": {"id": launch.platform}} if launch.platform else {}),
        "launch": {"context": {name: value for name, value in context.items() if value}},
        "services": {"serviceKey": launch.service_key, "namesAndRoles": {"available": True}},
    }


def unused_keys(courses: Iterable[Sequence[ContextEntry]]) -> tuple[str, ...]:
    """Tell of the rows of *courses* that nothing is asked by, though their key is another: the first is in force.

    Launches are none of them: the newest of their keys is used.
    """
    unused = [
        f"{each.where}: two rows of one course with different keys; the first is used ({course[0].where})."
        for course in courses
        for each in course[1:]
        if not each.is_launch and each.resource_link_id is None and _key(each) not in (None, _key(course[0]))
    ]
    if len(unused) <= MOST_TOLD:
        return tuple(unused)
    return *unused[:MOST_TOLD], f"and {len(unused) - MOST_TOLD} further rows of courses with different keys."


def _key(each: ContextEntry) -> str | None:
    return each.service_key or each.ltik


def of_one_platform(entries: list[ContextEntry]) -> tuple[list[ContextEntry], list[str]]:
    """Keep the launches of the first LMS that is named, and say of each other one that it is another's.

    An account may serve several LMSs, and the ids of courses and people are unique within each alone.
    """
    first = next((each.platform for each in entries if each.platform is not None), None)
    kept = [each for each in entries if each.platform in (None, first)]
    faults = [
        f"{each.where}: the ID token is of another LMS than the first; give each LMS a registration of its own."
        for each in entries
        if each.platform not in (None, first)
    ]
    return kept, faults


def _object(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any, what: str) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRowError(f"{what} is no text.")
    return text_of(value, what)
