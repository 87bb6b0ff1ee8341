"""What all commands share: results on stdout, everything else on stderr, and the way to stop."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import click


def as_json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the option `--json`, as its argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def result(document: dict[str, Any], show: Callable[..., None], *, as_json: bool) -> int:
    """Print *document* on stdout, as JSON or as *show* does it, and what broke it off on stderr."""
    try:
        if as_json:
            click.echo(json.dumps(document, indent=2))
        if document["error"] or not as_json:
            _in_words(document, show, as_json=as_json)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # Whoever read our output has read enough (`| head`). Rich exits then, and Python would complain once
        # more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(document["exit_status"])


def _in_words(document: dict[str, Any], show: Callable[..., None], *, as_json: bool) -> None:
    # Not for JSON without an error: what sets words takes longer to import than they take to print.
    from rich.console import Console

    from ..runs.text import print_error

    err = Console(stderr=True)
    if as_json:
        print_error(document["error"], err)
    else:
        show(document, Console(), err)


def stop_on_signal() -> threading.Event:
    """An event that Ctrl-C or a scheduler's SIGTERM sets; a second Ctrl-C ends at once."""
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt
        stop.set()
        os.write(
            2, b"Stopping: what is complete is loaded, the rest stays as it was. Again to stop at once.\n"
        )

    signal.signal(signal.SIGINT, ask)
    signal.signal(signal.SIGTERM, ask)
    return stop
