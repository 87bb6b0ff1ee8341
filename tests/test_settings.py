"""Settings: real .dlt folders and environments, read through dlt's own providers."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers.doc import CustomLoaderDocProvider
from dlt.common.configuration.providers.vault import VaultDocProvider
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.pipeline import PipelineContext

from lti_rosters.catalogue.catalogue import read_catalogue
from lti_rosters.errors import ConfigurationError
from lti_rosters.keys.signing import SigningKey, new_key, private_pem
from lti_rosters.settings.identity import Identity
from lti_rosters.settings.settings import Fault, Options, Registration, Settings, read_settings
from patience import PATIENCE

URL = "https://lms.example/courses/1/names_and_roles"
NRPS = """
issuer = "https://lms.example"
client_id = "10000000000001"
token_url = "https://lms.example/login/oauth2/token"
contexts = ["https://lms.example/courses/1/names_and_roles"]
"""
CANVAS = f"[sources.lti_rosters.registrations.canvas]{NRPS}"
MOODLE = f"[sources.lti_rosters.registrations.moodle]{NRPS}"
ENVIRONMENT = "SOURCES__LTI_ROSTERS__"
OF_CANVAS = f"{ENVIRONMENT}REGISTRATIONS__CANVAS__"

Write = Callable[..., None]


@cache
def key() -> SigningKey:
    """Make one key for all tests."""
    return new_key()


@cache
def other_key() -> SigningKey:
    """Make a second one."""
    return new_key()


def shared_key(signing: SigningKey | None = None, section: str = "") -> str:
    """Return a secrets.toml that holds a key for every registration, or for one."""
    table = f"sources.lti_rosters{section}"
    return f"[{table}]\nprivate_key = '''{private_pem(signing or key())}'''\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Give a function that writes a project's config.toml and secrets.toml, and has dlt read them."""
    (tmp_path / ".dlt").mkdir()
    monkeypatch.chdir(tmp_path)
    context = Container()[PluggableRunContext]

    def written(config: str = "", secrets: str = "") -> None:
        (tmp_path / ".dlt" / "config.toml").write_text(config, encoding="utf-8")
        (tmp_path / ".dlt" / "secrets.toml").write_text(secrets, encoding="utf-8")
        context.reload_providers()

    written()
    yield written
    monkeypatch.undo()
    context.reload_providers()


def only_one(settings: Settings) -> Registration:
    """Return the one registration of *settings*, which must have no faults."""
    assert settings.faulty == {}
    (registration,) = settings.registrations
    return registration


def faults(settings: Settings, name: str = "canvas") -> list[str]:
    """Return the faults of a registration as text."""
    return [str(fault) for fault in settings.faulty[name]]


# One registration, and where its settings may stand


def test_registration_in_full(write: Write) -> None:
    """A registration is read from config.toml and secrets.toml together."""
    write(CANVAS, shared_key(section=".registrations.canvas"))

    registration = only_one(read_settings())

    assert registration == Registration(
        name="canvas",
        provider="nrps",
        issuer="https://lms.example",
        client_id="10000000000001",
        token_url="https://lms.example/login/oauth2/token",
        audience="https://lms.example/login/oauth2/token",
        key=key(),
        contexts=[URL],
        options=Options(),
    )


def test_optional_fields(write: Write) -> None:
    """Audience, deployment, further claims and the key's name are taken when set."""
    write(
        f"""{CANVAS}
audience = "https://api.brightspace.com/auth/token"
deployment_id = 7
key_id = "2026"
extra_claims = {{ iss = "https://tool.example", level = 2 }}
""",
        shared_key(),
    )

    registration = only_one(read_settings())

    assert registration.audience == "https://api.brightspace.com/auth/token"
    assert registration.deployment_id == "7"
    assert registration.extra_claims == {"iss": "https://tool.example", "level": 2}
    assert registration.key is not None
    assert (registration.key.kid, registration.key.thumbprint) == ("2026", key().thumbprint)


def test_client_id_may_be_a_number(write: Write) -> None:
    """A client id without quotes is the same text."""
    write(CANVAS.replace('"10000000000001"', "10000000000001"), shared_key())

    assert only_one(read_settings()).client_id == "10000000000001"


