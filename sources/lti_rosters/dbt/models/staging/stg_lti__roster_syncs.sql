select
    -- keys
    sync_id,
    context_key,
    registration,
    context_id,
    roster_sync_id,
    _dlt_load_id as load_id,
    -- words
    outcome,
    memberships_url,
    role_filter,
    error_type,
    -- counts
    member_count,
    -- times
    started_at,
    coalesce(finished_at, started_at) as finished_at
from {{ lti_rosters.standing('roster_syncs', ['sync_id'], is_required=true) }}
where
    -- Each job of a package commits by itself: a row counts once its whole load is in.
    _dlt_load_id in (
        select load_id
        from {{ lti_rosters.raw('_dlt_loads', is_required=true) }} as loads
        where status = 0
    )
    -- A resource link's roster is a subset and decides nothing about the course.
    and resource_link_id is null
    -- The second catalogue entry of one course was not read: it says nothing either.
    and (error_type is null or error_type <> 'duplicate_context')
