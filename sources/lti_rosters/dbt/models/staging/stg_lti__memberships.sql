with

source as (
    select * from {{ lti_rosters.raw('memberships') }} as memberships
),

standing as (
    {{ lti_rosters.standing_rows('source', ['context_key', 'user_id', 'sync_id']) }}
)

select
    -- keys
    context_key,
    user_id,
    registration,
    context_id,
    sync_id,
    -- words
    status,
    primary_role,
    name,
    given_name,
    family_name,
    email,
    -- times
    synced_at
from standing
-- `Deleted` means: not on the roster.
where
    (status is null or lower(status) <> 'deleted')
    and {{ lti_rosters.is_in_force() }}
