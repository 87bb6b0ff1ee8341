{#
  How PostgreSQL finds the rows of few courses among many. Its planner cannot know how many rows a `with` has of a list
  that was made a moment before: it often expects none, or a few where there are many, and would join them row by row
  with whole tables, or look up every row of a table by its index. So a build says what it knows. All of it holds for
  the transaction in which a model is made; other engines need nothing of it.
#}

{# Joins are by hash: for what reads whole tables to find few courses. #}
{% macro plan_for_few_courses() %}
  {{ return(adapter.dispatch('plan_for_few_courses', 'lti_rosters')()) }}
{% endmacro %}

{% macro default__plan_for_few_courses() %}{{ return('') }}{% endmacro %}

{% macro postgres__plan_for_few_courses() %}
  {{ return('set local enable_nestloop = off;') }}
{% endmacro %}

{% macro redshift__plan_for_few_courses() %}{{ return('') }}{% endmacro %}


{#
  Where the query *are_few* says so, rows are looked up by the indexes of macros/indexes.sql: rows of one roster lie
  side by side, which the planner does not know. Else, and where somebody's raw tables have no such index, whole tables
  are read.
#}
{% macro plan_by_indexes(are_few) %}
  {{ return(adapter.dispatch('plan_by_indexes', 'lti_rosters')(are_few)) }}
{% endmacro %}

{% macro default__plan_by_indexes(are_few) %}{{ return('') }}{% endmacro %}

{% macro postgres__plan_by_indexes(are_few) %}
  {%- if not execute or not lti_rosters.are_raw_tables_indexed() -%}
    {{ return('') }}
  {%- endif -%}
  {%- set settings %}
select
    set_config('enable_nestloop', case when are_few then 'on' else 'off' end, true),
    set_config('enable_indexscan', case when are_few then 'on' else 'off' end, true),
    set_config('enable_bitmapscan', case when are_few then 'on' else 'off' end, true),
    set_config('random_page_cost', case when are_few then '1.1' else current_setting('random_page_cost') end, true)
from ({{ are_few }}) as counts;
  {%- endset -%}
  {{ return(settings) }}
{% endmacro %}

{% macro redshift__plan_by_indexes(are_few) %}{{ return('') }}{% endmacro %}


{#
  Whole tables are read and joined by hash: row by row, by an index, that takes several times as long; and in order,
  all of the log would be sorted to be joined with half rosters, of which mostly there are none.
#}
{% macro plan_for_all_courses() %}
  {{ return(adapter.dispatch('plan_for_all_courses', 'lti_rosters')()) }}
{% endmacro %}

{% macro default__plan_for_all_courses() %}{{ return('') }}{% endmacro %}

{% macro postgres__plan_for_all_courses() %}
  {%- set ways = ['nestloop', 'indexscan', 'bitmapscan', 'mergejoin'] -%}
  {{ return('set local enable_' ~ ways | join(' = off; set local enable_') ~ ' = off;') }}
{% endmacro %}

{% macro redshift__plan_for_all_courses() %}{{ return('') }}{% endmacro %}
