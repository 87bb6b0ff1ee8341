select
    registration,
    context_key,
    context_id,
    label,
    title,
    sync_state,
    last_complete_at,
    last_attempt_at,
    delisted_at
from {{ ref('int_lti__courses') }}
