"""A school for end-to-end tests: platforms on loopback, their registrations, a warehouse in a DuckDB file.

def test_roster_is_loaded(school):
    school.add("c1", ["ann", "ben"])

    run = school.run()

    assert run.outcomes == {"c1": "complete"}
    assert school.members("c1") == {"ann", "ben"}
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import dlt
import duckdb
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from lti_rosters import lti_rosters
from lti_rosters.keys.signing import SigningKey, private_pem, public_jwk
from lti_rosters.reference.platform import CANVAS, Course, Manner, ReferencePlatform, member
from lti_rosters.rosters.fingerprint import context_key
from lti_rosters.rosters.sync import Sync

PREFIX = "SOURCES__LTI_ROSTERS__"
TABLES = (
    "contexts",
    "memberships",
    "membership_log",
    "membership_roles",
    "registrations",
    "roles",
    "roster_syncs",
)
LINKS = "resource_link_memberships"  # there only where links were asked for


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its *syncs* as they ended, and the loads that it made."""

    syncs: list[Sync]
    load_ids: list[str]

    @property
    def outcomes(self) -> dict[str, str]:
        """Outcome by context id; of doubles the one that read the roster."""
        courses = [sync for sync in self.syncs if not sync.is_link]
        ranked = sorted(courses, key=lambda sync: sync.error_type != "duplicate_context")
        return {sync.facts.context_id: sync.outcome for sync in ranked}

    @property
    def links(self) -> dict[str, Sync]:
        """The sync of each resource link by its id."""
        return {sync.resource_link_id: sync for sync in self.syncs if sync.resource_link_id is not None}

    @property
    def errors(self) -> dict[str, str]:
        """Error type by context id, of those that have one."""
        return {sync.facts.context_id: sync.error_type for sync in self.syncs if sync.error_type}

    def sync(self, context_id: str) -> Sync:
        """The one sync of *context_id*."""
        (found,) = [sync for sync in self.syncs if sync.facts.context_id == context_id and not sync.is_link]
        return found


