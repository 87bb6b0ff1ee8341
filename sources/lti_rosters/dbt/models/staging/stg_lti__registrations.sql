select
    -- keys
    registration
from {{ lti_rosters.standing('registrations', ['registration']) }}
