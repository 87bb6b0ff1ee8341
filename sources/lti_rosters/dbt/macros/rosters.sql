{#
  What holds now is kept by course, too. int_lti__roster_marks says of each course what its rows in the raw tables
  amount to, in one number that any change of them changes; int_lti__memberships carries the number with the rows that
  were made of them. Where the two are not the same, the course is due: its rows are forgotten and made anew. A number
  is read before the rows that carry it: what changes in between is found at the next build.

  What is counted of a course, in int_lti__course_counts, carries the number of the memberships that were counted.

  So nothing need be known of who changed the raw tables: a load, `erase`, `identity apply`, or somebody by hand.
#}

{#
  Count it up when int_lti__memberships or int_lti__course_counts is made in another way: every course is then made
  anew.
#}
{% macro roster_layout() %}{{ return('1') }}{% endmacro %}


{#
  A number of 64 bits for the values of *columns*, where rows are kept; NULL elsewhere. The numbers of several rows are
  added up, so each is mixed once more: engines put those of columns together by sums and shifts, with which two
  people who swap their names would cancel out.
#}
{% macro row_mark(columns) %}{{ return(adapter.dispatch('row_mark', 'lti_rosters')(columns)) }}{% endmacro %}

{% macro default__row_mark(columns) %}{{ return('cast(null as ' ~ dbt.type_bigint() ~ ')') }}{% endmacro %}

{% macro duckdb__row_mark(columns) %}{{ return('hash(hash(' ~ columns | join(', ') ~ '))') }}{% endmacro %}

{% macro postgres__row_mark(columns) %}
  {{ return('hashint8extended(hash_record_extended(row(' ~ columns | join(', ') ~ '), 0), 0)') }}
{% endmacro %}

{% macro redshift__row_mark(columns) %}{{ return(lti_rosters.default__row_mark(columns)) }}{% endmacro %}


{# A number of 64 bits for the text in *column*, which is compared faster, where rows are kept; NULL elsewhere. #}
{% macro text_mark(column) %}{{ return(adapter.dispatch('text_mark', 'lti_rosters')(column)) }}{% endmacro %}

{% macro default__text_mark(column) %}{{ return('cast(null as ' ~ dbt.type_bigint() ~ ')') }}{% endmacro %}

{% macro duckdb__text_mark(column) %}{{ return('hash(' ~ column ~ ')') }}{% endmacro %}

{% macro postgres__text_mark(column) %}{{ return('hashtextextended(' ~ column ~ ', 0)') }}{% endmacro %}

{% macro redshift__text_mark(column) %}{{ return(lti_rosters.default__text_mark(column)) }}{% endmacro %}


{#
  The numbers in *column* put together, in whatever order, into one of 64 bits: their sum, not an exclusive or, with
  which a row that stands twice would cancel itself out.
#}
{% macro folded_marks(column) %}{{ return(adapter.dispatch('folded_marks', 'lti_rosters')(column)) }}{% endmacro %}

{% macro default__folded_marks(column) %}{{ return('max(' ~ column ~ ')') }}{% endmacro %}

{% macro duckdb__folded_marks(column) %}
  {{ return('cast(sum(' ~ column ~ ') % 18446744073709551616 as ubigint)') }}
{% endmacro %}

{% macro postgres__folded_marks(column) %}
  {{ return('cast(mod(sum(' ~ column ~ '), 9223372036854775808) as bigint)') }}
{% endmacro %}

{% macro redshift__folded_marks(column) %}{{ return(lti_rosters.default__folded_marks(column)) }}{% endmacro %}


{# The condition that a course, in the column *context_key*, is made anew by this build. #}
{% macro is_due(context_key) %}
  {{ return(context_key ~ ' in (select context_key from ' ~ ref('int_lti__roster_marks') ~ ' where is_due)') }}
{% endmacro %}


{#
  Before int_lti__memberships: finds out which courses are due. Those are not, that are kept with the mark of their raw
  rows, in every row, and with as many rows; what else is kept is forgotten.
#}
{% macro forget_due_courses() %}
{#- Rendered, to be updated: `dbt build --empty` puts a query of no rows in its place. -#}
{%- set marks = ref('int_lti__roster_marks') %}
{%- if lti_rosters.can_be_kept() and flags.INTROSPECT %}
{%- if lti_rosters.is_kept() %}
{%- set due %}
select coalesce(marks.context_key, kept.context_key) as context_key
from {{ marks }} as marks
full outer join (
    select
        context_key,
        min(mark) as first_mark,
        max(mark) as last_mark,
        count(*) as people
    from {{ this }}
    group by context_key
) as kept
    on kept.context_key = marks.context_key
where
    marks.mark is null
    or kept.first_mark is null
    or kept.first_mark <> marks.mark
    or kept.last_mark <> marks.mark
    or kept.people <> marks.people
{%- endset %}
{{ lti_rosters.wait_for_other_builds(this) }}
{{ lti_rosters.plan_for_few_courses() }}
{{ lti_rosters.temporary_table(lti_rosters.forgotten_courses(), due) }}
update {{ marks.render() }}
set is_due = true
where
    not is_due
    and context_key in (select context_key from {{ lti_rosters.forgotten_courses() }});
update {{ marks.render() }} as marks
set is_due = false
where
    is_due
    and not exists (
        select 1
        from {{ lti_rosters.forgotten_courses() }} as forgotten
        where forgotten.context_key = marks.context_key
    );
{{ lti_rosters.plan_by_indexes(lti_rosters.few_are_forgotten(marks)) }}
delete from {{ this }}
where context_key in (select context_key from {{ lti_rosters.forgotten_courses() }});
{{ lti_rosters.analyze(marks, true) }}
{%- else %}
update {{ marks.render() }}
set is_due = true
where not is_due;
{{ lti_rosters.plan_for_all_courses() }}
{%- endif %}
{%- endif %}
{% endmacro %}


{# Before int_lti__course_counts: forgets courses that this build made anew, or that were counted of other memberships. #}
{% macro forget_outdated_counts() %}
{% if lti_rosters.is_kept() %}
{%- set marks = ref('int_lti__roster_marks') %}
{%- set due %}
select coalesce(marks.context_key, kept.context_key) as context_key
from {{ marks }} as marks
full outer join {{ this }} as kept
    on kept.context_key = marks.context_key
where
    marks.mark is null
    or marks.is_due
    or kept.mark is null
    or kept.mark <> marks.mark
{%- endset %}
{{ lti_rosters.wait_for_other_builds(this) }}
{{ lti_rosters.plan_for_few_courses() }}
{{ lti_rosters.forget(due, marks) }}
{% else %}
{{ lti_rosters.plan_for_all_courses() }}
{% endif %}
{% endmacro %}
