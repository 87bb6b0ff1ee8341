with

source as (
    select * from {{ lti_rosters.raw('membership_log') }} as membership_log
),

standing as (
    {{ lti_rosters.standing_rows('source', ['sync_id', 'user_id']) }}
)

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
from standing
