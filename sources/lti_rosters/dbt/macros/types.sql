{# Types, and a comparison, whose words differ between engines and for which dbt brings no macro. #}

{% macro type_timestamptz() %}{{ return(adapter.dispatch('type_timestamptz', 'lti_rosters')()) }}{% endmacro %}

{% macro default__type_timestamptz() %}{{ return('timestamp with time zone') }}{% endmacro %}

{% macro bigquery__type_timestamptz() %}{{ return('timestamp') }}{% endmacro %}

{% macro spark__type_timestamptz() %}{{ return('timestamp') }}{% endmacro %}


{% macro type_double() %}{{ return(adapter.dispatch('type_double', 'lti_rosters')()) }}{% endmacro %}

{% macro default__type_double() %}{{ return('double precision') }}{% endmacro %}

{% macro bigquery__type_double() %}{{ return('float64') }}{% endmacro %}

{% macro spark__type_double() %}{{ return('double') }}{% endmacro %}


{# Whether two values differ, NULL being one, too. #}
{% macro is_distinct(one, other) %}{{ return(adapter.dispatch('is_distinct', 'lti_rosters')(one, other)) }}{% endmacro %}

{% macro default__is_distinct(one, other) %}{{ return(one ~ ' is distinct from ' ~ other) }}{% endmacro %}

{% macro redshift__is_distinct(one, other) %}
  {{ return('(coalesce(' ~ one ~ ' <> ' ~ other ~ ', true) and not (' ~ one ~ ' is null and ' ~ other ~ ' is null))') }}
{% endmacro %}
