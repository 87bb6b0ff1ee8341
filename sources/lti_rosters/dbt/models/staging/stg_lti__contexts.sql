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
from {{ lti_rosters.standing('contexts', ['context_key'], is_required=true) }}
