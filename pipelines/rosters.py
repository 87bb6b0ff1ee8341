"""The scheduled pipeline: load the rosters of every registration, then build the models.

    python pipelines/rosters.py

cron, a CI job or an orchestrator runs it in the directory that holds `.dlt/`. It prints one JSON document.
Its exit status tells how it went: 0 all read, 3 something failed and the rest is loaded. When it is asked to
stop (SIGTERM, as schedulers send), what is complete is still loaded.
"""

import json
import signal
import sys
import threading

from lti_rosters.runs.run import Order, run


def main() -> int:
    """Run once and return the exit status."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    document = run(Order(), stop=stop)
    print(json.dumps(document, indent=2))
    return int(document["exit_status"])


if __name__ == "__main__":
    sys.exit(main())
