with

source as (
    select * from {{ lti_rosters.raw('registrations') }} as registrations
)

select
    -- keys
    registration
from source
