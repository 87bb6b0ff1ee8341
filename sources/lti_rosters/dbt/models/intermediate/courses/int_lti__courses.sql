-- One table of all that is said of a course, so that what is counted and the state beside it change at once.
{{ config(pre_hook="{{ lti_rosters.plan_for_few_courses() }}") }}

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
        started_at,
        row_number() over (
            partition by context_key, is_reading
            order by finished_at desc, started_at desc, sync_id desc
        ) as recency
    from {{ ref('int_lti__course_attempts') }}
),

-- Of each course the last that was no reading, of those that could be the last of all.
last_others as (
    select
        context_key,
        sync_id,
        outcome,
        error_type,
        started_at,
        finished_at
    from attempts
    where
        not is_reading
        and recency = 1
),

-- The last reading, and the filter of the roster in force: that of the reading which brought it.
last_readings as (
    select
        readings.context_key,
        readings.sync_id,
        readings.error_type,
        readings.started_at,
        readings.finished_at,
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
        and readings.recency = 1
),

last_attempts as (
    select
        contexts.context_key,
        contexts.registration,
        contexts.context_id,
        contexts.label,
        contexts.title,
        contexts.delisted_at,
        readings.context_key is not null as is_read,
        readings.finished_at as last_complete_at,
        readings.error_type as reading_error_type,
        readings.role_filter,
        others.outcome as other_outcome,
        others.finished_at as other_finished_at,
        others.error_type as other_error_type,
        others.context_key is not null
        and (
            readings.context_key is null
            or others.finished_at > readings.finished_at
            or (
                others.finished_at = readings.finished_at
                and (
                    others.started_at > readings.started_at
                    or (others.started_at = readings.started_at and others.sync_id > readings.sync_id)
                )
            )
        ) as is_other_last
    from {{ ref('stg_lti__contexts') }} as contexts
    left join last_readings as readings
        on readings.context_key = contexts.context_key
    left join last_others as others
        on others.context_key = contexts.context_key
),

states as (
    select
        attempts.context_key,
        attempts.registration,
        attempts.context_id,
        attempts.label,
        attempts.title,
        attempts.delisted_at,
        case
            when not attempts.is_read then 'never'
            when attempts.is_other_last and attempts.other_outcome in ('failed', 'unavailable', 'too_large')
                then 'failing'
            when attempts.last_complete_at < {{ lti_rosters.stale_before('attempts.registration') }} then 'stale'
            else 'fresh'
        end as sync_state,
        attempts.last_complete_at,
        case
            when attempts.is_other_last then attempts.other_finished_at
            else attempts.last_complete_at
        end as last_attempt_at,
        case
            when attempts.is_other_last then attempts.other_error_type
            else attempts.reading_error_type
        end as last_error_type,
        attempts.role_filter,
        attempts.is_read and attempts.role_filter is null as sees_everybody,
        filters.context_role as filter_role,
        filters.sub_role as filter_sub_role
    from last_attempts as attempts
    left join {{ ref('int_lti__role_kinds') }} as filters
        on filters.role_uri = attempts.role_filter
)

select
    states.context_key,
    states.registration,
    states.context_id,
    states.label,
    states.title,
    states.delisted_at,
    states.sync_state,
    states.last_complete_at,
    states.last_attempt_at,
    states.last_error_type,
    states.role_filter,
    states.sees_everybody,
    states.sees_everybody
    or {{ lti_rosters.shows_every('Learner', 'states.filter_role', 'states.filter_sub_role') }} as sees_learners,
    states.sees_everybody
    or {{ lti_rosters.shows_every('Mentor', 'states.filter_role', 'states.filter_sub_role') }} as sees_mentors,
    states.sees_everybody
    or coalesce(
        states.filter_role = 'Instructor'
        and (states.filter_sub_role is null or states.filter_sub_role = 'TeachingAssistant'),
        false
    ) as sees_teaching_assistants,
    counts.active_learners,
    counts.active_learners_also_staff,
    counts.inactive_learners,
    counts.active_staff,
    counts.teaching_assistants,
    counts.mentors,
    counts.members,
    counts.unknown_roles
from states
left join {{ ref('int_lti__course_counts') }} as counts
    on counts.context_key = states.context_key
