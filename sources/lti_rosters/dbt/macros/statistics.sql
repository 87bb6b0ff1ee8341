{#
  PostgreSQL plans by statistics that it gathers some minute after a load: a build that comes right behind one would
  join tables it takes for nearly empty row by row. So the raw tables are looked at before a build, and each table
  of ours once it is written. It samples, so it costs no more for large tables; tables that are not this role's own
  it passes over. Other engines keep such statistics themselves.
#}

{% macro analyze_raw_tables() %}
  {%- if execute and flags.WHICH in ('build', 'run') -%}
    {{ return(adapter.dispatch('analyze_raw_tables', 'lti_rosters')()) }}
  {%- endif -%}
  {{ return('') }}
{% endmacro %}

{% macro default__analyze_raw_tables() %}{{ return('') }}{% endmacro %}

{% macro postgres__analyze_raw_tables() %}
  {%- set statements = [] -%}
  {%- for node in graph.sources.values() if node.package_name == 'lti_rosters' -%}
    {%- set relation = adapter.get_relation(node.database, node.schema, node.identifier) -%}
    {%- if relation is not none and relation.is_table -%}
      {%- do statements.append('analyze ' ~ relation ~ ';') -%}
    {%- endif -%}
  {%- endfor -%}
  {{ return(statements | join(' ')) }}
{% endmacro %}


{# After a model: *relation* is the model, a table or a view. #}
{% macro analyze(relation) %}
  {{ return(adapter.dispatch('analyze', 'lti_rosters')(relation)) }}
{% endmacro %}

{% macro default__analyze(relation) %}{{ return('') }}{% endmacro %}

{% macro postgres__analyze(relation) %}
  {{ return('analyze ' ~ relation if model.config.materialized in ('table', 'incremental') else '') }}
{% endmacro %}
