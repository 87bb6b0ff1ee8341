-- A table: what planners guess of its few rows would have them join row by row.
{{ config(materialized='table') }}

with

contexts as (
    select
        context_key,
        registration,
        memberships_url
    from {{ ref('stg_lti__contexts') }}
),

-- When the last attempt and the last reading under each key and URL ended: what was before decides nothing, and is
-- most of the table.
moments as (
    select
        context_key,
        coalesce(memberships_url, '') as memberships_url,
        max(finished_at) as last_attempt_at,
        max(case when outcome in ('complete', 'unchanged') then finished_at end) as last_complete_at
    from {{ ref('stg_lti__roster_syncs') }}
    group by
        context_key,
        coalesce(memberships_url, '')
),

-- An attempt made before the first complete reading gave the platform's id is no context's by its key any more.
syncs as (
    select
        syncs.sync_id,
        syncs.context_key,
        syncs.registration,
        syncs.memberships_url,
        syncs.roster_sync_id,
        syncs.outcome,
        syncs.role_filter,
        syncs.error_type,
        syncs.started_at,
        syncs.finished_at,
        contexts.context_key as known_context_key
    from {{ ref('stg_lti__roster_syncs') }} as syncs
    inner join moments
        on
            moments.context_key = syncs.context_key
            and moments.memberships_url = coalesce(syncs.memberships_url, '')
            and (
                moments.last_attempt_at = syncs.finished_at
                or moments.last_complete_at = syncs.finished_at
            )
    left join contexts
        on contexts.context_key = syncs.context_key
),

attempts as (
    select
        known_context_key as context_key,
        sync_id,
        registration,
        roster_sync_id,
        outcome,
        role_filter,
        error_type,
        started_at,
        finished_at
    from syncs
    where known_context_key is not null
    union all
    select
        contexts.context_key,
        syncs.sync_id,
        syncs.registration,
        syncs.roster_sync_id,
        syncs.outcome,
        syncs.role_filter,
        syncs.error_type,
        syncs.started_at,
        syncs.finished_at
    from syncs
    inner join contexts
        on
            contexts.registration = syncs.registration
            and contexts.memberships_url = syncs.memberships_url
    where syncs.known_context_key is null
)

select
    context_key,
    sync_id,
    registration,
    roster_sync_id,
    outcome,
    outcome in ('complete', 'unchanged') as is_reading,
    role_filter,
    error_type,
    started_at,
    finished_at
from attempts
