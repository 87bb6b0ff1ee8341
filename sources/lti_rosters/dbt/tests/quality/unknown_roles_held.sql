-- Roles that people of courses in the catalogue hold and that are not in the vocabulary: they count for nothing
-- until they are mapped.
{{ config(severity='warn', meta={'finding': 'Unknown roles that people hold (see lti_raw.roles)'}) }}

select role_uri
from {{ ref('stg_lti__roles') }}
where
    vocabulary = 'unknown'
    and role_uri in (
        select held.role_uri
        from {{ ref('stg_lti__membership_roles') }} as held
        inner join {{ ref('stg_lti__contexts') }} as contexts
            on contexts.context_key = held.context_key
        where contexts.delisted_at is null
    )
