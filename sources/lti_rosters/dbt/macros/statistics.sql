{#
  PostgreSQL plans by statistics that it gathers some minute after a load: a build that comes right behind one would
  join tables it takes for nearly empty row by row. So the raw tables are looked at before a build, and each table
  of ours once it is written, unless hardly a row of it has changed since it was looked at last. Tables that are not
  this role's own it passes over. Other engines keep such statistics themselves.
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
    {%- if relation is not none and relation.is_table and lti_rosters.is_other_than_analyzed(relation) -%}
      {%- do statements.append('analyze ' ~ relation ~ ';') -%}
    {%- endif -%}
  {%- endfor -%}
  {{ return(statements | join(' ')) }}
{% endmacro %}


{# After a table was written; *has_new_rows*: all of them are others than before. #}
{% macro analyze(relation, has_new_rows) %}
  {{ return(adapter.dispatch('analyze', 'lti_rosters')(relation, has_new_rows)) }}
{% endmacro %}

{% macro default__analyze(relation, has_new_rows) %}{{ return('') }}{% endmacro %}

{% macro postgres__analyze(relation, has_new_rows) %}
  {#- A quarter of the rows that it would sample tell as well how many there are of a course. -#}
  {%- set statement = 'set local default_statistics_target = 25; analyze ' ~ relation ~ ';' -%}
  {{ return(statement if has_new_rows or lti_rosters.is_other_than_analyzed(relation) else '') }}
{% endmacro %}


{#
  Whether a twentieth of the rows of *relation*, or more, are others than when it was analyzed, if it ever was. What
  other transactions changed the server counts; what this one did, it counts apart until it commits.
#}
{% macro is_other_than_analyzed(relation) %}
  {{ return(not execute or adapter.dispatch('is_other_than_analyzed', 'lti_rosters')(relation)) }}
{% endmacro %}

{% macro default__is_other_than_analyzed(relation) %}{{ return(true) }}{% endmacro %}

{% macro redshift__is_other_than_analyzed(relation) %}{{ return(true) }}{% endmacro %}

{% macro postgres__is_other_than_analyzed(relation) %}
  {%- set found = run_query(
      "select count(*) from pg_catalog.pg_class as classes"
      ~ " inner join pg_catalog.pg_namespace as spaces on spaces.oid = classes.relnamespace"
      ~ " inner join pg_catalog.pg_stat_all_tables as counts on counts.relid = classes.oid"
      ~ " left join pg_catalog.pg_stat_xact_all_tables as ours on ours.relid = classes.oid"
      ~ " where coalesce(counts.last_analyze, counts.last_autoanalyze) is not null"
      ~ " and counts.n_mod_since_analyze + coalesce(ours.n_tup_ins + ours.n_tup_upd + ours.n_tup_del, 0)"
      ~ " <= 0.05 * classes.reltuples and " ~ lti_rosters.is_named(relation)
  ) -%}
  {{ return(found.rows[0][0] == 0) }}
{% endmacro %}
