{#
  Most of roster_syncs says, every night anew, that nothing has changed. int_lti__telling_syncs keeps the rest of it,
  and the last of those; and in rows of their own the loads that it was made from, each with how many attempts were of
  it and a mark of the rosters among them. While every one of those is still so, only the attempts of other loads are
  looked at; else all of them are.
  It does not matter in which order loads were committed.
#}

{# Count it up when int_lti__telling_syncs is made in another way: it is then made anew. #}
{% macro telling_layout() %}{{ return('1') }}{% endmacro %}


{#
  Of each committed load: how many rows of roster_syncs are of it, and what the rosters among them amount to, of which
  `erase` takes people long after. What is looked at of a roster is short, for every row of the table is.
#}
{% macro load_marks() %}
  {%- set mark = lti_rosters.row_mark(['member_count', 'finished_at', 'role_filter']) -%}
  {%- set query -%}
select
    load_id,
    syncs,
    mark
from (
    select
        _dlt_load_id as load_id,
        count(*) as syncs,
        {{ lti_rosters.folded_marks("case when outcome = 'complete' then " ~ mark ~ " end") }} as mark
    from {{ lti_rosters.raw('roster_syncs', is_required=true) }} as roster_syncs
    group by _dlt_load_id
) as counts
where load_id in (
    select load_id
    from {{ lti_rosters.raw('_dlt_loads', is_required=true) }} as loads
    where status = 0
)
  {%- endset -%}
  {{ return(query) }}
{% endmacro %}


{#
  Before int_lti__telling_syncs: which loads there are, which of them it was not made from, and the last readings, with
  them, of what they are about. Forgets the attempts of those loads, and those that say only that nothing has changed
  and are not the last any more.
#}
{% macro forget_other_loads() %}
{% if lti_rosters.is_kept() %}
{%- set known %}
select
    load_id,
    syncs,
    mark
from {{ this }}
where
    sync_id is null
    and layout = '{{ lti_rosters.telling_layout() }}'
{%- endset %}
{%- set new %}
select load_marks.load_id
from load_marks
left join ({{ known }}) as known
    on known.load_id = load_marks.load_id
where
    known.load_id is null
    or exists (
        select 1
        from ({{ known }}) as before
        left join load_marks as counted
            on counted.load_id = before.load_id
        where
            coalesce(counted.syncs, 0) <> before.syncs
            or {{ lti_rosters.is_distinct('counted.mark', 'before.mark') }}
    )
{%- endset %}
{%- set added %}
select
    context_key,
    coalesce(memberships_url, '') as memberships_url,
    finished_at
from {{ ref('stg_lti__roster_syncs') }}
where
    outcome in ('complete', 'unchanged')
    and load_id in (select load_id from new_loads)
{%- endset %}
{%- set last %}
select
    context_key,
    memberships_url,
    max(finished_at) as finished_at
from (
    select
        context_key,
        memberships_url,
        finished_at
    from new_readings
    union all
    select
        context_key,
        coalesce(memberships_url, '') as memberships_url,
        finished_at
    from {{ this }}
    where
        is_reading
        -- Those that could be later.
        and finished_at > (select min(finished_at) from new_readings)
) as readings
group by
    context_key,
    memberships_url
{%- endset %}
{{ lti_rosters.wait_for_other_builds(this) }}
{{ lti_rosters.temporary_table('load_marks', lti_rosters.load_marks()) }}
{{ lti_rosters.temporary_table('new_loads', new) }}
{{ lti_rosters.temporary_table('new_readings', added) }}
delete from {{ this }}
where
    outcome is null
    or load_id in (select load_id from new_loads)
    or load_id not in (select load_id from load_marks);
{{ lti_rosters.temporary_table('last_readings', last) }}
delete from {{ this }} as unchanged
using last_readings
where
    last_readings.context_key = unchanged.context_key
    and last_readings.memberships_url = coalesce(unchanged.memberships_url, '')
    and last_readings.finished_at > unchanged.finished_at
    and unchanged.outcome = 'unchanged'
{% endif %}
{% endmacro %}


{# What is kept of an attempt. #}
{% macro telling_columns() %}
  {{ return([
      'sync_id',
      'context_key',
      'memberships_url',
      'registration',
      'context_id',
      'roster_sync_id',
      'outcome',
      'role_filter',
      'error_type',
      'member_count',
      'started_at',
      'finished_at',
      'load_id',
  ]) }}
{% endmacro %}
