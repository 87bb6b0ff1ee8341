-- Attempts that say more than that nothing has changed, and the last of the others. See macros/telling_syncs.sql.
{%- set is_kept = lti_rosters.is_kept() %}
{{ config(pre_hook="{{ lti_rosters.forget_other_loads() }}") }}

with
{%- if not is_kept %}

-- Under each key and URL. Not of `syncs`, which engines would write down in full to look at it twice.
last_readings as (
    select
        context_key,
        coalesce(memberships_url, '') as memberships_url,
        max(finished_at) as finished_at
    from {{ ref('stg_lti__roster_syncs') }}
    where outcome in ('complete', 'unchanged')
    group by
        context_key,
        coalesce(memberships_url, '')
),
{%- endif %}

syncs as (
    select
        {{ lti_rosters.telling_columns() | join(',\n        ') }}
    from {{ ref('stg_lti__roster_syncs') }}
    {%- if is_kept %}
    where load_id in (select load_id from new_loads)
    {%- endif %}
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
    {%- for column in lti_rosters.telling_columns() %}
    syncs.{{ column }},
    {%- endfor %}
    syncs.outcome in ('complete', 'unchanged') as is_reading,
    cast(null as {{ dbt.type_bigint() }}) as syncs,
    null as mark,
    '{{ lti_rosters.telling_layout() }}' as layout
from syncs
left join last_readings
    on
        last_readings.context_key = syncs.context_key
        and last_readings.memberships_url = coalesce(syncs.memberships_url, '')
        and last_readings.finished_at = syncs.finished_at
where
    syncs.outcome <> 'unchanged'
    or last_readings.context_key is not null
