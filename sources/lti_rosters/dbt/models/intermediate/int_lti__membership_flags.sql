with

memberships as (
    select
        context_key,
        user_id,
        status
    from {{ ref('stg_lti__memberships') }}
),

roles as (
    select
        held.context_key,
        held.user_id,
        {{ lti_rosters.folded_flags('kinds') | indent(4) }}
    from {{ ref('stg_lti__membership_roles') }} as held
    left join {{ ref('int_lti__role_kinds') }} as kinds
        on kinds.role_uri = held.role_uri
    group by
        held.context_key,
        held.user_id
),

flags as (
    select
        memberships.context_key,
        memberships.user_id,
        memberships.status,
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
    context_key,
    user_id,
    {%- for flag in lti_rosters.membership_flags() %}
    {{ flag }},
    {%- endfor %}
    {{ lti_rosters.counts_as_active_learner('status', 'is_learner', 'is_test_user') }} as counts_as_active_learner
from flags
