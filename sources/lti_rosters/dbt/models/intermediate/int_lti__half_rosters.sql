-- A load commits one table after the other: between two of them the members of one roster stand beside the roles
-- of another. Rows of both tables carry their sync, so a roster that is half of each can be told.
with

member_syncs as (
    select
        context_key,
        min(sync_id) as first_sync_id,
        max(sync_id) as last_sync_id
    from {{ ref('stg_lti__memberships') }}
    where {{ lti_rosters.is_due('context_key') }}
    group by context_key
),

role_syncs as (
    select
        context_key,
        min(sync_id) as first_sync_id,
        max(sync_id) as last_sync_id
    from {{ ref('stg_lti__membership_roles') }}
    where {{ lti_rosters.is_due('context_key') }}
    group by context_key
),

-- Not one sync in both tables: half, or nobody on the roster holds a role.
doubtful as (
    select
        coalesce(member_syncs.context_key, role_syncs.context_key) as context_key,
        case
            when role_syncs.context_key is null and member_syncs.first_sync_id = member_syncs.last_sync_id
                then member_syncs.first_sync_id
        end as roleless_sync_id
    from member_syncs
    full outer join role_syncs
        on role_syncs.context_key = member_syncs.context_key
    where not coalesce(
        member_syncs.first_sync_id = member_syncs.last_sync_id
        and role_syncs.first_sync_id = member_syncs.first_sync_id
        and role_syncs.last_sync_id = member_syncs.last_sync_id,
        false
    )
),

rosters as (
    select
        sync_id,
        context_key,
        member_count,
        finished_at
    from {{ ref('stg_lti__roster_syncs') }}
    where
        outcome = 'complete'
        and context_key in (select context_key from doubtful)
),

logged as (
    select
        sync_id,
        count(distinct user_id) as people,
        max(case when roles <> '[]' then 1 else 0 end) as with_roles
    from {{ ref('stg_lti__membership_log') }}
    where sync_id in (select sync_id from rosters)
    group by sync_id
),

ranked_rosters as (
    select
        rosters.context_key,
        rosters.sync_id,
        rosters.finished_at,
        row_number() over (
            partition by rosters.context_key
            order by rosters.finished_at desc, rosters.sync_id desc
        ) as recency
    from rosters
    left join logged
        on logged.sync_id = rosters.sync_id
    where coalesce(logged.people, 0) = rosters.member_count
),

roleless_rosters as (
    select rosters.sync_id
    from rosters
    left join logged
        on logged.sync_id = rosters.sync_id
    where coalesce(logged.with_roles, 0) = 0
)

select
    doubtful.context_key,
    ranked_rosters.sync_id,
    ranked_rosters.finished_at
from doubtful
left join ranked_rosters
    on
        ranked_rosters.context_key = doubtful.context_key
        and ranked_rosters.recency = 1
left join roleless_rosters
    on roleless_rosters.sync_id = doubtful.roleless_sync_id
where roleless_rosters.sync_id is null
