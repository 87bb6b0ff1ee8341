"""What loads into PostgreSQL cost as they grow: the server's CPU and ours, for a first load and for one over it.

    python tests/benchmarks/into_postgres.py                        # 100,000, 300,000 and 1,000,000 memberships
    python tests/benchmarks/into_postgres.py --thousands 100 300 --at-most 1.5

The second load writes every roster again (`--full`), the dearest that a night can be, and keeps the indexes that a
build made in between. With *--at-most* the exit
status is 1 where the server's CPU a membership grows by more than that from the smallest size to the largest.
The platform answers in our own process and its cost is in our CPU; the server's is PostgreSQL's alone.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.marts import server_cpu
from commands import carried_out
from lti_rosters.keys.signing import new_key
from lti_rosters.runs.models import Warehouse, build
from postgres import PASSWORD, USER, Server, server
from school import School, crowd

MEMBERS = 40  # of a course


def loaded(postgres: Server, place: Path, thousands: int) -> list[float]:
    """Load that many thousand memberships twice, and return the server's CPU seconds of each."""
    assert postgres.process is not None
    os.environ["DESTINATION__POSTGRES__CREDENTIALS"] = postgres.create(f"t{thousands}")
    costs = []
    with School(place, new_key()) as school:
        school.open("canvas")
        for number in range(thousands * 1000 // MEMBERS):
            school.add(f"c{number}", crowd(MEMBERS, f"c{number}u"))
        for what in ("first", "again"):
            before, ours, start = server_cpu(postgres.process.pid), time.process_time(), time.monotonic()
            told = carried_out(school, destination="postgres", is_full=what == "again")
            wall, ours = time.monotonic() - start, time.process_time() - ours
            costs.append(server_cpu(postgres.process.pid) - before)
            figures = f"server {costs[-1]:7.1f} CPU s, ours {ours:7.1f} CPU s, {wall:7.1f} s"
            print(f"{thousands:5},000 {what:6} {figures}, exit {told['exit_status']}", flush=True)
            if what == "first":
                network = {"host": "127.0.0.1", "port": postgres.port, "user": USER, "password": PASSWORD}
                warehouse = Warehouse(adapter="postgres", **network, database=f"t{thousands}")
                build(warehouse, work_dir=place, select=["stg_lti__roles"])  # makes the indexes first
    return costs


def main() -> int:
    """Run it; 1 where a membership costs more than *--at-most* times as much in the largest load."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--thousands", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--at-most", type=float)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lti-") as folder:
        Path(folder).chmod(0o755)
        with server(Path(folder) / "pg") as postgres:
            costs = {
                size: loaded(postgres, Path(folder) / f"s{size}", size) for size in sorted(given.thousands)
            }
    small, large = min(costs), max(costs)
    growth = max(costs[large][n] / large / (costs[small][n] / small) for n in range(2))
    print(f"a membership costs the server {growth:.2f} times as much at the largest size")
    return int(given.at_most is not None and growth > given.at_most)


if __name__ == "__main__":
    sys.exit(main())
