{#
  A table that is made anew and put in the old one's place, as by dbt's own `table`, in half the time where rows are
  few: dbt renames and drops by way of macros of which each call costs as much as the statement itself.
#}
{% materialization swapped_table, default %}
  {%- set table = this.incorporate(type='table') -%}

  {% do lti_rosters.begin_model(table, pre_hooks) %}
  {% do lti_rosters.swap_table(table, load_cached_relation(this), sql) %}
  {% do lti_rosters.finish_table(table, is_new=true) %}
  {{ return({'relations': [table]}) }}
{% endmaterialization %}


{# Makes *table* of *query*, in place of *existing*, if there is such a table or view. #}
{% macro swap_table(table, existing, query) %}
  {%- if config.get('contract').enforced -%}
    {% do lti_rosters.assert_contract(query) %}
    {%- set query = 'select ' ~ lti_rosters.documented_columns() ~ ' from (\n' ~ query ~ '\n) as made' -%}
  {%- endif -%}
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

{#
  Beside the old one, which is there for others until the end. Views that look at the old one go with it, as they do
  with dbt's own `table`: those of the build follow in it.
#}
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
  {%- if made != documented -%}
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


{# What is to be done once the rows of *table* are there. *is_new*: whether it is another table than before. #}
{% macro finish_table(table, is_new) %}
  {%- if config.get('grants') -%}
    {% do apply_grants(table, config.get('grants'), should_revoke=should_revoke(table, full_refresh_mode=is_new)) %}
  {%- endif -%}
  {% do lti_rosters.describe(table) %}
  {%- set statistics = lti_rosters.analyze(table, is_new) -%}
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
