"""Play a term by command: `python tests/simulator/run.py --nights 120 --seed 1`; status 1 on a violation.

Ground truth, real parts: platforms on loopback, the dlt source, DuckDB, and real processes that are killed.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("RUNTIME__LOG_LEVEL", "CRITICAL")  # dlt shows its warnings otherwise
sys.path.insert(0, str(Path(__file__).parents[1]))

from lti_rosters.keys.signing import new_key
from simulator.judge import VIOLATIONS
from simulator.term import Term


def main() -> int:
    """Play the term that the arguments ask for, and tell what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nights", type=int, default=120)
    parser.add_argument("--courses", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stop", action="store_true", help="end with the first night that has a violation")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        term = Term(Path(directory) / "school", new_key(), asked.nights, asked.courses, asked.seed)
        told = [0]

        def tell(night: int) -> None:
            for violation in term.judge.violations[told[0] :]:
                print(f"seed {asked.seed}: {violation}", flush=True)
            told[0] = len(term.judge.violations)
            if asked.stop and told[0]:
                raise SystemExit(1)
            if night % 10 == 9:
                print(f"{night + 1} nights, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)

        term.on_night = tell
        with term:
            term.play()
            tell(0)
    print(report(term, time.monotonic() - begun))
    return 1 if term.judge.violations else 0


def report(term: Term, seconds: float) -> str:
    """The figures of a term."""
    counts = dict.fromkeys(VIOLATIONS, 0)
    for violation in term.judge.violations:
        counts[violation.kind] += 1
    lines = [f"seed {term.seed}: {term.nights} nights, {len(term.campus.courses)} courses, {seconds:.0f} s"]
    sections = {
        "nights": term.figures,
        "campus": term.campus.events,
        "readings": term.judge.figures,
        "faults": term.faults,
        "violations": counts,
    }
    for title, figures in sections.items():
        told = ", ".join(
            f"{name} {count:,}" for name, count in sorted(figures.items()) if count or title == "violations"
        )
        lines.append(f"  {title}: {told or 'none'}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
