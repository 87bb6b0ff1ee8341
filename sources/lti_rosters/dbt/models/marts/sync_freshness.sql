with

courses as (
    select
        registration,
        context_key,
        sync_state,
        last_complete_at,
        last_attempt_at,
        last_error_type
    from {{ ref('int_lti__courses') }}
    where delisted_at is null
),

-- A registration without a course is shown too, and so is one whose row is not in yet.
registrations as (
    select registration
    from (
        select registration from {{ ref('stg_lti__registrations') }}
        union all
        select registration from courses
    ) as known
    group by registration
),

counts as (
    select
        registration,
        count(*) as contexts,
        count(case when sync_state = 'fresh' then 1 end) as fresh,
        count(case when sync_state = 'stale' then 1 end) as stale,
        count(case when sync_state = 'failing' then 1 end) as failing,
        count(case when sync_state = 'never' then 1 end) as never,
        min(last_complete_at) as oldest_complete_at
    from courses
    group by registration
),

ranked_errors as (
    select
        registration,
        last_error_type,
        row_number() over (
            partition by registration
            order by last_attempt_at desc, context_key
        ) as recency
    from courses
    where last_error_type is not null
)

select
    registrations.registration,
    coalesce(counts.contexts, 0) as contexts,
    coalesce(counts.fresh, 0) as fresh,
    coalesce(counts.stale, 0) as stale,
    coalesce(counts.failing, 0) as failing,
    coalesce(counts.never, 0) as never,
    counts.oldest_complete_at,
    ranked_errors.last_error_type
from registrations
left join counts
    on counts.registration = registrations.registration
left join ranked_errors
    on
        ranked_errors.registration = registrations.registration
        and ranked_errors.recency = 1
