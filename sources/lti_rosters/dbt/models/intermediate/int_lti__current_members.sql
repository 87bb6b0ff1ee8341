with

half_rosters as (
    select
        context_key,
        sync_id,
        finished_at
    from {{ ref('int_lti__half_rosters') }}
),

standing as (
    select
        memberships.registration,
        memberships.context_key,
        memberships.context_id,
        memberships.user_id,
        memberships.status,
        memberships.primary_role,
        memberships.name,
        memberships.given_name,
        memberships.family_name,
        memberships.email,
        memberships.sync_id,
        memberships.synced_at
    from {{ ref('stg_lti__memberships') }} as memberships
    left join half_rosters
        on half_rosters.context_key = memberships.context_key
    where
        half_rosters.context_key is null
        and {{ lti_rosters.is_due('memberships.context_key') }}
),

-- The log knows no names: they are those of the row that stands, if there is one.
restored as (
    select
        logged.registration,
        logged.context_key,
        logged.context_id,
        logged.user_id,
        logged.status,
        logged.primary_role,
        memberships.name,
        memberships.given_name,
        memberships.family_name,
        memberships.email,
        half_rosters.sync_id,
        half_rosters.finished_at as synced_at
    from half_rosters
    inner join {{ ref('stg_lti__membership_log') }} as logged
        on logged.sync_id = half_rosters.sync_id
    left join {{ ref('stg_lti__memberships') }} as memberships
        on
            memberships.context_key = logged.context_key
            and memberships.user_id = logged.user_id
)

select
    registration,
    context_key,
    context_id,
    user_id,
    status,
    primary_role,
    name,
    given_name,
    family_name,
    email,
    sync_id,
    synced_at
from standing
union all
select
    registration,
    context_key,
    context_id,
    user_id,
    status,
    primary_role,
    name,
    given_name,
    family_name,
    email,
    sync_id,
    synced_at
from restored
