select
    -- keys
    sync_id,
    user_id,
    context_key,
    registration,
    context_id,
    -- words
    status,
    primary_role,
    roles,
    -- flags
    coalesce(is_active_learner, false) as is_active_learner,
    -- times
    observed_at
from {{ lti_rosters.standing('membership_log', ['sync_id', 'user_id']) }}
