{#
  Where the destination cannot merge, such as files in a lake, dlt appends: the raw tables hold rows of every load, of
  loads that broke off and of loads that were repeated. With var `raw_tables_are_appended` the staging models read
  what would stand there after a merge; without it they read the tables as they stand.
#}

{#
  The rows of the raw *table* that stand, under its name: of each *key* the one of the last committed load. Without a
  `with`, which in a view keeps PostgreSQL's planner from what it knows of the table, and from its indexes.
#}
{% macro standing(table, key, is_required=false) %}
  {%- set relation = lti_rosters.raw(table, is_required) -%}
  {%- if not var('raw_tables_are_appended', false) -%}
    {{ return(relation ~ ' as ' ~ table) }}
  {%- endif -%}
  {%- set latest -%}
(
    select *
    from (
        select
            appended.*,
            row_number() over (
                partition by {{ key | join(', ') }}
                order by _dlt_load_id desc
            ) as recency
        from {{ relation }} as appended
        where _dlt_load_id in (
            select load_id
            from {{ lti_rosters.raw('_dlt_loads', is_required=true) }} as loads
            where status = 0
        )
    ) as ranked
    where recency = 1
) as {{ table }}
  {%- endset -%}
  {{ return(latest) }}
{% endmacro %}


{# The condition that a row is of its course's roster in force: the one that the last attempt with a roster names. #}
{% macro is_in_force() %}
  {%- if not var('raw_tables_are_appended', false) -%}
    {{ return('1 = 1') }}
  {%- endif -%}
  {%- set condition -%}
sync_id in (
        select roster_sync_id
        from (
            select
                roster_sync_id,
                row_number() over (
                    partition by context_key
                    order by finished_at desc, sync_id desc
                ) as recency
            from {{ ref('stg_lti__roster_syncs') }}
            where roster_sync_id is not null
        ) as attempts
        where recency = 1
    )
  {%- endset -%}
  {{ return(condition) }}
{% endmacro %}
