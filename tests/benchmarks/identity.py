"""What `pseudonymize` and `drop` cost on a first load, against `keep`: CPU of the whole process, in turn.

python tests/benchmarks/identity.py --courses 2000 --members 40 --at-most 1.2
"""

import argparse
import os
import statistics
import sys

from run import load, platform, project

MODES = ("keep", "pseudonymize", "drop")
SETTINGS = "SOURCES__LTI_ROSTERS__IDENTITY"


def first_load(base: str, courses: int, members: int, mode: str) -> float:
    """CPU seconds of a first load of everything under *mode*, in a directory of its own."""
    os.environ |= {SETTINGS: mode, f"{SETTINGS}_SECRET": "0123456789abcdef" * 4, f"{SETTINGS}_KEY_ID": "k1"}
    with project(base, courses) as directory:
        figures = load("ours", directory)
    if figures["members"] != courses * members:
        sys.exit(f"not every member was loaded: {figures}")
    return float(figures["cpu_s"])


def main() -> int:
    """Measure each mode in turn; 1 when `pseudonymize` costs more than the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--courses", type=int, default=20)
    parser.add_argument("--members", type=int, default=20_000)
    parser.add_argument("-n", "--times", type=int, default=3)
    parser.add_argument("--at-most", type=float, default=float("inf"), help="bound of the ratio to keep")
    asked = parser.parse_args()
    cpu: dict[str, list[float]] = {mode: [] for mode in MODES}
    with platform(asked.courses, asked.members) as base:
        for _ in range(asked.times):
            for mode in MODES:
                cpu[mode].append(first_load(base, asked.courses, asked.members, mode))
            print("  ".join(f"{mode} {found[-1]:.2f} s" for mode, found in cpu.items()), flush=True)
    ratios = {mode: [one / keep for one, keep in zip(cpu[mode], cpu["keep"], strict=True)] for mode in MODES}
    medians = {mode: statistics.median(found) for mode, found in ratios.items()}
    print("  ".join(f"{mode} {medians[mode]:.2f}×" for mode in MODES[1:]))
    return 0 if medians["pseudonymize"] <= asked.at_most else 1


if __name__ == "__main__":
    sys.exit(main())
