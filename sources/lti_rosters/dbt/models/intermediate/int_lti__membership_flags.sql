with

memberships as (
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
    from {{ ref('int_lti__current_members') }}
),

roles as (
    select
        held.context_key,
        held.user_id,
        {{ lti_rosters.folded_flags('kinds') | indent(4) }}
    from {{ ref('int_lti__current_roles') }} as held
    left join {{ ref('int_lti__role_kinds') }} as kinds
        on kinds.role_uri = held.role_uri
    group by
        held.context_key,
        held.user_id
),

flags as (
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
        memberships.synced_at,
        {%- for flag in lti_rosters.membership_flags() %}
        coalesce(roles.{{ flag }}, false) as {{ flag }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from memberships
    left join roles
        on
            roles.context_key = memberships.context_key
            and roles.user_id = memberships.user_id
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
    {%- for flag in lti_rosters.membership_flags() %}
    {{ flag }},
    {%- endfor %}
    {{ lti_rosters.counts_as_active_learner('status', 'is_learner', 'is_test_user') }} as counts_as_active_learner,
    sync_id,
    synced_at
from flags
