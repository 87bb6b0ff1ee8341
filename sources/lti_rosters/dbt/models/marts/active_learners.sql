with

courses as (
    select
        registration,
        context_key,
        context_id,
        label,
        title,
        sync_state,
        last_complete_at
    from {{ ref('courses') }}
    where delisted_at is null
),

rosters as (
    select
        context_key,
        sees_everybody,
        sees_learners,
        sees_mentors,
        sees_teaching_assistants
    from {{ ref('int_lti__course_states') }}
),

-- One row per person and course, so that rows are people; test users are nobody.
people as (
    select
        context_key,
        status,
        is_learner,
        is_staff,
        is_teaching_assistant,
        is_mentor,
        has_unknown_role,
        counts_as_active_learner,
        coalesce(status = 'Active', false) as is_active
    from {{ ref('int_lti__memberships') }}
    where not is_test_user
),

counts as (
    select
        context_key,
        count(case when counts_as_active_learner then 1 end) as active_learners,
        count(case when counts_as_active_learner and is_staff then 1 end) as active_learners_also_staff,
        count(case when is_learner and status = 'Inactive' then 1 end) as inactive_learners,
        count(case when is_active and is_staff then 1 end) as active_staff,
        count(case when is_active and is_teaching_assistant then 1 end) as teaching_assistants,
        count(case when is_active and is_mentor then 1 end) as mentors,
        count(*) as members,
        count(case when has_unknown_role then 1 end) as unknown_roles
    from people
    group by context_key
)

-- Read and empty is 0; never read, or out of the sight of a role filter, is NULL.
select
    courses.registration,
    courses.context_key,
    courses.context_id,
    courses.label,
    courses.title,
    case when rosters.sees_learners then coalesce(counts.active_learners, 0) end as active_learners,
    case
        when rosters.sees_learners then coalesce(counts.active_learners_also_staff, 0)
    end as active_learners_also_staff,
    case when rosters.sees_learners then coalesce(counts.inactive_learners, 0) end as inactive_learners,
    case when rosters.sees_everybody then coalesce(counts.active_staff, 0) end as active_staff,
    case
        when rosters.sees_teaching_assistants then coalesce(counts.teaching_assistants, 0)
    end as teaching_assistants,
    case when rosters.sees_mentors then coalesce(counts.mentors, 0) end as mentors,
    case when rosters.sees_everybody then coalesce(counts.members, 0) end as members,
    case when rosters.sees_everybody then coalesce(counts.unknown_roles, 0) end as unknown_roles,
    courses.sync_state,
    courses.last_complete_at
from courses
inner join rosters
    on rosters.context_key = courses.context_key
left join counts
    on counts.context_key = courses.context_key
