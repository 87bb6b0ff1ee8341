"""What the models cost on one generated campus, on DuckDB and PostgreSQL, and whether both say the same.

    python tests/benchmarks/marts.py                                  # 40,000 courses of 25 people
    python tests/benchmarks/marts.py --courses 4000 --at-most 0.2     # exit status 1 where the 1 % costs more

Each build runs as a process of its own. Told are CPU seconds of the client and, on PostgreSQL, of the server, wall
seconds, and the client's peak memory: of the first build, and on each of *--nights* nights of one after 1 % of the
courses changed and of a full refresh over the same. What *--at-most* bounds is the seconds of all models after the
change, as a share of those of the full refresh in turn with it, the nights' median; the share of the history alone is
told, too. An engine is measured while nothing else runs: PostgreSQL's server goes on working when its rows are in. In
the end every mart is compared row by row between the engines: one engine's incremental rows with the other's anew.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from benchmarks import campus  # noqa: E402 - the path above leads to it
from lti_rosters.rosters.collection import collect_rarely  # noqa: E402
from lti_rosters.runs.models import Warehouse, build  # noqa: E402
from postgres import PASSWORD, USER, server  # noqa: E402

AS_OF = "2026-11-23T00:00:00+00:00"  # after three nights; of all builds, for with another dbt parses everything anew
HISTORY = ("int_lti__history_rosters", "int_lti__membership_events", "int_lti__active_learner_changes")
TICKS = os.sysconf("SC_CLK_TCK")


def built(place: dict[str, Any], work: Path, *, full: bool) -> dict[str, Any]:
    """Build in this process and tell what it took."""
    from datetime import datetime

    collect_rarely()  # as every command of ours does before anything else
    path = place.pop("path", None)
    warehouse = Warehouse(**place, path=path and Path(path))
    start = time.monotonic()
    done = build(warehouse, work_dir=work, as_of=datetime.fromisoformat(AS_OF), full_refresh=full)
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()  # ru_maxrss would be the parent's
    slowest = sorted(done.models + done.tests, key=lambda each: -each.seconds)[:8]
    return {
        "cpu": used.ru_utime + used.ru_stime,
        "wall": time.monotonic() - start,
        "memory": int(peak[0]) / 1024,
        "work": sum(each.seconds for each in done.models),
        "history": sum(each.seconds for each in done.models if each.name in HISTORY),
        "slowest": {each.name: round(each.seconds, 1) for each in slowest},
    }


def measured(place: dict[str, Any], work: Path, pid: int | None, *, full: bool = False) -> dict[str, Any]:
    """The same in a process of its own, with what the server of *pid* used."""
    before = server_cpu(pid)
    command = [sys.executable, __file__, "--build", json.dumps([place, str(work), full])]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {**told, "cpu": told["cpu"] + server_cpu(pid) - before}


def server_cpu(pid: int | None) -> float:
    """CPU seconds that a server and its ended children have used."""
    if pid is None:
        return 0.0
    time.sleep(0.5)  # until the backends are reaped
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / TICKS


def tell(engine: str, what: str, cost: dict[str, Any]) -> None:
    """Print one line."""
    figures = f"{cost['cpu']:8.1f} CPU s {cost['wall']:8.1f} s {cost['memory']:8.0f} MB"
    shown = f"models {cost['work']:.1f} s, history {cost['history']:.1f} s   {cost['slowest']}"
    print(f"{engine:10} {what:14}{figures}   {shown}", flush=True)


def main() -> int:
    """Run it; 1 where rows differ, or the incremental build's share of the work is above --at-most."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--courses", type=int, default=40_000)
    parser.add_argument("--members", type=int, default=25)
    parser.add_argument("--every", type=int, default=7, help="days between readings")
    parser.add_argument("--nights", type=int, default=3)
    parser.add_argument("--at-most", type=float, default=1.0)
    parser.add_argument("--build")
    given = parser.parse_args()
    if given.build:
        place, work, full = json.loads(given.build)
        print(json.dumps(built(place, Path(work), full=full)))
        return 0
    with tempfile.TemporaryDirectory(prefix="lti-") as folder:
        return measure(Path(folder), given)


def measure(folder: Path, given: argparse.Namespace) -> int:
    """Measure both engines with what they keep in *folder*."""
    folder.chmod(0o755)  # PostgreSQL is somebody else
    path = campus.write(
        folder / "rosters.duckdb", courses=given.courses, members=given.members, every=given.every
    )
    before = shutil.copy(path, folder / "before.duckdb")
    place = {"adapter": "duckdb", "path": str(path)}
    work = folder / "duckdb"
    tell("duckdb", "first", measured(place, work, None))
    pairs = []
    for night in range(given.nights):
        campus.change(path, night=night, one_in=100, members=given.members)
        pairs.append(pair("duckdb", place, work, None))
    faults = told_share("duckdb", pairs, given.at_most)

    with server(folder / "pg") as postgres:
        assert postgres.process is not None
        url, pid = postgres.create("rosters"), postgres.process.pid
        network = {"host": "127.0.0.1", "port": postgres.port, "user": USER, "password": PASSWORD}
        place = {"adapter": "postgres", **network, "database": "rosters"}
        work = folder / "postgres"
        campus.copy(Path(before), url)
        tell("postgres", "first", measured(place, work, pid))
        pairs = []
        for night in range(given.nights):
            campus.load(path, url, night=night)
            is_last = night == given.nights - 1
            pairs.append(pair("postgres", place, work, pid, is_full=not is_last))
        faults += compared(path, url)
        pairs[-1] += (rebuilt("postgres", place, work, pid),)
        faults += told_share("postgres", pairs, given.at_most)
    return int(faults > 0)


def pair(
    engine: str, place: dict[str, Any], work: Path, pid: int | None, *, is_full: bool = True
) -> tuple[dict[str, Any], ...]:
    """Build on what is there and, unless not *is_full*, anew; return what each cost."""
    some = measured(place, work, pid)
    tell(engine, "1 % changed", some)
    return (some, rebuilt(engine, place, work, pid)) if is_full else (some,)


def rebuilt(engine: str, place: dict[str, Any], work: Path, pid: int | None) -> dict[str, Any]:
    """Build everything anew; return what it cost."""
    cost = measured(place, work, pid, full=True)
    tell(engine, "full refresh", cost)
    return cost


def told_share(engine: str, pairs: list[tuple[dict[str, Any], ...]], at_most: float) -> bool:
    """Print what share of a full refresh a build on top of another was, night by night; whether that is too much."""
    shares = {what: [some[what] / anew[what] for some, anew in pairs] for what in ("work", "history", "cpu")}
    nights = ", ".join(f"{share:.1%}" for share in shares["work"])
    middle = {what: statistics.median(values) for what, values in shares.items()}
    print(
        f"{engine:10} share of the work, median: models {middle['work']:.1%} ({nights}),"
        f" of them history {middle['history']:.1%}; CPU of all {middle['cpu']:.1%}",
        flush=True,
    )
    return middle["work"] > at_most


def compared(path: Path, url: str) -> int:
    """Compare every mart, and return how many differ: here PostgreSQL's is built on, DuckDB's anew."""
    faults = 0
    for mart in campus.MARTS:
        count, apart = campus.differences(path, url, mart)
        print(f"{mart:24}{count:12,} rows, {apart} differ", flush=True)
        faults += apart > 0
    return faults


if __name__ == "__main__":
    sys.exit(main())
