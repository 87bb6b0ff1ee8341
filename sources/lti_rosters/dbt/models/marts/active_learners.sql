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

counts as (
    select
        context_key,
        active_learners,
        active_learners_also_staff,
        inactive_learners,
        active_staff,
        teaching_assistants,
        mentors,
        members,
        unknown_roles
    from {{ ref('int_lti__course_counts') }}
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
