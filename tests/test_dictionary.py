"""What is written from `tables/columns.py` and the models' descriptions is current."""

import re

import dictionary
from lti_rosters.tables.columns import SUPPRESSIONS, TABLES


def test_the_sources_of_dbt_are_those_of_the_loader() -> None:
    """Else: `python tests/dictionary.py`."""
    assert dictionary.SOURCES.read_text(encoding="utf-8") == dictionary.sources()


def test_the_data_dictionary_is_current() -> None:
    """Else: `python tests/dictionary.py`."""
    assert dictionary.DICTIONARY.read_text(encoding="utf-8") == dictionary.dictionary()


def test_the_dictionary_tells_of_every_table_and_leaves_no_text_out() -> None:
    """Every raw table and mart has a section; no cell is empty and no reference unresolved."""
    text = dictionary.dictionary()

    marts = {path.stem for path in (dictionary.PACKAGE / "dbt" / "models" / "marts").rglob("*.sql")}
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) == {*marts, *TABLES, SUPPRESSIONS.name}
    assert "doc(" not in text
    assert re.findall(r"\|\s*\|$", text.replace("| column | type | |", ""), re.MULTILINE) == []


def test_the_diagram_joins_tables_that_are_drawn() -> None:
    """Each end of each line is a table of the same diagram."""
    for drawn in re.findall(r"```mermaid\n(.*?)```", dictionary.dictionary(), re.DOTALL):
        tables = set(re.findall(r"^    (\w+) \{$", drawn, re.MULTILINE))
        ends = {end for pair in re.findall(r"(\w+) \|\|--o\{ (\w+)", drawn) for end in pair}

        assert ends
        assert ends <= tables
