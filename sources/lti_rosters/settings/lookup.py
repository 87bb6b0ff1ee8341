"""Exact lookup of one setting in dlt's providers: environment, secrets.toml, config.toml, vaults.

dlt's own resolution climbs from the exact name to the bare one, within the environment first: a variable
called `PRIVATE_KEY` would become the key of every registration. Here a setting has two names and no more:
`sources.lti_rosters.registrations.<registration>.<field>`, then `sources.lti_rosters.<field>`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.configuration.providers.doc import CustomLoaderDocProvider
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.pipeline import PipelineContext
from dlt.common.typing import AnyType, TSecretValue

from ..errors import ConfigurationError

SECTIONS = ("sources", "lti_rosters")
REGISTRATIONS = "registrations"
PIPELINE = "lti_rosters"  # the pipeline of our commands: its name may stand before its settings
ENVIRONMENT = "Environment Variables"  # the name of dlt's provider
ARGUMENTS = "arguments"  # the name of the provider of what is given from Python
PLACEHOLDER = "<configure me>"  # what `dlt init` writes where a value is due


@dataclass(frozen=True, slots=True)
class Place:
    """Where a setting stands, or could: of all registrations or of one, maybe under a pipeline's name."""

    setting: str
    registration: str | None = None
    pipeline: str | None = None
    table: str | None = None  # of the registration, that the setting stands in

    @property
    def sections(self) -> tuple[str, ...]:
        """The sections above the setting, without the pipeline's."""
        of_registration = () if self.registration is None else (REGISTRATIONS, self.registration)
        return (*SECTIONS, *of_registration, *((self.table,) if self.table else ()))

    def toml(self, *, secret: bool = False) -> str:
        """Tell the place in the files: `client_id under [sources.lti_rosters] in .dlt/config.toml`."""
        table = ".".join(part for part in (self.pipeline, *self.sections) if part)
        return f"{self.setting} under [{table}] in .dlt/{'secrets' if secret else 'config'}.toml"

    def environment(self) -> str:
        """Tell the environment variable."""
        return "__".join(part for part in (self.pipeline, *self.sections, self.setting) if part).upper()


@dataclass(frozen=True, slots=True)
class Found:
    """A value and where it was found."""

    value: Any = field(repr=False)
    place: Place
    provider: str
    is_in_secret_store: bool

    @property
    def is_from_environment(self) -> bool:
        """Whether an environment variable holds it (a blank one counts as none)."""
        return self.provider == ENVIRONMENT


@dataclass(frozen=True, slots=True)
class Lookup:
    """dlt's providers in their order, and the pipelines' names to try first (None: without)."""

    providers: tuple[ConfigProvider, ...]
    pipelines: tuple[str | None, ...]

    @classmethod
    def active(cls, given: Mapping[str, Any] | None = None) -> "Lookup":
        """Take the providers of dlt's active run context, and the active pipeline, or that of our commands.

        *given* is a table `[sources.lti_rosters]` made by the caller, which goes before all of them.
        Raises ConfigurationError when a file of settings is no TOML.
        """
        container = Container()
        try:
            providers = container[PluggableRunContext].providers.providers
        except ConfigurationException as error:
            raise _unreadable(error) from None
        pipeline = container[ConfigSectionContext].pipeline_name
        if not pipeline and container[PipelineContext].is_active():
            pipeline = container[PipelineContext].pipeline().pipeline_name
        usable = tuple(provider for provider in providers if provider.supports_sections)
        pipelines = (pipeline or PIPELINE, None)
        return cls((*_of_arguments(given, pipelines), *usable), pipelines)

    def setting(
        self, name: str, registration: str | None = None, *, secret: bool = False, table: str | None = None
    ) -> Found | None:
        """Return the setting *name*, of a registration or a *table* of it, under its exact name; None if not given.

        Tables of the same exact name in several files are combined, the earlier provider's members first.
        """
        for pipeline in self.pipelines:
            place = Place(name, registration, pipeline, table)
            found = list(self.values(place, secret=secret))
            if found:
                return _combined(found)
        return None

    def tables(self) -> Iterator[tuple[Place, Mapping[str, Any]]]:
        """Yield every table `registrations` of the files and vaults, those of config.toml first."""
        for pipeline in reversed(self.pipelines):
            place = Place(REGISTRATIONS, None, pipeline)
            for found in reversed(list(self.values(place, secret=True))):
                if isinstance(found.value, Mapping):
                    yield place, found.value

    def shared(self) -> Iterator[tuple[Place, Mapping[str, Any]]]:
        """Yield every table `[sources.lti_rosters]`."""
        for pipeline in self.pipelines:
            for provider in self.providers:
                value = _ask(provider, SECTIONS[-1], AnyType, pipeline, SECTIONS[:-1])
                if isinstance(value, Mapping):
                    yield Place("", None, pipeline), value

    def values(self, place: Place, *, secret: bool = False) -> Iterator[Found]:
        """Yield what each provider has at *place*, in their order; a blank variable is none."""
        hint = TSecretValue if secret else AnyType
        for provider in self.providers:
            value = _ask(provider, place.setting, hint, place.pipeline, place.sections)
            is_blank = isinstance(value, str) and not value.strip() and provider.name == ENVIRONMENT
            if value is not None and not is_blank:
                yield Found(value, place, provider.name, provider.supports_secrets)


def _of_arguments(
    given: Mapping[str, Any] | None, pipelines: tuple[str | None, ...]
) -> tuple[ConfigProvider, ...]:
    """A provider of what the caller gives, under every pipeline's name: else a file's prefixed table went before."""
    if not given:
        return ()
    table = {SECTIONS[0]: {SECTIONS[1]: given}}
    document = {**table, **{pipeline: table for pipeline in pipelines if pipeline}}
    return (CustomLoaderDocProvider(ARGUMENTS, lambda: document),)


def _ask(
    provider: ConfigProvider, name: str, hint: Any, pipeline: str | None, sections: tuple[str, ...]
) -> Any:
    try:
        return provider.get_value(name, hint, pipeline, *sections)[0]
    except Exception as error:  # a vault may raise anything, and its text may hold what it was asked for
        raise ConfigurationError(
            f'The provider of settings "{provider.name}" failed: {type(error).__name__}.',
            where=Place(name).environment(),
            remedy="Mend its access, or switch it off under [providers] in .dlt/config.toml.",
        ) from None


def _combined(found: list[Found]) -> Found:
    """Return the first of *found*; if it is a table, with the members that only later tables have."""
    first = found[0]
    if not isinstance(first.value, Mapping):
        return first
    value: dict[str, Any] = {}
    for table in (each.value for each in reversed(found) if isinstance(each.value, Mapping)):
        value = _merged(value, table)
    is_secret = all(each.is_in_secret_store for each in found)
    return Found(value, first.place, first.provider, is_secret)


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return both tables as one; where both have a member *over*'s is taken, tables are merged again."""
    merged = dict(under)
    for name, value in over.items():
        beneath = merged.get(name)
        if isinstance(value, Mapping) and isinstance(beneath, Mapping):
            merged[name] = _merged(beneath, value)
        else:
            merged[name] = value
    return merged


def _unreadable(error: Exception) -> ConfigurationError:
    """Name the file and the line alone: what stands there may be a secret."""
    file = getattr(error, "file_name", "") or "a file of settings"
    line = re.search(r"line \d+(,? col(umn)? \d+)?", str(error))
    at = f" at {line[0]}" if line else ""
    return ConfigurationError(
        f"{file} is not valid TOML{at}.",
        where=".dlt",
        remedy="A key of several lines stands between triple quotes.",
    )
