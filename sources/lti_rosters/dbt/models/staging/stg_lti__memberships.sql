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
from {{ lti_rosters.standing('memberships', ['context_key', 'user_id', 'sync_id']) }}
-- `Deleted` means: not on the roster.
where
    (status is null or lower(status) <> 'deleted')
    and {{ lti_rosters.is_in_force() }}
