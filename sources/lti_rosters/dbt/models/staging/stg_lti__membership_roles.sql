with

source as (
    select * from {{ lti_rosters.raw('membership_roles') }} as membership_roles
)

select
    -- keys
    context_key,
    user_id,
    role_uri,
    sync_id
from source
