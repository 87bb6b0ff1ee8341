"""Load every roster of the working directory's settings with the command: `lti-rosters run --no-models`."""

import contextlib
import io
import json
import sys

from lti_rosters.cli.main import main

DATABASE = "rosters.duckdb"

if __name__ == "__main__":
    sys.argv[1:] = ["run", "--no-models", "--json"]
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        main()
    document = json.loads(told.getvalue())
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
