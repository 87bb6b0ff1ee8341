{#
  What the roles of one person in one course amount to, and who counts: the one definition, for every model
  that looks at memberships, of today or of the past. Roles are first classified by int_lti__role_kinds; a model
  joins them to its memberships, groups by membership and folds them with `folded_flags`.
#}

{% macro membership_flags() %}
  {{ return([
      'is_learner',
      'is_instructor',
      'is_teaching_assistant',
      'is_mentor',
      'is_staff',
      'is_test_user',
      'has_unknown_role',
  ]) }}
{% endmacro %}


{# The aggregates over the rows of int_lti__role_kinds, named *kinds*; a role it does not hold is unknown. #}
{% macro folded_flags(kinds) %}
  {%- for flag in lti_rosters.membership_flags() %}
    {{ dbt.bool_or('coalesce(' ~ kinds ~ '.' ~ flag ~ (', true)' if flag == 'has_unknown_role' else ', false)')) }} as {{ flag }}
    {%- if not loop.last %},{% endif %}
  {%- endfor %}
{% endmacro %}


{# Status Active, a context Learner or a sub-role of it, not a test user. False, never NULL. #}
{% macro counts_as_active_learner(status, is_learner, is_test_user) %}
  {{ return('(coalesce(' ~ status ~ " = 'Active', false) and " ~ is_learner ~ ' and not ' ~ is_test_user ~ ')') }}
{% endmacro %}


{#
  Whether a role filter on the role in these columns (context role, sub-role) shows everybody of *principal*. One on
  a principal role shows its sub-roles too; one on a sub-role a part of the principal's people.
#}
{% macro shows_every(principal, context_role, sub_role) %}
  {{ return('coalesce(' ~ context_role ~ " = '" ~ principal ~ "' and " ~ sub_role ~ ' is null, false)') }}
{% endmacro %}
