{#
  A raw table that is not there holds no rows, says `raw`, and mostly that is so: dlt creates a table with its first
  row. But where tables were left out of a load, or dropped, courses would be counted as empty that are not. So before
  the memberships of now are made, and every count of them, it is asked whether what is there speaks of what is not.
  Nothing is asked while every table is there.
#}
{% macro refuse_missing_tables() %}
  {%- set members = ref('int_lti__membership_flags') -%}
  {%- set roles = ref('int_lti__current_roles') -%}
  {%- set syncs = ref('stg_lti__roster_syncs') -%}
  {%- if execute and flags.INTROSPECT -%}
    {%- do lti_rosters.refuse_missing(
        'memberships', 'rosters with people on them were read', lti_rosters.rosters_without_members(syncs, members)
    ) -%}
    {%- do lti_rosters.refuse_missing(
        'membership_roles', 'people with roles are on rosters', lti_rosters.members_without_roles(members, roles)
    ) -%}
    {%- do lti_rosters.refuse_missing(
        'roles', 'people on rosters hold roles', lti_rosters.members_with_roles(members, roles)
    ) -%}
  {%- endif -%}
  {{ return('') }}
{% endmacro %}


{# Raises where the raw *table* is missing and *query* counts something that it should hold. *though* says what. #}
{% macro refuse_missing(table, though, query) %}
  {%- set relation = source('lti_raw', table) -%}
  {%- if load_relation(relation) is none and run_query(query).rows[0][0] > 0 -%}
    {#- The words of runs/models.py, too, which shows this line alone. -#}
    {{ exceptions.raise_compiler_error(
        'A raw table is missing: there is no ' ~ relation.schema ~ '.' ~ relation.identifier ~ ', though ' ~ though
        ~ '. Load every table, without selecting resources: lti-rosters run --full'
    ) }}
  {%- endif -%}
{% endmacro %}


{# Courses whose last roster had people, of whom nobody is known. #}
{% macro rosters_without_members(syncs, members) %}
  {%- set query -%}
select count(*) as findings
from (
    select
        context_key,
        member_count,
        row_number() over (
            partition by context_key
            order by finished_at desc, sync_id desc
        ) as recency
    from {{ syncs }}
    where outcome = 'complete'
) as rosters
left join (
    select distinct context_key
    from {{ members }}
) as courses
    on courses.context_key = rosters.context_key
where
    rosters.recency = 1
    and rosters.member_count > 0
    and courses.context_key is null
  {%- endset -%}
  {{ return(query) }}
{% endmacro %}


{# People who have a role to show, which was chosen among their roles, and no roles. #}
{% macro members_without_roles(members, roles) %}
  {%- set query -%}
select count(*) as findings
from {{ members }} as members
left join {{ roles }} as roles
    on
        roles.context_key = members.context_key
        and roles.user_id = members.user_id
where
    members.primary_role <> 'other'
    and roles.context_key is null
  {%- endset -%}
  {{ return(query) }}
{% endmacro %}


{% macro members_with_roles(members, roles) %}
  {%- set query -%}
select count(*) as findings
from {{ members }} as members
inner join {{ roles }} as roles
    on
        roles.context_key = members.context_key
        and roles.user_id = members.user_id
  {%- endset -%}
  {{ return(query) }}
{% endmacro %}
