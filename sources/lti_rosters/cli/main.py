"""The command line: every command makes one public call; results go to stdout, everything else to stderr."""

import io
import logging
import os
import platform
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from ..rosters.collection import collect_no_more, collect_rarely
from ..version import __version__
from .check import check
from .contexts import contexts
from .demo import demo
from .keys import jwks, keys
from .privacy import erase, identity, retain
from .run import models, run


def main() -> NoReturn:
    """Run the command line; the exit status is that of design §6."""
    collect_rarely()  # before dlt is imported: no module of it is garbage
    # The command line of httpx is not ours: to import it, where it can be, takes as long as the rest of httpx.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
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
        _tell_more()
    status = _guarded(lambda: commands.main(standalone_mode=False))
    collect_no_more()
    sys.exit(status)


def _tell_more() -> None:
    """Have our own log on stderr; it holds no member and no secret at any level."""
    logging.getLogger("lti_rosters").addHandler(logging.StreamHandler())
    logging.getLogger("lti_rosters").setLevel(logging.DEBUG)


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
    from rich.console import Console

    from ..errors import LtiRostersError
    from ..runs.run import unforeseen
    from ..runs.summary import error_document
    from ..runs.text import print_error

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
@click.option("--debug", is_flag=True, help="Tell on stderr what goes on inside (LTI_ROSTERS_DEBUG=1).")
def commands(debug: bool) -> None:  # noqa: FBT001 - click passes options by name
    """LTI course rosters in your warehouse."""
    if debug:
        _tell_more()


for command in (run, models, check, contexts, keys, jwks, identity, erase, retain, demo):
    commands.add_command(command)

__all__ = ["commands", "main"]
