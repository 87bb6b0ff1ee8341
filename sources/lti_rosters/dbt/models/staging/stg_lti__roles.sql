select
    -- keys
    role_uri,
    -- words
    vocabulary,
    principal_role,
    sub_role
from {{ lti_rosters.standing('roles', ['role_uri']) }}
