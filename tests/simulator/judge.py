"""Compares the tables with the truth after every night, and the models with it after the term."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from school import School
from simulator.campus import Roster, Standing, TrueCourse
from simulator.faults import Evening

READ = ("complete", "unchanged")
VIOLATIONS = (
    "false departure",
    "missed departure",
    "duplicate",
    "member missing",
    "stranger",
    "wrong value",
    "roster lost",
    "needless write",
    "wrong outcome",
    "wrong log",
    "wrong figure",
    "wrong catalogue",
    "wrong daily",
)

SYNCS = """
SELECT
    sync_id, registration, context_key, memberships_url, outcome, mode, member_count, departures,
    malformed_members, roster_sync_id, error_type, error, readings, request_count
FROM roster_syncs
WHERE _dlt_load_id IN (SELECT load_id FROM _dlt_loads WHERE status = 0)
ORDER BY finished_at, sync_id
"""
MEMBERS = "SELECT context_key, user_id, status, name, email, sync_id FROM memberships"
ROLES = """
SELECT context_key, user_id, LIST(role_uri ORDER BY role_uri), MIN(sync_id), MAX(sync_id)
FROM membership_roles GROUP BY ALL
"""
LOG = "SELECT sync_id, user_id, status, roles, is_active_learner FROM membership_log"
CONTEXTS = "SELECT context_key, context_id, label, title, delisted_at FROM contexts"
DAILY = """
SELECT context_key, CAST(day AS DATE), active_learners, joined, left_course, is_first_reading
FROM lti.active_learners_daily ORDER BY ALL
"""


@dataclass(frozen=True, slots=True)
class Violation:
    """What is not as it must be."""

    kind: str
    night: int
    course: str
    what: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"VIOLATION night {self.night}, {self.course}: {self.kind}: {self.what}"


@dataclass(slots=True)
class Table:
    """What the tables hold of one course."""

    roster: Roster = field(default_factory=dict)
    rows: int = 0
    sync_ids: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Held:
    """What stood after the last night: the roster (None: never read) and the sync that wrote it."""

    roster: Roster | None = None
    sync_id: str | None = None


@dataclass
class Judge:
    """Keeps what stood after every night, and all that was not as it must be."""

    school: School
    key_of: Mapping[tuple[str, str], str]  # registration and context id -> context_key, grows with the campus
    violations: list[Violation] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    held: dict[str, Held] = field(default_factory=dict)
    days: dict[str, dict[int, frozenset[str]]] = field(
        default_factory=dict
    )  # course -> night -> active learners
    ended: dict[str, int] = field(default_factory=dict)  # course -> the night in which it was delisted
    _night: int = 0
    _seen: set[str] = field(default_factory=set)
    _earlier: dict[str, Roster] = field(default_factory=dict)  # as a run that crashed may have read them

    def look(self, night: int, evenings: Iterable[tuple[Evening, str]], *, is_after_crash: bool) -> None:
        """Compare the tables after *night*; each evening comes with what must have come of it."""
        self._night = night
        tables, syncs, logs = self._tables(), self._new_syncs(), self._logs()
        contexts = self._contexts()
        for evening, must in evenings:
            self._look(evening, must, tables, syncs, logs, contexts, is_after_crash=is_after_crash)
        self._look_at_others(tables)
        self._earlier.clear()

    def could_have_seen(self, course: TrueCourse) -> None:
        """Note the roster of *course* as a run reads it that is going to be killed."""
        self._earlier[self.key_of[course.registration, course.context_id]] = dict(course.roster)

    def look_at_ended(self, courses: Iterable[TrueCourse]) -> None:
        """Every course that left the catalogue is delisted, as far as that could be told."""
        contexts = self._contexts()
        unread = {
            each.registration for each in courses if each.is_listed and self._held_of(each).roster is None
        }
        for course in courses:
            key = self.key_of[course.registration, course.context_id]
            row = contexts.get(key)
            if row and row[3] is not None and course.is_listed:
                name = f"{course.registration}/{course.context_id}"
                self.blame("wrong catalogue", name, "delisted, and still in the catalogue")
            elif row and row[3] is not None:
                self.ended.setdefault(key, self._night)
            elif row and not course.is_listed and course.registration not in unread:
                self.blame("wrong catalogue", f"{course.registration}/{course.context_id}", "not delisted")

    def _held_of(self, course: TrueCourse) -> Held:
        return self.held.get(self.key_of[course.registration, course.context_id], Held())

    def blame(self, kind: str, course: str, what: object) -> None:
        """Note a violation."""
        self.violations.append(Violation(kind, self._night, course, str(what)))

    # What the tables hold

    def _tables(self) -> dict[str, Table]:
        tables: dict[str, Table] = {}
        roles = {}
        for key, user_id, uris, first, last in self.school.sql(ROLES):
            roles[key, user_id] = tuple(uris)
            if len(set(uris)) != len(uris):
                self.blame("duplicate", key, f"a role of {user_id}")
            tables.setdefault(key, Table()).sync_ids |= {first, last}
        for key, user_id, status, name, email, sync_id in self.school.sql(MEMBERS):
            table = tables.setdefault(key, Table())
            table.rows += 1
            table.sync_ids.add(sync_id)
            table.roster[user_id] = Standing(status, roles.pop((key, user_id), ()), name, email)
        for key, user_id in roles:
            self.blame("stranger", key, f"roles of {user_id}, who is not on the roster")
        return tables

    def _new_syncs(self) -> list[dict[str, Any]]:
        names = [name.strip() for name in SYNCS.split("FROM")[0].replace("SELECT", "").split(",")]
        rows = [dict(zip(names, row, strict=True)) for row in self.school.sql(SYNCS)]
        ids = Counter(row["sync_id"] for row in rows)
        for sync_id in [sync_id for sync_id, count in ids.items() if count > 1]:
            self.blame("duplicate", "roster_syncs", sync_id)
        new = [row for row in rows if row["sync_id"] not in self._seen]
        self._seen |= ids.keys()
        return new

    def _logs(self) -> dict[str, list[tuple[Any, ...]]]:
        logs: dict[str, list[tuple[Any, ...]]] = {}
        for sync_id, *row in self.school.sql(LOG):
            logs.setdefault(sync_id, []).append(tuple(row))
        return logs

    def _contexts(self) -> dict[str, tuple[Any, ...]]:
        rows = self.school.sql(CONTEXTS)
        contexts = {row[0]: row[1:] for row in rows}
        if len(contexts) != len(rows):
            self.blame("duplicate", "contexts", len(rows) - len(contexts))
        return contexts

    # One course

    def _look(
        self,
        evening: Evening,
        must: str,
        tables: Mapping[str, Table],
        syncs: Sequence[dict[str, Any]],
        logs: Mapping[str, list[tuple[Any, ...]]],
        contexts: Mapping[str, tuple[Any, ...]],
        *,
        is_after_crash: bool,
    ) -> None:
        truth = evening.truth
        name = f"{truth.registration}/{truth.context_id} ({evening.fault})"
        key = self.key_of[truth.registration, truth.context_id]
        url = evening.platform.memberships_url(evening.course.key)
        own = [row for row in syncs if row["memberships_url"] == url]
        if not own or (len(own) > 1 and not is_after_crash):
            self.blame("wrong figure", name, f"{len(own)} attempts are noted")
            return
        sync, before = own[-1], self.held.setdefault(key, Held())
        table = tables.get(key, Table())
        self._count(sync)
        self._look_at_outcome(name, must, sync)
        if table.rows != len(table.roster):
            self.blame("duplicate", name, f"{table.rows} rows of {len(table.roster)} people")
        if sync["outcome"] in READ:
            self._look_at_read(name, evening, table.roster, before.roster or {})
            self._look_at_catalogue(name, evening, contexts.get(key))
            if sync["mode"] == "full" and sync["malformed_members"] != evening.malformed:
                self.blame("wrong figure", name, f"{sync['malformed_members']} malformed members")
        self._look_at_writes(name, key, sync, table, before, is_sure=not is_after_crash)
        for each in own:
            self._look_at_log(name, each, logs.get(each["sync_id"], []))
        self._take(key, own, table, logs, name)

    def _take(
        self,
        key: str,
        own: Sequence[dict[str, Any]],
        table: Table,
        logs: Mapping[str, list[tuple[Any, ...]]],
        name: str,
    ) -> None:
        """What stands now is what the next night is compared with."""
        before = self.held[key]
        complete = [row["sync_id"] for row in own if row["outcome"] == "complete"]
        force = complete[-1] if complete else before.sync_id
        if own[-1]["roster_sync_id"] != force:
            self.blame("wrong figure", name, f"roster_sync_id is {own[-1]['roster_sync_id']}, not {force}")
        if complete and table.sync_ids - {force}:
            self.blame("wrong value", name, "rows of another sync than the one in force")
        if complete:
            logged = {row[0]: row[1] for row in logs.get(complete[-1], [])}
            if logged != {user_id: standing.status for user_id, standing in table.roster.items()}:
                self.blame("wrong log", name, "the log of the roster in force is not the roster")
        if force is not None:
            self._hold(key, table, force)

    def _hold(self, key: str, table: Table, sync_id: str) -> None:
        self.held[key] = Held(table.roster, sync_id)
        learners = frozenset(user for user, standing in table.roster.items() if standing.is_active_learner)
        self.days.setdefault(key, {})[self._night] = learners

    def _count(self, sync: Mapping[str, Any]) -> None:
        self.figures["readings"] += 1
        self.figures[sync["outcome"]] += 1
        self.figures["by differences"] += sync["mode"] == "differences"
        self.figures["read twice"] += sync["readings"] == 2
        self.figures["requests"] += sync["request_count"]
        if sync["error_type"]:
            self.figures[f"error: {sync['error_type']}"] += 1

    def _look_at_outcome(self, name: str, must: str, sync: Mapping[str, Any]) -> None:
        outcome = sync["outcome"]
        right = {"read": READ, "fail": ("failed", "too_large"), "unavailable": ("unavailable",)}
        allowed = right.get(must, (*READ, "failed"))
        if outcome not in allowed:
            self.blame("wrong outcome", name, f"{outcome}, but it must {must}: {sync['error']}")

    def _look_at_read(self, name: str, evening: Evening, now: Roster, before: Roster) -> None:
        """Compare a roster that was read with what could be seen while it was."""
        moments = evening.truth.moments
        is_still = not evening.is_moved
        throughout = set(moments[0]).intersection(*moments)
        ever = set[str]().union(*moments)
        lost = throughout - now.keys()
        self._tell("false departure", name, lost & before.keys())
        if is_still:
            self._tell("member missing", name, lost - before.keys())
        else:
            self.figures["arrivals a night late"] += len(lost - before.keys())
        self._tell("missed departure", name, (now.keys() - ever) & before.keys())
        self._tell("stranger", name, now.keys() - ever - before.keys())
        wrong = {
            user_id
            for user_id in now.keys() & ever
            if now[user_id] not in [moment[user_id] for moment in moments if user_id in moment]
        }
        self._tell("wrong value", name, wrong)
        self.figures["arrivals seen"] += len(now.keys() - before.keys())
        self.figures["departures seen"] += len(before.keys() - now.keys())

    def _tell(self, kind: str, name: str, people: Collection[str]) -> None:
        if people:
            self.blame(kind, name, ", ".join(sorted(people)))

    def _look_at_writes(
        self, name: str, key: str, sync: Mapping[str, Any], table: Table, before: Held, *, is_sure: bool
    ) -> None:
        """What did not change is not written; what was not read stays."""
        now, was = table.roster, before.roster or {}
        if sync["outcome"] == "complete" and is_sure:
            if before.roster is not None and now == was:
                self.blame("needless write", name, "the roster is as it was")
            if sync["departures"] != len(was.keys() - now.keys()):
                self.blame("wrong figure", name, f"{sync['departures']} departures")
        # What a run had read that was killed may have been loaded first.
        stands = now == was or (not is_sure and now == self._earlier.get(key))
        if sync["outcome"] != "complete" and not stands:
            self.blame("roster lost", name, f"{sync['outcome']}, and the roster is another one")
        if sync["outcome"] != "complete" and sync["sync_id"] in table.sync_ids:
            self.blame("needless write", name, f"rows of an attempt that is {sync['outcome']}")
        if sync["outcome"] in READ and sync["member_count"] != len(now):
            self.blame("wrong figure", name, f"member_count is {sync['member_count']}, not {len(now)}")

    def _look_at_log(self, name: str, sync: Mapping[str, Any], log: Sequence[tuple[Any, ...]]) -> None:
        people = {row[0] for row in log}
        if len(people) != len(log):
            self.blame("duplicate", name, f"{len(log)} rows of {len(people)} people in the log")
        expected = sync["member_count"] if sync["outcome"] == "complete" else 0
        if len(people) != expected:
            self.blame("wrong log", name, f"{len(people)} people in the log of {expected}")

    def _look_at_catalogue(self, name: str, evening: Evening, row: tuple[Any, ...] | None) -> None:
        truth, fields = evening.truth, evening.kind.manner.context_fields
        if row is None:
            self.blame("wrong catalogue", name, "no row in contexts")
            return
        _, label, title, delisted_at = row
        is_blank = evening.kind.manner.empty_page_is_blank and not truth.roster  # then it tells no title
        told = (label if "label" in fields else truth.label, truth.title if is_blank else title, delisted_at)
        if told != (truth.label, truth.title, None):
            self.blame("wrong catalogue", name, row)

    # All the others

    def _look_at_others(self, tables: Mapping[str, Table]) -> None:
        """Nothing of a course may change that was not looked at tonight, and no row may be of no course."""
        for key, table in tables.items():
            known = self.held.get(key, Held())
            if table.roster != (known.roster or {}) and table.roster == self._earlier.get(key):
                # What a run that crashed had read before the course ended was loaded tonight.
                self._hold(key, table, known.sync_id or "")
            elif key not in self.held:
                self.blame("stranger", key, f"{table.rows} rows of no course")
            elif table.roster != (self.held[key].roster or {}):
                self.blame("roster lost", key, "a course that was not read has another roster")
        for key, held in self.held.items():
            if held.roster and key not in tables:
                self.blame("roster lost", key, "the roster is gone")

    # After the term

    def look_at_daily(self, day_of: Mapping[int, Any]) -> None:
        """Compare `active_learners_daily` with what stood after every night; *day_of* a night is its date."""
        found: dict[str, dict[Any, tuple[Any, ...]]] = {}
        for key, day, *counts in self.school.sql(DAILY):
            if day in found.setdefault(key, {}):
                self.blame("duplicate", key, f"two rows of {day} in active_learners_daily")
            found[key][day] = tuple(counts)
        for key, nights in self.days.items():
            self._look_at_days(key, nights, found.get(key, {}), day_of)
        for key in found.keys() - self.days.keys():
            self.blame("wrong daily", key, "a course that was never read")

    def _look_at_days(
        self,
        key: str,
        nights: Mapping[int, frozenset[str]],
        found: Mapping[Any, tuple[Any, ...]],
        day_of: Mapping[int, Any],
    ) -> None:
        before: frozenset[str] = frozenset()
        last = max(day_of) if key not in self.ended else max(self.ended[key], max(nights))
        if day_of[last] != max(found, default=None):
            self.blame("wrong daily", key, f"the last day is {max(found, default=None)}, not {day_of[last]}")
        for night in range(min(nights), last + 1):
            now = nights.get(night, before)
            expected = (len(now), len(now - before), len(before - now), night == min(nights))
            self._night = night
            self.figures["days compared"] += 1
            if found.get(day_of[night]) != expected:
                self.blame("wrong daily", key, f"{found.get(day_of[night])}, not {expected}")
            before = now
