{#
  A table whose rows are kept from build to build: the model's hooks delete those that are to be made anew, in the same
  transaction, and the model's query gives those. So it is with dbt's own `incremental`, which makes the rows twice:
  in a table of their own first.
#}
{% materialization kept_table, default %}
  {%- set table = this.incorporate(type='table') -%}
  {%- set is_kept = lti_rosters.is_kept() -%}

  {% do lti_rosters.begin_model(table, pre_hooks) %}

  {%- if is_kept -%}
    {%- set columns = model.columns.keys() | join(', ') -%}
    {%- call statement('main') -%}
insert into {{ table }} ({{ columns }})
select {{ columns }}
from (
{{ sql }}
) as made
    {%- endcall -%}
  {%- else -%}
    {% do lti_rosters.swap_table(table, load_cached_relation(this), lti_rosters.contracted(sql)) %}
  {%- endif -%}
  {% do lti_rosters.finish_table(table, is_new=not is_kept, has_new_rows=not is_kept) %}
  {{ return({'relations': [table]}) }}
{% endmaterialization %}


{#
  Whether the model's table is there from an earlier build and is built on: it has the columns that are documented.
  After an update of this package it may have others, and is made anew.
#}
{% macro is_kept() %}
  {%- if not execute or not flags.INTROSPECT or not lti_rosters.can_be_kept() or should_full_refresh() -%}
    {{ return(false) }}
  {%- endif -%}
  {%- set existing = load_cached_relation(this) -%}
  {%- if existing is none or not existing.is_table -%}
    {{ return(false) }}
  {%- endif -%}
  {#- Asked once for all that a model's materialization and hooks make of it, which have this dictionary in common. -#}
  {%- if 'lti_rosters_is_kept' not in model -%}
    {%- do model.update(
        {'lti_rosters_is_kept': lti_rosters.column_names(this) | sort == model.columns.keys() | sort}
    ) -%}
  {%- endif -%}
  {{ return(model.lti_rosters_is_kept) }}
{% endmacro %}


{# Whether the model is such a table, on an engine that can delete rows and insert others as one. #}
{% macro can_be_kept() %}
  {%- if model.config.materialized == 'incremental' -%}
    {#- Nothing would be deleted before, so that every build would add every row once more. -#}
    {{ exceptions.raise_compiler_error(
        model.name ~ ' cannot be materialized as incremental: leave it to the package, or say table'
    ) }}
  {%- endif -%}
  {{ return(model.resource_type == 'model' and model.config.materialized == 'kept_table') }}
{% endmacro %}
