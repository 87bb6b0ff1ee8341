"""One course from Python: whole as an Arrow table, or page by page, without a pipeline."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dlt
import pyarrow.compute as pc
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.pipeline import PipelineContext
from jwt.algorithms import RSAAlgorithm
from replies import body, pages

from fake_ltiaas import FakeLtiaas
from lti_rosters import LtiRostersError, lti_rosters, read_members, stream_members
from lti_rosters.catalogue.launches import CONTEXT_CLAIM, LINK_CLAIM, NRPS_CLAIM
from lti_rosters.errors import (
    ConfigurationError,
    MalformedError,
    NotFoundError,
    RefusedError,
    TooLargeError,
    UnreachableError,
)
from lti_rosters.keys.signing import SigningKey, private_pem, public_jwk
from lti_rosters.privacy.protector import Mac, Protector
from lti_rosters.reference.platform import MOODLE, Course, ReferencePlatform, member
from lti_rosters.settings.settings import read_settings
from school import School, crowd, people

README = Path(__file__).parent.parent / "README.md"

SECRET = "0123456789abcdef" * 4


def test_a_course_is_a_table(school: School) -> None:
    """By URL, by row, and by a context id of the catalogue: one table, no file, no pipeline."""
    school.add("c1", [member("ann", name="Ann"), member("tom", ["Instructor"])], links={"r1": ["ann"]})
    url = school.urls()[0]
    with school.settings():
        table = read_members("canvas", url)
        by_row = read_members("canvas", {"memberships_url": url}, role="learner")
        link = read_members("canvas", url, resource_link_id="r1")

    assert table.select(
        ["user_id", "name", "primary_role", "is_active_learner", "context_id"]
    ).to_pylist() == [
        {
            "user_id": "ann",
            "name": "Ann",
            "primary_role": "learner",
            "is_active_learner": True,
            "context_id": "c1",
        },
        {
            "user_id": "tom",
            "name": None,
            "primary_role": "instructor",
            "is_active_learner": False,
            "context_id": "c1",
        },
    ]
    assert by_row["user_id"].to_pylist() == ["ann"]
    assert (link["user_id"].to_pylist(), link["message"][0].is_valid) == (["ann"], True)
    assert not (Path(school.directory) / ".lti_rosters").exists()


COURSES: dict[str, Callable[[str], Any]] = {
    "url": lambda url: url,
    "row": lambda url: {"memberships_url": url, "resource_link_id": "r2"},
    "launch": lambda url: {LINK_CLAIM: {"id": "r2"}, NRPS_CLAIM: {"context_memberships_url": url}},
    "context id": lambda _: "c1",
    "number": lambda _: 7,
}


@pytest.mark.parametrize("form", COURSES)
def test_the_link_that_is_asked_for_wins(school: School, form: str) -> None:
    """Whatever link the course names; without one it is the course, whole or page by page."""
    key = "7" if form == "number" else "c1"
    school.add(key, ["ann", "ben"], links={"r1": ["ann"], "r2": ["ben"]})
    (url,) = school.urls()
    course = COURSES[form](url)
    school.options["canvas"]["contexts"] = [launch_of(key, url)]
    with school.settings():
        whole = [
            read_members("canvas", course, resource_link_id="r1"),
            read_members("canvas", course),
        ]
        asked = [dict(exchange.query).get("rlid") for exchange in school.platform.roster_requests]
        paged = [
            *stream_members("canvas", course, resource_link_id="r1"),
            *stream_members("canvas", course),
        ]

    for tables in (whole, paged):
        assert [table["user_id"].to_pylist() for table in tables] == [["ann"], ["ann", "ben"]]
    assert asked == [None, "r1", None]


def launch_of(context_id: str, url: str) -> dict[str, Any]:
    """The claims of a launch of the link r2."""
    service = {"context_memberships_url": url}
    return {CONTEXT_CLAIM: {"id": context_id}, LINK_CLAIM: {"id": "r2"}, NRPS_CLAIM: service}


def test_a_link_fails_of_what_its_course_failed_of(school: School) -> None:
    """A link that is not asked for raises the leaf of its course, and one that is refused its own."""
    school.add("c1", ["ann"], script=lambda _: body("", 401))
    school.add("c2", ["ann"], links={"r1": None})
    gone, there = school.urls()
    with school.settings():
        for url, link, leaf in ((gone, "r1", RefusedError), (there, "r9", MalformedError)):
            with pytest.raises(leaf):
                read_members("canvas", url, resource_link_id=link)


@pytest.mark.parametrize(
    ("course", "link", "told"),
    [
        ("c9", None, "no such context_id"),
        (9, None, "no such context_id"),
        (None, None, "the course is empty"),
        (" ", None, "the course is empty"),
        (True, None, "the course is true or false"),
        (["c1"], None, "the course is a list"),
        ("c1", " ", "resource_link_id is empty"),
        ("c1", 1.5, "resource_link_id is float"),
    ],
)
def test_a_course_that_is_none_is_told(school: School, course: Any, link: Any, told: str) -> None:
    """Before anything is asked: neither another course nor the whole one is read in its place."""
    school.add("c1", ["ann"])
    school.options["canvas"]["contexts"] = [launch_of("c1", school.urls()[0])]
    with school.settings():
        for read in (read_members, lambda *given, **more: list(stream_members(*given, **more))):
            with pytest.raises(ConfigurationError, match=told):
                read("canvas", course, resource_link_id=link)

    assert school.platform.requests == []


def test_a_bad_row_elsewhere_keeps_no_course_from_being_found(school: School) -> None:
    """A course is found by its id beside rows that cannot be read; where it is not, these are told."""
    school.add("c1", ["ann"])
    school.options["canvas"]["contexts"] = ["no address", launch_of("c1", school.urls()[0])]
    with school.settings():
        assert read_members("canvas", "c1").num_rows == 1
        with pytest.raises(ConfigurationError, match="entry 1"):
            read_members("canvas", "c2")


def test_a_stream_comes_page_by_page(school: School) -> None:
    """A table for each page, asked for one after the other."""
    school.add("c1", crowd(120))
    with school.settings():
        stream = stream_members("canvas", school.urls()[0])
        first = next(stream)
        assert len(school.platform.roster_requests) == 1
        rest = list(stream)

    assert [first.num_rows, *(table.num_rows for table in rest)] == [50, 50, 20]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (lambda _: body("", 404), NotFoundError),
        (pages(["ann"], body("", 503)), UnreachableError),
        (pages(crowd(9)), TooLargeError),
    ],
)
def test_what_goes_wrong_is_raised(school: School, script: object, error: type[LtiRostersError]) -> None:
    """As the leaf that it is; a stream raises it at the page where it happens."""
    school.add("c1", script=script)
    with school.settings():
        with pytest.raises(error):
            read_members("canvas", school.urls()[0], max_members=5)
        with pytest.raises(error):
            list(stream_members("canvas", school.urls()[0], max_members=5))
        with pytest.raises(ConfigurationError, match="not a role"):
            read_members("canvas", school.urls()[0], role="Wizard")


def test_names_never_pass_another_identity(school: School) -> None:
    """Whatever identity the settings ask for holds here too."""
    school.add("c1", [member("ann", name="Ann")], links={"r1": None})
    school.shared = {"identity": "pseudonymize", "identity_secret": SECRET, "identity_key_id": "k1"}
    with school.settings():
        table = read_members("canvas", school.urls()[0])
        (page,) = stream_members("canvas", school.urls()[0])
        link = read_members("canvas", school.urls()[0], resource_link_id="r1")

    pseudonym = Mac(SECRET).of("canvas", "user_id")("ann")
    for each in (table, page, link):
        assert each["user_id"].to_pylist() == [pseudonym]
    assert table["name"].to_pylist() == page["name"].to_pylist() == link["message"].to_pylist() == [None]


def test_erased_people_are_left_out_where_told(school: School) -> None:
    """No destination is looked at: whom the caller names by MAC is left out, of pages, rosters and links."""
    school.add("c1", ["ann", "ben"], links={"r1": None})
    school.shared = {"identity": "keep", "identity_secret": SECRET, "identity_key_id": "k1"}
    url = school.urls()[0]
    with school.settings():
        identity = read_settings(contexts={"canvas": [url]}, only=["canvas"]).handling
        protector = Protector(identity, "canvas")
        macs = [protector.person_mac(protector.pseudonym("ann"))]
        tables = [
            read_members("canvas", url, suppressed=macs),
            *stream_members("canvas", url, suppressed=macs),
            read_members("canvas", url, resource_link_id="r1", suppressed=macs),
        ]
    assert [table["user_id"].to_pylist() for table in tables] == [["ben"]] * 3

    school.shared = {"identity": "keep"}
    with school.settings(), pytest.raises(ConfigurationError, match="identity_secret"):
        read_members("canvas", url, suppressed=macs)


@pytest.fixture
def bare(tmp_path: Path, tool_key: SigningKey) -> Iterator[Path]:
    """A working directory with the tool's key and no settings anywhere."""
    context = Container()[PluggableRunContext]
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("SOURCES__")]:
            patch.delenv(name)
        (tmp_path / "tool.pem").write_text(private_pem(tool_key))
        patch.chdir(tmp_path)
        context.reload_providers()
        yield tmp_path
    context.reload_providers()


