"""What a run did, as one document: counted while it goes on, printed as JSON, and the source of every text.

The document's schema is `result.schema.json` beside this file; all commands that read share it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..errors import LtiRostersError
from ..rosters.planning import Plan
from ..rosters.sync import BROKEN, COMPLETE, FAILED, READ, TOO_LARGE, UNAVAILABLE, UNCHANGED, Sync
from ..version import __version__

SCHEMA_VERSION = 1
MOST_FAILURES = 200  # told one by one; all of them are in roster_syncs
PARTIAL, INTERRUPTED = 3, 130
CONFIGURATION = 4
COUNTED = ("members", "arrivals", "departures", "malformed_members", "duplicate_members")
DELISTED = "delisted"
LINKS = "links"
EFFORT = ("requests", "retries", "throttles")
OUTCOMES = (COMPLETE, UNCHANGED, FAILED, UNAVAILABLE, TOO_LARGE)


@dataclass(slots=True)
class Tally:
    """The counts of one registration."""

    contexts: int = 0  # planned
    counts: Counter[str] = field(default_factory=Counter)
    faults: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the counts by name."""
        names = (*OUTCOMES, DELISTED, LINKS, *COUNTED, *EFFORT)
        return {"contexts": self.contexts, **{name: self.counts[name] for name in names}}


@dataclass(slots=True)
class Journal:
    """Listens to a run and sums it up; holds counts and failures, never a roster."""

    command: str
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    tallies: dict[str, Tally] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    causes: set[int] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    is_interrupted: bool = False

    def planned(self, made: Sequence[Plan]) -> None:
        """Note what is going to be read; a registration or row that cannot be is a failure already."""
        for plan in made:
            tally = self.tallies.setdefault(plan.registration.name, Tally())
            tally.contexts = len(plan.entries)
            tally.faults = plan.faults
            self.warnings += [f"{plan.registration.name}: {told}" for told in plan.warnings]
            if plan.failure is not None and not plan.entries:
                self._note_failure(plan.registration.name, None, plan.failure)
            if plan.faults:
                self.causes.add(CONFIGURATION)

    def synced(self, sync: Sync) -> None:
        """Count *sync*."""
        tally = self.tallies.setdefault(sync.facts.registration, Tally())
        counts = tally.counts
        for name in EFFORT:
            counts[name] += getattr(sync.effort, name)
        if sync.is_link:
            counts[LINKS] += sync.outcome in READ
            self._warn_of_link(sync)
        else:
            counts[sync.outcome] += 1
        if sync.roster is not None and not sync.is_link:
            reading = sync.roster.reading
            counts["members"] += len(sync.roster.rows)
            counts["arrivals"] += sync.roster.arrivals
            counts["departures"] += sync.roster.departures
            counts["malformed_members"] += reading.malformed
            counts["duplicate_members"] += reading.doubles
        if sync.outcome in BROKEN and sync.exit_status is not None:
            self.causes.add(sync.exit_status)
        if sync.outcome not in READ:
            self._add_failure(sync)

    def delisted(self, registration: str) -> None:
        """Count a course that the catalogue of *registration* no longer names."""
        self.tallies.setdefault(registration, Tally()).counts[DELISTED] += 1

    @property
    def contexts(self) -> int:
        """How many courses were to be read."""
        return sum(tally.contexts for tally in self.tallies.values())

    def exit_status(self) -> int:
        """The exit status of design §6 for what happened."""
        if self.is_interrupted:
            return INTERRUPTED
        if not self.causes:
            return 0
        was_read = any(tally.counts[name] for tally in self.tallies.values() for name in (*READ, LINKS))
        return PARTIAL if was_read else min(self.causes)

    def document(self, **more: Any) -> dict[str, Any]:
        """The document of the run; *more* are the members of it that the caller knows."""
        totals: Counter[str] = Counter()
        for tally in self.tallies.values():
            totals.update(tally.document())
        finished_at = datetime.now(UTC)
        return {
            "schema_version": SCHEMA_VERSION,
            "command": self.command,
            "version": __version__,
            "started_at": self.started_at.isoformat(),
            "finished_at": finished_at.isoformat(),
            "seconds": round((finished_at - self.started_at).total_seconds(), 3),
            "exit_status": self.exit_status(),
            "registrations": {
                name: {**tally.document(), "catalogue_faults": list(tally.faults[:MOST_FAILURES])}
                for name, tally in self.tallies.items()
            },
            "totals": {name: totals[name] for name in Tally().document()},
            "failures": self.failures,
            "warnings": [*self.warnings, *self._emptied()],
            "error": None,
            **more,
        }

    def _emptied(self) -> list[str]:
        """Warn of catalogues without a course where there were some: seldom is that meant."""
        return [
            f"The catalogue of {name} is empty; every course that it had is delisted ({tally.counts[DELISTED]:,})."
            for name, tally in self.tallies.items()
            if tally.counts[DELISTED] and not tally.contexts
        ]

    def _add_failure(self, sync: Sync) -> None:
        if len(self.failures) < MOST_FAILURES:
            self.failures.append(
                {
                    "registration": sync.facts.registration,
                    "context_id": sync.facts.context_id,
                    "resource_link_id": sync.resource_link_id,
                    "where": sync.where,
                    "outcome": sync.outcome,
                    "error_type": sync.error_type,
                    "error": sync.error,
                    "http_status": sync.http_status,
                }
            )

    def _warn_of_link(self, sync: Sync) -> None:
        """Tell of a link that was read and is doubtful: the platform may not know what it was asked."""
        if sync.outcome in READ and sync.error and not sync.is_duplicate:
            where = f"{sync.facts.registration}, {sync.facts.context_id}, link {sync.resource_link_id}"
            if len(self.warnings) < MOST_FAILURES:
                self.warnings.append(f"{where}: {sync.error}")

    def _note_failure(self, registration: str, context_id: str | None, error: LtiRostersError) -> None:
        self.causes.add(error.exit_status)
        self.failures.append(
            {
                "registration": registration,
                "context_id": context_id,
                "resource_link_id": None,
                "where": registration,
                "outcome": FAILED,
                "error_type": error.error_type,
                "error": str(error),
                "http_status": error.http_status,
            }
        )


def error_document(error: LtiRostersError) -> Mapping[str, Any]:
    """Return *error* as the member `error` of a document."""
    return {
        "error_type": error.error_type,
        "what": error.what,
        "where": error.where,
        "remedy": error.remedy,
        "exit_status": error.exit_status,
    }
