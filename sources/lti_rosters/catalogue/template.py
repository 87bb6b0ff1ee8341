"""A catalogue of a template and ids, for platforms whose memberships URLs follow from a course's id."""

import re
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike, fspath
from typing import Any
from urllib.parse import quote

from ..errors import ConfigurationError
from ..web.urls import check_url
from .entries import BadRowError
from .files import Row, counted, ids, json_rows

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def check_template(table: Mapping[Any, Any]) -> tuple[str, str]:
    """Return the template and the name of its placeholder."""
    template = table.get("template")
    names = set(PLACEHOLDER.findall(template)) if isinstance(template, str) else set()
    if not isinstance(template, str) or len(names) != 1 or "ids" not in table:
        raise ConfigurationError(
            "A template needs one placeholder, such as {course_id}, and ids.",
            remedy='Example: { template = "https://…/courses/{course_id}/names_and_roles", ids = [1, 2] }',
        )
    check_url(PLACEHOLDER.sub("1", template), "template")
    return template, names.pop()


def template_rows(table: Mapping[Any, Any]) -> Iterator[Row]:
    """Yield a URL for each id; the id is the platform's own, seldom the context's (LTI Core §5.4.1)."""
    template, name = check_template(table)
    for where, value in _ids(table["ids"], name):
        if isinstance(value, BadRowError):
            yield where, value
        elif isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
            yield where, BadRowError("an id is a text or a whole number.")
        else:
            yield where, PLACEHOLDER.sub(quote(str(value).strip(), safe=""), template)


def _ids(setting: Any, name: str) -> Iterator[Row]:
    if isinstance(setting, PathLike):
        setting = fspath(setting)
    if isinstance(setting, str) and setting.lstrip().startswith("["):
        return json_rows(setting, "ids")
    if isinstance(setting, str):
        return ids(setting, name) if "," not in setting else counted(setting.split(","))
    if isinstance(setting, Iterable) and not isinstance(setting, Mapping | bytes):
        return counted(setting)
    raise ConfigurationError("ids is a list of ids, or a file with one a line.")
