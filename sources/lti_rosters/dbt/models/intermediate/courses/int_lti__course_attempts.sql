{%- set syncs = ref('int_lti__telling_syncs') %}
with

contexts as (
    select
        context_key,
        registration,
        memberships_url
    from {{ ref('stg_lti__contexts') }}
),

-- Under whatever URL.
moments as (
    select
        context_key,
        max(finished_at) as last_attempt_at,
        max(case when is_reading then finished_at end) as last_complete_at
    from {{ syncs }}
    group by context_key
),

known_moments as (
    select
        moments.context_key,
        moments.last_attempt_at,
        moments.last_complete_at
    from moments
    inner join contexts
        on contexts.context_key = moments.context_key
),

earlier_keys as (
    select moments.context_key
    from moments
    left join contexts
        on contexts.context_key = moments.context_key
    where contexts.context_key is null
),

-- An attempt made before the first complete reading gave the platform's id is no context's by its key any more: it is
-- found by its URL, under which others than the last may count.
earlier_moments as (
    select
        syncs.context_key,
        syncs.memberships_url,
        max(syncs.finished_at) as last_attempt_at,
        max(case when syncs.is_reading then syncs.finished_at end) as last_complete_at
    from {{ syncs }} as syncs
    inner join earlier_keys
        on earlier_keys.context_key = syncs.context_key
    group by
        syncs.context_key,
        syncs.memberships_url
),

attempts as (
    select
        syncs.context_key,
        syncs.sync_id,
        syncs.registration,
        syncs.roster_sync_id,
        syncs.outcome,
        syncs.is_reading,
        syncs.role_filter,
        syncs.error_type,
        syncs.started_at,
        syncs.finished_at
    from {{ syncs }} as syncs
    inner join known_moments
        on known_moments.context_key = syncs.context_key
    where
        known_moments.last_attempt_at = syncs.finished_at
        or known_moments.last_complete_at = syncs.finished_at
    union all
    select
        contexts.context_key,
        syncs.sync_id,
        syncs.registration,
        syncs.roster_sync_id,
        syncs.outcome,
        syncs.is_reading,
        syncs.role_filter,
        syncs.error_type,
        syncs.started_at,
        syncs.finished_at
    from {{ syncs }} as syncs
    inner join earlier_moments
        on
            earlier_moments.context_key = syncs.context_key
            and earlier_moments.memberships_url = syncs.memberships_url
    inner join contexts
        on
            contexts.registration = syncs.registration
            and contexts.memberships_url = syncs.memberships_url
    where
        earlier_moments.last_attempt_at = syncs.finished_at
        or earlier_moments.last_complete_at = syncs.finished_at
)

select
    context_key,
    sync_id,
    registration,
    roster_sync_id,
    outcome,
    is_reading,
    role_filter,
    error_type,
    started_at,
    finished_at
from attempts
