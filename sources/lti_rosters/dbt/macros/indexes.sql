{#
  Indexes, on PostgreSQL alone: a build on top of another looks up the rows of a few courses among millions. Other
  engines find them by reading whole columns, which is what they are made for.
#}

{#
  What a model says in its config `indexes`: none on other engines, some of whose adapters would make them, too. By a
  hash index nothing can be read in order, which PostgreSQL would try with whole tables whose rows do not lie in it.
#}
{% macro index_on(column, type='btree') %}
  {{ return([{'columns': [column], 'type': type}] if target.type == 'postgres' else []) }}
{% endmacro %}


{# Of which column each raw table has an index. #}
{% macro raw_indexes() %}
  {{ return([
      ('membership_log', 'sync_id'),
      ('memberships', 'context_key'),
      ('membership_roles', 'context_key'),
      ('roster_syncs', '_dlt_load_id'),
  ]) }}
{% endmacro %}


{#
  Before a build: the indexes of the raw tables. dlt makes none, and leaves ours alone; a load takes some twentieth
  longer. Only where var `index_raw_tables` asks for it, as `lti-rosters` does, and on tables of this role's own.
#}
{% macro index_raw_tables() %}
  {%- if execute and var('index_raw_tables', false) and flags.WHICH in ('build', 'run') -%}
    {{ return(adapter.dispatch('index_raw_tables', 'lti_rosters')()) }}
  {%- endif -%}
  {{ return('') }}
{% endmacro %}

{% macro default__index_raw_tables() %}{{ return('') }}{% endmacro %}

{% macro postgres__index_raw_tables() %}
  {%- set statements = ["set local lock_timeout = '10min';"] -%}
  {%- for table, column in lti_rosters.raw_indexes() -%}
    {%- set relation = source('lti_raw', table) -%}
    {%- if lti_rosters.is_own_table(relation) and not lti_rosters.is_indexed(relation, column) -%}
      {%- do statements.append(
          'create index if not exists lti_rosters_' ~ table ~ '_' ~ column.lstrip('_')
          ~ ' on ' ~ relation ~ ' (' ~ column ~ ');'
      ) -%}
    {%- endif -%}
  {%- endfor -%}
  {{ return(statements | join(' ') if statements | length > 1 else '') }}
{% endmacro %}

{% macro redshift__index_raw_tables() %}{{ return('') }}{% endmacro %}


{# On PostgreSQL: whether every raw table that is there has its index, whoever made it. #}
{% macro are_raw_tables_indexed() %}
  {%- for table, column in lti_rosters.raw_indexes() -%}
    {%- set relation = source('lti_raw', table) -%}
    {%- if load_relation(relation) is not none and not lti_rosters.is_indexed(relation, column) -%}
      {{ return(false) }}
    {%- endif -%}
  {%- endfor -%}
  {{ return(true) }}
{% endmacro %}


{#
  On PostgreSQL: whether *relation* is a table, not a view, and this role may do with it what its owner may, and make
  something in its schema.
#}
{% macro is_own_table(relation) %}
  {%- set found = run_query(
      "select count(*) from pg_catalog.pg_class as classes"
      ~ " inner join pg_catalog.pg_namespace as spaces on spaces.oid = classes.relnamespace"
      ~ " where classes.relkind = 'r' and pg_catalog.pg_has_role(classes.relowner, 'usage')"
      ~ " and pg_catalog.has_schema_privilege(spaces.oid, 'create') and "
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
