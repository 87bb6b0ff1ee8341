with

courses as (
    select
        contexts.context_key,
        contexts.registration,
        contexts.memberships_url,
        courses.last_complete_at
    from {{ ref('stg_lti__contexts') }} as contexts
    inner join {{ ref('int_lti__courses') }} as courses
        on courses.context_key = contexts.context_key
),

failures as (
    select
        syncs.context_key,
        syncs.registration,
        syncs.memberships_url,
        syncs.outcome,
        syncs.finished_at,
        contexts.context_key as known_context_key
    from {{ ref('int_lti__telling_syncs') }} as syncs
    left join {{ ref('stg_lti__contexts') }} as contexts
        on contexts.context_key = syncs.context_key
    where syncs.outcome not in ('complete', 'unchanged')
),

-- Whose they are is told as in int_lti__course_attempts. Where a roster was never offered that is no failure (design
-- §3); one that is not offered any more is.
since_readings as (
    select
        courses.context_key,
        failures.finished_at
    from failures
    inner join courses
        on courses.context_key = failures.known_context_key
    where
        (courses.last_complete_at is null and failures.outcome <> 'unavailable')
        or failures.finished_at > courses.last_complete_at
    union all
    select
        courses.context_key,
        failures.finished_at
    from failures
    inner join courses
        on
            courses.registration = failures.registration
            and courses.memberships_url = failures.memberships_url
    where
        failures.known_context_key is null
        and (
            (courses.last_complete_at is null and failures.outcome <> 'unavailable')
            or failures.finished_at > courses.last_complete_at
        )
)

select
    context_key,
    min(finished_at) as failing_since
from since_readings
group by context_key
