with

source as (
    select * from {{ lti_rosters.raw('membership_roles') }} as membership_roles
),

standing as (
    {{ lti_rosters.standing_rows('source', ['context_key', 'user_id', 'role_uri', 'sync_id']) }}
)

select
    -- keys
    context_key,
    user_id,
    role_uri,
    sync_id
from standing
where {{ lti_rosters.is_in_force() }}
