"""Rosters of resource links without somebody who is erased: their counts and hashes, as if they had never been there.

Links have no log: what is known of a link is its roster in force, whose rows bear the load of its sync.
"""

from ..rosters.fingerprint import roster_hash, row_hash
from ..settings.identity import Identity
from ..tables.ledger import Ledger
from ..tables.link_ledger import LinkKey, read_links
from .places import Place, update
from .session import Session


def link_hashes(
    session: Session, ledger: Ledger, identity: Identity, person: tuple[str, str], places: dict[str, Place]
) -> dict[str, str]:
    """What each link's roster in force that has the *person* (registration, stored id) hashes to without them.

    By its sync. A roster whose hash is not the one of its rows is left out: the next run writes it anew.
    """
    if "resource_link_memberships" not in places:
        return {}
    theirs = session.rows(
        f"SELECT DISTINCT context_key, resource_link_id FROM {places['resource_link_memberships'].name} "  # noqa: S608
        "WHERE registration = %s AND user_id = %s",
        *person,
    )
    links = read_links(ledger, person[:1]) if theirs else None
    hashes: dict[str, str] = {}
    for pair in theirs:
        key = LinkKey(*pair)
        known = links.in_force.get(key) if links else None
        if links is None or known is None or known.roster_hash is None:
            continue
        ((role,),) = session.rows(
            f"SELECT role_filter FROM {places['roster_syncs'].name} WHERE sync_id = %s",  # noqa: S608
            known.sync_id,
        )
        shape = (identity.mode, identity.data_key_id, role)
        rows = [(member.user_id, row_hash(member)) for member in links.members(key)]
        if roster_hash([hashed for _, hashed in rows], shape) == known.roster_hash:
            others = [hashed for user_id, hashed in rows if user_id != person[1]]
            hashes[known.sync_id] = roster_hash(others, shape)
    return hashes


def lower_links(session: Session, person: tuple[str, str], places: dict[str, Place]) -> None:
    """One member less in the sync of every link's roster that has the *person*, and in those it stayed in force for."""
    if "resource_link_memberships" not in places:
        return
    syncs, links = places["roster_syncs"], places["resource_link_memberships"]
    theirs = session.rows(
        f"SELECT DISTINCT syncs.sync_id FROM {syncs.name} AS syncs INNER JOIN {links.name} AS links "  # noqa: S608
        "ON links.context_key = syncs.context_key AND links.resource_link_id = syncs.resource_link_id "
        "AND links._dlt_load_id = syncs._dlt_load_id "
        "WHERE syncs.outcome = 'complete' AND links.registration = %s AND links.user_id = %s",
        *person,
    )
    values = {"member_count": "member_count - 1", "roster_hash": "NULL"}
    of_roster = "outcome IN ('complete', 'unchanged') AND roster_sync_id = %s"
    for (sync_id,) in theirs:
        update(session, syncs, values, of_roster, sync_id)
