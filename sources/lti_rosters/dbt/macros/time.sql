{# Moments are computed here and written as literals: engines agree on those, not on the arithmetic of times. #}

{# The moment at which the models are asked: var `as_of` (UTC unless it says otherwise), else the run's start. #}
{% macro as_of() %}
  {%- set given = var('as_of', none) -%}
  {%- if given is none -%}
    {{ return(run_started_at) }}
  {%- endif -%}
  {%- set moment = modules.datetime.datetime.fromisoformat(given | string) -%}
  {{ return(moment if moment.tzinfo else modules.pytz.utc.localize(moment)) }}
{% endmacro %}


{% macro timestamp_literal(moment) %}
  {%- set utc = moment.astimezone(modules.pytz.utc).strftime('%Y-%m-%d %H:%M:%S.%f') -%}
  {{ return("cast('" ~ utc ~ "+00:00' as " ~ lti_rosters.type_timestamptz() ~ ")") }}
{% endmacro %}


{# The moment before which a last complete reading is too old, for the registration in *column*. #}
{% macro stale_before(column) %}
  {%- set hours = var('stale_after_hours', 48) -%}
  {%- if hours is not mapping -%}
    {{ return(lti_rosters.hours_before_as_of(hours)) }}
  {%- endif -%}
  {%- set cases = [] -%}
  {%- for registration in hours | sort if registration != 'default' -%}
    {%- do cases.append(
        'when ' ~ dbt.string_literal(dbt.escape_single_quotes(registration))
        ~ ' then ' ~ lti_rosters.hours_before_as_of(hours[registration])
    ) -%}
  {%- endfor -%}
  {%- set otherwise = lti_rosters.hours_before_as_of(hours.get('default', 48)) -%}
  {{ return('case ' ~ column ~ ' ' ~ cases | join(' ') ~ ' else ' ~ otherwise ~ ' end' if cases else otherwise) }}
{% endmacro %}


{% macro hours_before_as_of(hours) %}
  {%- if hours is not number or hours is boolean -%}
    {{ exceptions.raise_compiler_error('stale_after_hours: expected a number of hours, found ' ~ hours) }}
  {%- endif -%}
  {{ return(lti_rosters.timestamp_literal(lti_rosters.as_of() - modules.datetime.timedelta(hours=hours))) }}
{% endmacro %}


{# The UTC day of the moment in *column*, whatever the session's time zone. #}
{% macro utc_day(column) %}{{ return(adapter.dispatch('utc_day', 'lti_rosters')(column)) }}{% endmacro %}

{% macro default__utc_day(column) %}{{ return('cast(' ~ column ~ " at time zone 'UTC' as date)") }}{% endmacro %}

{% macro snowflake__utc_day(column) %}
  {{ return("cast(convert_timezone('UTC', " ~ column ~ ') as date)') }}
{% endmacro %}

{% macro bigquery__utc_day(column) %}{{ return('date(' ~ column ~ ", 'UTC')") }}{% endmacro %}

{% macro spark__utc_day(column) %}
  {{ return('cast(to_utc_timestamp(' ~ column ~ ', current_timezone()) as date)') }}
{% endmacro %}


{# The UTC day of `as_of`. #}
{% macro as_of_day() %}
  {{ return("cast('" ~ lti_rosters.as_of().astimezone(modules.pytz.utc).strftime('%Y-%m-%d') ~ "' as date)") }}
{% endmacro %}


{# The day so many *days* before *day*. #}
{% macro days_before(day, days) %}{{ return(adapter.dispatch('days_before', 'lti_rosters')(day, days)) }}{% endmacro %}

{% macro default__days_before(day, days) %}{{ return(dbt.dateadd('day', '-' ~ days, day)) }}{% endmacro %}

{# Spark's macro goes by way of timestamps, whose zone is the session's, and Databricks' asks the server its version. #}
{% macro spark__days_before(day, days) %}{{ return('date_sub(' ~ day ~ ', ' ~ days ~ ')') }}{% endmacro %}
