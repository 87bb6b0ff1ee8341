{#
  A table is put in the old one's place under a lock that waits for every transaction that has read it, and whoever
  comes to read waits behind it. Somebody's transaction that was left open would hold up a build, and everybody else,
  for good: the build fails after ten minutes, and the tables stay as they were.
#}
{% macro bound_waits() %}
  {{ return(adapter.dispatch('bound_waits', 'lti_rosters')()) }}
{% endmacro %}

{% macro default__bound_waits() %}{{ return('') }}{% endmacro %}

{% macro postgres__bound_waits() %}{{ return("set local lock_timeout = '10min'") }}{% endmacro %}

{# Redshift has no such setting. #}
{% macro redshift__bound_waits() %}{{ return('') }}{% endmacro %}
