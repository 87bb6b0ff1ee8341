"""Tables of an older version of ours: fewer columns and tables, a column more; a run goes on with them."""

import pytest

from commands import active_learners, carried_out
from lti_rosters.reference.platform import member
from school import School, crowd

# What an older version might not have had, by table.
LATER = {
    "roster_syncs": ["differences_url", "role_filter", "duplicate_members", "resource_link_id", "mode"],
    "memberships": ["extra", "row_hash", "lis_person_sourcedid"],
    "membership_roles": ["raw_role"],
    "contexts": ["types", "delisted_at"],
    "roles": ["is_deprecated"],
    "registrations": ["deployment_id", "identity", "identity_key_id", "identity_key_check"],
}


def age(school: School) -> None:
    """Make the tables those of an older version, and dlt's own note of them with it."""
    for table, columns in LATER.items():
        for column in columns:
            school.sql(f"ALTER TABLE {table} DROP COLUMN {column}")
    school.sql("ALTER TABLE memberships ADD COLUMN shoe_size BIGINT")
    school.sql("DROP TABLE membership_log")
    school.sql("DELETE FROM _dlt_version")


@pytest.fixture
def aged(school: School) -> School:
    """A school whose two courses were loaded by an older version."""
    school.add("c1", ["ann", "ben"])
    school.add("c2", crowd(3))
    carried_out(school)
    age(school)
    return school


def test_a_run_goes_on_with_older_tables(aged: School) -> None:
    """One joins, one leaves: everything is there afterwards, in every column of today."""
    aged.platform.courses["c1"].members = [member("ann"), member("eve", email="eve@lab.example")]

    told = carried_out(aged, with_models=True)

    assert told["error"] is None, told["error"]
    assert aged.members("c1") == {"ann", "eve"}
    assert aged.members("c2") == {"u0", "u1", "u2"}
    assert active_learners(aged.database) == {("canvas", "c1"): (2, "fresh"), ("canvas", "c2"): (3, "fresh")}


def test_without_a_log_every_roster_is_written_again(aged: School) -> None:
    """What cannot be shown to be whole is complete once more, and unchanged from then on."""
    first, second = carried_out(aged), carried_out(aged)

    assert (first["totals"]["complete"], second["totals"]["unchanged"]) == (2, 2)
    assert aged.sql("SELECT COUNT(*) FROM membership_log") == [(5,)]


def test_the_attempts_of_before_are_kept(aged: School) -> None:
    """The rows that the older version wrote stay, with nothing in the columns that it did not know."""
    before = aged.sql("SELECT sync_id FROM roster_syncs ORDER BY ALL")

    carried_out(aged)

    assert aged.sql("SELECT sync_id FROM roster_syncs WHERE mode IS NULL ORDER BY ALL") == before


def test_a_column_of_somebody_else_stays(aged: School) -> None:
    """A column that we do not know is neither read nor dropped."""
    carried_out(aged)

    assert aged.sql("SELECT DISTINCT shoe_size FROM memberships") == [(None,)]


def test_a_new_field_of_a_platform_goes_to_extra(school: School) -> None:
    """No column is added for it, and the run goes on as it did."""
    course = school.add("c1", ["ann"])
    carried_out(school)
    columns = school.sql("DESCRIBE memberships")
    course.members = [{**member("ann"), "pronouns": "they"}]

    told = carried_out(school)

    assert told["exit_status"] == 0
    assert school.sql("DESCRIBE memberships") == columns
    assert school.sql("SELECT extra FROM memberships") == [('{"pronouns":"they"}',)]
