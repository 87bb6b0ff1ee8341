{#
  The history is kept by course. int_lti__history_rosters knows which rosters each course's history was made from;
  when they are not those of the raw tables any more, the course's rows are forgotten and made anew, marked with
  the build that did it (`build_number`). Every other table of the history carries that mark: a course whose mark is
  not the rosters' is forgotten and made anew there, too. So it does not matter in which order rosters were
  committed, or which tables a build that broke off had reached.

  Forgetting is a hook before the model, in its transaction; the model then inserts the courses that are not there.

  What a build on top of another asks is about few courses, and on PostgreSQL it is answered by indexes: of the log by
  sync (macros/indexes.sql), of the events by course.
#}

{# Count it up when a table of the history gets another column or meaning, up to 8: every course is then made anew. #}
{% macro history_layout() %}{{ return('1') }}{% endmacro %}


{#
  The number of this build, as every row of the history bears it: the layout, and the moment to the microsecond at which
  the build began. The latest is the greatest. Engines that know the least and the greatest of a stretch of rows pass
  over those of other builds.
#}
{% macro build_number() %}
  {%- set started = run_started_at.astimezone(modules.pytz.utc).strftime('%y%m%d%H%M%S%f') -%}
  {{ return('cast(' ~ lti_rosters.history_layout() ~ started ~ ' as ' ~ dbt.type_bigint() ~ ')') }}
{% endmacro %}

{# The condition that the *number* is not of a build of this layout. #}
{% macro is_other_layout(number) %}
  {%- set layout = lti_rosters.history_layout() -%}
  {{ return(number ~ ' not between ' ~ layout ~ '0' * 18 ~ ' and ' ~ layout ~ '9' * 18) }}
{% endmacro %}


{#
  Before int_lti__history_rosters: forgets courses with a roster that came, went or got another member_count, or
  that the log holds whole by now; and those that two builds at once wrote twice.
#}
{% macro forget_changed_courses() %}
{% if lti_rosters.is_kept() %}
{%- set due %}
select coalesce(known.context_key, syncs.context_key) as context_key
from (
    select
        context_key,
        {{ lti_rosters.folded_marks(lti_rosters.row_mark(['sync_id', 'member_count'])) }} as mark,
        min(build_number) as first_build,
        max(build_number) as last_build
    from {{ this }}
    group by context_key
) as known
full outer join (
    select
        context_key,
        {{ lti_rosters.folded_marks(lti_rosters.row_mark(['sync_id', 'coalesce(member_count, -1)'])) }} as mark
    from {{ ref('int_lti__telling_syncs') }}
    where outcome = 'complete'
    group by context_key
) as syncs
    on syncs.context_key = known.context_key
where
    known.mark is null
    or syncs.mark is null
    or known.mark <> syncs.mark
    or known.first_build <> known.last_build
    or {{ lti_rosters.is_other_layout('known.first_build') }}
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
{%- endset %}
{{ lti_rosters.wait_for_other_builds(this) }}
{{ lti_rosters.plan_for_few_courses() }}
{{ lti_rosters.forget(due, ref('int_lti__telling_syncs')) }}
{% else %}
{{ lti_rosters.plan_for_all_courses() }}
{% endif %}
{% endmacro %}

{#
  Before any other table of the history: forgets courses that were made from other rosters. *first* is the condition of
  one row of each course, so that not all of them are grouped.
#}
{% macro forget_outdated_courses(first) %}
{% if lti_rosters.is_kept() %}
{%- set due %}
select coalesce(rosters.context_key, kept.context_key) as context_key
from (
    select
        context_key,
        build_number
    from {{ ref('int_lti__history_rosters') }}
    where roster_number = 1
) as rosters
full outer join (
    select
        context_key,
        build_number
    from {{ this }}
    where {{ first }}
) as kept
    on
        kept.context_key = rosters.context_key
        and kept.build_number = rosters.build_number
where
    rosters.context_key is null
    or kept.context_key is null
{%- endset %}
{{ lti_rosters.wait_for_other_builds(this) }}
{{ lti_rosters.plan_for_few_courses() }}
{{ lti_rosters.forget(due, ref('int_lti__history_rosters')) }}
{% else %}
{{ lti_rosters.plan_for_all_courses() }}
{% endif %}
{% endmacro %}


{#
  Forgets the courses that the query *due* lists, and remembers the list for as long as the model is made. One list,
  and no `or` beside it: PostgreSQL would walk the whole list for every row. *rosters* is a table with all of them.
#}
{% macro forget(due, rosters) %}
{{ lti_rosters.temporary_table(lti_rosters.forgotten_courses(), due) }}
{{ lti_rosters.plan_by_indexes(lti_rosters.few_are_forgotten(rosters)) }}
delete from {{ this }}
where context_key in (select context_key from {{ lti_rosters.forgotten_courses() }})
{% endmacro %}

{% macro forgotten_courses() %}{{ return('forgotten_' ~ this.identifier) }}{% endmacro %}

{# The query whether less than a tenth of the *rosters* are of forgotten courses. #}
{% macro few_are_forgotten(rosters) %}
  {%- set query -%}
select 10 * count(forgotten.context_key) < count(*) as are_few
from {{ rosters }} as rosters
left join (select distinct context_key from {{ lti_rosters.forgotten_courses() }}) as forgotten
    on forgotten.context_key = rosters.context_key
  {%- endset -%}
  {{ return(query) }}
{% endmacro %}


{% macro temporary_table(name, query) %}
  {{ return(adapter.dispatch('temporary_table', 'lti_rosters')(name, query)) }}
{% endmacro %}

{% macro default__temporary_table(name, query) %}
create or replace temporary table {{ name }} as
{{ query }};
{% endmacro %}

{% macro postgres__temporary_table(name, query) %}
create temporary table {{ name }} on commit drop as
{{ query }};
analyze {{ name }};
{% endmacro %}


{#
  The condition that a course is not in the table, for the alias whose context_key is asked about; *is_kept*: whether
  the table is built on at all.
#}
{% macro is_forgotten(courses, is_kept) %}
  {%- if is_kept -%}
    {{ return(courses ~ '.context_key in (select context_key from ' ~ lti_rosters.forgotten_courses() ~ ')') }}
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
