with

attempts as (
    select
        context_key,
        sync_id,
        roster_sync_id,
        outcome,
        role_filter,
        error_type,
        finished_at,
        is_reading,
        row_number() over (
            partition by context_key, is_reading
            order by finished_at desc, started_at desc, sync_id desc
        ) as recency_of_kind,
        row_number() over (
            partition by context_key
            order by finished_at desc, started_at desc, sync_id desc
        ) as recency
    from {{ ref('int_lti__course_attempts') }}
),

last_attempts as (
    select
        context_key,
        outcome,
        error_type,
        finished_at as last_attempt_at
    from attempts
    where recency = 1
),

-- The last reading, and the filter of the roster in force: that of the reading which brought it.
last_readings as (
    select
        readings.context_key,
        readings.finished_at as last_complete_at,
        case
            when rosters.sync_id is null then readings.role_filter
            else rosters.role_filter
        end as role_filter
    from attempts as readings
    left join {{ ref('int_lti__telling_syncs') }} as rosters
        on
            rosters.sync_id = readings.roster_sync_id
            and rosters.outcome = 'complete'
    where
        readings.is_reading
        and readings.recency_of_kind = 1
),

states as (
    select
        contexts.context_key,
        case
            when last_readings.context_key is null then 'never'
            when last_attempts.outcome in ('failed', 'unavailable', 'too_large') then 'failing'
            when last_readings.last_complete_at < {{ lti_rosters.stale_before('contexts.registration') }} then 'stale'
            else 'fresh'
        end as sync_state,
        last_readings.last_complete_at,
        last_attempts.last_attempt_at,
        last_attempts.error_type as last_error_type,
        failures.failing_since,
        last_readings.role_filter,
        last_readings.context_key is not null and last_readings.role_filter is null as sees_everybody,
        filters.context_role as filter_role,
        filters.sub_role as filter_sub_role
    from {{ ref('stg_lti__contexts') }} as contexts
    left join last_attempts
        on last_attempts.context_key = contexts.context_key
    left join last_readings
        on last_readings.context_key = contexts.context_key
    left join {{ ref('int_lti__course_failures') }} as failures
        on failures.context_key = contexts.context_key
    left join {{ ref('int_lti__role_kinds') }} as filters
        on filters.role_uri = last_readings.role_filter
)

select
    context_key,
    sync_state,
    last_complete_at,
    last_attempt_at,
    last_error_type,
    failing_since,
    role_filter,
    sees_everybody,
    sees_everybody
    or {{ lti_rosters.shows_every('Learner', 'filter_role', 'filter_sub_role') }} as sees_learners,
    sees_everybody
    or {{ lti_rosters.shows_every('Mentor', 'filter_role', 'filter_sub_role') }} as sees_mentors,
    sees_everybody
    or coalesce(
        filter_role = 'Instructor'
        and (filter_sub_role is null or filter_sub_role = 'TeachingAssistant'),
        false
    ) as sees_teaching_assistants
from states
