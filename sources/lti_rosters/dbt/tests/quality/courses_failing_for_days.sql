-- Courses whose readings have failed for longer than `failing_days`: their last complete roster is that old.
{{ config(severity='warn', meta={'finding': 'Courses whose readings have failed for days (see lti.courses)'}) }}

select
    registration,
    context_key,
    last_complete_at
from {{ ref('courses') }}
where
    sync_state = 'failing'
    and delisted_at is null
    and last_complete_at < {{ lti_rosters.hours_before_as_of(24 * var('failing_days', 3)) }}
