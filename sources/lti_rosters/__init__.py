"""LTI course rosters (Names and Role Provisioning Services 2.0) from any LMS into your warehouse."""

import importlib
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .direct import read_members, stream_members
    from .errors import LtiRostersError
    from .source import lti_rosters

__all__ = ["LtiRostersError", "__version__", "lti_rosters", "read_members", "stream_members"]

_MODULES = {
    "LtiRostersError": "errors",
    "lti_rosters": "source",
    "read_members": "direct",
    "stream_members": "direct",
}


def __getattr__(name: str) -> Any:
    """Import what is public when it is asked for: `lti-rosters --help` need not wait for dlt."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
