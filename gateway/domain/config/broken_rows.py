"""Rows of configuration that cannot be used, because somebody edited them or another version of the gateway wrote them.

Such a row is reported with its table, its key and its fault: in the error of a request that needs it, in the log, and by `gateway verify`.
Everything else works as if the row were absent.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from gateway.errors import Conflict, GatewayError

MAX_FAULT_CHARACTERS = 300
"""Longer descriptions of a fault are cut, because they may quote the row."""

T = TypeVar("T")
K = TypeVar("K", UUID, int)


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that cannot be used: table, key, name for people, and why. `is_kept`: it is a merge policy with materialized profiles."""

    table: str
    key: Any
    name: str
    fault: str
    is_kept: bool = False

    @classmethod
    def of(cls, table: str, key: UUID | int, name: str, error: Exception, *, is_kept: bool = False) -> "BrokenRow":
        """Describe the row whose parsing or check raised this error."""
        fault = error.message if isinstance(error, GatewayError) else f"{type(error).__name__}: {error}"
        return cls(table, key, name, fault[:MAX_FAULT_CHARACTERS], is_kept=is_kept)

    @property
    def message(self) -> str:
        """The row and its fault, as a sentence for people."""
        return f"Row {self.key} of {self.table}, {self.name!r}, cannot be used: {self.fault}"


Broken = MutableMapping[K, BrokenRow]
"""The broken rows of one table by key."""


def parse_rows(
    rows: Iterable[Any], parse: Callable[[Any], T], broken: Broken[Any] | None, *, table: str, key: str, name: str
) -> list[T]:
    """Parse rows of a table and return their values in order. Rows that cannot be parsed are left out, and described in `broken` if given.

    `key` and `name` are the columns that identify a row, to programs and to people.
    """
    values = []
    for row in rows:
        try:
            values.append(parse(row))
        except Exception as error:  # noqa: BLE001 (one bad row, whatever is wrong with it, must not hide the others)
            if broken is not None:
                is_kept = any(row.get(flag, False) for flag in ("is_default", "is_active_on_edge"))
                broken[row[key]] = BrokenRow.of(table, row[key], row[name], error, is_kept=is_kept)
    return values


def refuse_change(broken: Mapping[Any, BrokenRow], key: UUID | int) -> None:
    """Check that the row with this key can be changed. Raises Conflict if it is broken: a mutation cannot start from it."""
    if key in broken:
        raise Conflict(broken[key].message, path=["id"])
