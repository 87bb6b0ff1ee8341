with

source as (
    select * from {{ lti_rosters.raw('contexts', is_required=true) }} as contexts
),

standing as (
    {{ lti_rosters.standing_rows('source', ['context_key']) }}
)

select
    -- keys
    context_key,
    registration,
    context_id,
    -- words
    label,
    title,
    memberships_url,
    -- times
    first_seen_at,
    delisted_at
from standing
