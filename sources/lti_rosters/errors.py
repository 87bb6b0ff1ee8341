"""What can go wrong, as one tree: each leaf knows its error type and its exit status.

LtiRostersError
├── UsageError             what was asked names nobody, or nobody agreed to it  exit 2
├── ConfigurationError     a setting or secret is missing or wrong             exit 4
├── RefusedError           the platform refused our assertion or token         exit 5
│   └── ScopeError         it granted a token without the membership scope     exit 5
├── UnreachableError       no answer, or 5xx, after every attempt              exit 6
│   └── RosterTimeoutError too slow: no byte, or no end, within the bounds     exit 6
├── ThrottledError         told to wait longer or more often than we may       exit 7
├── UnusableError          an answer that cannot be used                       exit 8
│   ├── NotFoundError      404 or 410, or no roster service offered
│   ├── MalformedError     not a membership container
│   ├── LoopedError        paging that does not come to an end
│   ├── OtherHostError     a link or redirect that leaves the registration's origins
│   └── TooLargeError      beyond a bound of the settings or of the platform
├── DestinationError       the warehouse, or a model in it                     exit 9
└── BusyError              another run is at work                              exit 10
"""

from typing import ClassVar


class LtiRostersError(Exception):
    """The base; raised as one of its leaves only.

    *what* happened, *where* (registration, step, host; never a secret, never a member) and the *remedy*.
    *http_status* is the platform's status where one came.
    """

    error_type: ClassVar[str] = "bug"
    exit_status: ClassVar[int] = 1

    def __init__(
        self, what: str, *, where: str = "", remedy: str = "", http_status: int | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy
        self.http_status = http_status

    def __str__(self) -> str:
        located = f"{self.where}: {self.what}" if self.where else self.what
        return f"{located} {self.remedy}" if self.remedy else located


class UsageError(LtiRostersError):
    """What a command was asked for names nobody that is there, or nobody could be asked to agree to it."""

    error_type = "usage"
    exit_status = 2


class ConfigurationError(LtiRostersError):
    """A setting or secret is missing or wrong; nothing was asked of a platform."""

    error_type = "configuration"
    exit_status = 4


class RefusedError(LtiRostersError):
    """The platform refused our assertion or our token."""

    error_type = "refused"
    exit_status = 5


class ScopeError(RefusedError):
    """The platform granted no membership scope (NRPS §3.6.1.2)."""

    error_type = "scope"


class UnreachableError(LtiRostersError):
    """No usable answer after every attempt."""

    error_type = "unreachable"
    exit_status = 6


class RosterTimeoutError(UnreachableError):
    """No byte within `timeout`, or no end within `roster_timeout`."""

    error_type = "timeout"


class ThrottledError(LtiRostersError):
    """The platform asked for a longer wait, or more waits, than the settings allow."""

    error_type = "throttled"
    exit_status = 7


class UnusableError(LtiRostersError):
    """An answer came and cannot be used; the base of the leaves below."""

    error_type = "malformed"
    exit_status = 8


class NotFoundError(UnusableError):
    """404 or 410, or a course without the roster service."""

    error_type = "not_found"


class MalformedError(UnusableError):
    """The body is not a membership container (NRPS §2.1)."""

    error_type = "malformed"


class LoopedError(UnusableError):
    """Paging that repeats itself or brings nothing new."""

    error_type = "looped"


class OtherHostError(UnusableError):
    """A link or redirect points outside the origins of the registration."""

    error_type = "other_host"


class TooLargeError(UnusableError):
    """More members, pages or bytes than the settings allow, or than the platform serves."""

    error_type = "too_large"


class DestinationError(LtiRostersError):
    """The destination, or a model built in it, failed."""

    error_type = "destination"
    exit_status = 9


class BusyError(LtiRostersError):
    """Another run is at work in this working directory."""

    error_type = "busy"
    exit_status = 10


class Interrupted(Exception):  # noqa: N818 - a request of the user, not an error
    """The run was asked to stop; outside the tree because nothing failed and no row is written for it."""
