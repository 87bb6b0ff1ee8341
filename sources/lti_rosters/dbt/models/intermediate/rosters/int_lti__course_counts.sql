-- Of each course how many people are what, so that nothing else need look at all of them. See macros/rosters.sql.
-- depends_on: {{ ref('int_lti__roster_marks') }}
{{ config(pre_hook="{{ lti_rosters.forget_outdated_counts() }}") }}

with

-- One row per person and course, so that rows are people; test users are nobody.
people as (
    select
        context_key,
        mark,
        not is_test_user as is_member,
        not is_test_user and coalesce(status = 'Active', false) as is_active,
        not is_test_user and coalesce(status = 'Inactive', false) as is_inactive,
        is_learner,
        is_staff,
        is_teaching_assistant,
        is_mentor,
        has_unknown_role,
        counts_as_active_learner
    from {{ ref('int_lti__memberships') }} as memberships
    where {{ lti_rosters.is_forgotten('memberships', lti_rosters.is_kept()) }}
)

select
    context_key,
    count(case when counts_as_active_learner then 1 end) as active_learners,
    count(case when counts_as_active_learner and is_staff then 1 end) as active_learners_also_staff,
    count(case when is_inactive and is_learner then 1 end) as inactive_learners,
    count(case when is_active and is_staff then 1 end) as active_staff,
    count(case when is_active and is_teaching_assistant then 1 end) as teaching_assistants,
    count(case when is_active and is_mentor then 1 end) as mentors,
    count(case when is_member then 1 end) as members,
    count(case when is_member and has_unknown_role then 1 end) as unknown_roles,
    max(mark) as mark
from people
group by context_key
