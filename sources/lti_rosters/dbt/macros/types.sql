{# Types whose names differ between engines and for which dbt brings no macro. #}

{% macro type_timestamptz() %}{{ return(adapter.dispatch('type_timestamptz', 'lti_rosters')()) }}{% endmacro %}

{% macro default__type_timestamptz() %}{{ return('timestamp with time zone') }}{% endmacro %}

{% macro spark__type_timestamptz() %}{{ return('timestamp') }}{% endmacro %}


{% macro type_double() %}{{ return(adapter.dispatch('type_double', 'lti_rosters')()) }}{% endmacro %}

{% macro default__type_double() %}{{ return('double precision') }}{% endmacro %}

{% macro spark__type_double() %}{{ return('double') }}{% endmacro %}
