-- Courses of which no attempt has succeeded for longer than `failing_days`, whether they were ever read or not.
{{ config(severity='warn', meta={'finding': 'Courses whose readings have failed for days (see lti.courses)'}) }}

select
    contexts.context_key,
    contexts.registration,
    failures.failing_since
from {{ ref('stg_lti__contexts') }} as contexts
inner join {{ ref('int_lti__course_failures') }} as failures
    on failures.context_key = contexts.context_key
where
    contexts.delisted_at is null
    and failures.failing_since < {{ lti_rosters.hours_before_as_of(24 * var('failing_days', 3)) }}
