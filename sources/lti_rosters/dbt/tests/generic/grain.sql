{% test grain(model, columns, latest_by=none, latest_of=none) %}
{#
  No two rows share these columns, and none of them is NULL. With *latest_by*, a column, only rows that have the
  greatest value of it are looked at: those that the last build inserted into a table that is kept. The greatest is
  that of the smaller table *latest_of*, where there is one that is built before and has the same column.
#}
{% set key = columns | join(', ') %}

select
    {{ key }},
    count(*) as doubles
from {{ model }}
{%- if latest_by %}
where {{ latest_by }} = (select max({{ latest_by }}) from {{ latest_of or model }})
{%- endif %}
group by {{ key }}
having
    count(*) > 1
    {%- for column in columns %}
    or {{ column }} is null
    {%- endfor %}
{% endtest %}
