-- Roles that people hold and that are not in the vocabulary: they count for nothing until they are mapped.
{{ config(severity='warn', meta={'finding': 'Unknown roles that people hold (see lti_raw.roles)'}) }}

select
    held.role_uri,
    count(*) as holders
from {{ ref('int_lti__current_roles') }} as held
left join {{ ref('int_lti__role_kinds') }} as kinds
    on kinds.role_uri = held.role_uri
where coalesce(kinds.has_unknown_role, true)
group by held.role_uri
