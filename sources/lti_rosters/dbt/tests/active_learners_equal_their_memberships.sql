-- active_learners is the number of memberships that count, in every course whose learners were seen.
with

memberships as (
    select
        context_key,
        count(case when counts_as_active_learner then 1 end) as active_learners
    from {{ ref('current_memberships') }}
    group by context_key
)

select
    courses.context_key,
    courses.active_learners,
    memberships.active_learners as counted
from {{ ref('active_learners') }} as courses
left join memberships
    on memberships.context_key = courses.context_key
where courses.active_learners <> coalesce(memberships.active_learners, 0)
