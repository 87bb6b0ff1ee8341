-- Courses in the catalogue whose roster has lost more than half of the people who were on it two days before.
{{ config(severity='warn', meta={'finding': 'Rosters that shrank to less than half (see lti.roster_changes)'}) }}

with

rosters as (
    select
        context_key,
        roster_number,
        role_filter,
        member_count,
        observed_at
    from {{ ref('int_lti__history_rosters') }}
    where roster_number is not null
),

-- The roster in force now, and the one that was two days before, where they are not the same.
pairs as (
    select
        context_key,
        max(roster_number) as number_now,
        max(case when observed_at <= {{ lti_rosters.hours_before_as_of(48) }} then roster_number end) as number_before
    from rosters
    group by context_key
    having max(observed_at) > {{ lti_rosters.hours_before_as_of(48) }}
)

select
    pairs.context_key,
    rosters_before.member_count as count_before,
    rosters_now.member_count as count_now
from pairs
inner join {{ ref('stg_lti__contexts') }} as contexts
    on contexts.context_key = pairs.context_key
inner join rosters as rosters_now
    on
        rosters_now.context_key = pairs.context_key
        and rosters_now.roster_number = pairs.number_now
inner join rosters as rosters_before
    on
        rosters_before.context_key = pairs.context_key
        and rosters_before.roster_number = pairs.number_before
where
    contexts.delisted_at is null
    and rosters_before.member_count >= {{ var('shrunk_from', 10) }}
    and 2 * rosters_now.member_count < rosters_before.member_count
    -- Another role filter shows other people.
    and not {{ lti_rosters.is_distinct('rosters_now.role_filter', 'rosters_before.role_filter') }}
