{#
  A raw table, or no rows of its shape while dlt has not created it: dlt creates a table with its first row,
  so a warehouse whose first readings all failed has contexts and syncs, but no memberships. Likewise a column
  that an older version did not write is null until dlt adds it, with the next row of its table.
  The columns and their types are those of the source's description. `dbt compile --no-introspect` asks nothing.
#}
{% macro raw(table, is_required=false) %}
  {%- set relation = source('lti_raw', table) -%}
  {#- In a unit test a source is a CTE of the rows that were given: it is there, and has every column. -#}
  {%- if not execute or not flags.INTROSPECT or relation.is_cte -%}
    {{ return(relation) }}
  {%- endif -%}
  {%- if load_relation(relation) is not none -%}
    {{ return(lti_rosters.with_every_column(relation, table)) }}
  {%- endif -%}
  {%- if is_required -%}
    {{ exceptions.raise_compiler_error('No roster has been loaded yet: there is no table ' ~ relation) }}
  {%- endif -%}
  {{ return(lti_rosters.no_rows(table)) }}
{% endmacro %}


{% macro no_rows(table) %}
  {{ return('(select ' ~ lti_rosters.nulls(lti_rosters.raw_columns(table)) | join(', ') ~ ' limit 0)') }}
{% endmacro %}


{% macro with_every_column(relation, table) %}
  {%- set there = lti_rosters.column_names(relation) | map('lower') | list -%}
  {%- set lacking = lti_rosters.raw_columns(table) | rejectattr('name', 'in', there) | list -%}
  {%- if not lacking -%}
    {{ return(relation) }}
  {%- endif -%}
  {%- set columns = ['older.*'] + lti_rosters.nulls(lacking) -%}
  {{ return('(select ' ~ columns | join(', ') ~ ' from ' ~ relation ~ ' as older)') }}
{% endmacro %}


{% macro raw_columns(table) %}
  {%- set described = graph.sources.values()
      | selectattr('package_name', 'equalto', 'lti_rosters')
      | selectattr('name', 'equalto', table)
      | first -%}
  {{ return(described.columns.values() | list) }}
{% endmacro %}


{% macro nulls(columns) %}
  {%- set types = {
      'text': dbt.type_string(),
      'boolean': dbt.type_boolean(),
      'bigint': dbt.type_bigint(),
      'timestamptz': lti_rosters.type_timestamptz(),
  } -%}
  {%- set found = [] -%}
  {%- for column in columns -%}
    {%- do found.append('cast(null as ' ~ types[column.data_type] ~ ') as ' ~ column.name) -%}
  {%- endfor -%}
  {{ return(found) }}
{% endmacro %}


{# What the columns of *relation* are called. dbt's own macro takes ten times as long, where that tells. #}
{% macro column_names(relation) %}
  {{ return(adapter.dispatch('column_names', 'lti_rosters')(relation)) }}
{% endmacro %}

{% macro default__column_names(relation) %}
  {{ return(adapter.get_columns_in_relation(relation) | map(attribute='name') | list) }}
{% endmacro %}

{% macro duckdb__column_names(relation) %}
  {%- set columns = adapter.get_column_schema_from_query('select * from ' ~ relation ~ ' limit 0') -%}
  {{ return(columns | map(attribute='name') | list) }}
{% endmacro %}

{% macro postgres__column_names(relation) %}{{ return(lti_rosters.duckdb__column_names(relation)) }}{% endmacro %}

{% macro redshift__column_names(relation) %}{{ return(lti_rosters.default__column_names(relation)) }}{% endmacro %}
