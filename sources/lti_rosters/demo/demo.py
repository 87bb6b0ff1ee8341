"""The demo: three invented platforms on loopback, two nights, and what an analyst sees after them."""

import shlex
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.providers import CustomLoaderDocProvider
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.runtime.run_context import RunContext, switched_run_context
from rich.console import Console
from rich.text import Text

from ..errors import DestinationError
from ..keys.signing import SigningKey, new_key, public_jwk
from ..runs.destination import open_pipeline, tidy_settings
from ..runs.run import Order
from ..runs.run import run as run_order
from ..runs.summary import Journal, error_document
from ..runs.text import plain, print_error, table_of
from ..settings.registration import Options, Registration
from ..settings.settings import Settings
from .campus import Campus, demo_campus, next_night

DATABASE = "demo.duckdb"
MOST_CHANGES = 12  # told one by one
PARTIAL = 3  # what the second night ends with: one course breaks off, on purpose

ACTIVE_LEARNERS = """
SELECT registration, context_id, title, active_learners, active_staff, members, sync_state
FROM lti.active_learners ORDER BY registration, title
"""

# The last two complete rosters of every course that changed in the second night, person by person.
CHANGES = """
WITH complete AS (
    SELECT context_key, sync_id, ROW_NUMBER() OVER (PARTITION BY context_key ORDER BY finished_at DESC) AS age
    FROM lti_raw.roster_syncs WHERE outcome = 'complete'
), pairs AS (
    SELECT now.context_key, now.sync_id AS now_id, past.sync_id AS past_id
    FROM complete AS now INNER JOIN complete AS past ON past.context_key = now.context_key AND past.age = 2
    WHERE now.age = 1
), seen AS (
    SELECT pairs.context_key, log.user_id,
        MAX(CASE WHEN log.sync_id = pairs.past_id THEN log.primary_role END) AS past_role,
        MAX(CASE WHEN log.sync_id = pairs.now_id THEN log.primary_role END) AS now_role
    FROM pairs INNER JOIN lti_raw.membership_log AS log ON log.sync_id IN (pairs.now_id, pairs.past_id)
    GROUP BY pairs.context_key, log.user_id
)
SELECT contexts.registration, contexts.title, seen.user_id, seen.past_role, seen.now_role
FROM seen INNER JOIN lti_raw.contexts AS contexts ON contexts.context_key = seen.context_key
WHERE seen.past_role IS DISTINCT FROM seen.now_role
ORDER BY contexts.registration, contexts.title, seen.user_id
"""

NAMES = "SELECT registration, user_id, MAX(name) FROM lti_raw.memberships GROUP BY registration, user_id"

QUERY = "select title, active_learners, sync_state from lti.active_learners"


class _Apart(RunContext):
    """dlt's surroundings without those of the user: no variable, no `.dlt` decides about the demo."""

    def initial_providers(self) -> list[ConfigProvider]:
        """Only what keeps package files and staging empty."""
        return [CustomLoaderDocProvider("demo", tidy_settings)]


@contextmanager
def _apart(directory: Path) -> Iterator[None]:
    with switched_run_context(_Apart(str(directory))):
        yield


