"""A visit to one platform: what its steps share, and a transport that keeps what was answered."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..providers.container import Sheet
from ..providers.opened import connect
from ..rosters.planning import Plan
from ..settings.registration import Registration
from ..web.answer import Answer
from ..web.pace import Pace
from ..web.transport import MEGABYTE, Bounds, Call, Effort, Transport
from .step import Found

DEADLINE = 120.0  # seconds for one visit; a run may take longer over one roster


class Heard(NamedTuple):
    """One answer: what was called for it, and when it was in (Unix time)."""

    call: Call
    answer: Answer
    at: float


class Overheard(Transport):
    """A transport that keeps the answers it gives: providers show what they make of them, not their headers."""

    heard: list[Heard]

    def __post_init__(self) -> None:
        """Set up as the transport does; raises ConfigurationError likewise."""
        self.heard = []
        super().__post_init__()

    def exchange(self, call: Call, effort: Effort) -> Answer:
        """Make *call* and keep its answer."""
        answer = super().exchange(call, effort)
        self.heard.append(Heard(call, answer, time.time()))
        return answer


@dataclass(slots=True)
class Visit:
    """What the steps of one registration share; *connection* is its provider's, *sheet* the page that was read.

    *tries* is what a provider's own steps share, *answered* the answer that the page was in, where it is not the last.
    """

    plan: Plan
    product: str | None
    transport: Overheard
    effort: Effort
    connection: Any
    stop: threading.Event
    sheet: Sheet | None = None
    answered: Heard | None = None
    tries: list[Any] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)  # the steps so far that failed or were not tried

    @property
    def registration(self) -> Registration:
        """Whose platform is visited."""
        return self.plan.registration

    def heard(self, *, token: bool) -> Heard | None:
        """The last answer of the token endpoint, or of anything else; where a page is judged, its own."""
        if self.answered is not None and not token:
            return self.answered
        found = [each for each in self.transport.heard if (each.call.method == "POST") is token]
        return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class Procedure:
    """A step to be gone through: *act* raises what it fails of; not tried where one of *needs* failed."""

    name: str
    act: Callable[[Visit], Found]
    needs: tuple[str, ...] = ()


def open_visit(plan: Plan, product: str | None, stop: threading.Event) -> Visit:
    """Prepare the visit of *plan*'s platform: every request is made once, so what is told is what is now.

    Raises ConfigurationError where the environment names certificates or a proxy of no use.
    """
    registration = plan.registration
    options = registration.options
    transport = Overheard(
        where=registration.name,
        origins=plan.origins(),
        bounds=Bounds(
            timeout=options.timeout, max_body=options.max_body_mb * MEGABYTE, max_attempts=1, max_wait=0.0
        ),
        pace=Pace(1, stop=stop),
        stop=stop,
    )
    effort = Effort(time.monotonic() + min(DEADLINE, options.roster_timeout))
    return Visit(plan, product, transport, effort, connect(registration, transport), stop)
