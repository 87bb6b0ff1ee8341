with

contexts as (
    select
        context_key,
        registration,
        context_id,
        label,
        title,
        delisted_at
    from {{ ref('stg_lti__contexts') }}
),

states as (
    select
        context_key,
        sync_state,
        last_complete_at,
        last_attempt_at
    from {{ ref('int_lti__course_states') }}
)

select
    contexts.registration,
    contexts.context_key,
    contexts.context_id,
    contexts.label,
    contexts.title,
    states.sync_state,
    states.last_complete_at,
    states.last_attempt_at,
    contexts.delisted_at
from contexts
inner join states
    on states.context_key = contexts.context_key
