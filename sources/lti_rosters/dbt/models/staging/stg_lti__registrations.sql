with

source as (
    select * from {{ lti_rosters.raw('registrations') }} as registrations
),

standing as (
    {{ lti_rosters.standing_rows('source', ['registration']) }}
)

select
    -- keys
    registration
from standing
