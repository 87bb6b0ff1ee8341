"""Load every roster of the working directory's settings with lti-rosters: raw tables only, no models."""

import dlt

from lti_rosters import lti_rosters

DATABASE = "ours.duckdb"

if __name__ == "__main__":
    pipeline = dlt.pipeline(
        "lti_rosters",
        destination=dlt.destinations.duckdb(DATABASE),
        dataset_name="lti_raw",
        pipelines_dir="ours",
    )
    pipeline.run(lti_rosters()).raise_on_failed_jobs()

    from measure import report

    report(
        DATABASE,
        members="SELECT COUNT(*) FROM lti_raw.memberships",
        roles="SELECT COUNT(*) FROM lti_raw.membership_roles",
        failed="SELECT COUNT(*) FROM lti_raw.roster_syncs WHERE outcome NOT IN ('complete', 'unchanged')",
    )
