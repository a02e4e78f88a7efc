"""A check of views: what `gateway verify` asks each of them to compare, and what they find."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from gateway.domain.config.configuration import Configuration
from gateway.domain.rules.scope import Scope
from gateway.domain.rules.versions import RecordStates
from gateway.domain.views.graph_component import Component
from gateway.domain.views.graph_rebuild import Grouping
from gateway.storage.database import Session
from gateway.storage.queries import Query

KEYS_PER_READ: Final = 10_000


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of a view that differs from what the facts make. `key` is its key without the sandbox, and no personal data."""

    table: str
    key: str
    message: str


@dataclass(slots=True)
class Piece:
    """Identities with their component, whose rows every view compares. Views hand on what they rebuilt from facts.

    `xids`: the identities that are compared for the first time. `grouping`: people, as the graph rules make them of the component. `states`: the
    records under `xids` as their versions say, set by the view of fragments.
    """

    xids: Sequence[UUID]
    component: Component
    grouping: Grouping
    states: RecordStates = field(default_factory=dict)


@dataclass(slots=True)
class Check:
    """One run over a sandbox, in a transaction in which all reads see one moment. Nothing is written.

    `made`: the keys of rows that the facts make, by table, as far as they were rebuilt. `compared`: how many rows were compared, by the
    name of their view.
    """

    tx: Session
    scope: Scope
    config: Configuration
    made: dict[str, set[Any]] = field(default_factory=dict)
    compared: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)

    def make(self, table: str, keys: Iterable[Any]) -> None:
        """Note keys of rows that the facts make."""
        self.made.setdefault(table, set()).update(keys)

    def differs(self, table: str, key: Any, message: str) -> None:
        """Note a row that differs."""
        self.differences.append(Difference(table, str(key), message))

    async def strays(self, table: str, keys: Query, *after: UUID, fixed: tuple[UUID, ...] = ()) -> list[Any]:
        """List the stored keys of a table that no fact makes. `keys`: a statement that lists them in order, after the last one."""
        made, found = self.made.get(table, set()), list[Any]()
        while rows := await self.tx.rows(keys, self.scope.sandbox_id, *fixed, *after, KEYS_PER_READ):
            after = tuple(rows[-1])
            found += [key for row in rows if (key := (*fixed, *row)) not in made]
        return found
