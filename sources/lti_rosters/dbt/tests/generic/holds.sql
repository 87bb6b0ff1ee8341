{% test holds(model, rules) %}
{# Every rule holds for every row. A rule that cannot be told (NULL) is not broken: rules about NULL say so. #}
{% for rule in rules %}
select {{ dbt.string_literal(dbt.escape_single_quotes(rule)) }} as broken_rule
from {{ model }}
where not ({{ rule }})
{% if not loop.last %}union all{% endif %}
{% endfor %}
{% endtest %}