@pytest.fixture
def moodle(tool_key: SigningKey) -> Iterator[ReferencePlatform]:
    """A Moodle with the course 2, that knows the tool as the README's example has it."""
    with ReferencePlatform(MOODLE, client_id="aBcDeFgHiJkLmNo", tool_keys=[public_jwk(tool_key)]) as platform:
        members = people(["ann", "ben", member("tom", ["Instructor"])])
        platform.add(Course("2", members=members, links={"r1": ["ben"]}))
        yield platform


def test_the_readmes_example_runs(bare: Path, moodle: ReferencePlatform, capsys: Any) -> None:
    """As it stands in the README, but for the platform's address."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (example,) = [block for block in blocks if "read_members" in block]
    names: dict[str, Any] = {}

    exec(example.replace("https://moodle.example.edu", moodle.origin), names)

    assert names["table"]["user_id"].to_pylist() == ["ann", "ben", "tom"]
    assert capsys.readouterr().out == "2\n"
    assert [path.name for path in bare.iterdir()] == ["tool.pem"]


@pytest.mark.parametrize("form", ["path", "text", "jwk"])
@pytest.mark.usefixtures("bare")
def test_a_key_comes_in_any_form(moodle: ReferencePlatform, tool_key: SigningKey, form: str) -> None:
    """A Path, PEM text, or a JWK as a mapping; audience and options beside it."""
    forms = {
        "path": Path("tool.pem"),
        "text": private_pem(tool_key),
        "jwk": RSAAlgorithm.to_jwk(tool_key.private_key, as_dict=True),
    }
    tool = {"issuer": moodle.issuer, "client_id": moodle.client_id, "token_url": moodle.token_url}

    table = read_members("any", moodle.memberships_url("2"), **tool, private_key=forms[form], page_size=2)

    assert table.num_rows == 3


@pytest.mark.usefixtures("bare")
def test_an_ltiaas_account_comes_as_arguments(moodle: ReferencePlatform, tool_key: SigningKey) -> None:
    """base_url and api_key are enough to tell the provider."""
    with FakeLtiaas(moodle, tool_key) as hub:
        account = {"base_url": hub.origin, "api_key": hub.api_key}
        table = read_members("acme", {"service_key": "SERV-2"}, **account)
        pages_ = list(stream_members("acme", {"service_key": "SERV-2"}, **account, role="Instructor"))
        launch = {"launch": {"resourceLink": {"id": "r9"}}, "services": {"serviceKey": "SERV-2"}}
        link = read_members("acme", launch, resource_link_id="r1", **account)

    assert table["user_id"].to_pylist() == ["ann", "ben", "tom"]
    assert [page["user_id"].to_pylist() for page in pages_] == [["tom"]]
    assert link["user_id"].to_pylist() == ["ben"]


@pytest.mark.usefixtures("bare")
def test_what_is_missing_or_wrong_is_told_at_once(moodle: ReferencePlatform) -> None:
    """All that lacks, that an argument would do, the nearest name for a misspelt one; never a secret."""
    url = moodle.memberships_url("2")
    with pytest.raises(ConfigurationError) as lacking:
        read_members("any", url, issuer=moodle.issuer, private_key="secret-but-no-key")
    with pytest.raises(ConfigurationError, match=r'No argument "clientid"\. Known: client_id'):
        read_members("any", url, clientid="x")

    told = str(lacking.value)
    assert ["client_id" in told, "token_url" in told, "argument" in told, "secret-but" in told] == [
        True,
        True,
        True,
        False,
    ]


def test_arguments_go_before_the_settings(school: School) -> None:
    """What is not given comes from dlt's configuration, also under the pipeline's name."""
    school.add("c1", ["ann"])
    school.options["canvas"]["client_id"] = "another"
    with school.settings(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTI_ROSTERS__SOURCES__LTI_ROSTERS__REGISTRATIONS__CANVAS__CLIENT_ID", "a-third")
        with pytest.raises(LtiRostersError):
            read_members("canvas", school.urls()[0])
        table = read_members("canvas", school.urls()[0], client_id=school.platform.client_id)

    assert table.num_rows == 1


def pipeline_of(school: School) -> Any:
    """A pipeline into the school's warehouse."""
    return dlt.pipeline(
        "lti_rosters",
        destination=dlt.destinations.duckdb(str(school.database)),
        dataset_name="lti_raw",
        pipelines_dir=str(school.directory / "p"),
    )


