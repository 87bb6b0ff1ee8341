{#
  After a build, the descriptions of the raw tables as comments in the database, which dlt does not write: those that
  differ from what is there. Only where var `comment_on_raw_tables` asks for it, as `lti-rosters` does: to a project
  that uses this package, the raw tables are somebody else's.
#}
{% macro comment_on_raw_tables() %}
  {%- if execute and var('comment_on_raw_tables', false) and flags.WHICH in ('build', 'run') -%}
    {%- set wanted = lti_rosters.raw_comments() -%}
    {%- if wanted -%}
      {{ return(adapter.dispatch('differing_comments', 'lti_rosters')(wanted) | join('\n')) }}
    {%- endif -%}
  {%- endif -%}
  {{ return('') }}
{% endmacro %}


{# (table, column or '') to its description. #}
{% macro raw_comments() %}
  {%- set wanted = {} -%}
  {%- for node in graph.sources.values() if node.package_name == 'lti_rosters' -%}
    {%- do wanted.update({(node.name, ''): node.description}) -%}
    {%- for column in node.columns.values() -%}
      {%- do wanted.update({(node.name, column.name): column.description}) -%}
    {%- endfor -%}
  {%- endfor -%}
  {{ return(wanted) }}
{% endmacro %}


{% macro default__differing_comments(wanted) %}{{ return([]) }}{% endmacro %}

{% macro duckdb__differing_comments(wanted) %}
  {%- set found = run_query(
      "select table_name, '' as column_name, comment from duckdb_tables() where not internal and "
      ~ lti_rosters.in_raw('database_name', 'schema_name')
      ~ " union all select table_name, column_name, comment from duckdb_columns() where "
      ~ lti_rosters.in_raw('database_name', 'schema_name')
      ~ " and table_name in (select table_name from duckdb_tables() where "
      ~ lti_rosters.in_raw('database_name', 'schema_name') ~ ")"
  ) -%}
  {{ return(lti_rosters.comments_to_write(wanted, found)) }}
{% endmacro %}

{# Of tables that are this role's own alone: others it may not comment on. #}
{% macro postgres__differing_comments(wanted) %}
  {%- set found = run_query(
      "select classes.relname, coalesce(columns.attname, '') as attname, said.description"
      ~ " from pg_catalog.pg_class as classes"
      ~ " inner join pg_catalog.pg_namespace as spaces on spaces.oid = classes.relnamespace"
      ~ " inner join (select attrelid, attnum, attname from pg_catalog.pg_attribute where attnum > 0 and not attisdropped"
      ~ " union all select oid, 0, null from pg_catalog.pg_class) as columns on columns.attrelid = classes.oid"
      ~ " left join pg_catalog.pg_description as said on said.objoid = classes.oid and said.objsubid = columns.attnum"
      ~ " and said.classoid = cast('pg_catalog.pg_class' as regclass)"
      ~ " where classes.relkind in ('r', 'p') and pg_catalog.pg_has_role(classes.relowner, 'usage') and "
      ~ lti_rosters.in_raw('current_database()', 'spaces.nspname')
  ) -%}
  {{ return(lti_rosters.comments_to_write(wanted, found)) }}
{% endmacro %}


{% macro in_raw(database, schema) %}
  {%- set node = graph.sources.values() | selectattr('package_name', 'equalto', 'lti_rosters') | first -%}
  {{ return(
      database ~ ' = ' ~ dbt.string_literal(dbt.escape_single_quotes(node.database))
      ~ ' and ' ~ schema ~ ' = ' ~ dbt.string_literal(dbt.escape_single_quotes(node.schema))
  ) }}
{% endmacro %}


{% macro comments_to_write(wanted, found) %}
  {%- set statements = [] -%}
  {%- set node = graph.sources.values() | selectattr('package_name', 'equalto', 'lti_rosters') | first -%}
  {%- for table, column, said in found.rows if (table, column) in wanted and wanted[(table, column)] != said -%}
    {%- set relation = api.Relation.create(database=node.database, schema=node.schema, identifier=table) -%}
    {%- set what = 'column ' ~ relation ~ '.' ~ adapter.quote(column) if column else 'table ' ~ relation -%}
    {%- do statements.append(lti_rosters.comment(what, wanted[(table, column)])) -%}
  {%- endfor -%}
  {{ return(statements) }}
{% endmacro %}


{#
  The statement that writes *text* as the comment on *what*, such as `table "lti"."courses"`. Only DuckDB and PostgreSQL
  are asked so, whose literals are the standard's.
#}
{% macro comment(what, text) %}
  {{ return('comment on ' ~ what ~ ' is ' ~ "'" ~ text | replace("'", "''") ~ "';") }}
{% endmacro %}
