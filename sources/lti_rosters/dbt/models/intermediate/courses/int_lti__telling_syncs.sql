-- Attempts that say more than that nothing has changed, and the last of the others. See macros/telling_syncs.sql.
{%- set is_kept = lti_rosters.is_kept() %}
{%- set columns = lti_rosters.telling_columns() | join(',\n        ') %}
{{ config(pre_hook="{{ lti_rosters.forget_other_loads() }}") }}

with

syncs as (
    select
        {{ columns }}
    from {{ ref('stg_lti__roster_syncs') }}
    {%- if is_kept %}
    where load_id in (select load_id from new_loads)
    {%- endif %}
),

readings as (
    select
        context_key,
        memberships_url,
        finished_at
    from syncs
    where outcome in ('complete', 'unchanged')
    {%- if is_kept %}
    union all
    -- Those that could be later.
    select
        context_key,
        memberships_url,
        finished_at
    from {{ this }}
    where
        is_reading
        and finished_at > (select min(finished_at) from syncs)
    {%- endif %}
),

-- Under each key and URL.
last_readings as (
    select
        context_key,
        coalesce(memberships_url, '') as memberships_url,
        max(finished_at) as finished_at
    from readings
    group by
        context_key,
        coalesce(memberships_url, '')
)

-- Loads stand first: to the engine the others' marks are of their type.
select
    cast(null as {{ dbt.type_string() }}) as sync_id,
    cast(null as {{ dbt.type_string() }}) as context_key,
    cast(null as {{ dbt.type_string() }}) as memberships_url,
    cast(null as {{ dbt.type_string() }}) as registration,
    cast(null as {{ dbt.type_string() }}) as context_id,
    cast(null as {{ dbt.type_string() }}) as roster_sync_id,
    cast(null as {{ dbt.type_string() }}) as outcome,
    cast(null as {{ dbt.type_string() }}) as role_filter,
    cast(null as {{ dbt.type_string() }}) as error_type,
    cast(null as {{ dbt.type_bigint() }}) as member_count,
    cast(null as {{ lti_rosters.type_timestamptz() }}) as started_at,
    cast(null as {{ lti_rosters.type_timestamptz() }}) as finished_at,
    load_id,
    cast(null as {{ dbt.type_boolean() }}) as is_reading,
    syncs,
    mark,
    '{{ lti_rosters.telling_layout() }}' as layout
{%- if is_kept %}
from load_marks
{%- else %}
from ({{ lti_rosters.load_marks() }}) as load_marks
{%- endif %}
union all
select
    {{ columns | replace('\n        ', '\n    ') }},
    outcome in ('complete', 'unchanged') as is_reading,
    cast(null as {{ dbt.type_bigint() }}) as syncs,
    null as mark,
    '{{ lti_rosters.telling_layout() }}' as layout
from syncs
where outcome <> 'unchanged'
union all
select
    {%- for column in lti_rosters.telling_columns() %}
    syncs.{{ column }},
    {%- endfor %}
    true as is_reading,
    cast(null as {{ dbt.type_bigint() }}) as syncs,
    null as mark,
    '{{ lti_rosters.telling_layout() }}' as layout
from syncs
inner join last_readings
    on
        last_readings.context_key = syncs.context_key
        and last_readings.memberships_url = coalesce(syncs.memberships_url, '')
        and last_readings.finished_at = syncs.finished_at
where
    syncs.outcome = 'unchanged'
    -- Which tells few of them from the rest, before any is joined.
    and syncs.finished_at in (select finished_at from last_readings)
