with

contexts as (
    select
        context_key,
        label,
        title
    from {{ ref('stg_lti__contexts') }}
)

select
    events.registration,
    events.context_key,
    events.context_id,
    contexts.label,
    contexts.title,
    events.user_id,
    events.status,
    events.primary_role,
    events.is_active_learner,
    events.observed_at as valid_from,
    events.stretch_ended_at as valid_to
from {{ ref('int_lti__membership_events') }} as events
left join contexts
    on contexts.context_key = events.context_key
where events.begins_stretch
