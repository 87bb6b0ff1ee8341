"""The demo: three invented platforms on this machine, two nights, and what an analyst sees after them.

    python pipelines/demo.py

It needs no settings and no network, takes half a minute and leaves `demo.duckdb`; `lti-rosters demo` does the same.
"""

import sys
from functools import partial

from rich.console import Console

from lti_rosters.demo.demo import print_demo, run


def main() -> int:
    """Run the demo, show it and return the exit status."""
    document = run(say=partial(print, file=sys.stderr))
    print_demo(document, Console(), Console(stderr=True))
    return int(document["exit_status"])


if __name__ == "__main__":
    sys.exit(main())
