with

changes as (
    select
        registration,
        context_key,
        context_id,
        day,
        next_day,
        active_learners,
        joined,
        left_course,
        is_first_reading,
        role_filter
    from {{ ref('int_lti__active_learner_changes') }}
),

contexts as (
    select
        context_key,
        label,
        title,
        {{ lti_rosters.utc_day('delisted_at') }} as delisted_on
    from {{ ref('stg_lti__contexts') }}
),

digits as (
    {%- for digit in range(10) %}
    select {{ digit }} as digit
    {%- if not loop.last %} union all{% endif %}
    {%- endfor %}
),

-- Ten thousand days, which is twenty-seven years, up to the day that was asked for.
days as (
    select
        cast(
            {{ lti_rosters.days_before(
                lti_rosters.as_of_day(),
                '(1000 * thousands.digit + 100 * hundreds.digit + 10 * tens.digit + ones.digit)'
            ) }} as date
        ) as day
    from digits as thousands
    cross join digits as hundreds
    cross join digits as tens
    cross join digits as ones
),

-- Each change holds until the next.
dense as (
    select
        changes.registration,
        changes.context_key,
        changes.context_id,
        days.day,
        days.day = changes.day as is_change,
        changes.active_learners,
        changes.joined,
        changes.left_course,
        changes.is_first_reading,
        changes.role_filter is null
        or {{ lti_rosters.shows_every('Learner', 'filters.context_role', 'filters.sub_role') }} as sees_learners
    from changes
    inner join days
        on
            days.day >= changes.day
            and days.day < coalesce(changes.next_day, cast('9999-12-31' as date))
    left join {{ ref('int_lti__role_kinds') }} as filters
        on filters.role_uri = changes.role_filter
)

select
    dense.registration,
    dense.context_key,
    dense.context_id,
    contexts.label,
    contexts.title,
    dense.day,
    case when dense.sees_learners then dense.active_learners end as active_learners,
    case when not dense.sees_learners then null when dense.is_change then dense.joined else 0 end as joined,
    case when not dense.sees_learners then null when dense.is_change then dense.left_course else 0 end as left_course,
    dense.is_change and dense.is_first_reading as is_first_reading
from dense
left join contexts
    on contexts.context_key = dense.context_key
where
    -- Nobody looks at a course that was taken out of the catalogue.
    contexts.delisted_on is null
    or dense.day <= contexts.delisted_on
