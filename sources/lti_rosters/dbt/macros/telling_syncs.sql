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
  Before int_lti__telling_syncs: which loads there are, and which of them it was not made from. Forgets the attempts of
  those, and sets those aside that say only that nothing has changed: each night brings others.
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
{%- set unchanged %}
select {{ lti_rosters.telling_columns() | join(', ') }}
from {{ this }}
where
    outcome = 'unchanged'
    and load_id in (select load_id from load_marks)
    and load_id not in (select load_id from new_loads)
{%- endset %}
{{ lti_rosters.wait_for_other_builds(this) }}
{{ lti_rosters.temporary_table('load_marks', lti_rosters.load_marks()) }}
{{ lti_rosters.temporary_table('new_loads', new) }}
{{ lti_rosters.temporary_table('unchanged_syncs', unchanged) }}
delete from {{ this }}
where
    outcome is null
    or outcome = 'unchanged'
    or load_id in (select load_id from new_loads)
    or load_id not in (select load_id from load_marks)
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
