"""Recognisable identities, and where to look for them: every byte that a run writes or says."""

import gzip
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from lti_rosters.reference.platform import member

ID, NAME = "needle-id", "Xanthippe"  # begin every id, and stand in everything else, of everybody
NEEDLES = (ID, NAME)


def somebody(number: int, **fields: Any) -> dict[str, Any]:
    """A member with everything that platforms send, each field of it recognisable."""
    given = {
        "name": f"{NAME} {number}",
        "given_name": NAME,
        "family_name": f"{NAME}-{number}",
        "middle_name": NAME[0] + NAME,
        "email": f"{NAME}.{number}@lab.example",
        "picture": f"https://lab.example/{NAME}/{number}.png?sig={NAME}",
        "lis_person_sourcedid": f"{ID}-sis-{number}",
        "lti11_legacy_user_id": f"{ID}-legacy-{number}",
        "ext_user_username": f"{ID}-login-{number}",
        "group_enrollments": [{"group_id": "g", "note": f"with {NAME}"}],
        "message": [
            {"https://purl.imsglobal.org/spec/lti/claim/custom": {"login": f"{ID}-{number}", "n": NAME}}
        ],
        **fields,
    }
    return member(f"{ID}-{number}", **given)


def found_in_files(directory: Path, needles: tuple[str, ...], *, but: tuple[str, ...] = ()) -> list[str]:
    """The files under *directory* that hold one of *needles*, packed or not."""
    files = [path for path in sorted(directory.rglob("*")) if path.is_file() and path.name not in but]
    return [str(path.relative_to(directory)) for path in files if holds(unpacked(path), needles)]


def holds(content: bytes, needles: tuple[str, ...]) -> bool:
    """Whether *content* has one of *needles*, in whatever case."""
    return any(needle.lower().encode() in content.lower() for needle in needles)


def unpacked(path: Path) -> bytes:
    """What is in the file *path*: its bytes, and the values where they are packed."""
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        return content + gzip.decompress(content)
    if content[:4] == b"PAR1":
        return content + repr(pq.read_table(io.BytesIO(content)).to_pydict()).encode()
    return content


def rows_of(database: Path) -> dict[str, str]:
    """Every table of the DuckDB file *database*, in every schema, as text."""
    with duckdb.connect(str(database), read_only=True) as connection:
        names = connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
        return {
            f"{schema}.{table}": repr(connection.execute(f'SELECT * FROM "{schema}"."{table}"').fetchall())
            for schema, table in names
        }


def found_in_tables(tables: dict[str, str], needles: tuple[str, ...]) -> list[str]:
    """The tables that hold one of *needles*."""
    return sorted(name for name, rows in tables.items() if holds(rows.encode(), needles))


class Ears(logging.Handler):
    """Hears everything that anybody logs, down to DEBUG."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep *record* as text, its traceback included."""
        self.heard.append(self.format(record))


@contextmanager
def listening() -> Iterator[Ears]:
    """Every logger at DEBUG, and what they say."""
    ears = Ears()
    names = ["", *logging.root.manager.loggerDict, "httpx", "httpcore", "httpcore.http11", "lti_rosters"]
    before = {name: (logging.getLogger(name).level, logging.getLogger(name).propagate) for name in names}
    logging.getLogger().addHandler(ears)
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
        logging.getLogger(name).propagate = True
    try:
        yield ears
    finally:
        logging.getLogger().removeHandler(ears)
        for name, (level, propagate) in before.items():
            logging.getLogger(name).setLevel(level)
            logging.getLogger(name).propagate = propagate