def run(
    *,
    seed: int = 7,
    directory: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """Load an invented campus twice, with a night of changes in between, and return what came of it.

    The document is that of the second run (`result.schema.json`) with `active_learners`, `changes`,
    `first_run` and `database`. Writes `demo.duckdb` in *directory*; one of an earlier demo is replaced.
    """
    directory = directory or Path.cwd()
    try:
        _clear(directory)
    except DestinationError as error:
        return _not_begun(error)
    key = new_key()
    with (
        tempfile.TemporaryDirectory() as working,
        _apart(Path(working)),
        demo_campus(seed, lambda: [public_jwk(key)]) as campus,
    ):
        return _two_nights(campus, _settings(campus, key), Path(working), directory, say, stop)


def _two_nights(
    campus: Campus,
    settings: Settings,
    working: Path,
    directory: Path,
    say: Callable[[str], None],
    stop: threading.Event | None,
) -> dict[str, Any]:
    database = directory / DATABASE
    # The models are built once, of both nights.
    first_night = Order(directory=working, database=database, command="demo", with_models=False)
    second_night = Order(directory=working, database=database, command="demo")
    say("First night: three invented platforms answer on this machine …")
    first = run_order(first_night, settings=settings, stop=stop)
    if first["exit_status"]:
        return {**first, **_shown({"first_run": first})}
    names = _names(second_night)
    next_night(campus)
    say("Second night: people joined, left, changed roles; one course emptied, one breaks off half way …")
    second = run_order(second_night, settings=settings, stop=stop)
    if second["exit_status"] not in (0, PARTIAL):
        return {**second, **_shown({"first_run": first})}
    return _document(second_night, first, second, names | _names(second_night))


def _clear(directory: Path) -> None:
    """Remove the database of an earlier demo."""
    try:
        for name in (DATABASE, f"{DATABASE}.wal"):
            (directory / name).unlink(missing_ok=True)
    except OSError as error:
        raise DestinationError(
            f"{DATABASE} cannot be replaced ({type(error).__name__}).",
            where="demo",
            remedy="Close what has it open, or run the demo in another directory.",
        ) from error


def _not_begun(error: DestinationError) -> dict[str, Any]:
    begun: dict[str, Any] = {"destination": None, "load_ids": [], "models": [], "is_dry": False}
    told = Journal("demo").document(**begun)
    return {**told, **_shown({}), "error": error_document(error), "exit_status": error.exit_status}


def _shown(more: Mapping[str, Any]) -> dict[str, Any]:
    """The members of the document that the demo adds."""
    return {"active_learners": [], "changes": [], "database": DATABASE, **more}


def _names(order: Order) -> dict[tuple[str, str], str]:
    return {(registration, user_id): name for registration, user_id, name in _query(order, NAMES)}


def _settings(campus: Campus, key: SigningKey) -> Settings:
    # Few attempts: the course that breaks off does so for ever, and a demo should not wait for it.
    options = Options(max_attempts=2, concurrency=4)
    registrations = [
        Registration(name=name, key=key, options=options, **fields)
        for name, fields in campus.registrations().items()
    ]
    return Settings("keep", tuple(registrations))


def _query(order: Order, sql: str) -> list[Any]:
    pipeline: dlt.Pipeline = open_pipeline(None, order.directory, database=order.database)
    with pipeline.sql_client() as client, client.execute_query(sql) as cursor:
        return list(cursor.fetchall())


def _document(
    order: Order, first: Mapping[str, Any], second: Mapping[str, Any], names: Mapping[Any, str]
) -> dict[str, Any]:
    columns = (
        "registration",
        "context_id",
        "title",
        "active_learners",
        "active_staff",
        "members",
        "sync_state",
    )
    learners = [dict(zip(columns, row, strict=True)) for row in _query(order, ACTIVE_LEARNERS)]
    changes = [
        {
            "registration": registration,
            "title": title,
            "name": names.get((registration, user_id)) or user_id,
            "change": "joined" if past is None else "left" if now is None else "role_changed",
            "before": past,
            "after": now,
        }
        for registration, title, user_id, past, now in _query(order, CHANGES)
    ]
    shown = {"first_run": first, "active_learners": learners, "changes": changes}
    return {**second, **_shown(shown), "exit_status": 0}


def print_demo(document: Mapping[str, Any], out: Console, err: Console) -> None:
    """Print what the demo shows: the answer first, then what changed, what failed, what to try next."""
    if document["error"]:
        print_error(document["error"], err)
    if not document["active_learners"]:
        err.print(f"The demo did not come to its end. Exit {document['exit_status']}.", highlight=False)
        return
    names = {
        "registration": "registration",
        "title": "course",
        "active_learners": "active learners",
        "active_staff": "staff",
        "members": "members",
        "sync_state": "state",
    }
    rows = [tuple(row[name] for name in names) for row in document["active_learners"]]
    out.print(
        table_of(
            "Active learners per course (lti.active_learners)", tuple(names.values()), rows, width=out.width
        )
    )
    out.print()
    _print_changes(document["changes"], out)
    titles = {row["context_id"]: row["title"] for row in document["active_learners"]}
    for failure in document["failures"]:
        title = titles.get(failure["context_id"]) or failure["context_id"]
        told = (
            f"Failed on purpose: {title} ({failure['registration']}) broke off after its first page "
            f"({failure['error_type']}). Its last complete roster still counts, and nobody left."
        )
        out.print(Text(plain(told), style="yellow"))
    _print_counts(document, out)
    out.print(Text("\nNext:", style="bold"))
    for told, command in _next():
        out.print(f"  {told}:", highlight=False)
        out.print(Text(f"    {command}"), soft_wrap=True)


def _print_counts(document: Mapping[str, Any], console: Console) -> None:
    first, second = document["first_run"]["totals"], document["totals"]
    console.print(
        f"\nFirst night: {first['complete']} courses, {first['members']:,} memberships. "
        f"Second night: {second['complete']} courses changed, {second['unchanged']} unchanged and not "
        f"written again, {second['failed']} failed; {second['arrivals']} joined, "
        f"{second['departures']} left.\n"
        f"All of it is in {document['database']}; everybody in it is invented.",
        highlight=False,
    )


def _next() -> Sequence[tuple[str, str]]:
    look = f"import duckdb; duckdb.connect('{DATABASE}').sql('{QUERY}').show()"
    return (
        ("ask the tables yourself, here or in any DuckDB client", f'{_interpreter()} -c "{look}"'),
        ("see what a run of your own can do; the README connects a first platform", "lti-rosters run --help"),
        (
            "with a platform in .dlt/, read three of its courses and load nothing",
            "lti-rosters run --dry-run --limit 3",
        ),
    )


def _interpreter() -> str:
    """How to call this interpreter from here: it has DuckDB, which another one may lack."""
    path = Path(sys.executable)
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return shlex.quote(str(path))


def _print_changes(changes: Sequence[Mapping[str, Any]], console: Console) -> None:
    said = {"joined": "joined as {after}", "left": "left ({before})", "role_changed": "became {after}"}
    # A few of each kind, rather than the first course's alone.
    by_kind = [[each for each in changes if each["change"] == kind] for kind in said]
    shown = [each for kind in by_kind for each in kind[: MOST_CHANGES // len(said)]]
    rows = [(each["name"], said[each["change"]].format_map(each), each["title"]) for each in shown]
    title = f"Who joined, left or changed overnight ({len(shown)} of {len(changes)})"
    console.print(table_of(title, ("person", "change", "course"), rows, width=console.width))
    console.print()
