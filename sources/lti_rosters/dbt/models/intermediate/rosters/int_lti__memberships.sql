-- One statement reads every raw table of a roster, so that all are seen at one moment.
{{ config(
    pre_hook=["{{ lti_rosters.forget_due_courses() }}", "{{ lti_rosters.refuse_missing_tables() }}"],
    indexes=lti_rosters.index_on('context_key', 'hash')
) }}

with

memberships as (
    select
        registration,
        context_key,
        context_id,
        user_id,
        status,
        primary_role,
        name,
        given_name,
        family_name,
        email,
        {%- for flag in lti_rosters.membership_flags() %}
        {{ flag }},
        {%- endfor %}
        counts_as_active_learner,
        sync_id,
        synced_at
    from {{ ref('int_lti__membership_flags') }}
),

marks as (
    select
        context_key,
        sync_mark,
        mark
    from {{ ref('int_lti__roster_marks') }}
    where is_due
)

select
    memberships.registration,
    memberships.context_key,
    memberships.context_id,
    memberships.user_id,
    memberships.status,
    memberships.primary_role,
    memberships.name,
    memberships.given_name,
    memberships.family_name,
    memberships.email,
    {%- for flag in lti_rosters.membership_flags() %}
    memberships.{{ flag }},
    {%- endfor %}
    memberships.counts_as_active_learner,
    memberships.sync_id,
    memberships.synced_at,
    -- A load in between has brought other rows than those that the mark is of.
    case when {{ lti_rosters.text_mark('memberships.sync_id') }} = marks.sync_mark then marks.mark end as mark
from memberships
inner join marks
    on marks.context_key = memberships.context_key
