{#
  A table whose rows are all made anew. On DuckDB another takes its place. On PostgreSQL the rows are replaced where it
  stands, as long as it has the same columns: with a table that is swapped, as by dbt's own `table`, go the views that
  look at it, those of this project until the build comes to them, and those of somebody's own for good.
#}
{% materialization renewed_table, default %}
  {%- set table = this.incorporate(type='table') -%}

  {% do lti_rosters.begin_model(table, pre_hooks) %}
  {%- set is_new = lti_rosters.renew_table(table, load_cached_relation(this), lti_rosters.contracted(sql)) -%}
  {% do lti_rosters.finish_table(table, is_new, has_new_rows=true) %}
  {{ return({'relations': [table]}) }}
{% endmaterialization %}


{# Gives *table* the rows of *query*, and returns whether it is another table than *existing*, if there is one. #}
{% macro renew_table(table, existing, query) %}
  {{ return(adapter.dispatch('renew_table', 'lti_rosters')(table, existing, query)) }}
{% endmacro %}

{% macro default__renew_table(table, existing, query) %}
  {% do lti_rosters.swap_table(table, existing, query) %}
  {{ return(true) }}
{% endmacro %}

{#
  The rows are made apart, which PostgreSQL does with several processes; those of an `insert` it makes with one. Others
  see the old ones until the end.
#}
{% macro postgres__renew_table(table, existing, query) %}
  {%- if existing is none or not existing.is_table or should_full_refresh() -%}
    {{ return(lti_rosters.default__renew_table(table, existing, query)) }}
  {%- endif -%}
  {%- set made = 'made_' ~ table.identifier -%}
  {%- call statement() -%}
{{ lti_rosters.wait_for_other_builds(table) }}
create temporary table {{ made }} on commit drop as
{{ query }}
  {%- endcall -%}
  {%- set columns = lti_rosters.types_of_columns('pg_temp.' ~ made) -%}
  {%- if columns | sort != lti_rosters.types_of_columns(table) | sort -%}
    {{ return(lti_rosters.default__renew_table(table, existing, 'select * from pg_temp.' ~ made)) }}
  {%- endif -%}
  {%- set names = [] -%}
  {%- for name, _ in columns -%}
    {%- do names.append(adapter.quote(name)) -%}
  {%- endfor -%}
  {%- call statement('main') -%}
delete from {{ table }};
insert into {{ table }} ({{ names | join(', ') }})
select {{ names | join(', ') }}
from pg_temp.{{ made }}
  {%- endcall -%}
  {{ return(false) }}
{% endmacro %}

{% macro redshift__renew_table(table, existing, query) %}
  {{ return(lti_rosters.default__renew_table(table, existing, query)) }}
{% endmacro %}


{# On PostgreSQL: each column of *relation* and its type, in their order. #}
{% macro types_of_columns(relation) %}
  {%- set found = run_query(
      "select attname, pg_catalog.format_type(atttypid, atttypmod) from pg_catalog.pg_attribute"
      ~ " where attrelid = cast(" ~ dbt.string_literal(dbt.escape_single_quotes(relation | string)) ~ " as regclass)"
      ~ " and attnum > 0 and not attisdropped order by attnum"
  ) -%}
  {%- set columns = [] -%}
  {%- for row in found.rows -%}
    {%- do columns.append((row[0], row[1])) -%}
  {%- endfor -%}
  {{ return(columns) }}
{% endmacro %}


{# Makes *table* of *query*, in place of *existing*, if there is such a table or view. #}
{% macro swap_table(table, existing, query) %}
  {%- if lti_rosters.is_other_than(existing, 'table') -%}
    {% do drop_relation_if_exists(existing) %}
  {%- endif -%}
  {% do adapter.dispatch('swap_table', 'lti_rosters')(table, query) %}
{% endmacro %}

{% macro default__swap_table(table, query) %}
  {%- call statement('main') -%}
create or replace table {{ table }} as (
{{ query }}
)
  {%- endcall -%}
{% endmacro %}

{# Beside the old one, which is there for others until the end. #}
{% macro postgres__swap_table(table, query) %}
  {%- set next = make_intermediate_relation(table) -%}
  {%- call statement('main') -%}
create table {{ next }} as (
{{ query }}
)
  {%- endcall -%}
  {% do create_indexes(next) %}
  {%- call statement() -%}
drop table if exists {{ table }} cascade;
alter table {{ next }} rename to {{ table.include(database=false, schema=false) }}
  {%- endcall -%}
  {#- With it the views over it, which dbt would else rename and drop where they are models of a project's own. -#}
  {% do adapter.cache_dropped(table) %}
{% endmacro %}


{#
  Whether *existing* is there and is no *type*. What another build makes while dbt asks what there is, dbt knows by name
  alone, and calls it external: it is taken for what it should be.
#}
{% macro is_other_than(existing, type) %}
  {{ return(existing is not none and existing.type not in (type, 'external')) }}
{% endmacro %}


{# *query* with the columns of the model's contract, where it is enforced, in its order and of its types. #}
{% macro contracted(query) %}
  {%- if not config.get('contract').enforced -%}
    {{ return(query) }}
  {%- endif -%}
  {% do lti_rosters.assert_contract(query) %}
  {{ return('select ' ~ lti_rosters.documented_columns() ~ ' from (\n' ~ query ~ '\n) as made') }}
{% endmacro %}


{#
  Raises unless *query* has the columns of the model's contract, of its types: both are asked at once, and one by one, as
  dbt does it and tells what is wrong, only where they differ.
#}
{% macro assert_contract(query) %}
  {%- set both = adapter.get_column_schema_from_query(
      'select made.*, documented.* from (\n' ~ query ~ '\n) as made cross join (select '
      ~ lti_rosters.documented_columns(are_null=true) ~ ') as documented limit 0'
  ) -%}
  {%- set names = model.columns.keys() | list -%}
  {%- set made = {} -%}
  {%- for column in both[: -(names | length)] -%}
    {%- do made.update({column.name: column.dtype}) -%}
  {%- endfor -%}
  {%- set documented = dict(zip(names, both[-(names | length) :] | map(attribute='dtype'))) -%}
  {#- A name that stands twice is there once in `made`. -#}
  {%- if made != documented or both | length != 2 * names | length -%}
    {{ get_assert_columns_equivalent(query) }}
  {%- endif -%}
{% endmacro %}


{# A contract's columns, in the order in which it names them, of the types that it names: it lets others pass for them. #}
{% macro documented_columns(are_null=false) %}
  {%- set columns = [] -%}
  {%- for column in model.columns.values() -%}
    {%- set name = adapter.quote(column.name) -%}
    {%- do columns.append('cast(' ~ ('null' if are_null else name) ~ ' as ' ~ column.data_type ~ ') as ' ~ name) -%}
  {%- endfor -%}
  {{ return(columns | join(', ')) }}
{% endmacro %}


{#
  What is to be done once the rows of *table* are there. *is_new*: whether it is another table than before;
  *has_new_rows*: whether all its rows are others.
#}
{% macro finish_table(table, is_new, has_new_rows) %}
  {%- if config.get('grants') -%}
    {% do apply_grants(table, config.get('grants'), should_revoke=should_revoke(table, full_refresh_mode=is_new)) %}
  {%- endif -%}
  {% do lti_rosters.describe(table) %}
  {%- set statistics = lti_rosters.analyze(table, has_new_rows) -%}
  {%- if post_hooks -%}{{ run_hooks(post_hooks, inside_transaction=True) }}{%- endif -%}
  {{ adapter.commit() }}
  {%- if statistics -%}
    {#- By itself: what a transaction has written is counted as changed since, though it looked at it, too. -#}
    {% do lti_rosters.begin_transaction() %}
    {%- call statement() -%}{{ statistics }}{%- endcall -%}
    {{ adapter.commit() }}
  {%- endif -%}
  {%- if post_hooks -%}{{ run_hooks(post_hooks, inside_transaction=False) }}{%- endif -%}
{% endmacro %}


{# Begins the model's transaction, with its hooks *pre_hooks*. #}
{% macro begin_model(relation, pre_hooks) %}
  {% do lti_rosters.drop_leftovers(relation) %}
  {%- if pre_hooks -%}{{ run_hooks(pre_hooks, inside_transaction=False) }}{%- endif -%}
  {% do lti_rosters.begin_transaction() %}
  {%- if pre_hooks -%}{{ run_hooks(pre_hooks, inside_transaction=True) }}{%- endif -%}
{% endmacro %}


{# What dbt's own materializations leave behind where a build was killed. #}
{% macro drop_leftovers(relation) %}
  {%- for suffix in ('__dbt_tmp', '__dbt_backup') -%}
    {#- Cut as dbt cuts it for PostgreSQL, whose names end at 63 characters. -#}
    {%- set name = relation.identifier[: 63 - suffix | length] ~ suffix -%}
    {%- set leftover = adapter.get_relation(relation.database, relation.schema, name) -%}
    {%- if leftover is not none -%}{% do drop_relation_if_exists(leftover) %}{%- endif -%}
  {%- endfor -%}
{% endmacro %}


{# Writes the model's descriptions as comments, in one statement. *relation* has every column that is described. #}
{% macro describe(relation) %}
  {%- set comments = [] -%}
  {%- if config.persist_relation_docs() and model.description -%}
    {%- do comments.append(lti_rosters.comment(relation.type ~ ' ' ~ relation, model.description)) -%}
  {%- endif -%}
  {%- if config.persist_column_docs() -%}
    {%- for column in model.columns.values() if column.description -%}
      {%- do comments.append(
          lti_rosters.comment('column ' ~ relation ~ '.' ~ adapter.quote(column.name), column.description)
      ) -%}
    {%- endfor -%}
  {%- endif -%}
  {%- if comments -%}
    {%- call statement() -%}{{ comments | join('\n') }}{%- endcall -%}
  {%- endif -%}
{% endmacro %}