def test_a_run_with_another_source(school: School) -> None:
    """Beside another source in one run, in either order, twice: nothing doubles, what is unchanged is."""

    @dlt.source
    def registry() -> Any:
        return dlt.resource([{"course": "c1"}], name="registry", write_disposition="replace")

    school.add("c1", ["ann", "ben"])
    with school.settings() as names:
        pipeline = pipeline_of(school)
        pipeline.run([lti_rosters(school.contexts(names)), registry()])
        pipeline.run([registry(), lti_rosters(school.contexts(names))])

    assert school.members("c1") == {"ann", "ben"}
    outcomes = school.sql("SELECT outcome FROM roster_syncs ORDER BY finished_at")
    assert (outcomes, school.sql("SELECT course FROM registry")) == (
        [("complete",), ("unchanged",)],
        [("c1",)],
    )


def test_a_limit_of_dlts_cuts_no_roster(school: School, caplog: pytest.LogCaptureFixture) -> None:
    """add_limit says that it has no effect; limit= is how many courses are read."""
    school.add("c1", ["ann", "ben"])
    school.add("c2", ["eve"])
    with school.settings() as names:
        pipeline_of(school).run(lti_rosters(school.contexts(names), limit=1).add_limit(1))

    assert school.sql("SELECT context_id, user_id FROM memberships ORDER BY ALL") == [
        ("c1", "ann"),
        ("c1", "ben"),
    ]
    assert "limit=" in caplog.text


