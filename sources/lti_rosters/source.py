"""The dlt source: rosters fan out into the raw tables, each with its own keys and its own way to merge."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import dlt
from dlt.common.configuration import configspec
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.pipeline import PipelineContext, SupportsPipeline
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable
from dlt.destinations.sql_client import SqlClientBase
from dlt.extract import DltResource, DltSource

from .privacy.agreement import check_agreement
from .privacy.protector import key_check
from .roles import held, read_role, vocabulary
from .rosters.collection import rarely_collected
from .rosters.harvest import Harvest
from .rosters.planning import Plan, narrowed, plans
from .rosters.roster import Roster
from .rosters.sync import COMPLETE, READ, Sync
from .settings.identity import PSEUDONYMIZE
from .settings.settings import Settings, read_settings
from .tables.batches import Batch, Gatherer, Written
from .tables.columns import TABLES, Table
from .tables.ledger import ContextFacts, Ledger, read_ledger

log = logging.getLogger(__name__)

SECTION = "lti_rosters"
# No key stands twice in one load of these.
DISTINCT = frozenset(
    {"memberships", "membership_roles", "membership_log", "roster_syncs", "roles", "registrations"}
)
# Nor in one of these, but for marker rows: where a table holds no row, it is filled with what else there is.
FILLABLE = DISTINCT | {"contexts"}
# Loaded whatever else is selected: without them nobody could tell what the rest is worth, nor what its ids are.
KEPT = ("roster_syncs", "registrations")


@configspec
class NoSettings(BaseConfiguration):
    """Keeps dlt from filling the source's arguments: it would take a bare ROLE or TIMEOUT of the environment."""


class RosterSource(DltSource):
    """The source; selecting some of its resources keeps `roster_syncs` and `registrations` loading."""

    def add_limit(self, *told: Any, **named: Any) -> "RosterSource":
        """Change nothing, and say so: a limit of dlt's counts batches, and a roster is never cut."""
        del told, named
        log.warning("add_limit has no effect on rosters; limit= is how many courses are read.")
        return self

    def with_resources(self, *resource_names: str) -> "RosterSource":
        """Return a copy of the source with *resource_names* and those always loaded selected."""
        return super().with_resources(*dict.fromkeys([*resource_names, *KEPT]))  # type: ignore[return-value]


@dlt.source(name="lti_rosters", section=SECTION, max_table_nesting=0, spec=NoSettings, _impl_cls=RosterSource)
def lti_rosters(
    contexts: Any = None,
    *,
    registrations: Sequence[str] = (),
    context_ids: Sequence[str] = (),
    limit: int | None = None,
    full: bool = False,
    fail_fast: bool = False,
    stop: threading.Event | None = None,
    on_plan: Callable[[Sequence[Plan]], None] | None = None,
    on_sync: Callable[[Sync], None] | None = None,
    on_delisted: Callable[[str], None] | None = None,
    settings: Settings | None = None,
    **options: Any,
) -> Iterator[DltResource]:
    """Read LTI course rosters: memberships, roles, contexts, and one row per attempt.

    Registrations and their secrets come from dlt's configuration (`[sources.lti_rosters.registrations.<name>]`).

    Args:
        contexts: A mapping of registration to catalogue, or one catalogue where there is one registration.
        registrations: Names of the registrations to read; all by default.
        context_ids: Read these contexts only.
        limit: Read at most so many contexts.
        full: Write every roster, unchanged ones too.
        fail_fast: Stop at the first failure instead of going on with the rest.
        stop: Set it to stop early: what is complete is loaded, the rest stays as it is.
        on_plan: Called once with what is going to be read.
        on_sync: Called with every sync as it ends.
        on_delisted: Called with the registration of every course that the catalogue no longer names.
        settings: Settings made by the caller; then none are read, and *contexts*, *registrations* and
            *options* have no effect.
        options: The options of the settings (`role`, `page_size`, `concurrency`, …), for all registrations.

    Raises:
        ConfigurationError: A fault of the settings that concerns every registration.
    """
    if settings is None:
        settings = read_settings(contexts=contexts, overrides=options, only=registrations)
    made = plans(settings)
    identity = settings.handling

    def rosters() -> Iterator[Batch]:
        names = [plan.registration.name for plan in made]
        looked_back = [plan.registration.name for plan in made if _looks_back(plan)]
        ledger = read_ledger(_sql_client(), names, looked_back=looked_back)
        check_agreement(identity, ledger.held, ledger.suppression_keys)
        chosen = narrowed(made, ledger, context_ids=context_ids, limit=limit)
        harvest = Harvest(
            chosen,
            ledger,
            stop or threading.Event(),
            is_full=full,
            is_fail_fast=fail_fast,
            identity=identity,
        )
        if on_plan is not None:
            on_plan(chosen)
        with rarely_collected():
            yield from _batches(harvest, on_sync or _ignore, on_delisted or _ignore)

    read = dlt.resource(rosters, name="rosters", selected=False)
    for table in TABLES.values():
        yield read | _transformer(table)


