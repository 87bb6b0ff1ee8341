-- Courses of which no attempt has succeeded for longer than `failing_days`, whether they were ever read or not.
{{ config(severity='warn', meta={'finding': 'Courses whose readings have failed for days (see lti.courses)'}) }}

select
    courses.context_key,
    courses.registration,
    states.failing_since
from {{ ref('courses') }} as courses
inner join {{ ref('int_lti__course_states') }} as states
    on states.context_key = courses.context_key
where
    courses.delisted_at is null
    and courses.sync_state in ('failing', 'never')
    and states.failing_since < {{ lti_rosters.hours_before_as_of(24 * var('failing_days', 3)) }}
