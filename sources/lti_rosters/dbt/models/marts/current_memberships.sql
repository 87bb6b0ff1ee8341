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
        is_learner,
        is_instructor,
        is_teaching_assistant,
        is_mentor,
        is_staff,
        is_test_user,
        has_unknown_role,
        counts_as_active_learner,
        sync_id,
        synced_at
    from {{ ref('int_lti__memberships') }}
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
    memberships.is_learner,
    memberships.is_instructor,
    memberships.is_teaching_assistant,
    memberships.is_mentor,
    memberships.is_staff,
    memberships.is_test_user,
    memberships.has_unknown_role,
    memberships.counts_as_active_learner,
    memberships.sync_id,
    memberships.synced_at
from memberships
left join contexts
    on contexts.context_key = memberships.context_key
