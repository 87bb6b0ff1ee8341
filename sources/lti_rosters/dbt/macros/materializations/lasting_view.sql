{#
  A view that is replaced where it stands. dbt's own way, on PostgreSQL, is to drop the old one, and with it every view
  that looks at it: marts would be gone until the build comes to them, which one that fails never does, and views of
  somebody's own for good. Only a view that loses a column, or gets another type for it, is dropped.
#}
{% materialization lasting_view, default %}
  {%- set view = this.incorporate(type='view') -%}
  {%- set existing = load_cached_relation(this) -%}

  {% do lti_rosters.begin_model(view, pre_hooks) %}

  {%- set query = lti_rosters.contracted(sql) -%}
  {%- if lti_rosters.is_other_than(existing, 'view') -%}
    {% do drop_relation_if_exists(existing) %}
  {%- endif -%}
  {%- call statement('main') -%}
    {{ lti_rosters.replace_view(view, query) }}
  {%- endcall -%}

  {%- if config.get('grants') -%}
    {% do apply_grants(view, config.get('grants'), should_revoke=should_revoke(existing, full_refresh_mode=false)) %}
  {%- endif -%}
  {% do lti_rosters.describe(view) %}
  {%- if post_hooks -%}{{ run_hooks(post_hooks, inside_transaction=True) }}{%- endif -%}
  {{ adapter.commit() }}
  {%- if post_hooks -%}{{ run_hooks(post_hooks, inside_transaction=False) }}{%- endif -%}
  {{ return({'relations': [view]}) }}
{% endmaterialization %}


{% macro replace_view(view, query) %}
  {{ return(adapter.dispatch('replace_view', 'lti_rosters')(view, query)) }}
{% endmacro %}

{% macro default__replace_view(view, query) %}
create or replace view {{ view }} as (
{{ query }}
)
{% endmacro %}

{# PostgreSQL itself knows best whether one can take the other's place. #}
{% macro postgres__replace_view(view, query) %}
do $lasting_view$
begin
create or replace view {{ view }} as (
{{ query }}
);
exception when invalid_table_definition then
drop view {{ view }} cascade;
create view {{ view }} as (
{{ query }}
);
end
$lasting_view$
{% endmacro %}
