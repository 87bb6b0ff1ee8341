{#
  Most of roster_syncs says, every night anew, that nothing has changed. int_lti__last_syncs keeps the few rows of it
  that count, and in rows of their own the loads that it was made from, each with how many attempts were of it. While
  every one of those still has as many, only the attempts of other loads are looked at; else all of them are.
  It does not matter in which order loads were committed.
#}

{# Count it up when int_lti__last_syncs is made in another way: it is then made anew. #}
{% macro last_syncs_layout() %}{{ return('1') }}{% endmacro %}


{# Whether there is an int_lti__last_syncs of an earlier build to build on. A unit test has none. #}
{% macro has_last_syncs() %}
  {%- if not execute or not flags.INTROSPECT or flags.FULL_REFRESH or model.resource_type != 'model' -%}
    {{ return(false) }}
  {%- endif -%}
  {%- if target.type not in ('duckdb', 'postgres') or load_relation(this) is none -%}
    {{ return(false) }}
  {%- endif -%}
  {%- set there = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
  {{ return('syncs' in there and 'layout' in there) }}
{% endmacro %}


{# How many rows of roster_syncs are of each committed load: counted without a look at what is in them. #}
{% macro load_counts() %}
  {%- set query -%}
select
    load_id,
    syncs
from (
    select
        _dlt_load_id as load_id,
        count(*) as syncs
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


{# Before int_lti__last_syncs: which loads there are, and which of them it was not made from. #}
{% macro find_new_loads() %}
{% if lti_rosters.has_last_syncs() %}
{%- set counts = lti_rosters.load_counts() %}
{%- set known %}
select
    load_id,
    syncs
from {{ this }}
where
    sync_id is null
    and layout = '{{ lti_rosters.last_syncs_layout() }}'
{%- endset %}
{%- set new %}
select load_counts.load_id
from load_counts
left join ({{ known }}) as known
    on known.load_id = load_counts.load_id
where
    known.load_id is null
    or exists (
        select 1
        from ({{ known }}) as before
        left join load_counts as counted
            on counted.load_id = before.load_id
        where coalesce(counted.syncs, 0) <> before.syncs
    )
{%- endset %}
{{ lti_rosters.wait_for_other_builds(this) }}
{{ lti_rosters.temporary_table('load_counts', counts) }}
{{ lti_rosters.temporary_table('new_loads', new) }}
{% endif %}
{% endmacro %}
