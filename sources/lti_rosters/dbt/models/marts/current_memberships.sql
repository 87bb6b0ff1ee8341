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
    from {{ ref('stg_lti__memberships') }}
),

flags as (
    select
        context_key,
        user_id,
        is_learner,
        is_instructor,
        is_teaching_assistant,
        is_mentor,
        is_staff,
        is_test_user,
        has_unknown_role,
        counts_as_active_learner
    from {{ ref('int_lti__membership_flags') }}
),

contexts as (
    select
        context_key,
        label,
        title
    from {{ ref('stg_lti__contexts') }}
)

select
    memberships.registration,
    memberships.context_key,
    memberships.context_id,
    contexts.label,
    contexts.title,
    memberships.user_id,
    memberships.status,
    memberships.primary_role,
    memberships.name,
    memberships.given_name,
    memberships.family_name,
    memberships.email,
    flags.is_learner,
    flags.is_instructor,
    flags.is_teaching_assistant,
    flags.is_mentor,
    flags.is_staff,
    flags.is_test_user,
    flags.has_unknown_role,
    flags.counts_as_active_learner,
    memberships.sync_id,
    memberships.synced_at
from memberships
inner join flags
    on
        flags.context_key = memberships.context_key
        and flags.user_id = memberships.user_id
left join contexts
    on contexts.context_key = memberships.context_key
