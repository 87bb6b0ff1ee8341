-- Each roster beside the one before it: who came, went or changed with it. And of each course one row that is nobody's,
-- which says what its events are made from without a look at all of them.
{%- set person = 'partition by context_key, user_id order by roster_number' %}
{%- set is_kept = lti_rosters.is_kept() %}
{{ config(
    pre_hook="{{ lti_rosters.forget_outdated_courses('user_id is null') }}",
    indexes=lti_rosters.index_on('context_key')
) }}

with

rosters as (
    select
        rosters.sync_id,
        rosters.context_key,
        rosters.registration,
        rosters.context_id,
        rosters.observed_at,
        rosters.roster_number,
        rosters.build_number
    from {{ ref('int_lti__history_rosters') }} as rosters
    where
        rosters.roster_number is not null
        and {{ lti_rosters.is_forgotten('rosters', is_kept) }}
),

-- Joined with the table, of which planners know how many syncs it has: of a `with` that is used twice they know
-- nothing, and PostgreSQL would keep the whole log in memory to look these few up in it.
memberships as (
    select
        rosters.context_key,
        rosters.roster_number,
        logged.user_id,
        logged.status,
        logged.primary_role,
        logged.roles,
        logged.is_active_learner
    from {{ ref('int_lti__history_rosters') }} as rosters
    inner join {{ ref('stg_lti__membership_log') }} as logged
        on logged.sync_id = rosters.sync_id
    where
        rosters.roster_number is not null
        and {{ lti_rosters.is_forgotten('rosters', is_kept) }}
),

neighbours as (
    select
        context_key,
        roster_number,
        user_id,
        status,
        primary_role,
        roles,
        is_active_learner,
        lag(roster_number) over ({{ person }}) as previous_number,
        lag(status) over ({{ person }}) as previous_status,
        lag(primary_role) over ({{ person }}) as previous_primary_role,
        lag(roles) over ({{ person }}) as previous_roles,
        lag(is_active_learner) over ({{ person }}) as was_active_learner,
        coalesce(lead(roster_number) over ({{ person }}), 0) as next_number
    from memberships
),

-- Where a person was not on the roster before, nothing has changed but that.
differences as (
    select
        context_key,
        roster_number,
        user_id,
        status,
        primary_role,
        is_active_learner,
        next_number,
        case
            when previous_number is null then 'joined'
            when previous_number < roster_number - 1 then 'returned'
        end as presence_change,
        previous_number = roster_number - 1 and {{ lti_rosters.is_distinct('status', 'previous_status') }} as is_status_changed,
        previous_number = roster_number - 1 and {{ lti_rosters.is_distinct('roles', 'previous_roles') }} as is_role_changed,
        previous_number = roster_number - 1
        and (
            {{ lti_rosters.is_distinct('primary_role', 'previous_primary_role') }}
            or {{ lti_rosters.is_distinct('is_active_learner', 'was_active_learner') }}
        ) as is_otherwise_changed,
        previous_number = roster_number - 1 and was_active_learner as was_active_learner
    from neighbours
),

sightings as (
    select
        context_key,
        roster_number,
        user_id,
        presence_change,
        coalesce(is_status_changed, false) as is_status_changed,
        coalesce(is_role_changed, false) as is_role_changed,
        presence_change is not null
        or coalesce(is_status_changed or is_otherwise_changed, false) as begins_stretch,
        status,
        primary_role,
        is_active_learner,
        case when is_active_learner then 1 else 0 end
        - case when was_active_learner then 1 else 0 end as active_learners_added
    from differences
),

-- The next roster no longer showed the person. Behind the last roster nothing is known.
departures as (
    select
        context_key,
        roster_number + 1 as roster_number,
        user_id,
        is_active_learner
    from differences
    where next_number <> roster_number + 1
),

events as (
    select
        context_key,
        roster_number,
        user_id,
        presence_change,
        is_status_changed,
        is_role_changed,
        begins_stretch,
        status,
        primary_role,
        is_active_learner,
        active_learners_added
    from sightings
    where begins_stretch or is_role_changed
    union all
    select
        context_key,
        roster_number,
        user_id,
        'left' as presence_change,
        false as is_status_changed,
        false as is_role_changed,
        false as begins_stretch,
        cast(null as {{ dbt.type_string() }}) as status,
        cast(null as {{ dbt.type_string() }}) as primary_role,
        false as is_active_learner,
        case when is_active_learner then -1 else 0 end as active_learners_added
    from departures
)

select
    rosters.context_key,
    rosters.registration,
    rosters.context_id,
    events.user_id,
    rosters.observed_at,
    rosters.roster_number = 1 as is_first_reading,
    events.presence_change,
    events.is_status_changed,
    events.is_role_changed,
    events.active_learners_added,
    events.begins_stretch,
    events.status,
    events.primary_role,
    events.is_active_learner,
    -- What ends a stretch is the next one, or the person's leaving; a change of roles alone does not.
    min(case when events.begins_stretch or events.presence_change = 'left' then rosters.observed_at end) over (
        partition by events.context_key, events.user_id
        order by events.roster_number
        rows between 1 following and unbounded following
    ) as stretch_ended_at,
    rosters.build_number
from events
inner join rosters
    on
        rosters.context_key = events.context_key
        and rosters.roster_number = events.roster_number
union all
select
    context_key,
    registration,
    context_id,
    cast(null as {{ dbt.type_string() }}) as user_id,
    observed_at,
    true as is_first_reading,
    cast(null as {{ dbt.type_string() }}) as presence_change,
    false as is_status_changed,
    false as is_role_changed,
    0 as active_learners_added,
    false as begins_stretch,
    cast(null as {{ dbt.type_string() }}) as status,
    cast(null as {{ dbt.type_string() }}) as primary_role,
    false as is_active_learner,
    cast(null as {{ lti_rosters.type_timestamptz() }}) as stretch_ended_at,
    build_number
from rosters
where roster_number = 1
