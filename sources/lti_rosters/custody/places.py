"""Where members' rows are: every table with a registration and a user id, whoever made it."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .session import Rows, Session

MODELS = "lti"  # the schema of the models
BATCH = 500  # rows of one insert


class Place(NamedTuple):
    """A table with its columns."""

    schema: str
    table: str
    columns: frozenset[str]

    @property
    def name(self) -> str:
        """Its name in SQL."""
        return f'"{self.schema}"."{self.table}"'

    @property
    def shown(self) -> str:
        """Its name as people read it."""
        return f"{self.schema}.{self.table}"


def places(session: Session, schema: str) -> list[Place]:
    """The tables of *schema*, without its views."""
    rows = session.rows(
        "SELECT columns.table_name, columns.column_name FROM information_schema.columns AS columns "
        "INNER JOIN information_schema.tables AS tables "
        "ON tables.table_schema = columns.table_schema AND tables.table_name = columns.table_name "
        "WHERE tables.table_type = 'BASE TABLE' AND columns.table_schema = %s",
        schema,
    )
    columns: dict[str, set[str]] = {}
    for table, column in rows:
        columns.setdefault(table, set()).add(column)
    return [Place(schema, table, frozenset(held)) for table, held in sorted(columns.items())]


def of_members(session: Session, schema: str) -> list[Place]:
    """The tables of *schema* that hold rows of members."""
    return [each for each in places(session, schema) if {"registration", "user_id"} <= each.columns]


def counted(session: Session, found: Iterable[Place], condition: str = "", *parameters: Any) -> Rows:
    """How many rows that meet *condition* each of the tables *found* has, those without any left out."""
    where = f" WHERE {condition}" if condition else ""
    counts = {
        each.shown: session.number(f"SELECT COUNT(*) FROM {each.name}{where}", *parameters)  # noqa: S608
        for each in found
    }
    return {name: count for name, count in counts.items() if count}


def forget_models(session: Session) -> list[Place]:
    """Delete every row of the models that was made of members: the next build makes all of them anew."""
    made = [each for each in places(session, MODELS) if each.columns & {"user_id", "build_number", "mark"}]
    for each in made:
        session.execute(f"DELETE FROM {each.name}")  # noqa: S608 - a name
    return made


def marked(session: Session) -> list[Place]:
    """The tables of the models that hold the marks of courses: numbers that follow from their members' rows."""
    return [each for each in places(session, MODELS) if {"context_key", "mark"} <= each.columns]


def forget_marks(session: Session, courses: str, *told: Any) -> None:
    """Forget the marks of the *courses* that this SQL gives: they could be tried against who is guessed at.

    The next build makes these courses anew.
    """
    for each in marked(session):
        update(session, each, {"mark": "NULL"}, f"context_key IN ({courses})", *told)


def drop_all_staging(session: Session) -> None:
    """Drop the staging tables of every working directory: killed loads leave rows in them.

    A load makes its own anew; there is none at work while we are the only writer.
    """
    begin = f"{session.dataset}_staging"
    schemas = {row[0] for row in session.rows("SELECT schema_name FROM information_schema.schemata")}
    for schema in sorted(each for each in schemas if each.startswith(begin)):
        session.execute(f'DROP SCHEMA "{schema}" CASCADE')


def mapping_table(session: Session, name: str, rows: Iterable[tuple[str, ...]], columns: int) -> None:
    """Make a temporary table *name* of texts with *columns* `a`, `b`, `c`… and fill it with *rows*."""
    letters = "abcdefgh"[:columns]
    session.execute(f"CREATE TEMPORARY TABLE {name} ({', '.join(f'{each} VARCHAR' for each in letters)})")
    pending: list[tuple[str, ...]] = []
    for row in rows:
        pending.append(row)
        if len(pending) == BATCH:
            _insert(session, name, pending, columns)
            pending = []
    _insert(session, name, pending, columns)


def _insert(session: Session, name: str, rows: list[tuple[str, ...]], columns: int) -> None:
    if rows:
        one = f"({', '.join(['%s'] * columns)})"
        session.execute(
            f"INSERT INTO {name} VALUES {', '.join([one] * len(rows))}",  # noqa: S608 - a name
            *(value for row in rows for value in row),
        )


def update(session: Session, place: Place, values: Mapping[str, str], condition: str, *told: Any) -> None:
    """Set the columns in *values* that *place* has to these SQL expressions, where *condition* holds."""
    there = {column: value for column, value in values.items() if column in place.columns}
    if there:
        settings = ", ".join(f"{column} = {value}" for column, value in there.items())
        session.execute(f"UPDATE {place.name} SET {settings} WHERE {condition}", *told)  # noqa: S608
