{#
  What holds for the transaction in which a model is made, on PostgreSQL.

  A view, or a table that is another one, is put in the old one's place under a lock that waits for every transaction
  that has read it, and whoever comes to read waits behind it. Somebody's transaction that was left open would hold up a build, and everybody else,
  for good: the build fails after ten minutes, and the tables stay as they were.

  And plans are not compiled: PostgreSQL decides by how many rows it expects, which for models over models is far too
  many, and then compiles longer than it runs.

  And rows are sorted and grouped in memory as far as 32 MB go, of which PostgreSQL by itself gives 4.
#}
{% macro set_transaction() %}
  {{ return(adapter.dispatch('set_transaction', 'lti_rosters')()) }}
{% endmacro %}

{% macro default__set_transaction() %}{{ return('') }}{% endmacro %}

{% macro postgres__set_transaction() %}
  {{ return(
      "set local lock_timeout = '10min'; set local jit = off;"
      ~ " select set_config('work_mem', greatest(pg_size_bytes(current_setting('work_mem')) / 1024, 32768) || 'kB', true)"
  ) }}
{% endmacro %}


{# Begins that transaction. #}
{% macro begin_transaction() %}
  {%- set settings = lti_rosters.set_transaction() -%}
  {%- if settings -%}
    {%- call statement() -%}{{ settings }}{%- endcall -%}
  {%- endif -%}
{% endmacro %}
