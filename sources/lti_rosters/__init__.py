"""LTI course rosters (Names and Role Provisioning Services 2.0) from any LMS into your warehouse."""

from .direct import read_members, stream_members
from .errors import LtiRostersError
from .source import lti_rosters
from .version import __version__

__all__ = ["LtiRostersError", "__version__", "lti_rosters", "read_members", "stream_members"]
