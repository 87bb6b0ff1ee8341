"""What one step of a check is and what it found."""

from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import LtiRostersError

State = Literal["ok", "warning", "failed", "not_tried", "skipped"]

OK: State = "ok"
WARNING: State = "warning"  # it works, and something is to be looked at
FAILED: State = "failed"
NOT_TRIED: State = "not_tried"  # an earlier step that it needs failed
SKIPPED: State = "skipped"  # there was nothing to look at


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a step found: *error* says what and what to do, *hint* what is known of that platform."""

    error: LtiRostersError
    is_fault: bool = True
    hint: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as an item of `findings` (result.schema.json)."""
        return {
            "severity": "failed" if self.is_fault else "warning",
            "error_type": self.error.error_type,
            "what": self.error.what,
            "remedy": self.error.remedy,
            "hint": self.hint,
            "http_status": self.error.http_status,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a step came to: a *detail* of one line, its findings, and *facts* for programs."""

    detail: str = ""
    findings: tuple[Finding, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    is_skipped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step that was gone through, or not; *seconds* it took."""

    name: str
    state: State
    detail: str = ""
    findings: tuple[Finding, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def faults(self) -> list[LtiRostersError]:
        """What it failed of."""
        return [finding.error for finding in self.findings if finding.is_fault]

    def document(self) -> dict[str, Any]:
        """Return it as an item of `steps` (result.schema.json)."""
        return {
            "step": self.name,
            "state": self.state,
            "detail": self.detail,
            "seconds": round(self.seconds, 3),
            "findings": [finding.document() for finding in self.findings],
            "facts": self.facts,
        }


def step_of(name: str, found: Found, *, seconds: float) -> Step:
    """Make the step *name* of what was *found*: its worst finding is its state."""
    state = SKIPPED if found.is_skipped else OK
    if found.findings:
        state = FAILED if any(finding.is_fault for finding in found.findings) else WARNING
    return Step(
        name=name,
        state=state,
        detail=found.detail,
        findings=found.findings,
        facts=found.facts,
        seconds=seconds,
    )


def warning(kind: type[LtiRostersError], what: str, remedy: str = "") -> Finding:
    """Make a finding that is no fault."""
    return Finding(error=kind(what, remedy=remedy), is_fault=False)