def _looks_back(plan: Plan) -> bool:
    """Whether what is asked of the platform hangs on the last reading of each course."""
    options = plan.registration.options
    return options.use_differences or options.role is not None


def _ignore(told: object) -> None:
    """Without a listener, what happens is only written."""


def _transformer(table: Table) -> Any:
    """The resource of one table: takes its part of each batch."""

    def part(batch: Batch) -> Iterator[Any]:
        if table.name in batch:
            yield batch[table.name]

    return dlt.transformer(  # type: ignore[call-overload]  # dlt's stubs know no merge options yet
        part,
        name=table.name,
        write_disposition=_disposition(table),
        primary_key=table.key,
        columns=_columns(table),
    )


def _disposition(table: Table) -> dict[str, Any]:
    """delete-insert with a primary key: the one strategy that a copy repeated after a crash leaves without doubles."""
    disposition: dict[str, Any] = {"disposition": "merge", "strategy": "delete-insert", "deduplicated": False}
    if table.scope:
        columns = ", ".join(table.scope)
        scoped = columns if len(table.scope) == 1 else f"({columns})"
        scope = f"{scoped} IN (SELECT {columns} FROM {{staging_table}})"  # noqa: S608 - names of ours
        disposition["destination_scope"] = scope
    if table.marker:
        disposition["source_filter"] = f"{table.marker} <> ''"
    return disposition


def without_doubles(source: DltSource) -> None:
    """Spare those tables dlt's de-duplicating window, half of what the merge of members costs.

    Right only where no copy job is ever repeated into staging tables that
    hold rows already: a package that was begun must start anew from empty ones.
    """
    for name in DISTINCT & source.resources.keys():
        disposition = {**_disposition(TABLES[name]), "deduplicated": True}
        source.resources[name].apply_hints(write_disposition=disposition)  # type: ignore[arg-type]


def _columns(table: Table) -> dict[str, dict[str, Any]]:
    return {
        column.name: {
            "name": column.name,
            "data_type": column.type,
            "nullable": column.is_nullable,
            "description": column.description,
        }
        for column in table.columns
    }


def _sql_client() -> SqlClientBase[Any] | None:
    """How to ask the destination of the running pipeline; None where there is nothing to ask (yet)."""
    if not Container()[PipelineContext].is_active():
        return None  # the source is walked by itself; dlt would make a pipeline of its own
    pipeline: SupportsPipeline = dlt.current.pipeline()
    try:
        return pipeline.sql_client()  # type: ignore[attr-defined,no-any-return]
    except Exception:  # no destination, or one without SQL
        return None


def _load_id() -> str:
    """The load that the rows belong to; the moment, as dlt's ids are, where the source is walked by itself."""
    try:
        return str(dlt.current.load_package_state()["load_id"])
    except CurrentLoadPackageStateNotAvailable:
        return str(time.time())


