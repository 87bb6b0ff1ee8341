{#
  A view that is replaced where it stands, on PostgreSQL. dbt's own way is to drop the old one, and with it every view
  that looks at it: marts would be gone until the build comes to them, which one that fails never does, and views of
  somebody's own for good. Only a view that loses a column, or gets another type for it, is dropped.
#}
{% materialization lasting_view, adapter='postgres' %}
  {%- set view = this.incorporate(type='view') -%}
  {%- set existing = load_cached_relation(this) -%}
  {# Left by a build that was killed, when this was a table or a view of dbt's own. #}
  {% do drop_relation_if_exists(load_cached_relation(make_backup_relation(view, 'view'))) %}

  {{ run_hooks(pre_hooks, inside_transaction=False) }}
  {{ run_hooks(pre_hooks, inside_transaction=True) }}

  {%- if config.get('contract').enforced -%}
    {{ get_assert_columns_equivalent(sql) }}
  {%- endif -%}
  {%- if existing is not none and not lti_rosters.can_be_replaced(existing, sql) -%}
    {% do drop_relation_if_exists(existing) %}
  {%- endif -%}
  {%- call statement('main') -%}
create or replace view {{ view }} as (
{{ sql }}
);
  {%- endcall -%}

  {% do apply_grants(view, config.get('grants'), should_revoke=should_revoke(existing, full_refresh_mode=false)) %}
  {% do persist_docs(view, model) %}
  {{ run_hooks(post_hooks, inside_transaction=True) }}
  {{ adapter.commit() }}
  {{ run_hooks(post_hooks, inside_transaction=False) }}
  {{ return({'relations': [view]}) }}
{% endmaterialization %}


{# Whether *existing* is a view whose columns are the first of those that *query* gives. #}
{% macro can_be_replaced(existing, query) %}
  {%- set name = dbt.string_literal(dbt.escape_single_quotes(existing.include(database=false))) -%}
  {%- do run_query('create temporary view lasting_view_to_be as ' ~ query) -%}
  {%- set lost = run_query(
      "select count(*) from pg_catalog.pg_class as classes"
      ~ " inner join pg_catalog.pg_attribute as columns on columns.attrelid = classes.oid and columns.attnum > 0"
      ~ " left join pg_catalog.pg_attribute as next on next.attrelid = cast('pg_temp.lasting_view_to_be' as regclass)"
      ~ " and next.attnum = columns.attnum and next.attname = columns.attname and next.atttypid = columns.atttypid"
      ~ " and next.atttypmod = columns.atttypmod and next.attcollation = columns.attcollation"
      ~ " where classes.oid = to_regclass(" ~ name ~ ") and (classes.relkind <> 'v' or next.attname is null)"
  ) -%}
  {%- do run_query('drop view pg_temp.lasting_view_to_be') -%}
  {{ return(lost.rows[0][0] == 0) }}
{% endmacro %}
