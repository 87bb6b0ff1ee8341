"""Measure lti-rosters against dlt's REST source, in turn, on rosters of a platform in its own process.

The figure is CPU (user and system) of the whole process, interpreter and imports included: wall time moves
with the neighbours. Exit status 1 when a bound asked for is not kept, or the two did not load the same.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WORKLOADS = {"w1": (2_000, 40), "w2": (20, 20_000)}  # courses, members of each
FEW, MANY, CLASS = 2_500, 10_000, 40  # courses compared for their memory, members of each; both fill a batch
CONFIG = """\
[runtime]
dlthub_telemetry = false

[sources.lti_rosters.registrations.campus]
issuer = "{base}"
client_id = "benchmark"
token_url = "{base}/token"
contexts = "courses.csv"
"""

MAKE_KEY = """
import pathlib
from cryptography.hazmat.primitives import serialization as written
from cryptography.hazmat.primitives.asymmetric import rsa
key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
pem = key.private_bytes(written.Encoding.PEM, written.PrivateFormat.PKCS8, written.NoEncryption())
path = pathlib.Path("key.pem")
path.touch(mode=0o600)
path.write_bytes(pem)
"""

Figures = dict[str, Any]


@contextmanager
def platform(courses: int, members: int) -> Iterator[str]:
    """The address of a platform with so many courses; it ends with the block."""
    command = [sys.executable, str(HERE / "serve.py"), "--courses", str(courses), "--members", str(members)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip()  # type: ignore[union-attr]
        finally:
            process.terminate()


@contextmanager
def project(base: str, courses: int) -> Iterator[Path]:
    """A working directory with settings, key and catalogue, as both readers find them."""
    with tempfile.TemporaryDirectory(prefix="rosters-") as name:
        directory = Path(name)
        (directory / ".dlt").mkdir()
        (directory / ".dlt/config.toml").write_text(CONFIG.format(base=base), encoding="utf-8")
        (directory / ".dlt/secrets.toml").write_text(
            '[sources.lti_rosters]\nprivate_key = "key.pem"\n', encoding="utf-8"
        )
        subprocess.run([sys.executable, "-c", MAKE_KEY], cwd=directory, check=True)
        rows = [f"{base}/courses/{course}/members,course-{course}\n" for course in range(courses)]
        (directory / "courses.csv").write_text(
            "memberships_url,context_id\n" + "".join(rows), encoding="utf-8"
        )
        yield directory


def load(reader: str, directory: Path) -> Figures:
    """Run *reader* as a process of its own and return what it prints."""
    quiet = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    quiet["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    done = subprocess.run(
        [sys.executable, str(HERE / f"{reader}.py")],
        cwd=directory,
        env=quiet,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{reader} failed with exit status {done.returncode}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def pair(base: str, courses: int, members: int) -> tuple[list[Figures], list[Figures]]:
    """First and second run of ours, then of the other: in one directory, each in its own database."""
    with project(base, courses) as directory:
        ours = [load("ours", directory) for _ in range(2)]
        theirs = [load("rest_api", directory) for _ in range(2)]
    for figures in (*ours, *theirs):
        if figures["members"] != courses * members or figures.get("failed"):
            sys.exit(f"not every member was loaded: {figures}, expected {courses * members}")
    return ours, theirs


def compare(name: str, times: int) -> float:
    """Measure workload *name*, print what each pair gave, and return the median ratio of the first runs."""
    courses, members = WORKLOADS[name]
    print(f"{name}: {courses} courses of {members} members")
    pairs = []
    with platform(courses, members) as base:
        for _ in range(times):
            pairs.append(pair(base, courses, members))
            for run, kind in enumerate(("first run", "unchanged")):
                ours, theirs = (each[run] for each in pairs[-1])
                print(
                    f"  {kind}: {_shown(ours)}; rest_api {_shown(theirs)}; {_ratio(ours, theirs):.2f}×",
                    flush=True,
                )
    for run, kind in enumerate(("first run", "unchanged")):
        cpu = [statistics.median(each[side][run]["cpu_s"] for each in pairs) for side in (0, 1)]
        ratio = statistics.median(_ratio(ours[run], theirs[run]) for ours, theirs in pairs)
        print(f"  median, {kind}: ours {cpu[0]:.2f} s, rest_api {cpu[1]:.2f} s, ratio {ratio:.2f}×")
    return statistics.median(_ratio(ours[0], theirs[0]) for ours, theirs in pairs)


def growth(times: int) -> float:
    """How much more memory ten times as many courses take: a ratio of medians."""
    peaks: dict[int, float] = {}
    for courses in (FEW, MANY):
        found = []
        with platform(courses, CLASS) as base:
            for _ in range(times):
                with project(base, courses) as directory:
                    found.append(load("ours", directory)["peak_mb"])
        peaks[courses] = statistics.median(found)
        print(f"memory: {courses} courses of {CLASS} members: {peaks[courses]:.0f} MB", flush=True)
    return peaks[MANY] / peaks[FEW]


def _ratio(ours: Figures, theirs: Figures) -> float:
    return float(theirs["cpu_s"] / ours["cpu_s"])


def _shown(figures: Figures) -> str:
    return f"{figures['cpu_s']:.2f} s {figures['peak_mb']} MB"


def main() -> int:
    """Measure what was asked for; 1 when a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what", nargs="*", default=[*WORKLOADS, "memory"], help="w1, w2, memory; all by default"
    )
    parser.add_argument("-n", "--times", type=int, default=3, help="pairs of runs, and runs for memory")
    parser.add_argument(
        "--at-least", type=float, default=0.0, help="how many times less CPU the first run is to take"
    )
    parser.add_argument("--at-most", type=float, default=float("inf"), help="bound of the growth of memory")
    arguments = parser.parse_args()
    is_kept = True
    for name in arguments.what:
        if name == "memory":
            ratio = growth(arguments.times)
            print(f"memory: {ratio:.2f}× with {MANY // FEW} times the courses")
            is_kept &= ratio <= arguments.at_most
        else:
            is_kept &= compare(name, arguments.times) >= arguments.at_least
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
