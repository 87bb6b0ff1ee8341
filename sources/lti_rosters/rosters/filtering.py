"""When a platform is asked to apply the role filter, and when it is not: it saves pages and decides nothing.

Platforms ignore the filter, lose it on the next link (Moodle, Sakai), answer nobody to a role that they do not know
(Canvas), or leave somebody out who holds it: Moodle asked for Instructor leaves out an instructor who administers
the site. No answer shows that. So a filtered reading counts only where it shows what stands already, and once in
`full_every` days even that is looked at without the filter.
"""

from datetime import datetime

from ..settings.registration import Options
from ..tables.ledger import Ledger
from .sync import now

DAY = 86_400  # seconds


def sends_role(options: Options, ledger: Ledger, context_key: str, *, is_full: bool) -> bool:
    """Whether the first reading of a course, and of its links, asks the platform to filter.

    Not without a destination to compare with, not when everything is to be written, and not when the check is due.
    """
    if options.role is None or ledger.client is None or is_full:
        return False
    last = ledger.last_readings.get(context_key)
    if last is None or last.full_at is None or last.role_filter != options.role:
        return (
            True  # the filter is new here: whatever it shows is a change, so the reading without it follows
        )
    return not is_due(context_key, last.full_at, now(), options.full_every)


def is_due(context_key: str, last: datetime, moment: datetime, days: int) -> bool:
    """Whether a boundary between two spans of *days* lies between *last* and *moment*.

    Each course has boundaries of its own, so that the checks of many courses spread over the nights, and
    none is missed by runs that are further apart.
    """
    span = days * DAY
    shift = int(context_key[:8], 16) % span
    return (last.timestamp() + shift) // span != (moment.timestamp() + shift) // span
