"""The command line: every command makes one public call; results go to stdout, everything else to stderr."""

# ruff: noqa: FBT001 - click passes options by name

import io
import json
import logging
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, NoReturn

import click
from rich.console import Console

from .version import __version__


def main() -> NoReturn:
    """Run the command line; the exit status is that of design §6."""
    os.umask(0o077)  # what is written holds students' records: it is its owner's
    # Before dlt is imported: no telemetry, and Ctrl-C is ours, so that what is complete is still loaded.
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    os.environ.setdefault("RUNTIME__INTERCEPT_SIGNALS", "false")
    os.environ.setdefault("RUNTIME__LOG_LEVEL", "CRITICAL")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # a title that this terminal cannot show is no fault
    if os.environ.get("LTI_ROSTERS_DEBUG"):
        logging.getLogger("lti_rosters").addHandler(logging.StreamHandler())
        logging.getLogger("lti_rosters").setLevel(logging.DEBUG)
    sys.exit(_guarded(lambda: commands.main(standalone_mode=False)))


def _guarded(work: Callable[[], Any]) -> int:
    """Turn what ends *work* into an exit status; an error of ours is told, never shown as a traceback."""
    try:
        status = work()
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:
        return _told(error)
    return status if isinstance(status, int) else 0


def _told(error: Exception) -> int:
    """Tell what no document could: an error before there was one, or a fault of our own."""
    from .errors import LtiRostersError
    from .run import unforeseen
    from .summary import error_document
    from .text import print_error

    known = error if isinstance(error, LtiRostersError) else unforeseen(error)
    print_error(error_document(known), Console(stderr=True))
    return known.exit_status


@click.group(
    name="lti-rosters",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: lti-rosters demo",
)
@click.version_option(
    __version__,
    prog_name="lti-rosters",
    message=f"%(prog)s %(version)s (Python {platform.python_version()})",
)
def commands() -> None:
    """LTI course rosters in your warehouse."""


@commands.command(
    epilog="Examples: lti-rosters run --dry-run --limit 3; lti-rosters run --registration canvas --json"
)
@click.option(
    "--registration", "registrations", multiple=True, metavar="NAME", help="Read this one only (repeatable)."
)
@click.option(
    "--context", "context_ids", multiple=True, metavar="ID", help="Read this context_id only (repeatable)."
)
@click.option(
    "--destination", metavar="NAME", help="duckdb (rosters.duckdb here) by default; else as dlt names it."
)
@click.option("--dry-run", is_flag=True, help="Read and tell, load nothing.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Read at most N contexts.")
@click.option("--full", is_flag=True, help="Write every roster again, unchanged ones too.")
@click.option("--no-models", is_flag=True, help="Load only; build the models another time.")
@click.option("--no-wait", is_flag=True, help="Stop with exit 10 if another run is at work here.")
@click.option(
    "--fail-fast", is_flag=True, help="Stop at the first failure; what is complete is still loaded."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "bar", "log", "none"]),
    default="auto",
    help="How to show progress.",
)
def run(
    registrations: tuple[str, ...],
    context_ids: tuple[str, ...],
    destination: str | None,
    dry_run: bool,
    limit: int | None,
    full: bool,
    no_models: bool,
    no_wait: bool,
    fail_fast: bool,
    as_json: bool,
    progress: str,
) -> int:
    """Read the rosters, load what changed, build the models."""
    from .progress import shown
    from .run import Order
    from .run import run as carry_out
    from .text import print_result

    order = Order(
        registrations=registrations,
        context_ids=context_ids,
        destination=destination,
        is_dry=dry_run,
        limit=limit,
        is_full=full,
        with_models=not no_models,
        is_patient=not no_wait,
        is_fail_fast=fail_fast,
    )
    with shown(progress, Console(stderr=True)) as watcher:
        document = carry_out(order, watcher=watcher, stop=_stop_on_signal())
    return _result(document, print_result, as_json=as_json)


@commands.command()
@click.option(
    "--destination", metavar="NAME", help="duckdb (rosters.duckdb here) by default; else as dlt names it."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def models(destination: str | None, as_json: bool) -> int:
    """Build the models alone, of what is loaded: no platform is asked."""
    from .progress import shown
    from .run import Order
    from .run import run as carry_out
    from .text import print_models

    order = Order(destination=destination, is_models_only=True, command="models")
    with shown("auto", Console(stderr=True)) as watcher:
        document = carry_out(order, watcher=watcher, stop=_stop_on_signal())
    return _result(document, print_models, as_json=as_json)


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--seed", type=int, default=7, show_default=True, help="Another campus for another number.")
def demo(as_json: bool, seed: int) -> int:
    """Show the whole path on invented platforms: no network, no settings, half a minute."""
    from .demo import print_demo
    from .demo import run as run_demo

    document = run_demo(seed=seed, say=partial(click.echo, err=True), stop=_stop_on_signal())
    return _result(document, print_demo, as_json=as_json)


def _result(document: dict[str, Any], show: Callable[..., None], *, as_json: bool) -> int:
    """Print *document* on stdout, as JSON or as *show* does it, and what broke it off on stderr."""
    from .text import print_error

    err = Console(stderr=True)
    try:
        if not as_json:
            show(document, Console(), err)
        else:
            click.echo(json.dumps(document, indent=2))
            if document["error"]:
                print_error(document["error"], err)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # Whoever read our output has read enough (`| head`). Rich exits then, and Python would complain once
        # more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(document["exit_status"])


def _stop_on_signal() -> threading.Event:
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


__all__ = ["commands", "main"]