@dataclass
class School:
    """Registrations by name, each with its platform and options; `run` loads them into one DuckDB file.

    `platform` is the first platform. What a registration reads is `catalogue[name]` where set, else every
    course of its platform.
    """

    directory: Path
    key: SigningKey
    platforms: dict[str, ReferencePlatform] = field(default_factory=dict)
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    catalogue: dict[str, Any] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)  # settings that hold for all registrations
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        """Open nothing yet: `open` opens platforms."""
        self.directory.mkdir(exist_ok=True)
        (self.directory / "tool.pem").write_text(private_pem(self.key))
        return self

    def __exit__(self, *_: object) -> None:
        """Close the platforms."""
        self._open.close()

    def open(self, name: str = "canvas", manner: Manner = CANVAS, **options: Any) -> ReferencePlatform:
        """Open a platform and register the tool there as *name*, with *options* of the registration."""
        platform = ReferencePlatform(manner, name=name, tool_keys=[public_jwk(self.key)])
        self._open.enter_context(platform)
        return self.register(name, platform, **options)

    def register(self, name: str, platform: ReferencePlatform, **options: Any) -> ReferencePlatform:
        """Register the tool once more with *platform*."""
        self.platforms[name] = platform
        self.options[name] = options
        return platform

    @property
    def platform(self) -> ReferencePlatform:
        """The first platform."""
        return next(iter(self.platforms.values()))

    def add(self, key: str, members: Iterable[Any] = (), script: Any = None, **fields: Any) -> Course:
        """Add a course to the first platform; a member given as a text is an active learner."""
        return self.platform.add(Course(key, members=people(members), script=script, **fields))

    def fork(self, directory: Path) -> "School":
        """A school with the same platforms and loads, that goes its own way in *directory*."""
        shutil.copytree(self.directory, directory)
        return School(directory, self.key, dict(self.platforms), dict(self.options), dict(self.catalogue))

    # Running

    def run(self, *resources: str, **arguments: Any) -> Run:
        """Run the source into the warehouse as a process of its own would; *arguments* are the source's."""
        syncs: list[Sync] = []
        with self.settings(arguments.pop("registrations", ())) as names:
            pipeline = dlt.pipeline(
                "lti_rosters",
                destination=dlt.destinations.duckdb(str(self.database)),
                dataset_name="lti_raw",
                pipelines_dir=str(self.directory / ".lti_rosters"),
            )
            told = arguments.pop("on_sync", lambda _: None)

            def on_sync(sync: Sync) -> None:
                syncs.append(sync)
                told(sync)

            contexts = arguments.pop("contexts", self.contexts(names))
            try:
                source = lti_rosters(contexts, registrations=names, on_sync=on_sync, **arguments)
                with self.held_open(is_made=True):
                    info = pipeline.run(source.with_resources(*resources) if resources else source)
            finally:
                pipeline.deactivate()
        return Run(syncs, info.loads_ids)

    @contextmanager
    def held_open(self, *, is_made: bool = False) -> Iterator[None]:
        """Keep the DuckDB file open: a load opens it a dozen times, for 15 ms of CPU each unless it is open.

        A file that is not there is made only where *is_made*: our commands look whether it is.
        """
        connection = None
        if is_made or self.database.exists():
            with suppress(duckdb.Error):  # what is wrong with it the run has to tell
                connection = duckdb.connect(str(self.database))
        try:
            yield
        finally:
            if connection is not None:
                connection.close()

    def contexts(self, names: Iterable[str]) -> dict[str, Any]:
        """The catalogue of each registration in *names*."""
        return {name: self.catalogue.get(name, self.urls(name)) for name in names}

    def urls(self, name: str | None = None) -> list[str]:
        """The memberships URL of every course of a platform (the first one by default)."""
        platform = self.platforms[name] if name else self.platform
        return [platform.memberships_url(key) for key in platform.courses]

    @contextmanager
    def settings(self, registrations: Iterable[str] = ()) -> Iterator[list[str]]:
        """Work in the school's directory, with its registrations in the environment; yields their names."""
        names = list(registrations) or list(self.platforms)
        with pytest.MonkeyPatch.context() as patch:
            for variable in [name for name in os.environ if name.startswith(PREFIX)]:
                patch.delenv(variable)
            patch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
            patch.setenv(f"{PREFIX}REGISTRATION_NAMES", ",".join(self.platforms))
            patch.setenv(f"{PREFIX}PRIVATE_KEY", "tool.pem")
            for setting, value in self.shared.items():
                patch.setenv(f"{PREFIX}{setting}".upper(), value)
            for name, platform in self.platforms.items():
                given = {
                    "issuer": platform.issuer,
                    "client_id": platform.client_id,
                    "token_url": platform.token_url,
                    "audience": platform.audience,
                    **self.options[name],
                }
                for option, value in given.items():
                    text = value if isinstance(value, str) else json.dumps(value)
                    patch.setenv(f"{PREFIX}REGISTRATIONS__{name}__{option}".upper(), text)
            patch.chdir(self.directory)
            providers = Container()[PluggableRunContext]
            providers.reload_providers()  # a process of its own reads its files anew
            try:
                yield names
            finally:
                patch.undo()
                providers.reload_providers()

    # What the warehouse holds

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self.directory / "rosters.duckdb"

    def sql(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run *query* in the raw dataset; it may also change rows, as a broken load would have."""
        with duckdb.connect(str(self.database)) as connection:
            connection.execute("SET TimeZone = 'UTC'; USE lti_raw")
            return connection.execute(query, parameters).fetchall()

    def link(
        self, context_id: str, resource_link_id: str, registration: str | None = None
    ) -> dict[str, tuple[str, list[str], Any]]:
        """Status, roles and message of everybody on the roster of a resource link."""
        key = context_key(registration or next(iter(self.platforms)), context_id)
        rows = self.sql(
            f"SELECT user_id, status, roles, message FROM {LINKS} WHERE context_key = ? AND resource_link_id = ?",
            key,
            resource_link_id,
        )
        assert len(rows) == len({row[0] for row in rows}), "somebody is on the link's roster twice"
        return {
            user_id: (status, [short(role) for role in json.loads(roles)], json.loads(message or "null"))
            for user_id, status, roles, message in rows
        }

    def members(self, context_id: str, registration: str | None = None) -> set[str]:
        """The user ids on the roster in force."""
        key = context_key(registration or next(iter(self.platforms)), context_id)
        rows = self.sql("SELECT user_id FROM memberships WHERE context_key = ?", key)
        assert len(rows) == len(set(rows)), "somebody is on the roster twice"
        return {user_id for (user_id,) in rows}

    def roster(
        self, context_id: str, registration: str | None = None
    ) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Status and roles (canonical, sorted, without their common beginning) of everybody on the roster."""
        key = context_key(registration or next(iter(self.platforms)), context_id)
        roles: dict[str, list[str]] = {}
        query = "SELECT user_id, role_uri FROM membership_roles WHERE context_key = ? ORDER BY ALL"
        for user_id, uri in self.sql(query, key):
            roles.setdefault(user_id, []).append(short(uri))
        statuses = self.sql("SELECT user_id, status FROM memberships WHERE context_key = ?", key)
        found = {user_id: (status, tuple(roles.pop(user_id, ()))) for user_id, status in statuses}
        assert not roles, "a role is held by nobody"
        return found

    def everything(self, *, but: Iterable[str] = ()) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every raw table but those named, in a stable order."""
        with duckdb.connect(str(self.database)) as connection:
            connection.execute("SET TimeZone = 'UTC'; USE lti_raw")
            there = {
                name
                for (name,) in connection.execute(
                    "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'lti_raw'"
                ).fetchall()
            }
            return {
                table: connection.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()
                for table in (*TABLES, LINKS)
                if table in there and table not in but
            }


def people(members: Iterable[Any]) -> list[Any]:
    """Members as a platform sends them: a text is the id of an active learner."""
    return [member(each) if isinstance(each, str) else each for each in members]


def crowd(count: int, prefix: str = "u") -> list[Any]:
    """So many active learners."""
    return people(f"{prefix}{number}" for number in range(count))


def short(uri: str) -> str:
    """A role without the beginning that all context roles share."""
    return uri.replace("http://purl.imsglobal.org/vocab/lis/v2/membership", "").lstrip("#")