def _batches(
    harvest: Harvest, on_sync: Callable[[Sync], None], on_delisted: Callable[[str], None]
) -> Iterator[Batch]:
    """Turn the syncs of *harvest* into batches of rows; what is unchanged brings no row but its sync's."""
    gatherer = Gatherer(_load_id())
    ledger = harvest.ledger
    known_roles = {row[0] for row in ledger.roles}
    unread: dict[str, ContextFacts] = {}
    read: set[str] = set()
    _add_registrations(gatherer, harvest)
    for sync in harvest.syncs():
        gatherer.add_row("roster_syncs", sync.row())
        if sync.is_link:
            yield from _link(gatherer, sync)
            on_sync(sync)
            continue
        if sync.placeholder is not None:
            _remove_context(gatherer, sync.placeholder, sync.facts.registration)
        if sync.outcome in READ and not sync.is_duplicate:
            _add_context(gatherer, sync.facts, ledger)
            read.add(sync.facts.context_key)
        elif not sync.is_duplicate:
            unread[sync.facts.context_key] = sync.facts
        if sync.outcome == COMPLETE and sync.roster is not None:
            _add_unknown_roles(gatherer, sync.facts.registration, sync.roster, known_roles)
            yield from gatherer.add(_written(sync.facts, sync, sync.roster))
        on_sync(sync)
    _add_vocabulary(gatherer, ledger)
    for key in unread.keys() - read:
        _add_context(gatherer, _unread(unread[key], ledger), ledger)
    for facts in harvest.delisted():
        _add_context(gatherer, facts, ledger)
        on_delisted(facts.registration)
    _remove_links(gatherer, harvest)
    yield from gatherer.flush()


def _link(gatherer: Gatherer, sync: Sync) -> Iterator[Batch]:
    """The rows of a resource link's roster: a subset, which decides nothing about the course (NRPS §3.3)."""
    if sync.outcome == COMPLETE and sync.roster is not None:
        roster = _written(sync.facts, sync, sync.roster)
        yield from gatherer.add_link(roster, sync.resource_link_id or "")


def _remove_links(gatherer: Gatherer, harvest: Harvest) -> None:
    for link, standing in harvest.delisted_links():
        gatherer.remove_link(link.context_key, *standing, link.resource_link_id)


def _unread(facts: ContextFacts, ledger: Ledger) -> ContextFacts:
    """The row of a context whose reading failed: it is in the catalogue again, and else as it was (design §2)."""
    known = ledger.contexts.get(facts.context_key)
    if known is None or facts.context_key not in ledger.in_force:
        return facts
    return replace(known, delisted_at=None)


def _written(facts: ContextFacts, sync: Sync, roster: Roster) -> Written:
    return Written(
        facts.context_key, facts.registration, facts.context_id, sync.sync_id, sync.finished_at, roster.rows
    )


def _remove_context(gatherer: Gatherer, key: str, registration: str) -> None:
    """Add a marker row: it puts the row of *key* in the scope of the merge and puts none in its place."""
    gatherer.add_row("contexts", (key, registration, "", None, None, None, None, None, None))


def _add_context(gatherer: Gatherer, facts: ContextFacts, ledger: Ledger) -> None:
    if ledger.contexts.get(facts.context_key) != facts:
        gatherer.add_row(
            "contexts",
            (
                facts.context_key,
                facts.registration,
                facts.context_id,
                facts.label,
                facts.title,
                facts.types,
                facts.memberships_url,
                facts.first_seen_at,
                facts.delisted_at,
            ),
        )


def _add_registrations(gatherer: Gatherer, harvest: Harvest) -> None:
    identity = harvest.identity
    key = (identity.key_id, key_check(identity)) if identity.mode == PSEUDONYMIZE else (None, None)
    for plan in harvest.made:
        each = plan.registration
        if plan.failure is None:
            row = (
                each.name,
                each.provider,
                each.issuer or None,
                each.client_id or None,
                each.deployment_id,
                identity.mode,
                *key,
            )
            if row not in harvest.ledger.registration_rows:
                gatherer.add_row("registrations", row)


def _add_unknown_roles(gatherer: Gatherer, registration: str, roster: Roster, known: set[str]) -> None:
    for roles in {member.roles for member, _ in roster.rows}:
        if held(roles).unknown:
            for role in map(read_role, roles):
                if role.vocabulary == "unknown" and role.role_uri not in known:
                    known.add(role.role_uri)
                    gatherer.add_row("roles", (role.role_uri, registration, *role[1:]))


def _add_vocabulary(gatherer: Gatherer, ledger: Ledger) -> None:
    for role in vocabulary():
        if tuple(role) not in ledger.roles:
            gatherer.add_row("roles", (role.role_uri, None, *role[1:]))
