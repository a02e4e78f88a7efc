"""Rows of configuration that cannot be used, however they came to be so: a hand that edited them, an older or a newer version.

Such a row is named, with its table, its key and its fault: in the error of whoever needs it, in the log, and by `gateway verify`. Whatever
does not need it goes on as if it were not there.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from gateway.errors import Conflict, GatewayError

MAX_FAULT = 300
"""Characters of a fault that are told: it may quote what is in the row."""

T = TypeVar("T")
K = TypeVar("K", UUID, int)


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that cannot be used: its table, its key there, what people call it, and why. `is_kept`: a policy whose profiles are kept merged."""

    table: str
    key: Any
    name: str
    fault: str
    is_kept: bool = False

    @classmethod
    def of(cls, table: str, key: UUID | int, name: str, error: Exception, *, is_kept: bool = False) -> "BrokenRow":
        """The row that an error came from."""
        said = error.message if isinstance(error, GatewayError) else f"{type(error).__name__}: {error}"
        return cls(table, key, name, said[:MAX_FAULT], is_kept=is_kept)

    @property
    def message(self) -> str:
        """The row and its fault, as a sentence for people."""
        return f"Row {self.key} of {self.table}, {self.name!r}, cannot be used: {self.fault}"


Broken = MutableMapping[K, BrokenRow]
"""Broken rows of one table by their keys."""


def parsed(
    rows: Iterable[Any], parse: Callable[[Any], T], broken: Broken[Any] | None, *, table: str, key: str, name: str
) -> list[T]:
    """What the rows hold, in their order, without those that cannot be parsed: they go into `broken`, if that is given.

    `key` and `name` are the columns that tell one row from another, to programs and to people.
    """
    values = []
    for row in rows:
        try:
            values.append(parse(row))
        except Exception as error:  # noqa: BLE001 (whatever is wrong with one row, the others are read)
            if broken is not None:
                is_kept = any(row.get(flag, False) for flag in ("is_default", "is_active_on_edge"))
                broken[row[key]] = BrokenRow.of(table, row[key], row[name], error, is_kept=is_kept)
    return values


def refuse_change(broken: Mapping[Any, BrokenRow], key: UUID | int) -> None:
    """Raise Conflict if the row of this key is broken: a mutation cannot start from it."""
    if key in broken:
        raise Conflict(broken[key].message, path=["id"])
