"""One course from Python: whole as an Arrow table, or page by page, without a pipeline."""

from pathlib import Path

import pytest
from replies import body, pages

from lti_rosters import LtiRostersError, lti_rosters, read_members, stream_members
from lti_rosters.errors import ConfigurationError, NotFoundError, TooLargeError, UnreachableError
from lti_rosters.privacy.protector import Mac, Protector
from lti_rosters.reference.platform import member
from lti_rosters.settings.settings import read_settings
from school import School, crowd

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


def test_resources_are_selected_and_filtered(school: School) -> None:
    """Selected and mapped as any source of dlt's: here the tables without mail."""
    school.add("c1", [member("ann", email="a@x.example")])
    with school.settings() as names:
        import dlt

        source = lti_rosters(school.contexts(names)).with_resources("memberships")
        source.resources["memberships"].add_filter(lambda table: table.num_rows > 0).add_map(
            lambda table: table.drop_columns(["email"])
        )
        pipeline = dlt.pipeline(
            "lti_rosters",
            destination=dlt.destinations.duckdb(str(school.database)),
            dataset_name="lti_raw",
            pipelines_dir=str(school.directory / "p"),
        )
        pipeline.run(source)

    assert school.sql("SELECT user_id, email FROM memberships") == [("ann", None)]
