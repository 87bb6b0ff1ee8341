-- Roles that people of courses in the catalogue hold and that are not in the vocabulary: they count for nothing
-- until they are mapped.
{{ config(severity='warn', meta={'finding': 'Unknown roles that people hold (see lti_raw.roles)'}) }}

select distinct roles.role_uri
from {{ ref('stg_lti__roles') }} as roles
inner join {{ ref('stg_lti__membership_roles') }} as held
    on held.role_uri = roles.role_uri
inner join {{ ref('stg_lti__contexts') }} as contexts
    on contexts.context_key = held.context_key
where
    roles.vocabulary = 'unknown'
    and contexts.delisted_at is null
