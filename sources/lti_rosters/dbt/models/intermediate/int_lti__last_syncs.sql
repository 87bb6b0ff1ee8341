-- The last attempts and readings under each key and URL, and the loads that they are of. See macros/last_syncs.sql.
{%- set is_built_on = lti_rosters.has_last_syncs() %}
{%- set syncs = 'syncs' if is_built_on else ref('stg_lti__roster_syncs') %}
{{ config(materialized='table', pre_hook="{{ lti_rosters.find_new_loads() }}") }}

with
{% if is_built_on %}
syncs as (
    select
        context_key,
        memberships_url,
        registration,
        sync_id,
        roster_sync_id,
        outcome,
        role_filter,
        error_type,
        started_at,
        finished_at,
        load_id
    from {{ ref('stg_lti__roster_syncs') }}
    where load_id in (select load_id from new_loads)
    union all
    select
        context_key,
        memberships_url,
        registration,
        sync_id,
        roster_sync_id,
        outcome,
        role_filter,
        error_type,
        started_at,
        finished_at,
        load_id
    from {{ this }}
    where
        sync_id is not null
        and load_id in (select load_id from load_counts)
        and load_id not in (select load_id from new_loads)
),
{% endif %}
moments as (
    select
        context_key,
        memberships_url,
        outcome in ('complete', 'unchanged') as is_reading,
        max(finished_at) as last_finished_at
    from {{ syncs }}
    group by
        context_key,
        memberships_url,
        outcome in ('complete', 'unchanged')
)

select
    syncs.context_key,
    syncs.memberships_url,
    syncs.registration,
    syncs.sync_id,
    syncs.roster_sync_id,
    syncs.outcome,
    moments.is_reading,
    syncs.role_filter,
    syncs.error_type,
    syncs.started_at,
    syncs.finished_at,
    syncs.load_id,
    cast(null as {{ dbt.type_bigint() }}) as syncs,
    '{{ lti_rosters.last_syncs_layout() }}' as layout
from {{ syncs }} as syncs
inner join moments
    on
        moments.context_key = syncs.context_key
        and moments.last_finished_at = syncs.finished_at
        and coalesce(moments.memberships_url, '') = coalesce(syncs.memberships_url, '')
where
    moments.is_reading = (syncs.outcome in ('complete', 'unchanged'))
    -- Which tells few of them from the rest, before any is joined.
    and syncs.finished_at in (select last_finished_at from moments)
union all
select
    cast(null as {{ dbt.type_string() }}) as context_key,
    cast(null as {{ dbt.type_string() }}) as memberships_url,
    cast(null as {{ dbt.type_string() }}) as registration,
    cast(null as {{ dbt.type_string() }}) as sync_id,
    cast(null as {{ dbt.type_string() }}) as roster_sync_id,
    cast(null as {{ dbt.type_string() }}) as outcome,
    cast(null as {{ dbt.type_boolean() }}) as is_reading,
    cast(null as {{ dbt.type_string() }}) as role_filter,
    cast(null as {{ dbt.type_string() }}) as error_type,
    cast(null as {{ lti_rosters.type_timestamptz() }}) as started_at,
    cast(null as {{ lti_rosters.type_timestamptz() }}) as finished_at,
    load_id,
    syncs,
    '{{ lti_rosters.last_syncs_layout() }}' as layout
{%- if is_built_on %}
from load_counts
{%- else %}
from ({{ lti_rosters.load_counts() }}) as load_counts
{%- endif %}
