"""What a night costs in which nothing changed: requests, rows, bytes and seconds.

python tests/benchmarks/quiet.py --courses 10000 --members 30
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from commands import carried_out
from lti_rosters.keys.signing import new_key
from school import School, crowd
from test_quiet import rows, weight


def main() -> None:
    """Load, let a quiet night pass, and print what the ones after it cost: the file grows by whole blocks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--courses", type=int, default=10_000)
    parser.add_argument("--members", type=int, default=30)
    parser.add_argument("--nights", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, School(Path(place) / "school", new_key()) as school:
        school.open("canvas")
        for number in range(asked.courses):
            school.add(f"c{number}", crowd(asked.members, f"c{number}u"))
        carried_out(school)
        carried_out(school)
        school.platform.forget()
        before, held, began = weight(school), rows(school), time.monotonic()
        for _ in range(asked.nights):
            told = carried_out(school)
        seconds = (time.monotonic() - began) / asked.nights
        more = {name: count - held[name] for name, count in rows(school).items() if count != held[name]}
        print(f"courses {asked.courses}, unchanged {told['totals']['unchanged']}, exit {told['exit_status']}")
        print(f"in {asked.nights} nights: requests {len(school.platform.requests)}, rows {more}")
        grown = (weight(school) - before) / asked.nights
        print(f"bytes a night {grown:.0f} on top of {before}, {seconds:.1f} s a night")


if __name__ == "__main__":
    main()
