{#
  A raw table, or no rows of its shape while dlt has not created it: dlt creates a table with its first row,
  so a warehouse whose first readings all failed has contexts and syncs, but no memberships.
  The columns and their types are those of the source's description.
#}
{% macro raw(table, is_required=false) %}
  {%- set relation = source('lti_raw', table) -%}
  {%- if not execute or load_relation(relation) is not none -%}
    {{ return(relation) }}
  {%- endif -%}
  {%- if is_required -%}
    {{ exceptions.raise_compiler_error('No roster has been loaded yet: there is no table ' ~ relation) }}
  {%- endif -%}
  {{ return(lti_rosters.no_rows(table)) }}
{% endmacro %}


{% macro no_rows(table) %}
  {%- set types = {
      'text': dbt.type_string(),
      'boolean': dbt.type_boolean(),
      'bigint': dbt.type_bigint(),
      'timestamptz': lti_rosters.type_timestamptz(),
  } -%}
  {%- set described = graph.sources.values()
      | selectattr('package_name', 'equalto', 'lti_rosters')
      | selectattr('name', 'equalto', table)
      | first -%}
  {%- set columns = [] -%}
  {%- for column in described.columns.values() -%}
    {%- do columns.append('cast(null as ' ~ types[column.data_type] ~ ') as ' ~ column.name) -%}
  {%- endfor -%}
  {{ return('(select ' ~ columns | join(', ') ~ ' where 1 = 0)') }}
{% endmacro %}
