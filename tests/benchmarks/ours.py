"""Load every roster of the working directory's settings as `lti-rosters run --no-models` does."""

import sys

from lti_rosters.runs.run import Order, run

DATABASE = "rosters.duckdb"

if __name__ == "__main__":
    document = run(Order(with_models=False))
    if document["exit_status"]:
        sys.exit(
            f"the run ended with {document['exit_status']}: {document['error']} {document['failures'][:3]}"
        )

    from measure import report

    report(
        DATABASE,
        members="SELECT COUNT(*) FROM lti_raw.memberships",
        roles="SELECT COUNT(*) FROM lti_raw.membership_roles",
        failed="SELECT COUNT(*) FROM lti_raw.roster_syncs WHERE outcome NOT IN ('complete', 'unchanged')",
    )
