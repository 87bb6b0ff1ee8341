"""What dbt tells of a build, in a log file.

dbt's own makes a line of every event, a thousand and more in a build, before it asks whether that is wanted: a
thirtieth of what the models take where few courses have changed.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

# dbt's words for those events that are written, and Python's.
LEVELS = {"info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
MAX_BYTES, OLDER_FILES = 10 * 1024 * 1024, 5  # as dbt keeps them


@contextmanager
def build_log(path: Path) -> Iterator[Callable[[Any], None]]:
    """Give what writes an event of dbt's at the end of the file *path*, without the secrets that dbt knows of."""
    from dbt_common.events.functions import env_scrubber  # dbt takes its time: only who builds pays for it

    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        path, maxBytes=MAX_BYTES, backupCount=OLDER_FILES, encoding="utf-8", delay=True
    )
    handler.setFormatter(logging.Formatter("%(asctime)s [%(levelname)-7s] [%(threadName)s]: %(message)s"))
    logger = logging.Logger(path.stem)  # none of the process's: nobody else's settings are its
    logger.addHandler(handler)

    def write(event: Any) -> None:
        level = LEVELS.get(event.info.level)
        if level is not None:
            logger.log(level, "%s", env_scrubber(event.info.msg))

    try:
        yield write
    finally:
        handler.close()
