"""ID tokens as LTIAAS's API gives them (`GET /api/idtoken`), stored by the tool and read as catalogue rows."""

from collections.abc import Mapping
from typing import Any

from .entries import BadRowError, ContextEntry, text_of
from .launches import moment

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


def token_of(launch: ContextEntry) -> dict[str, Any]:
    """Return of *launch* what a catalogue needs of its ID token: nothing of who launched stays."""
    context = {"id": launch.context_id, "label": launch.label, "title": launch.title}
    return {
        **({"iat": launch.launched_at} if launch.launched_at else {}),
        **({"platform": {"id": launch.platform}} if launch.platform else {}),
        "launch": {"context": {name: value for name, value in context.items() if value}},
        "services": {"serviceKey": launch.service_key, "namesAndRoles": {"available": True}},
    }


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