def test_environment_alone(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registration may live in the environment alone, if it is named."""
    write()
    monkeypatch.setenv(f"{ENVIRONMENT}REGISTRATION_NAMES", "canvas")
    monkeypatch.setenv(f"{OF_CANVAS}ISSUER", "https://lms.example")
    monkeypatch.setenv(f"{OF_CANVAS}CLIENT_ID", "1")
    monkeypatch.setenv(f"{OF_CANVAS}TOKEN_URL", "https://lms.example/token")
    monkeypatch.setenv(f"{OF_CANVAS}PRIVATE_KEY", private_pem(key()).replace("\n", "\\n"))
    monkeypatch.setenv(f"{OF_CANVAS}CONTEXTS", json.dumps([URL]))
    monkeypatch.setenv(f"{OF_CANVAS}EXTRA_CLAIMS", '{"a": 1}')

    registration = only_one(read_settings())

    assert registration.key == key()
    assert registration.extra_claims == {"a": 1}


def test_environment_is_not_searched_for_names(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable alone makes no registration."""
    write(CANVAS, shared_key())
    monkeypatch.setenv(f"{ENVIRONMENT}REGISTRATIONS__MOODLE__CLIENT_ID", "1")

    assert only_one(read_settings()).name == "canvas"


def test_environment_before_files(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """For one exact name the environment goes before the files."""
    write(CANVAS, shared_key())
    monkeypatch.setenv(f"{OF_CANVAS}CLIENT_ID", "from-environment")

    assert only_one(read_settings()).client_id == "from-environment"


def test_exact_name_before_shared_one(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registration's own value in a file goes before a shared one in the environment."""
    write(CANVAS, shared_key())
    monkeypatch.setenv(f"{ENVIRONMENT}CLIENT_ID", "shared")

    assert only_one(read_settings()).client_id == "10000000000001"


def test_shared_fields(write: Write) -> None:
    """Any field may be set for all registrations."""
    write(f"[sources.lti_rosters]{NRPS}registration_names = ['a', 'b']", shared_key())

    registrations = read_settings().registrations

    assert [(each.name, each.client_id) for each in registrations] == [
        ("a", "10000000000001"),
        ("b", "10000000000001"),
    ]


def test_own_key_before_shared_key(write: Write) -> None:
    """Each registration signs with its own key where it has one, else with the shared one."""
    write(CANVAS + MOODLE, shared_key() + shared_key(other_key(), ".registrations.canvas"))

    keys = {each.name: each.key for each in read_settings().registrations}

    assert keys == {"canvas": other_key(), "moodle": key()}


BARE = {
    "PRIVATE_KEY": "bare",
    "SOURCES__PRIVATE_KEY": "bare",
    f"{ENVIRONMENT}REGISTRATIONS__PRIVATE_KEY": "bare",
    "ISSUER": "https://bare.example",
    "CLIENT_ID": "bare",
    "TOKEN_URL": "https://bare.example/token",
    "AUDIENCE": "bare",
    "KEY_ID": "bare",
    "DEPLOYMENT_ID": "bare",
    "CONTEXTS": "bare.csv",
    "EXTRA_CLAIMS": '{"bare": 1}',
    "IDENTITY": "drop",
    "REGISTRATION_NAMES": "bare",
    **{name.upper(): "7" for name in Options.__dataclass_fields__},
    **{f"SOURCES__{name.upper()}": "7" for name in Options.__dataclass_fields__},
    **{f"LTI_ROSTERS__{name.upper()}": "7" for name in Options.__dataclass_fields__},
    **{f"{ENVIRONMENT}REGISTRATIONS__{name.upper()}": "7" for name in Options.__dataclass_fields__},
}


def test_shorter_names_have_no_effect(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a bare nor a shortened variable reaches a registration, given or missing the exact one."""
    write(CANVAS, shared_key())
    before = only_one(read_settings())
    for name, value in BARE.items():
        monkeypatch.setenv(name, value)

    after = only_one(read_settings())

    assert after == before


def test_bare_name_does_not_fill_a_gap(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing key stays missing, whatever a variable called PRIVATE_KEY holds."""
    write(CANVAS)
    monkeypatch.setenv("PRIVATE_KEY", private_pem(key()))

    assert [fault.field for fault in read_settings().faulty["canvas"]] == ["private_key"]


def test_bare_names_in_files_have_no_effect(write: Write) -> None:
    """The same holds for the tables above ours in the files."""
    write("timeout = 7\n[sources]\nconcurrency = 7\n" + CANVAS, "private_key = 'x'\n" + shared_key())

    registration = only_one(read_settings())

    assert (registration.options, registration.key) == (Options(), key())


def test_tables_of_two_files_are_combined(write: Write) -> None:
    """A table that stands in both files is one table, secrets.toml first."""
    write(
        f"{CANVAS}\n[sources.lti_rosters.registrations.canvas.extra_claims]\na = 1\nb = {{ c = 1, d = 1 }}\n",
        shared_key() + "[sources.lti_rosters.registrations.canvas.extra_claims]\nb = { d = 2 }\ne = 2\n",
    )

    assert only_one(read_settings()).extra_claims == {"a": 1, "b": {"c": 1, "d": 2}, "e": 2}


def test_catalogue_over_two_files(write: Write) -> None:
    """A catalogue's table may keep a secret part in secrets.toml."""
    config = CANVAS.replace(f'contexts = ["{URL}"]', 'contexts = { query = "select 1" }')
    write(config, "[sources.lti_rosters.registrations.canvas]\ncontexts = { url = 'postgresql://x' }\n")

    settings = read_settings()

    assert settings.faulty_contexts == {"canvas": {"query": "select 1", "url": "postgresql://x"}}


def test_catalogue_s_database_in_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The url of a query may come from the environment, under the table's exact name."""
    write(CANVAS.replace(f'contexts = ["{URL}"]', 'contexts = { query = "select 1" }'))
    monkeypatch.setenv("SOURCES__LTI_ROSTERS__REGISTRATIONS__CANVAS__CONTEXTS__URL", "postgresql://x")

    settings = read_settings()

    assert [fault.field for fault in settings.faulty["canvas"]] == ["private_key"]


@pytest.mark.parametrize(
    ("in_file", "in_environment"),
    [
        ("", {"CONTEXTS__QUERY": "select 1", "CONTEXTS__URL": ":memory:"}),
        ("", {"CONTEXTS": '{"query": "select 1"}', "CONTEXTS__URL": ":memory:"}),
        ('contexts = { query = "select 1" }\n', {"CONTEXTS__URL": ":memory:"}),
    ],
)
def test_a_query_in_the_environment(
    in_file: str, in_environment: Mapping[str, str], write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each member of a catalogue's table has its variable, with the table in a file, in JSON, or nowhere else."""
    write(CANVAS.replace(f'contexts = ["{URL}"]\n', in_file), shared_key())
    for name, value in in_environment.items():
        monkeypatch.setenv(f"{OF_CANVAS}{name}", value)

    assert only_one(read_settings()).contexts == {"query": "select 1", "url": ":memory:"}


def test_a_template_in_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template and its ids are as good; for all registrations too."""
    write(CANVAS.replace(f'contexts = ["{URL}"]\n', ""), shared_key())
    template = "https://canvas.example/courses/{course_id}/names_and_roles"
    monkeypatch.setenv(f"{ENVIRONMENT}CONTEXTS__TEMPLATE", template)
    monkeypatch.setenv(f"{ENVIRONMENT}CONTEXTS__IDS", "1,2")

    catalogue = read_catalogue(only_one(read_settings()).contexts, where="canvas")

    assert [str(each.memberships_url).split("/")[-2] for each in catalogue.entries] == ["1", "2"]


def test_array_of_tables(write: Write) -> None:
    """Contexts may be tables in config.toml."""
    config = CANVAS.replace(f'contexts = ["{URL}"]\n', "")
    write(
        f"{config}\n[[sources.lti_rosters.registrations.canvas.contexts]]\nmemberships_url = '{URL}'\n",
        shared_key(),
    )

    assert only_one(read_settings()).contexts == [{"memberships_url": URL}]


def test_jwk_as_a_table(write: Write) -> None:
    """A JWK may be a table in secrets.toml."""
    numbers = key().private_key.private_numbers()
    from lti_rosters.keys.signing import _unsigned, public_jwk

    members = {**public_jwk(key()), "d": _unsigned(numbers.d)}
    table = "\n".join(f'{name} = "{value}"' for name, value in members.items())
    write(CANVAS, f"[sources.lti_rosters.private_key]\n{table}\n")

    assert only_one(read_settings()).key == key()


def test_key_as_a_path_in_config(write: Write) -> None:
    """The path of a key is no secret: it may stand in config.toml."""
    Path("tool.pem").write_text(private_pem(key()))
    write(CANVAS + 'private_key = "tool.pem"')

    assert only_one(read_settings()).key == key()


def test_union_of_names(write: Write) -> None:
    """Registrations are the tables of both files and the names, in that order."""
    write(
        f"[sources.lti_rosters]\nregistration_names = ['x', 'canvas']\n{CANVAS}",
        shared_key() + "[sources.lti_rosters.registrations.y]\n",
    )

    settings = read_settings()

    assert [each.name for each in settings.registrations] == ["canvas"]
    assert list(settings.faulty) == ["y", "x"]


# Pipelines and other providers


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[None]:
    """Have a pipeline called lti_rosters active."""
    dlt.pipeline("lti_rosters", pipelines_dir=str(tmp_path / "pipelines"))
    yield
    Container()[PipelineContext].deactivate()


@pytest.mark.usefixtures("pipeline")
def test_pipeline_prefix(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an active pipeline its own section goes first, in files and environment."""
    write(
        f"{CANVAS}\n[lti_rosters.sources.lti_rosters]\ntimeout = 5\n[lti_rosters.{CANVAS[1:]}", shared_key()
    )
    monkeypatch.setenv(f"LTI_ROSTERS__{OF_CANVAS}CLIENT_ID", "of the pipeline")
    monkeypatch.setenv(f"{OF_CANVAS}CLIENT_ID", "of all")

    registration = only_one(read_settings())

    assert (registration.client_id, registration.options.timeout) == ("of the pipeline", 5.0)


def test_pipeline_prefix_without_pipeline(write: Write) -> None:
    """Without an active pipeline no section of another pipeline than ours counts."""
    write(f"{CANVAS}\n[nightly.sources.lti_rosters]\ntimeout = 5\n", shared_key())

    assert only_one(read_settings()).options.timeout == 60.0


@pytest.mark.usefixtures("pipeline")
def test_fault_under_a_pipeline(write: Write) -> None:
    """A fault found in a pipeline's section is told with that section."""
    write(f"{CANVAS}\n[lti_rosters.sources.lti_rosters.registrations.canvas]\ntimeout = -5\n", shared_key())

    (fault,) = read_settings().faulty["canvas"]

    assert "[lti_rosters.sources.lti_rosters.registrations.canvas]" in fault.toml
    assert fault.environment == f"LTI_ROSTERS__{OF_CANVAS}TIMEOUT"


class Vault(VaultDocProvider):
    """A vault as dlt's Google, AWS and Airflow providers are: it answers for secrets, by name."""

    def __init__(self, secrets: dict[str, str]) -> None:
        """Hold *secrets* by their full names."""
        self.secrets = secrets
        super().__init__(only_secrets=True, only_toml_fragments=False)

    @property
    def name(self) -> str:
        """Return the name that errors tell."""
        return "A vault"

    def _look_vault(self, full_key: str, hint: type) -> str:  # noqa: ARG002
        return self.secrets.get(full_key, None)  # type: ignore[return-value]

    def _list_vault(self) -> set[str]:
        return set(self.secrets)


def test_vault(write: Write) -> None:
    """A key in a vault is found: it is asked for as a secret."""
    write(CANVAS)
    name = "sources.lti_rosters.registrations.canvas.private_key"
    Container()[PluggableRunContext].providers.add_provider(Vault({name: private_pem(key())}))

    assert only_one(read_settings()).key == key()


def test_provider_of_ones_own(write: Write) -> None:
    """Any provider registered with dlt is asked."""
    write(CANVAS)
    values = {"sources": {"lti_rosters": {"private_key": private_pem(key()), "timeout": 7}}}
    Container()[PluggableRunContext].providers.add_provider(CustomLoaderDocProvider("mine", lambda: values))

    registration = only_one(read_settings())

    assert (registration.key, registration.options.timeout) == (key(), 7.0)


def test_vault_that_fails(write: Write) -> None:
    """A vault that fails stops everything, its text is not repeated."""

    class Broken(Vault):
        def _look_vault(self, full_key: str, hint: type) -> str:  # noqa: ARG002
            raise OSError("token=hunter2")

    write(CANVAS)
    Container()[PluggableRunContext].providers.add_provider(Broken({}))

    with pytest.raises(ConfigurationError, match='"A vault" failed: OSError') as caught:
        read_settings()

    assert "hunter2" not in str(caught.value)


# Options


TYPED: list[tuple[str, Any, str, Any]] = [
    ("page_size", 50, "50", 50),
    ("max_members", 5, " 5 ", 5),
    ("concurrency", 256, "256", 256),
    ("timeout", 1.5, "1.5", 1.5),
    ("roster_timeout", 10, "10", 10.0),
    ("max_pages", 1, "1", 1),
    ("max_body_mb", 1, "1", 1),
    ("max_attempts", 20, "20", 20),
    ("max_wait", 0, "0", 0.0),
    ("use_differences", True, "true", True),
    ("full_every", 1, "1", 1),
    ("confirm_departures", False, "False", False),
    ("confirm_departures", False, "0", False),
    ("zero_bytes", "empty", "EMPTY", "empty"),
    ("repeated_next", "end", "end", "end"),
    ("stale_after_hours", 24, "24", 24),
    ("allow_hosts", ["Files.example"], "Files.example", ("https://files.example:443",)),
    ("allow_hosts", [], ",", ()),
    (
        "allow_hosts",
        ["https://a.example:8443", "b.example:1", "http://localhost:80/"],
        '["https://a.example:8443", "b.example:1", "http://localhost:80/"]',
        ("https://a.example:8443", "https://b.example:1", "http://localhost:80"),
    ),
    ("allow_hosts", ["a.example", "a.example"], "a.example, https://a.example,", ("https://a.example:443",)),
]


@pytest.mark.parametrize(("name", "toml", "environment", "expected"), TYPED)
def test_options(
    write: Write, monkeypatch: pytest.MonkeyPatch, name: str, toml: Any, environment: str, expected: Any
) -> None:
    """An option reads alike from TOML, from the environment and from Python, for one or for all."""
    line = f"{name} = {json.dumps(toml)}"
    write(f"{CANVAS}{line}\n{MOODLE}", shared_key())
    monkeypatch.setenv(f"{ENVIRONMENT}REGISTRATIONS__MOODLE__{name.upper()}", environment)
    of_one = [each.options for each in read_settings().registrations]
    write(f"[sources.lti_rosters]\n{line}\n{CANVAS}", shared_key())
    of_all = only_one(read_settings()).options
    write(CANVAS, shared_key())
    of_python = only_one(read_settings(overrides={name: toml})).options

    assert [getattr(each, name) for each in (*of_one, of_all, of_python)] == [expected] * 4


def test_role_becomes_canonical(write: Write) -> None:
    """A role is read to its canonical URI."""
    write(f"{CANVAS}\nrole = 'Learner'", shared_key())

    role = only_one(read_settings()).options.role

    assert role == "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"


WRONG: list[tuple[str, Any, str]] = [
    ("concurrency", 0, "concurrency is 0; it must be a whole number from 1 to 256."),
    ("concurrency", 257, "concurrency is 257; it must be"),
    ("concurrency", 1.5, "concurrency is 1.5; it must be"),
    ("concurrency", True, "concurrency is true; it must be"),
    ("concurrency", "many", 'concurrency is "many"; it must be'),
    ("page_size", 0, "page_size is 0; it must be a whole number, 1 or more."),
    ("page_size", [1], "page_size is a list; it must be"),
    ("page_size", {"a": 1}, "page_size is a table; it must be"),
    ("page_size", "9" * 5000, "page_size is a text of 5000 characters; it must be"),
    ("max_members", -1, "max_members is -1; it must be"),
    ("timeout", 0, "timeout is 0; it must be a number of seconds above 0."),
    ("timeout", "nan", 'timeout is "nan"; it must be'),
    ("timeout", "soon", 'timeout is "soon"; it must be'),
    ("timeout", False, "timeout is false; it must be"),
    ("max_wait", -1, "max_wait is -1; it must be a number of seconds, 0 or more."),
    ("max_attempts", 21, "max_attempts is 21; it must be a whole number from 1 to 20."),
    ("use_differences", "maybe", 'use_differences is "maybe"; it must be true or false.'),
    ("use_differences", 1, "use_differences is 1; it must be true or false."),
    ("zero_bytes", "ignore", 'zero_bytes is "ignore"; it must be one of fail, empty.'),
    ("repeated_next", 1, "repeated_next is 1; it must be one of fail, end."),
    ("allow_hosts", ["*.example"], "allow_hosts is a list; it must be a list of origins"),
    ("allow_hosts", "https://a.example/path", 'allow_hosts is "https://a.example/path"; it must be'),
    ("allow_hosts", "https://u:hunter2@a.example", 'allow_hosts is "https://a.example"; it must be'),
    ("allow_hosts", "http://a.example", "allow_hosts: it is http://a.example: without TLS"),
    ("allow_hosts", "a.example:99999", "allow_hosts: it is not a URL that can be used"),
    ("allow_hosts", [7], "allow_hosts is a list; it must be a list of texts."),
    ("allow_hosts", "[7", 'allow_hosts is "[7"; it must be a list of texts.'),
    ("allow_hosts", "[::1::2]", 'allow_hosts is "[::1::2]"; it must be'),
    ("role", 7, "role is 7; it must be the name or URI of a role."),
]


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
def test_wrong_option_of_one(write: Write, name: str, value: Any, expected: str) -> None:
    """A wrong option of a registration is its fault: value, what it must be, both places."""
    toml = "{ a = 1 }" if isinstance(value, dict) else json.dumps(value)
    write(f"{CANVAS}\n{name} = {toml}\n{MOODLE}", shared_key())

    settings = read_settings()

    assert [each.name for each in settings.registrations] == ["moodle"]
    (fault,) = settings.faulty["canvas"]
    assert fault.what.startswith(expected)
    assert fault.toml == f"{name} under [sources.lti_rosters.registrations.canvas] in .dlt/config.toml"
    assert fault.environment == f"{OF_CANVAS}{name.upper()}"
    assert "hunter2" not in str(fault)


def test_unknown_role(write: Write) -> None:
    """A role that is none is told with the valid ones."""
    write(f"{CANVAS}\nrole = 'Lerner'", shared_key())

    (fault,) = faults(read_settings())

    assert fault.startswith("role: ")
    assert "Lerner" in fault


def test_wrong_value_from_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault says when the environment holds the value: mending the file would not help."""
    write(CANVAS, shared_key())
    monkeypatch.setenv(f"{OF_CANVAS}CONCURRENCY", "many")

    (fault,) = faults(read_settings())

    assert fault.startswith('concurrency is "many" (from the environment); it must be')


def test_blank_variable_is_none(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blank variable, as compose files make them, leaves the file's value."""
    write(f"{CANVAS}\nconcurrency = 3", shared_key())
    monkeypatch.setenv(f"{OF_CANVAS}CONCURRENCY", "")
    monkeypatch.setenv(f"{OF_CANVAS}CLIENT_ID", " ")

    registration = only_one(read_settings())

    assert (registration.options.concurrency, registration.client_id) == (3, "10000000000001")


def test_arguments_before_settings(write: Write) -> None:
    """An argument goes before every setting; None is none."""
    write(f"[sources.lti_rosters]\ntimeout = 1\n{CANVAS}\nconcurrency = 3\ntimeout = 2", shared_key())

    options = only_one(read_settings(overrides={"concurrency": 5, "timeout": None})).options

    assert (options.concurrency, options.timeout) == (5, 2.0)


def test_registration_before_shared_option(write: Write) -> None:
    """A registration's own option goes before the shared one."""
    write(f"[sources.lti_rosters]\nconcurrency = 1\n{CANVAS}\nconcurrency = 2\n{MOODLE}", shared_key())

    options = {each.name: each.options.concurrency for each in read_settings().registrations}

    assert options == {"canvas": 2, "moodle": 1}


# The faults of a registration


def test_five_faults_at_once(write: Write) -> None:
    """Five faults are told together, in the order of the documentation."""
    write(
        """[sources.lti_rosters.registrations.canvas]
issuer = "https://lms.example?x=1"
token_url = "http://lms.example/token"
contexts = "courses.csv"
concurrency = "many"
""",
        shared_key(),
    )

    settings = read_settings()

    assert [fault.field for fault in settings.faulty["canvas"]] == [
        "issuer",
        "client_id",
        "token_url",
        "contexts",
        "concurrency",
    ]
    told = str(settings.error("canvas"))
    assert told.startswith('registration "canvas": 5 settings are missing or wrong:\n- issuer is')
    assert len(told.splitlines()) == 6


def test_missing_fields(write: Write) -> None:
    """An empty registration is told every required field, where to find it and both places for it."""
    write("[sources.lti_rosters.registrations.canvas]\n")

    found = read_settings().faulty["canvas"]

    assert [fault.field for fault in found] == ["issuer", "client_id", "token_url", "private_key", "contexts"]
    assert found[1] == Fault(
        "canvas",
        "client_id",
        "client_id is missing. The platform shows it where the tool is registered "
        "(Canvas: Developer Keys, Details).",
        "client_id under [sources.lti_rosters.registrations.canvas] in .dlt/config.toml",
        "SOURCES__LTI_ROSTERS__REGISTRATIONS__CANVAS__CLIENT_ID",
    )
    assert found[3].toml.endswith("in .dlt/secrets.toml")


@pytest.mark.parametrize("value", ['""', '"  "', '"<configure me>"'])
def test_blank_field_is_missing(write: Write, value: str) -> None:
    """A blank text, or dlt's placeholder, is a missing field."""
    write(CANVAS.replace('"10000000000001"', value), shared_key())

    (fault,) = faults(read_settings())

    assert fault.startswith("client_id is missing.")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('issuer = "lms.example"', "issuer: it is not an absolute URL."),
        ('issuer = "https://lms.example#x"', "issuer is"),
        ('token_url = "https://"', "token_url: it is not a URL that can be used"),
        ("client_id = true", "client_id is true; it must be a text."),
        ("client_id = [1]", "client_id is a list; it must be a text."),
        (
            'client_id = "a\\nb"',
            "client_id is a text of 3 characters; it must be a text of one line, of 1000 characters at most.",
        ),
        ('provider = "moodle"', 'provider is "moodle"; it must be one of nrps, ltiaas.'),
        ('extra_claims = "x"', 'extra_claims is "x"; it must be a table of claims.'),
        ('extra_claims = { aud = "x" }', "extra_claims: it may not set aud: use audience."),
        ("extra_claims = { jti = 1 }", "extra_claims: it may not set jti:"),
        ("extra_claims = { a = 2026-01-01 }", "extra_claims is a table; it must be a table of texts"),
        ("extra_claims = { a = nan }", "extra_claims is a table; it must be a table of texts"),
        ("deployment_id = 1.5", "deployment_id is 1.5; it must be a text."),
        ("contexts = 7", "contexts: A catalogue cannot be made of int."),
        ('contexts = "missing.csv"', "contexts: There is no file missing.csv"),
        ('contexts = { query = "x" }', "contexts: A query needs the url of its database"),
        ('identity = "drop"', "identity holds for all registrations"),
    ],
)
def test_wrong_field(write: Write, line: str, expected: str) -> None:
    """A wrong field is told with its value and what it must be."""
    name = line.partition(" ")[0]
    config = "\n".join(each for each in CANVAS.splitlines() if not each.startswith(f"{name} "))
    write(f"{config}\n{line}\n", shared_key())

    (fault,) = faults(read_settings())

    assert fault.startswith(expected)


@pytest.mark.parametrize("line", ["private_key = 7", "private_key = [1]"])
def test_key_of_a_wrong_type(write: Write, line: str) -> None:
    """A key that is no text is told without its value."""
    write(CANVAS, f"[sources.lti_rosters]\n{line}")

    (fault,) = faults(read_settings())

    assert fault.startswith("private_key: it must be a text. Set private_key under [sources.lti_rosters] in")


def test_missing_key_file(write: Write) -> None:
    """A key file that is missing is told where the shared setting stands."""
    write(CANVAS, "[sources.lti_rosters]\nprivate_key = 'tool.pem'\n")

    (fault,) = faults(read_settings())

    assert fault == (
        "private_key: There is no file tool.pem. Give the private key as PEM or JWK, or the path of a file "
        "that holds it. Set private_key under [sources.lti_rosters] in .dlt/secrets.toml, or "
        "SOURCES__LTI_ROSTERS__PRIVATE_KEY."
    )


@pytest.mark.parametrize(
    "setting",
    [
        "private_key",
        "client_id",
        "issuer",
        "deployment_id",
        "concurrency",
        "contexts",
        "allow_hosts",
        "extra_claims",
    ],
)
@pytest.mark.parametrize("damage", ["none", "headless", "half", "one line"])
def test_pasted_key_is_never_told(write: Write, setting: str, damage: str) -> None:
    """A private key pasted anywhere, whole or in part, in whatever setting, shows in no message."""
    pem = private_pem(key())
    pasted = {
        "none": pem,
        "headless": "\n".join(pem.splitlines()[1:-1]),
        "half": pem[:900],
        "one line": pem.replace("\n", "")[:-60],
    }[damage]
    config = "\n".join(each for each in CANVAS.splitlines() if not each.startswith(f"{setting} "))
    write(f"{config}\n{setting} = '''{pasted}'''\n", shared_key() if setting != "private_key" else "")

    settings = read_settings()

    told = str(settings.error("canvas")) + repr(settings)
    inside = "".join(pem.splitlines()[1:-1])
    assert all(inside[at : at + 16] not in told for at in range(len(inside) - 16))


def test_key_text_in_config(write: Write) -> None:
    """A key's text in config.toml is refused: that file is not for secrets."""
    write(f"{CANVAS}\nprivate_key = '''{private_pem(key())}'''")

    (fault,) = faults(read_settings())

    assert fault.startswith("private_key: it stands in config.toml, which is not for secrets: move it.")


def test_no_repr_shows_secrets(write: Write) -> None:
    """The text of the settings shows neither keys nor catalogues, which may hold service keys."""
    write(CANVAS.replace("names_and_roles", "names_and_roles?access_token=hunter2"), shared_key())

    settings = read_settings()

    assert only_one(settings)
    assert "hunter2" not in repr(settings)
    assert "RSAPrivateKey" not in repr(settings)


def test_user_in_a_url_is_left_out(write: Write) -> None:
    """A user in the token URL goes nowhere."""
    write(CANVAS.replace("https://lms.example/login", "https://user:hunter2@lms.example/login"), shared_key())

    registration = only_one(read_settings())

    assert "hunter2" not in repr(registration)
    assert registration.token_url == registration.audience == "https://lms.example/login/oauth2/token"


def test_ltiaas_needs_no_key_pair(write: Write) -> None:
    """A registration with LTIAAS has an address and an API key, which no repr shows."""
    write(
        f"""[sources.lti_rosters.registrations.hub]
provider = "ltiaas"
base_url = "https://acme.ltiaas.com"
contexts = []
{CANVAS}""",
        shared_key() + "[sources.lti_rosters.registrations.hub]\napi_key = 'hunter2'\n",
    )

    settings = read_settings()

    (hub,) = [each for each in settings.registrations if each.name == "hub"]
    assert (hub.provider, hub.api_key, hub.origins()) == (
        "ltiaas",
        "hunter2",
        frozenset({"https://acme.ltiaas.com:443"}),
    )
    assert "hunter2" not in repr(settings)


def test_ltiaas_faults(write: Write) -> None:
    """Of LTIAAS its own fields are required, and its key's place is secrets.toml."""
    write('[sources.lti_rosters.registrations.hub]\nprovider = "ltiaas"\napi_key = "hunter2"\n')

    found = read_settings().faulty["hub"]

    assert [fault.field for fault in found] == ["base_url", "api_key", "contexts"]
    assert "hunter2" not in str(found)


def test_contexts_of_faulty_registrations_are_kept(write: Write) -> None:
    """The catalogue of a faulty registration is kept, so that its contexts can be recorded as failed."""
    write(CANVAS + MOODLE.replace("client_id", "clientid"), shared_key())

    settings = read_settings()

    assert settings.faulty_contexts == {"moodle": [URL]}


def test_all_faulty(write: Write) -> None:
    """When every registration is faulty the settings still come back: the caller decides."""
    write(CANVAS + MOODLE)

    settings = read_settings()

    assert settings.registrations == ()
    assert set(settings.faulty) == {"canvas", "moodle"}


# What holds for all


def test_no_registration(write: Write) -> None:
    """Without a registration there is nothing to read."""
    write()

    with pytest.raises(ConfigurationError, match="There is no registration") as caught:
        read_settings()

    assert "SOURCES__LTI_ROSTERS__REGISTRATION_NAMES" in str(caught.value)
    assert caught.value.exit_status == 4


@pytest.mark.parametrize("name", ["Canvas", "1st", "_x", "my-lms", "a.b", "é"])
def test_bad_names(write: Write, name: str) -> None:
    """A name that cannot be one is told."""
    write(f'[sources.lti_rosters]\nregistration_names = ["{name}"]\n{CANVAS}', shared_key())

    with pytest.raises(ConfigurationError, match=f'"{name}" cannot name a registration'):
        read_settings()


SECRET = "0123456789abcdef" * 2  # as short as may be


@pytest.mark.parametrize("value", ['"keeep"', "true", "7", '"anonymise"'])
def test_identity(write: Write, value: str) -> None:
    """A mode that there is not is refused, never passed over."""
    write(f"[sources.lti_rosters]\nidentity = {value}\n{CANVAS}", shared_key())

    with pytest.raises(ConfigurationError, match="identity is") as caught:
        read_settings()

    assert "SOURCES__LTI_ROSTERS__IDENTITY" in str(caught.value)


@pytest.mark.parametrize("value", ["keep", "drop", "Pseudonymize "])
def test_identity_modes(write: Write, value: str) -> None:
    """All three modes are read, with their key, and no repr shows the secret."""
    write(
        f'[sources.lti_rosters]\nidentity = "{value}"\nidentity_key_id = "2026-11"\n{CANVAS}',
        f"[sources.lti_rosters]\nidentity_secret = '{SECRET}'\n"
        + shared_key(section=".registrations.canvas"),
    )

    settings = read_settings()

    assert settings.handling == Identity(value.strip().lower(), "2026-11", SECRET)
    assert SECRET not in repr(settings) + repr(settings.handling)


@pytest.mark.parametrize("value", [None, "", "brief", SECRET[1:], "é" * 15 + "x"])
def test_pseudonymize_needs_a_secret(write: Write, value: str | None) -> None:
    """Without a secret, or with one under 32 bytes, nothing is read; the secret is not shown."""
    secret = "" if value is None else f"identity_secret = '{value}'\n"
    write(
        f'[sources.lti_rosters]\nidentity = "pseudonymize"\nidentity_key_id = "a"\n{CANVAS}',
        f"[sources.lti_rosters]\n{secret}" + shared_key(section=".registrations.canvas"),
    )

    with pytest.raises(ConfigurationError, match="identity_secret") as caught:
        read_settings()

    assert caught.value.exit_status == 4
    assert not value or value not in str(caught.value)
    assert "SOURCES__LTI_ROSTERS__IDENTITY_SECRET" in str(caught.value)


def test_a_secret_counts_in_bytes(write: Write) -> None:
    """Sixteen letters of two bytes each are enough."""
    write(
        f'[sources.lti_rosters]\nidentity = "pseudonymize"\nidentity_key_id = "a"\n{CANVAS}',
        f"[sources.lti_rosters]\nidentity_secret = '{'é' * 16}'\n"
        + shared_key(section=".registrations.canvas"),
    )

    assert read_settings().identity == "pseudonymize"


@pytest.mark.parametrize("key_id", [None, "two words", "a" * 65, SECRET])
def test_pseudonymize_needs_a_key_id(write: Write, key_id: str | None) -> None:
    """It is stored beside the data: a short name, and not the secret itself."""
    line = "" if key_id is None else f"identity_key_id = '{key_id}'\n"
    write(
        f'[sources.lti_rosters]\nidentity = "pseudonymize"\n{line}{CANVAS}',
        f"[sources.lti_rosters]\nidentity_secret = '{SECRET}'\n"
        + shared_key(section=".registrations.canvas"),
    )

    with pytest.raises(ConfigurationError, match="identity_key_id"):
        read_settings()


def test_the_secret_of_identity_in_an_open_file(write: Write) -> None:
    """In config.toml it is refused, and not shown."""
    write(f"[sources.lti_rosters]\nidentity_secret = '{SECRET}'\n{CANVAS}", shared_key())

    with pytest.raises(ConfigurationError, match="not for secrets") as caught:
        read_settings()

    assert SECRET not in str(caught.value)


def test_identity_as_argument(write: Write) -> None:
    """The argument goes before the setting."""
    write(f'[sources.lti_rosters]\nidentity = "keep"\n{CANVAS}', shared_key())

    with pytest.raises(ConfigurationError, match="identity_secret is missing"):
        read_settings(overrides={"identity": "pseudonymize"})
    with pytest.raises(ConfigurationError, match='identity is "none"'):
        read_settings(overrides={"identity": "none"})

    assert read_settings(overrides={"identity": "drop"}).identity == "drop"


@pytest.mark.parametrize("name", ["identiy", "Identity", "identitiy"])
def test_misspelt_identity(write: Write, name: str) -> None:
    """Whoever misspells identity does not get names and mail instead."""
    write(f'[sources.lti_rosters]\n{name} = "drop"\n{CANVAS}', shared_key())

    with pytest.raises(ConfigurationError, match=f'"{name}" is not a setting; identity is'):
        read_settings()


def test_global_faults_at_once(write: Write) -> None:
    """All faults that concern everything are in one message, a line each."""
    write(
        f"""[sources.lti_rosters]
identity = "dropp"
registration_names = ["Bad-Name"]
concurrency = 0
timeout = "soon"
{CANVAS}""",
        shared_key(),
    )

    with pytest.raises(ConfigurationError) as caught:
        read_settings(overrides={"max_pages": 0, "colour": "red"}, only=["moodle"])

    told = str(caught.value).splitlines()
    assert told[0] == "7 settings are missing or wrong:"
    for part in ("identity", "Bad-Name", "concurrency", "timeout", "max_pages", "colour", '"moodle"'):
        assert any(part in line for line in told[1:]), part


def test_many_faults_fit_on_a_screen(write: Write) -> None:
    """More faults than a screen holds are counted."""
    names = [f"Bad{n}" for n in range(30)]
    write(f"[sources.lti_rosters]\nregistration_names = {json.dumps(names)}\n{CANVAS}", shared_key())

    with pytest.raises(ConfigurationError) as caught:
        read_settings()

    assert len(str(caught.value).splitlines()) == 22
    assert str(caught.value).endswith("- and 10 more")


def test_registrations_as_text(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of names in the place of the tables is told, with the setting that takes names."""
    write(CANVAS, shared_key())
    monkeypatch.setenv(f"{ENVIRONMENT}REGISTRATIONS", "canvas")

    with pytest.raises(ConfigurationError, match="REGISTRATION_NAMES"):
        read_settings()


def test_only(write: Write) -> None:
    """Only the registrations asked for are read, faults of the others do not matter."""
    write(CANVAS + "[sources.lti_rosters.registrations.moodle]\n", shared_key())

    assert only_one(read_settings(only=["canvas"])).name == "canvas"
    assert only_one(read_settings(only="canvas")).name == "canvas"


def test_only_unknown(write: Write) -> None:
    """A registration that doesn't exist is told, the nearest first."""
    write(MOODLE + CANVAS, shared_key())

    with pytest.raises(ConfigurationError, match=r'No registration "canvass"\. Known: canvas, moodle\.'):
        read_settings(only=["canvass"])


def test_unknown_settings(write: Write) -> None:
    """Names that are no settings are warned of, with the nearest that is."""
    write(
        f"""[sources.lti_rosters]
concurency = 3
max_table_nesting = 1
[sources.lti_rosters.registrations]
client_id = "x"
{CANVAS}
tokenurl = "x"
""",
        shared_key(),
    )

    assert read_settings().unknown == (
        "sources.lti_rosters.concurency is not a setting; did you mean concurrency?",
        "sources.lti_rosters.registrations.client_id is no registration's table, and has no effect.",
        "sources.lti_rosters.registrations.canvas.tokenurl is not a setting; did you mean token_url?",
    )


# Catalogues from Python


def test_contexts_by_registration(write: Write) -> None:
    """Catalogues given from Python go before the settings, registration by registration."""
    write(CANVAS.replace(f'contexts = ["{URL}"]', "") + MOODLE, shared_key())

    settings = read_settings(contexts={"canvas": iter(["x"])})

    assert [list(each.contexts) for each in settings.registrations] == [["x"], [URL]]


@pytest.mark.parametrize(
    "catalogue",
    [["x"], "courses.csv", {"template": "https://x.example/{id}", "ids": []}, {"memberships_url": "x"}],
)
def test_bare_catalogue(write: Write, catalogue: Any) -> None:
    """A bare catalogue belongs to the one registration there is, or is asked for."""
    Path("courses.csv").write_text("memberships_url\n")
    write(CANVAS + MOODLE, shared_key())

    assert only_one(read_settings(contexts=catalogue, only=["canvas"])).contexts is catalogue


def test_bare_catalogue_of_several(write: Write) -> None:
    """A bare catalogue and several registrations do not go together."""
    write(CANVAS + MOODLE, shared_key())

    with pytest.raises(
        ConfigurationError, match="needs exactly one registration; there are 2: canvas, moodle"
    ):
        read_settings(contexts=["x"])


def test_contexts_of_an_unknown_registration(write: Write) -> None:
    """A catalogue for a registration that doesn't exist is told."""
    write(CANVAS, shared_key())

    with pytest.raises(ConfigurationError, match=r'No registration "canvass"\. Known: canvas\.'):
        read_settings(contexts={"canvass": []})


def test_empty_catalogue_from_python(write: Write) -> None:
    """An empty catalogue is a catalogue."""
    write(CANVAS, shared_key())

    assert only_one(read_settings(contexts=[])).contexts == []


# Origins


def test_origins(write: Write) -> None:
    """The token may go to the origins of the token URL and of allow_hosts."""
    write(f'{CANVAS}\nallow_hosts = ["files.example", "https://lms.example:444"]', shared_key())

    assert only_one(read_settings()).origins() == {
        "https://lms.example:443",
        "https://files.example:443",
        "https://lms.example:444",
    }


# In a process of its own


def in_a_process(folder: Path) -> subprocess.CompletedProcess[str]:
    """Read the settings of *folder* in a fresh interpreter."""
    program = (
        "from lti_rosters.errors import ConfigurationError\n"
        "from lti_rosters.settings.settings import read_settings\n"
        "try:\n    print(read_settings().registrations[0].client_id)\n"
        "except ConfigurationError as error:\n    print('ERROR', error)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_fresh_process(tmp_path: Path) -> None:
    """A fresh process reads the .dlt folder of its working directory."""
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text(CANVAS)
    (tmp_path / ".dlt" / "secrets.toml").write_text(shared_key())

    assert in_a_process(tmp_path).stdout == "10000000000001\n"


def test_file_that_is_no_toml(tmp_path: Path) -> None:
    """A broken secrets.toml is told by name and line, nothing of it is repeated."""
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "secrets.toml").write_text(f"[sources]\nprivate_key = {private_pem(key())}\n")

    done = in_a_process(tmp_path)

    assert done.stdout.startswith("ERROR .dlt: secrets.toml is not valid TOML at line 2")
    assert all(line not in done.stdout + done.stderr for line in private_pem(key()).splitlines()[1:-1])


# The pipeline's name before a setting, and names that are none


def test_the_name_of_our_pipeline_may_stand_before_a_setting(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no pipeline is active yet, as when our commands read the settings."""
    write(CANVAS, shared_key())
    monkeypatch.setenv(f"LTI_ROSTERS__{OF_CANVAS}CLIENT_ID", "of the pipeline")
    Container()[PipelineContext].clear()

    assert only_one(read_settings()).client_id == "of the pipeline"


def test_a_bad_name_in_a_file_is_told_with_its_table(write: Write) -> None:
    """The message says which table of the files is to be renamed."""
    write(CANVAS.replace("canvas", "Canvas-EU"), shared_key())

    with pytest.raises(ConfigurationError) as caught:
        read_settings()

    assert 'Mend the table [sources.lti_rosters.registrations."Canvas-EU"] in .dlt.' in caught.value.what


def test_a_bad_name_in_the_environment_is_told_with_its_variable(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says which variable holds it."""
    write()
    monkeypatch.setenv(f"{ENVIRONMENT}REGISTRATION_NAMES", "Canvas")

    with pytest.raises(ConfigurationError, match=f"Mend {ENVIRONMENT}REGISTRATION_NAMES"):
        read_settings()


def test_a_bad_name_hides_no_other_fault(write: Write) -> None:
    """What is wrong with the other registrations is told in the same message."""
    write(CANVAS.replace("canvas", "Canvas-EU") + MOODLE.replace("client_id", "client"), shared_key())

    with pytest.raises(ConfigurationError) as caught:
        read_settings()

    assert '"Canvas-EU" cannot name a registration' in caught.value.what
    assert "SOURCES__LTI_ROSTERS__REGISTRATIONS__MOODLE__CLIENT_ID" in caught.value.what
