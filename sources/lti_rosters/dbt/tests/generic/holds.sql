{% test holds(model, rules) %}
{# Every rule holds for every row. A rule that cannot be told (NULL) is not broken: rules about NULL say so. #}
select
    case
        {%- for rule in rules %}
        when not ({{ rule }}) then {{ dbt.string_literal(dbt.escape_single_quotes(rule)) }}
        {%- endfor %}
    end as broken_rule
from {{ model }}
where
    {%- for rule in rules %}
    {{ 'or ' if not loop.first }}not ({{ rule }})
    {%- endfor %}
{% endtest %}
