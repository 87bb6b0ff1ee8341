with

source as (
    select * from {{ lti_rosters.raw('roles') }} as roles
)

select
    -- keys
    role_uri,
    -- words
    vocabulary,
    principal_role,
    sub_role
from source
