"""What the destination holds of resource links: the roster in force of each, as far as it was committed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..providers.container import Member
from .ledger import COMMITTED, Ledger


class LinkKey(NamedTuple):
    """A resource link: its id is unique only within a registration (LTI Core §5.3.5)."""

    context_key: str
    resource_link_id: str


class Standing(NamedTuple):
    """A link with rows in the destination, for the row that takes them away."""

    registration: str
    context_id: str


@dataclass(slots=True)
class LinkInForce:
    """The roster in force of one link: *roster_hash* is None where it has to be written again."""

    sync_id: str
    roster_hash: str | None


# The last committed complete sync of each link. Its rows bear its load, so that a half-written roster shows.
LINK_SYNCS = f"""
SELECT context_key, resource_link_id, sync_id, roster_hash, member_count, load_id FROM (
    SELECT
        context_key, resource_link_id, sync_id, roster_hash, member_count, _dlt_load_id AS load_id,
        ROW_NUMBER() OVER (
            PARTITION BY context_key, resource_link_id ORDER BY finished_at DESC, sync_id DESC
        ) AS place
    FROM {{roster_syncs}}
    WHERE outcome = 'complete' AND resource_link_id IS NOT NULL AND registration IN (%s) AND {COMMITTED}
) AS link_syncs
WHERE place = 1
"""  # noqa: S608 - names only

STANDING = """
SELECT
    context_key, resource_link_id, MIN(registration), MIN(context_id), MIN(_dlt_load_id), MAX(_dlt_load_id),
    COUNT(DISTINCT user_id)
FROM {resource_link_memberships} WHERE registration IN (%s) GROUP BY context_key, resource_link_id
"""

MEMBERS = """
SELECT user_id, status, roles, message
FROM {resource_link_memberships} WHERE context_key = %s AND resource_link_id = %s
"""


@dataclass(slots=True)
class LinkLedger:
    """What is committed about the links of a run's registrations; their members are asked for on demand."""

    ledger: Ledger
    in_force: dict[LinkKey, LinkInForce] = field(default_factory=dict)
    standing: dict[LinkKey, Standing] = field(default_factory=dict)

    def members(self, key: LinkKey) -> list[Member]:
        """Everybody on the roster in force of the link *key*."""
        rows = self.ledger.ask(MEMBERS, key)
        return [
            linked(user_id, status, json.loads(roles), message) for user_id, status, roles, message in rows
        ]


def read_links(ledger: Ledger, asked: Sequence[str]) -> LinkLedger:
    """Read what the destination of *ledger* holds of links; their syncs of the registrations *asked* alone.

    Raises DestinationError when the destination cannot be asked.
    """
    links = LinkLedger(ledger)
    loads: dict[LinkKey, tuple[str, str, int]] = {}
    if not ledger.registrations:
        return links
    for row in ledger.ask(STANDING, ledger.registrations) if ledger.holds_links else ():
        key = LinkKey(*row[:2])
        links.standing[key] = Standing(*row[2:4])
        loads[key] = row[4:7]
    for *pair, sync_id, roster_hash, members, load_id in ledger.ask(LINK_SYNCS, asked) if asked else ():
        key = LinkKey(*pair)
        is_whole = loads.get(key, (load_id, load_id, 0)) == (load_id, load_id, members)
        links.in_force[key] = LinkInForce(sync_id, roster_hash if is_whole else None)
    return links


def linked(user_id: str, status: str, roles: Sequence[str], message: str | None) -> Member:
    """A member of a link as it is stored: *roles* canonical, and of everything else the *message* alone."""
    nothing = (None,) * (len(Member._fields) - 4)
    return Member._make((user_id, status, tuple(roles), *nothing, message))
