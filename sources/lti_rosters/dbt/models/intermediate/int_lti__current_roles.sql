with

half_rosters as (
    select
        context_key,
        sync_id
    from {{ ref('int_lti__half_rosters') }}
),

standing as (
    select
        roles.context_key,
        roles.user_id,
        roles.role_uri
    from {{ ref('stg_lti__membership_roles') }} as roles
    left join half_rosters
        on half_rosters.context_key = roles.context_key
    where
        half_rosters.context_key is null
        and {{ lti_rosters.is_due('roles.context_key') }}
),

restored as (
    select
        logged.context_key,
        logged.user_id,
        logged.roles
    from half_rosters
    inner join {{ ref('stg_lti__membership_log') }} as logged
        on logged.sync_id = half_rosters.sync_id
    where logged.roles <> '[]'
),

-- No engine reads JSON like another: a role is in the list if it stands there between quotes. Lists are few.
role_lists as (
    select distinct
        roles,
        replace(roles, '", "', '","') as compact
    from restored
),

listed as (
    select
        role_lists.roles,
        kinds.role_uri
    from role_lists
    inner join {{ ref('int_lti__role_kinds') }} as kinds
        on {{ dbt.position("'\"' || kinds.role_uri || '\"'", 'role_lists.roles') }} > 0
),

-- A list longer than what was found in it holds a role that the vocabulary has not, or writes it with escapes.
unlisted as (
    select
        role_lists.roles,
        cast(null as {{ dbt.type_string() }}) as role_uri
    from role_lists
    left join listed
        on listed.roles = role_lists.roles
    group by
        role_lists.roles,
        role_lists.compact
    having
        count(listed.role_uri)
        < 1 + (length(role_lists.compact) - length(replace(role_lists.compact, '","', ''))) / 3
),

found as (
    select
        roles,
        role_uri
    from listed
    union all
    select
        roles,
        role_uri
    from unlisted
)

select
    context_key,
    user_id,
    role_uri
from standing
union all
select
    restored.context_key,
    restored.user_id,
    found.role_uri
from restored
inner join found
    on found.roles = restored.roles
