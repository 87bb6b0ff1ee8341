{#
  Indexes, on PostgreSQL alone: a build on top of another looks up the rows of a few courses among millions. Other
  engines find them by reading whole columns, which is what they are made for.
#}

{# What a model says in its config `indexes`: none on other engines, some of whose adapters would make them, too. #}
{% macro index_on(column) %}
  {{ return([{'columns': [column]}] if target.type == 'postgres' else []) }}
{% endmacro %}


{#
  Before a build: the index on the raw log, of which a sync's rows are looked up. dlt makes none, and leaves ours alone;
  a load takes some twentieth longer. Only where var `index_raw_tables` asks for it, as `lti-rosters` does, and in a
  table of this role's own.
#}
{% macro index_raw_tables() %}
  {%- if execute and var('index_raw_tables', false) and flags.WHICH in ('build', 'run') -%}
    {{ return(adapter.dispatch('index_raw_tables', 'lti_rosters')()) }}
  {%- endif -%}
  {{ return('') }}
{% endmacro %}

{% macro default__index_raw_tables() %}{{ return('') }}{% endmacro %}

{% macro postgres__index_raw_tables() %}
  {%- set log = source('lti_raw', 'membership_log') -%}
  {%- if lti_rosters.is_own_table(log) and not lti_rosters.is_indexed(log, 'sync_id') -%}
    {{ return(
        "set local lock_timeout = '10min'; create index if not exists lti_rosters_membership_log_sync_id on "
        ~ log ~ ' (sync_id);'
    ) }}
  {%- endif -%}
  {{ return('') }}
{% endmacro %}

{% macro redshift__index_raw_tables() %}{{ return('') }}{% endmacro %}


{# On PostgreSQL: whether *relation* is a table, not a view, and this role may do with it what its owner may. #}
{% macro is_own_table(relation) %}
  {%- set found = run_query(
      "select count(*) from pg_catalog.pg_class as classes"
      ~ " inner join pg_catalog.pg_namespace as spaces on spaces.oid = classes.relnamespace"
      ~ " where classes.relkind = 'r' and pg_catalog.pg_has_role(classes.relowner, 'usage') and "
      ~ lti_rosters.is_named(relation)
  ) -%}
  {{ return(found.rows[0][0] > 0) }}
{% endmacro %}

{# On PostgreSQL: whether there is an index on *relation* that begins with *column* and holds every row. #}
{% macro is_indexed(relation, column) %}
  {%- set found = run_query(
      "select count(*) from pg_catalog.pg_class as classes"
      ~ " inner join pg_catalog.pg_namespace as spaces on spaces.oid = classes.relnamespace"
      ~ " inner join pg_catalog.pg_index as indexes on indexes.indrelid = classes.oid"
      ~ " inner join pg_catalog.pg_attribute as columns"
      ~ " on columns.attrelid = classes.oid and columns.attnum = indexes.indkey[0]"
      ~ " where indexes.indisvalid and indexes.indpred is null and columns.attname = "
      ~ dbt.string_literal(column) ~ " and " ~ lti_rosters.is_named(relation)
  ) -%}
  {{ return(found.rows[0][0] > 0) }}
{% endmacro %}

{% macro is_named(relation) %}
  {{ return(
      'classes.relname = ' ~ dbt.string_literal(dbt.escape_single_quotes(relation.identifier))
      ~ ' and spaces.nspname = ' ~ dbt.string_literal(dbt.escape_single_quotes(relation.schema))
  ) }}
{% endmacro %}
