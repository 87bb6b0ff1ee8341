"""What the tables and models say of themselves, written where dbt and readers look.

`python tests/dictionary.py` writes the sources of dbt from `tables/columns.py`, and the data dictionary from both.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lti_rosters.tables.columns import FLAG, MOMENT, NUMBER, SUPPRESSIONS, TABLES, TEXT, Table

PACKAGE = Path(__file__).parent.parent / "sources" / "lti_rosters"
SOURCES = PACKAGE / "dbt" / "models" / "staging" / "_sources.yml"
DICTIONARY = PACKAGE / "docs" / "data_dictionary.md"
DOC = re.compile(r"\{\{ doc\('(\w+)'\) \}\}")
DOCS = re.compile(r"\{% docs (\w+) %\}(.*?)\{% enddocs %\}", re.DOTALL)
TYPES = {TEXT: "text", NUMBER: "bigint", FLAG: "boolean", MOMENT: "timestamptz"}
RAW = (*TABLES.values(), SUPPRESSIONS)
# A column of this name is a key of that table; of a table about courses, the course alone is drawn.
RAW_KEYS = {
    "context_key": "contexts",
    "role_uri": "roles",
    "roster_sync_id": "roster_syncs",
    "registration": "registrations",
}
MART_KEYS = {"context_key": "courses", "registration": "sync_freshness"}

# How old the last attempt may be before `dbt source freshness` warns, or fails: a night was missed, a week.
FRESHNESS = {
    "roster_syncs": """\
        config:
          loaded_at_field: finished_at
          freshness:
            warn_after: {count: 36, period: hour}
            error_after: {count: 7, period: day}"""
}

SOURCES_HEAD = """\
# Written by tests/dictionary.py from tables/columns.py: change it there.
sources:
  - name: lti_raw
    description: The raw tables that lti-rosters loads with dlt.
    database: "{{ var('lti_raw_database', none) or target.database }}"
    schema: "{{ var('lti_raw_schema', 'lti_raw') }}"
    tables:
"""
LOADS = """\
      - name: _dlt_loads
        description: "The loads that dlt committed."
        columns:
          - name: load_id
            description: "The load."
            data_type: text
          - name: status
            description: "0 when the load is complete."
            data_type: bigint
"""
DICTIONARY_HEAD = """\
# Data dictionary

Written by `python tests/dictionary.py` from the texts that the database shows as comments. Times are UTC.
"""


def sources() -> str:
    """Return dbt's description of the raw tables."""
    return SOURCES_HEAD + "\n".join([*map(source, RAW), LOADS])


def source(table: Table) -> str:
    """Return one raw table as a dbt source."""
    lines = [f"      - name: {table.name}", f"        description: {quoted(table.description)}"]
    lines += [FRESHNESS[table.name]] if table.name in FRESHNESS else []
    lines.append("        columns:")
    for column in table.columns:
        lines += [
            f"          - name: {column.name}",
            f"            description: {quoted(column.description)}",
            f"            data_type: {TYPES[column.type]}",
        ]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """Return *text* as a string of YAML, which reads JSON's."""
    return json.dumps(text, ensure_ascii=False)


def marts() -> list[dict[str, Any]]:
    """Return the marts as their YAML describes them, with the shared texts in place."""
    folder = PACKAGE / "dbt" / "models"
    texts = dict(DOCS.findall((folder / "docs.md").read_text()))
    found = []
    for path in sorted((folder / "marts").rglob("*.yml")):
        filled = yaml.safe_load(path.read_text())
        found += [described(model, texts) for model in filled.get("models", ())]
    return sorted(found, key=lambda model: str(model["name"]))


def described(node: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return name, description, type and columns of a model or column, with the shared texts in place."""
    text = DOC.sub(lambda match: texts[match[1]], node.get("description", ""))
    columns = [described(column, texts) for column in node.get("columns", ())]
    plain = " ".join(text.split())
    return {
        "name": node["name"],
        "description": plain,
        "type": node.get("data_type", ""),
        "columns": columns,
    }


def raw_tables() -> list[dict[str, Any]]:
    """Return the raw tables in the shape of `marts`."""
    return [
        {
            "name": table.name,
            "description": table.description,
            "columns": [
                {"name": column.name, "type": TYPES[column.type], "description": column.description}
                for column in table.columns
            ],
        }
        for table in RAW
    ]


def dictionary() -> str:
    """Return the data dictionary: a diagram and every column of the marts, then of the raw tables."""
    parts = [DICTIONARY_HEAD]
    for title, tables, keys in (
        ("Models (`lti`)", marts(), MART_KEYS),
        ("Raw tables (`lti_raw`)", raw_tables(), RAW_KEYS),
    ):
        parts += [f"\n## {title}\n\n", diagram(tables, keys), *map(section, tables)]
    return "".join(parts)


def diagram(tables: Sequence[Mapping[str, Any]], keys: Mapping[str, str]) -> str:
    """Return Mermaid's entity diagram: the columns that join, and what they join to."""
    lines = ["```mermaid", "erDiagram"]
    for table in tables:
        columns = [column for column in table["columns"] if column["name"] in (*keys, "sync_id", "user_id")]
        lines += [f"    {table['name']} {{"]
        lines += [f"        {column['type'].split()[0]} {column['name']}" for column in columns]
        lines += ["    }"]
    lines += [
        f"    {owner} ||--o{{ {table['name']} : {column}"
        for table in tables
        for column, owner in joins(table, keys)
    ]
    return "\n".join([*lines, "```", ""])


def joins(table: Mapping[str, Any], keys: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each column of *table* that is a key of another table, and that table."""
    names = {column["name"] for column in table["columns"]}
    about_a_course = "context_key" in names and table["name"] != keys["context_key"]
    for column, owner in keys.items():
        if column in names and owner != table["name"] and not (column == "registration" and about_a_course):
            yield column, owner


def section(table: Mapping[str, Any]) -> str:
    """Return one table of the dictionary."""
    rows = [
        f"| `{column['name']}` | {column['type']} | {column['description'].replace('|', chr(92) + '|')} |"
        for column in table["columns"]
    ]
    head = [f"\n### {table['name']}\n", f"{table['description']}\n", "| column | type | |", "|---|---|---|"]
    return "\n".join([*head, *rows, ""])


if __name__ == "__main__":
    SOURCES.write_text(sources(), encoding="utf-8")
    DICTIONARY.write_text(dictionary(), encoding="utf-8")
