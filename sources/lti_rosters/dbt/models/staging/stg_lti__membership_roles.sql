select
    -- keys
    context_key,
    user_id,
    role_uri,
    sync_id
from {{ lti_rosters.standing('membership_roles', ['context_key', 'user_id', 'role_uri', 'sync_id']) }}
where {{ lti_rosters.is_in_force() }}
