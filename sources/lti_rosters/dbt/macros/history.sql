{#
  The history is kept by course. int_lti__history_rosters knows which rosters each course's history was made from;
  when they are not those of the raw tables any more, the course's rows are forgotten and made anew, marked with
  the build that did it (`built_in`). Every other table of the history carries that mark: a course whose mark is
  not the rosters' is forgotten and made anew there, too. So it does not matter in which order rosters were
  committed, or which tables a build that broke off had reached.

  Forgetting is a hook before the model, in its transaction; the model then inserts the courses that are not there.
#}

{# Count it up when a table of the history gets another column or meaning: every course is then made anew. #}
{% macro history_layout() %}{{ return('1') }}{% endmacro %}


{# Whether the table is there from an earlier build and is built on. #}
{% macro is_kept() %}
  {{ return(model.config.materialized == 'incremental' and flags.INTROSPECT and is_incremental()) }}
{% endmacro %}


{# The mark of this build; the latest is the greatest. #}
{% macro built_in() %}
  {%- set started = run_started_at.astimezone(modules.pytz.utc).strftime('%Y-%m-%d %H:%M:%S.%f') -%}
  {{ return("'" ~ lti_rosters.history_layout() ~ '/' ~ started ~ '/' ~ invocation_id ~ "'") }}
{% endmacro %}


{#
  Before int_lti__history_rosters: forgets courses with a roster that came, went or got another member_count, or
  that the log holds whole by now; and those that two builds at once wrote twice. One list, and no `or` beside it:
  PostgreSQL would walk the whole list for every row.
#}
{% macro forget_changed_courses() %}
{% if lti_rosters.is_kept() %}
{{ lti_rosters.wait_for_other_builds(this) }}
{{ lti_rosters.plan_for_few_courses() }}
delete from {{ this }}
where
    context_key in (
        select context_key
        from {{ this }}
        where built_in not like '{{ lti_rosters.history_layout() }}/%'
        union all
        select syncs.context_key
        from {{ ref('stg_lti__roster_syncs') }} as syncs
        left join {{ this }} as known
            on
                known.sync_id = syncs.sync_id
                and known.member_count = coalesce(syncs.member_count, -1)
        where
            syncs.outcome = 'complete'
            and known.sync_id is null
        union all
        select known.context_key
        from {{ this }} as known
        left join {{ ref('stg_lti__roster_syncs') }} as syncs
            on
                syncs.sync_id = known.sync_id
                and syncs.outcome = 'complete'
        where syncs.sync_id is null
        union all
        select known.context_key
        from {{ this }} as known
        inner join {{ ref('stg_lti__membership_log') }} as logged
            on logged.sync_id = known.sync_id
        where not known.is_whole
        group by
            known.context_key,
            known.sync_id,
            known.member_count
        having count(distinct logged.user_id) = known.member_count
        union all
        select context_key
        from {{ this }}
        group by context_key
        having min(built_in) <> max(built_in)
    )
{% endif %}
{% endmacro %}


{# Before any other table of the history: forgets courses that were made from other rosters. #}
{% macro forget_outdated_courses() %}
{% if lti_rosters.is_kept() %}
{{ lti_rosters.wait_for_other_builds(this) }}
{{ lti_rosters.plan_for_few_courses() }}
delete from {{ this }} as kept
where not exists (
    select 1
    from {{ ref('int_lti__history_rosters') }} as rosters
    where
        rosters.context_key = kept.context_key
        and rosters.built_in = kept.built_in
)
{% endif %}
{% endmacro %}


{# The condition that a course is not in the table, for the alias whose context_key is asked about. #}
{% macro is_forgotten(courses) %}
  {%- if lti_rosters.is_kept() -%}
    {{ return('not exists (select 1 from ' ~ this ~ ' as kept where kept.context_key = ' ~ courses ~ '.context_key)') }}
  {%- endif -%}
  {{ return('1 = 1') }}
{% endmacro %}


{# Two builds at once would both insert a course that both found missing: the second waits for the first. #}
{% macro wait_for_other_builds(relation) %}
  {{ return(adapter.dispatch('wait_for_other_builds', 'lti_rosters')(relation)) }}
{% endmacro %}

{% macro default__wait_for_other_builds(relation) %}{{ return('') }}{% endmacro %}

{% macro postgres__wait_for_other_builds(relation) %}
  {{ return('lock table ' ~ relation ~ ' in share row exclusive mode;') }}
{% endmacro %}

{# dbt takes Redshift for a PostgreSQL, whose modes of locking it has not. #}
{% macro redshift__wait_for_other_builds(relation) %}{{ return('lock ' ~ relation ~ ';') }}{% endmacro %}


{#
  What a build on top of another reads is passed over but for a few courses, which no planner can know. PostgreSQL would
  compile its plan for the rows that it expects, and take longer over that than over those that come; or it would
  expect none, and join row by row.
#}
{% macro plan_for_few_courses() %}
  {{ return(adapter.dispatch('plan_for_few_courses', 'lti_rosters')()) }}
{% endmacro %}

{% macro default__plan_for_few_courses() %}{{ return('') }}{% endmacro %}

{% macro postgres__plan_for_few_courses() %}
  {{ return('set local jit = off; set local enable_nestloop = off;') }}
{% endmacro %}

{% macro redshift__plan_for_few_courses() %}{{ return('') }}{% endmacro %}
