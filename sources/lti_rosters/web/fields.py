"""The headers of a response."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


class Fields(Mapping[str, str]):
    """Headers by their names, in whatever case; of a name that came more than once all values, as one list.

    What is no UTF-8 is read as Latin-1, as HTTP once had it (RFC 9110 §5.5).
    """

    __slots__ = ("_values",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """*raw* are names and values as they came."""
        self._values: dict[str, list[str]] = {}
        for name, value in raw:
            self._values.setdefault(_text(name).lower(), []).append(_text(value))

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._values[name.lower()])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def get(self, name: str, default: Any = None) -> Any:
        """The value of *name*, or *default*: most headers that are asked for are not there."""
        values = self._values.get(name.lower())
        return default if values is None else ", ".join(values)

    def get_list(self, name: str) -> list[str]:
        """Every value of *name* as it came."""
        return self._values.get(name.lower(), [])


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
