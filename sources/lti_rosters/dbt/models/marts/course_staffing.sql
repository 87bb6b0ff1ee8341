select
    registration,
    context_key,
    context_id,
    label,
    title,
    active_learners,
    active_staff,
    cast(active_learners as {{ lti_rosters.type_double() }}) / nullif(active_staff, 0) as learners_per_staff,
    sync_state,
    last_complete_at
from {{ ref('active_learners') }}
