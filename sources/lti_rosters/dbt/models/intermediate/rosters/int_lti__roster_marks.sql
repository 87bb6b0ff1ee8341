-- What each course's rows in the raw tables amount to. See macros/rosters.sql.
-- Built after the attempts, so that no roster is older than what is said of it.
-- depends_on: {{ ref('int_lti__telling_syncs') }}

with

kinds as (
    select
        role_uri,
        {{ lti_rosters.row_mark(['role_uri'] + lti_rosters.membership_flags()) }} as kind_mark
    from {{ ref('int_lti__role_kinds') }}
),

-- Every column that int_lti__memberships takes, or makes something of.
raw_rows as (
    select
        context_key,
        sync_id,
        {{ lti_rosters.text_mark('sync_id') }} as sync_mark,
        1 as is_person,
        {{ lti_rosters.row_mark([
            lti_rosters.roster_layout(),
            'user_id',
            'registration',
            'context_id',
            'sync_id',
            'status',
            'primary_role',
            'name',
            'given_name',
            'family_name',
            'email',
            'synced_at',
        ]) }} as row_mark
    from {{ ref('stg_lti__memberships') }}
    union all
    select
        held.context_key,
        held.sync_id,
        {{ lti_rosters.text_mark('held.sync_id') }} as sync_mark,
        0 as is_person,
        {{ lti_rosters.row_mark(['held.user_id', 'held.role_uri', 'kinds.kind_mark']) }} as row_mark
    from {{ ref('stg_lti__membership_roles') }} as held
    left join kinds
        on kinds.role_uri = held.role_uri
)

-- Without a mark where not every row is of one sync, or is of none, or one of the tables has no row: what is shown of
-- such a course may be taken from the log (int_lti__half_rosters), so it is made anew each time.
select
    context_key,
    max(sync_mark) as sync_mark,
    sum(is_person) as people,
    case
        when
            min(sync_mark) = max(sync_mark)
            and count(sync_id) = count(*)
            and min(is_person) < max(is_person)
            then {{ lti_rosters.folded_marks('row_mark') }}
    end as mark,
    true as is_due
from raw_rows
group by context_key
