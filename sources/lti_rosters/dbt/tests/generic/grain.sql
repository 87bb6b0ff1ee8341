{% test grain(model, columns) %}
{# No two rows share these columns, and none of them is NULL. #}
{% set key = columns | join(', ') %}

select
    {{ key }},
    count(*) as doubles
from {{ model }}
group by {{ key }}
having
    count(*) > 1
    {%- for column in columns %}
    or {{ column }} is null
    {%- endfor %}
{% endtest %}
