"""What a night costs in which nothing changed: a request a course, a row a course, next to no bytes."""

import pytest

from commands import carried_out
from school import School, crowd

COURSES = 1_000
MEMBERS = 20
NIGHTS = 4  # one alone says little: DuckDB's file grows by whole blocks, and not every night
FIXED = 700_000  # bytes that loads take however few their rows: DuckDB's blocks, dlt's schema and state
PER_COURSE = 100  # bytes a night


def weight(school: School) -> int:
    """How many bytes the database and the working directory take."""
    return sum(path.stat().st_size for path in school.directory.rglob("*") if path.is_file())


def rows(school: School) -> dict[str, int]:
    """How many rows each table has, dlt's own included."""
    names = school.sql("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'lti_raw'")
    return {name: school.sql(f"SELECT COUNT(*) FROM {name}")[0][0] for (name,) in names}


@pytest.mark.slow
def test_a_quiet_night_costs_next_to_nothing(school: School) -> None:
    """One request a course and one for a token; rows of `roster_syncs` alone; bytes as of one photograph."""
    for number in range(COURSES):
        school.add(f"c{number}", crowd(MEMBERS, f"c{number}u"))
    carried_out(school)
    carried_out(school)  # the first quiet night settles what the first load left in the file
    before, held = weight(school), rows(school)
    school.platform.forget()

    nights = [carried_out(school)["totals"] for _ in range(NIGHTS)]

    assert {(night["unchanged"], night["requests"]) for night in nights} == {(COURSES, COURSES + 1)}
    assert len(school.platform.requests) == NIGHTS * (COURSES + 1)
    more = {name: count - held[name] for name, count in rows(school).items() if count != held[name]}
    assert more == {"roster_syncs": NIGHTS * COURSES, "_dlt_loads": NIGHTS}
    assert weight(school) - before < FIXED + NIGHTS * PER_COURSE * COURSES
