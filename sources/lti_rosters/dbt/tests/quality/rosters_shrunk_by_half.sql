-- Rosters of `shrunk_from` people or more of which, at one reading of the last two days, less than half was left.
{{ config(severity='warn', meta={'finding': 'Rosters that shrank to less than half (see lti.roster_changes)'}) }}

with

rosters as (
    select
        context_key,
        member_count,
        observed_at,
        role_filter,
        lag(member_count) over (partition by context_key order by roster_number) as previous_count,
        lag(role_filter) over (partition by context_key order by roster_number) as previous_filter
    from {{ ref('int_lti__history_rosters') }}
    where roster_number is not null
)

select
    context_key,
    observed_at,
    previous_count,
    member_count
from rosters
where
    observed_at >= {{ lti_rosters.hours_before_as_of(48) }}
    and previous_count >= {{ var('shrunk_from', 10) }}
    and 2 * member_count < previous_count
    -- Another role filter shows other people.
    and not {{ lti_rosters.is_distinct('role_filter', 'previous_filter') }}
