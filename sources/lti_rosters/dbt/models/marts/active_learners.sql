-- Read and empty is 0; never read, or out of the sight of a role filter, is NULL.
select
    registration,
    context_key,
    context_id,
    label,
    title,
    case when sees_learners then coalesce(active_learners, 0) end as active_learners,
    case when sees_learners then coalesce(active_learners_also_staff, 0) end as active_learners_also_staff,
    case when sees_learners then coalesce(inactive_learners, 0) end as inactive_learners,
    case when sees_everybody then coalesce(active_staff, 0) end as active_staff,
    case when sees_teaching_assistants then coalesce(teaching_assistants, 0) end as teaching_assistants,
    case when sees_mentors then coalesce(mentors, 0) end as mentors,
    case when sees_everybody then coalesce(members, 0) end as members,
    case when sees_everybody then coalesce(unknown_roles, 0) end as unknown_roles,
    sync_state,
    last_complete_at
from {{ ref('int_lti__courses') }}
where delisted_at is null
