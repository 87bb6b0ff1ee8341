with

roles as (
    select
        role_uri,
        vocabulary,
        principal_role,
        sub_role,
        -- Only what someone is in the course decides; a sub-role counts for its principal.
        case when vocabulary = 'context' then principal_role end as context_role
    from {{ ref('stg_lti__roles') }}
)

select
    role_uri,
    context_role,
    sub_role,
    coalesce(context_role = 'Learner', false) as is_learner,
    coalesce(context_role = 'Instructor', false) as is_instructor,
    coalesce(context_role = 'Instructor' and sub_role like 'TeachingAssistant%', false) as is_teaching_assistant,
    coalesce(context_role = 'Mentor', false) as is_mentor,
    coalesce(
        context_role in ('Instructor', 'ContentDeveloper', 'Administrator', 'Manager', 'Officer'),
        false
    ) as is_staff,
    coalesce(vocabulary = 'lti' and principal_role = 'TestUser', false) as is_test_user,
    coalesce(vocabulary = 'unknown', true) as has_unknown_role
from roles
