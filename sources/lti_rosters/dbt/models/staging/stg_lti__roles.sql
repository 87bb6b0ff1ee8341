with

source as (
    select * from {{ lti_rosters.raw('roles') }} as roles
),

standing as (
    {{ lti_rosters.standing_rows('source', ['role_uri']) }}
)

select
    -- keys
    role_uri,
    -- words
    vocabulary,
    principal_role,
    sub_role
from standing
