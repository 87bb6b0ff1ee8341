-- Days on which a course's active learners changed: far fewer than days, and all that is needed to tell any day.
{%- set is_kept = lti_rosters.is_kept() %}
{{ config(pre_hook="{{ lti_rosters.forget_outdated_courses('is_first_reading') }}") }}

with

rosters as (
    select
        rosters.context_key,
        rosters.registration,
        rosters.context_id,
        {{ lti_rosters.utc_day('rosters.observed_at') }} as observed_on,
        rosters.role_filter,
        rosters.roster_number,
        rosters.build_number
    from {{ ref('int_lti__history_rosters') }} as rosters
    where
        rosters.roster_number is not null
        and {{ lti_rosters.is_forgotten('rosters', is_kept) }}
),

-- A course waits until its events are those of these rosters.
courses as (
    select
        rosters.context_key,
        rosters.registration,
        rosters.context_id,
        rosters.build_number
    from rosters
    inner join {{ ref('int_lti__membership_events') }} as events
        on
            events.context_key = rosters.context_key
            and events.build_number = rosters.build_number
    where
        rosters.roster_number = 1
        and events.user_id is null
),

-- Who came and went on one day, or changed there and back, has done nothing.
people as (
    select
        events.context_key,
        {{ lti_rosters.utc_day('events.observed_at') }} as observed_on,
        events.user_id,
        sum(events.active_learners_added) as added
    from {{ ref('int_lti__membership_events') }} as events
    inner join courses
        on
            courses.context_key = events.context_key
            and courses.build_number = events.build_number
    where events.active_learners_added <> 0
    group by
        events.context_key,
        {{ lti_rosters.utc_day('events.observed_at') }},
        events.user_id
),

moves as (
    select
        context_key,
        observed_on,
        count(case when added > 0 then 1 end) as joined,
        count(case when added < 0 then 1 end) as left_course
    from people
    group by
        context_key,
        observed_on
),

ranked_rosters as (
    select
        context_key,
        observed_on,
        role_filter,
        row_number() over (
            partition by context_key, observed_on
            order by roster_number desc
        ) as recency
    from rosters
),

-- The roster at the end of each day with one.
last_rosters as (
    select
        context_key,
        observed_on,
        role_filter,
        lag(role_filter) over (partition by context_key order by observed_on) as previous_filter,
        row_number() over (partition by context_key order by observed_on) = 1 as is_first_reading
    from ranked_rosters
    where recency = 1
),

days as (
    select
        last_rosters.context_key,
        last_rosters.observed_on,
        last_rosters.role_filter,
        last_rosters.is_first_reading,
        coalesce(moves.joined, 0) as joined,
        coalesce(moves.left_course, 0) as left_course
    from last_rosters
    left join moves
        on
            moves.context_key = last_rosters.context_key
            and moves.observed_on = last_rosters.observed_on
    where
        last_rosters.is_first_reading
        or moves.joined > 0
        or moves.left_course > 0
        or {{ lti_rosters.is_distinct('last_rosters.role_filter', 'last_rosters.previous_filter') }}
)

select
    courses.context_key,
    courses.registration,
    courses.context_id,
    days.observed_on as day,
    lead(days.observed_on) over (partition by days.context_key order by days.observed_on) as next_day,
    cast(
        sum(days.joined - days.left_course) over (
            partition by days.context_key
            order by days.observed_on
            rows between unbounded preceding and current row
        )
        as {{ dbt.type_bigint() }}
    ) as active_learners,
    days.joined,
    days.left_course,
    days.is_first_reading,
    days.role_filter,
    courses.build_number
from days
inner join courses
    on courses.context_key = days.context_key