def test_the_source_is_walked_without_a_pipeline(school: School) -> None:
    """It yields Arrow tables, of one resource or of all, and makes no pipeline."""
    school.add("c1", ["ann", "ben"])
    with school.settings() as names:
        PipelineContext.deactivate(Container()[PipelineContext])
        everything = list(lti_rosters(school.contexts(names)))
        (members,) = lti_rosters(school.contexts(names)).resources["memberships"]

    people_ = [each for each in members["user_id"].to_pylist() if each]  # the marker row aside
    assert (people_, len(everything)) == (["ann", "ben"], 7)
    assert not Container()[PipelineContext].is_active()


def test_resources_are_selected_and_filtered(school: School) -> None:
    """Selected and mapped as any source of dlt's: here the tables without mail."""
    school.add("c1", [member("ann", email="a@x.example")])
    with school.settings() as names:
        source = lti_rosters(school.contexts(names)).with_resources("memberships")
        source.resources["memberships"].add_filter(lambda table: table.num_rows > 0).add_map(
            lambda table: table.drop_columns(["email"])
        )
        pipeline_of(school).run(source)

    assert school.sql("SELECT user_id, email FROM memberships") == [("ann", None)]


def test_rows_dropped_on_the_way_make_a_torn_roster(school: School) -> None:
    """It is not taken for the roster in force: the next night writes it whole."""
    school.add("c1", ["ann", "ben"])
    with school.settings() as names:
        source = lti_rosters(school.contexts(names))
        source.resources["memberships"].add_map(lambda table: table.filter(pc.field("user_id") != "ann"))
        pipeline_of(school).run(source)
        assert school.members("c1") == {"ben"}

        pipeline_of(school).run(lti_rosters(school.contexts(names)))

    assert school.members("c1") == {"ann", "ben"}
    assert school.sql("SELECT outcome FROM roster_syncs") == [("complete",), ("complete",)]
