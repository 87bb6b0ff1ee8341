-- What the history is made from, and of each course whether it has changed. See macros/history.sql.
{{ config(pre_hook="{{ lti_rosters.forget_changed_courses() }}") }}

with

syncs as (
    select
        syncs.sync_id,
        syncs.context_key,
        syncs.registration,
        syncs.context_id,
        syncs.role_filter,
        coalesce(syncs.member_count, -1) as member_count,
        syncs.finished_at as observed_at
    from {{ ref('int_lti__telling_syncs') }} as syncs
    where
        syncs.outcome = 'complete'
        and {{ lti_rosters.is_forgotten('syncs', lti_rosters.is_kept()) }}
),

logged as (
    select
        sync_id,
        count(distinct user_id) as people
    from {{ ref('stg_lti__membership_log') }}
    where sync_id in (select sync_id from syncs)
    group by sync_id
),

rosters as (
    select
        syncs.sync_id,
        syncs.context_key,
        syncs.registration,
        syncs.context_id,
        syncs.role_filter,
        syncs.member_count,
        syncs.observed_at,
        coalesce(logged.people, 0) = syncs.member_count as is_whole
    from syncs
    left join logged
        on logged.sync_id = syncs.sync_id
),

-- Of two rosters seen at one moment, the last by id is the one in force.
ranked_rosters as (
    select
        sync_id,
        context_key,
        registration,
        context_id,
        role_filter,
        member_count,
        observed_at,
        is_whole,
        row_number() over (
            partition by context_key, is_whole, observed_at
            order by sync_id desc
        ) as recency,
        dense_rank() over (
            partition by context_key, is_whole
            order by observed_at
        ) as moment_number
    from rosters
)

select
    sync_id,
    context_key,
    registration,
    context_id,
    role_filter,
    member_count,
    observed_at,
    is_whole,
    case when is_whole and recency = 1 then moment_number end as roster_number,
    {{ lti_rosters.build_number() }} as build_number
from ranked_rosters
