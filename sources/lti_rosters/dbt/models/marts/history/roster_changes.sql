with

events as (
    select
        registration,
        context_key,
        context_id,
        user_id,
        observed_at,
        is_first_reading,
        presence_change,
        is_role_changed,
        is_status_changed
    from {{ ref('int_lti__membership_events') }}
),

changes as (
    select
        registration,
        context_key,
        context_id,
        user_id,
        presence_change as change,
        observed_at,
        is_first_reading
    from events
    where presence_change is not null
    union all
    select
        registration,
        context_key,
        context_id,
        user_id,
        'role_changed' as change,
        observed_at,
        is_first_reading
    from events
    where is_role_changed
    union all
    select
        registration,
        context_key,
        context_id,
        user_id,
        'status_changed' as change,
        observed_at,
        is_first_reading
    from events
    where is_status_changed
),

contexts as (
    select
        context_key,
        label,
        title
    from {{ ref('stg_lti__contexts') }}
)

select
    changes.registration,
    changes.context_key,
    changes.context_id,
    contexts.label,
    contexts.title,
    changes.user_id,
    changes.change,
    changes.observed_at,
    changes.is_first_reading
from changes
left join contexts
    on contexts.context_key = changes.context_key
