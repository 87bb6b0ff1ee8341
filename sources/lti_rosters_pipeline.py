"""Load LTI course rosters into DuckDB, or into another destination named in its place.

The registrations are read from `.dlt/config.toml` and `.dlt/secrets.toml`. Run as it stands, it loads all of
them; the other functions show how to load less.
"""

import os

import dlt

from lti_rosters import lti_rosters


def load_all_rosters() -> None:
    """Load the roster of every course of every registration."""
    pipeline = dlt.pipeline(pipeline_name="lti_rosters", destination="duckdb", dataset_name="lti_raw")
    print(pipeline.run(lti_rosters()))


def load_registrations(*names: str) -> None:
    """Load the rosters of some registrations, *names* as in the settings; the others stay as they are."""
    pipeline = dlt.pipeline(pipeline_name="lti_rosters", destination="duckdb", dataset_name="lti_raw")
    print(pipeline.run(lti_rosters(registrations=names)))


def load_one_course(registration: str, context_id: str) -> None:
    """Load the roster of one course of the catalogue; *context_id* is the platform's or the catalogue's."""
    pipeline = dlt.pipeline(pipeline_name="lti_rosters", destination="duckdb", dataset_name="lti_raw")
    print(pipeline.run(lti_rosters(registrations=[registration], context_ids=[context_id])))


if __name__ == "__main__":
    # Package files and staging tables hold members' data: have dlt empty them after a load.
    os.environ.setdefault("LOAD__DELETE_COMPLETED_JOBS", "true")
    os.environ.setdefault("LOAD__TRUNCATE_STAGING_DATASET", "true")
    load_all_rosters()
