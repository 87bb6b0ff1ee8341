with

contexts as (
    select
        context_key,
        registration,
        memberships_url
    from {{ ref('stg_lti__contexts') }}
),

syncs as (
    select
        sync_id,
        context_key,
        registration,
        memberships_url
    from {{ ref('stg_lti__roster_syncs') }}
),

attempts_by_key as (
    select
        contexts.context_key,
        syncs.sync_id
    from contexts
    inner join syncs
        on syncs.context_key = contexts.context_key
),

-- Made before the first complete reading gave the platform's id: their key is no context's any more.
keyless_syncs as (
    select
        syncs.sync_id,
        syncs.registration,
        syncs.memberships_url
    from syncs
    left join contexts
        on contexts.context_key = syncs.context_key
    where contexts.context_key is null
),

attempts_by_url as (
    select
        contexts.context_key,
        keyless_syncs.sync_id
    from contexts
    inner join keyless_syncs
        on
            keyless_syncs.registration = contexts.registration
            and keyless_syncs.memberships_url = contexts.memberships_url
),

attempts as (
    select
        context_key,
        sync_id
    from attempts_by_key
    union all
    select
        context_key,
        sync_id
    from attempts_by_url
)

select
    attempts.context_key,
    syncs.sync_id,
    syncs.registration,
    syncs.roster_sync_id,
    syncs.outcome,
    syncs.outcome in ('complete', 'unchanged') as is_reading,
    syncs.role_filter,
    syncs.error_type,
    syncs.started_at,
    syncs.finished_at
from attempts
inner join {{ ref('stg_lti__roster_syncs') }} as syncs
    on syncs.sync_id = attempts.sync_id
