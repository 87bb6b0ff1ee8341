"""A term: night after night the campus lives, platforms misbehave, rosters are loaded, the judge looks."""

import random
import signal
import subprocess
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Self

from commands import carried_out, desk
from lti_rosters.keys.signing import SigningKey
from lti_rosters.reference.platform import SCOPE, Course, ReferencePlatform, Reply
from lti_rosters.rosters.fingerprint import context_key
from lti_rosters.runs import models
from school import School
from simulator.campus import Campus, TrueCourse
from simulator.faults import Evening, chosen, dress
from simulator.judge import Judge
from simulator.manners import COMMON, KINDS, Kind

MOMENT = 0.004  # seconds between two looks at what a process to be killed has done
LATEST = 0.5  # seconds into a stage at which a run is killed, the latest moment
GOALS = (None, None, "in extract or normalize", "in normalize", "in load", "in load")  # None: while it reads
RERUN = 0.6  # of the crashes are followed by a run in the same night
OUTAGES = ("maintenance", "token endpoint down", "client refused", "scope withdrawn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How often what goes wrong, as a share of nights (of evenings for *fault*)."""

    outage: float = 0.03  # for each platform
    fault: float = 0.2
    kill: float = 0.1


@dataclass
class Term:
    """So many *nights* of so many *courses*; everything random comes from *seed*."""

    directory: Path
    key: SigningKey
    nights: int
    courses: int
    seed: int
    weather: Weather = field(default_factory=Weather)
    kinds: tuple[Kind, ...] = KINDS
    is_built_twice: bool = True  # once while some loads are not committed yet
    figures: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    on_night: Callable[[int], None] = lambda _: None
    on_loaded: Callable[[int], None] = lambda _: None  # before the judge looks
    today: date = field(default_factory=lambda: datetime.now(UTC).date())

    def __post_init__(self) -> None:
        """Found the campus."""
        self.random = random.Random(self.seed)
        self.school = School(self.directory, self.key)
        self.campus = Campus([kind.name for kind in self.kinds], self.courses, random.Random(self.seed + 1))
        self.judge = Judge(self.school, _Keys())
        self._kinds = {kind.name: kind for kind in self.kinds}
        self._shifted: set[str] = set()
        self._is_unfinished = False
        self.evenings: list[tuple[Evening, str]] = []  # of the last night, with what must come of them
        self._courses: dict[tuple[str, str], Course] = {}

    def __enter__(self) -> Self:
        """Open the platforms."""
        self.school.__enter__()
        for kind in self.kinds:
            self.school.open(kind.name, kind.manner, **{**COMMON, **kind.options})
        return self

    def __exit__(self, *_: object) -> None:
        """Close them."""
        self.school.__exit__()

    def play(self) -> None:
        """Play all nights, then compare the models."""
        random.seed(self.seed)  # the reference platforms' shuffling and the waits of our own transport
        for night in range(self.nights):
            self.night(night)
            self.on_night(night)
        self._finish()

    @property
    def day_of(self) -> dict[int, date]:
        """The date of every night; the last one is yesterday."""
        return {night: self.today - timedelta(days=self.nights - night) for night in range(self.nights)}

    # One night

    def night(self, night: int) -> None:
        """One night: a day passes, something breaks, the rosters are loaded, perhaps after a crash."""
        if night:
            self.campus.turn()
        begun = datetime.now(UTC)
        outages = self._outages()
        is_killed = self.random.random() < self.weather.kill
        number = self.random.randrange(2**32)
        if is_killed and self._crash(night, number, outages):
            return
        self.evenings = self._set_up(night, number, is_killed=is_killed, outages=outages)
        told = carried_out(self.school)
        if told["error"] is not None:
            self.judge.blame("wrong outcome", "the run", told["error"])
        self.on_loaded(night)
        self.judge.look(night, self.evenings, is_after_crash=is_killed or self._is_unfinished)
        self._is_unfinished = False
        self.judge.look_at_ended(self.campus.courses)
        self.figures["nights"] += 1
        self.figures["outages"] += len(outages)
        self._age(begun)

    def _crash(self, night: int, number: int, outages: Mapping[str, str]) -> bool:
        """Kill one or two runs; return whether nobody starts another one tonight."""
        self._set_up(night, number, is_killed=True, outages=outages)
        for course in [each for each in self.campus.courses if each.is_listed]:
            self.judge.could_have_seen(course)
        for _ in range(self.random.choice((1, 1, 2))):
            self._kill()
        if night == self.nights - 1 or self.random.random() < RERUN:
            return False
        self._is_unfinished = True
        self.figures["nights without a run after the crash"] += 1
        self._age(None)
        return True

    def _outages(self) -> dict[str, str]:
        """What is wrong with a whole platform tonight."""
        return {
            kind.name: self.random.choice(OUTAGES)
            for kind in self.kinds
            if self.random.random() < self.weather.outage
        }

    def _set_up(
        self, night: int, number: int, *, is_killed: bool, outages: Mapping[str, str]
    ) -> list[tuple[Evening, str]]:
        """Have every platform offer its courses as they are, with tonight's faults from their beginning."""
        evenings = []
        revoking: set[str] = set()
        for name, platform in self.school.platforms.items():
            self._break(platform, outages.get(name))
            platform.gzip = number % 2 == 0
            platform.courses.clear()
            platform.forget()
            self.school.catalogue[name] = []
            evenings += [
                self._evening(truth, night, number, outages.get(name), revoking, is_killed)
                for truth in self.campus.listed(name)
            ]
        return evenings

    def _break(self, platform: ReferencePlatform, outage: str | None) -> None:
        platform.in_maintenance = outage == "maintenance"
        platform.scopes = set() if outage == "scope withdrawn" else {SCOPE}
        replies = {
            "token endpoint down": Reply(500),
            "client refused": Reply(401, [], b'{"error":"invalid_client"}'),
        }
        reply = replies.get(outage or "")
        platform.token_script = None if reply is None else lambda _: reply

    def _evening(
        self,
        truth: TrueCourse,
        night: int,
        number: int,
        outage: str | None,
        revoking: set[str],
        is_killed: bool,
    ) -> tuple[Evening, str]:
        name = truth.registration
        platform, kind = self.school.platforms[name], self._kinds[name]
        course = self._course(truth, platform)
        row = {"memberships_url": platform.memberships_url(course.key)}
        self.school.catalogue[name].append({**row, "context_id": truth.context_id} if kind.names_ids else row)
        key = self.judge.key_of[name, truth.context_id]
        held = self.judge.held.get(key)
        chance = random.Random(zlib.crc32(f"{number} {key}".encode()))
        in_force = len(held.roster) if held and held.roster else 0
        evening = Evening(self.campus, truth, course, kind, platform, night, chance, in_force)
        truth.begin()
        dress(evening)
        evening.is_moved = kind.is_shuffled and evening.pages > 1
        if outage is not None:
            return evening, "fail"
        if not truth.is_offered:
            return evening, "unavailable"
        return evening, self._faulted(evening, revoking, is_killed)

    def _course(self, truth: TrueCourse, platform: ReferencePlatform) -> Course:
        """The course as the platform has it; it keeps its memory of differences."""
        known = self._courses.setdefault((truth.registration, truth.context_id), Course(truth.context_id))
        return platform.add(known)

    def _faulted(self, evening: Evening, revoking: set[str], is_killed: bool) -> str:
        """Choose tonight's fault of a course; return what must come of it."""
        fault = chosen(evening, self.weather.fault)
        is_revoking = fault is not None and "revoked" in fault.name
        if fault is None or (is_killed and fault.is_move) or (is_revoking and evening.kind.name in revoking):
            return "read or fail" if evening.kind.is_shuffled else "read"
        if is_revoking:
            revoking.add(evening.kind.name)
        evening.fault, evening.course.script = fault.name, fault.make(evening)
        self.faults[fault.name] += 1
        return "read or fail" if evening.kind.is_shuffled and fault.must == "read" else fault.must

    # Crashes

    def _kill(self) -> None:
        """Start the real command and kill it: at a random request, or some time into a later stage."""
        wanted = sum(len(platform.courses) for platform in self.school.platforms.values())
        goal, moment = self.random.choice(GOALS), self.random.uniform(0, 2 * wanted)
        delay = 0.0 if goal is None else self.random.uniform(0, LATEST)
        before = self._asked()
        with desk(self.school) as place:
            process = place.start("run", "--no-models", "--json")
        while process.poll() is None:
            if self._stage() == goal if goal else self._asked() - before >= moment:
                break
            time.sleep(MOMENT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(delay)
        stage = self._stage() if process.poll() is None else "after its end"
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.figures[f"killed {stage}"] += 1

    def _stage(self) -> str:
        """How far a run has come, by the packages that dlt has written."""
        folder = self.directory / ".lti_rosters" / "lti_rosters"
        stages = {
            "load/normalized": "in load",
            "load/new": "in normalize",
            "normalize/extracted": "in extract or normalize",
        }
        found = [stage for part, stage in stages.items() if any((folder / part).glob("*"))]
        return found[0] if found else "while it read"

    def _asked(self) -> int:
        return sum(len(platform.roster_requests) for platform in self.school.platforms.values())

    # Time

    def _age(self, begun: datetime | None) -> None:
        """Make tonight, which has *begun* then, yesterday's noon, and every night before one day older.

        Without *begun*, what came tonight is left for the next night to count as its own.
        """
        if not self.school.database.exists() or not self._shifted | {begun} - {None}:
            return
        noon = datetime(self.today.year, self.today.month, self.today.day, 12, tzinfo=UTC) - timedelta(days=1)
        rows = self.school.sql("SELECT sync_id FROM roster_syncs")
        new = [sync_id for (sync_id,) in rows if sync_id not in self._shifted]
        update = "UPDATE roster_syncs SET started_at = started_at - {0}, finished_at = finished_at - {0}"
        where = " WHERE sync_id IN (SELECT UNNEST(?))"
        self.school.sql(update.format("INTERVAL 1 DAY") + where, [*self._shifted])
        if begun is not None:
            by = f"to_microseconds({round((begun - noon).total_seconds() * 1_000_000)})"
            self.school.sql(update.format(by) + where, new)
            self._shifted |= set(new)

    def _finish(self) -> None:
        """Give every other row the time of its night, build the models, compare them."""
        last, day_of = self.today - timedelta(days=1), self.day_of
        moved = "UPDATE {0} SET {1} = (SELECT finished_at FROM roster_syncs s WHERE s.sync_id = {0}.sync_id)"
        for table, column in (("membership_log", "observed_at"), ("memberships", "synced_at")):
            self.school.sql(moved.format(table, column))
        for key, night in self.judge.ended.items():
            noon = f"{day_of[night]} 12:00:00+00"
            self.school.sql("UPDATE contexts SET delisted_at = ? WHERE context_key = ?", noon, key)
        if self.is_built_twice:
            self._build_without_some(last)
        self._build(last)
        self.judge.look_at_daily(day_of)

    def _build_without_some(self, last: date) -> None:
        """Build while a third of the loads are not committed yet: the next build must find them."""
        loads = [load_id for (load_id,) in self.school.sql("SELECT load_id FROM _dlt_loads ORDER BY load_id")]
        late = self.random.sample(loads, len(loads) // 3)
        where = "WHERE load_id IN (SELECT UNNEST(?))"
        self.school.sql(f"UPDATE _dlt_loads SET status = 1 {where}", late)
        self._build(last)
        self.school.sql(f"UPDATE _dlt_loads SET status = 0 {where}", late)

    def _build(self, last: date) -> None:
        models.build(
            models.Warehouse(adapter="duckdb", path=self.school.database),
            work_dir=self.directory / ".lti_rosters",
            as_of=datetime(last.year, last.month, last.day, 23, tzinfo=UTC),
        )


class _Keys(dict[tuple[str, str], str]):
    """The context_key of every course, by registration and context id."""

    def __missing__(self, course: tuple[str, str]) -> str:
        return self.setdefault(course, context_key(*course))
