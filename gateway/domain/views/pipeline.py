"""The pipeline of views: every transaction that changes facts goes through them once, in one order, and ends in its effects."""

from collections.abc import Collection, Sequence
from typing import Final, Protocol
from uuid import UUID

from gateway.domain.rules.scope import Scope
from gateway.domain.views.check import Check, Piece
from gateway.domain.views.computed_partials import COMPUTED_PARTIALS
from gateway.domain.views.effects import Effects
from gateway.domain.views.fact_change import FactChange
from gateway.domain.views.fragments import FRAGMENTS
from gateway.domain.views.graphs import GRAPHS
from gateway.domain.views.journal import JOURNAL
from gateway.domain.views.kept_values import KEPT_VALUES
from gateway.domain.views.profiles import PROFILES
from gateway.storage.database import Session
from gateway.storage.queries import query

PREPARE_NODES = query("pipeline.prepare_nodes")


class View(Protocol):
    """A view: tables that are derived from facts. `tables`: those that it alone writes."""

    @property
    def name(self) -> str:
        """What the view holds, in the plural."""

    @property
    def tables(self) -> Sequence[str]:
        """The tables that it writes."""

    async def refresh(self, change: FactChange) -> None:
        """Bring the view to what the facts say after a change of them, and add to the change what later views need."""

    async def verify(self, check: Check, piece: Piece) -> None:
        """Rebuild the rows of some identities from facts, compare them with those stored, and add to the piece what later views need."""

    async def verify_rest(self, check: Check) -> None:
        """Report the rows that were compared for no identity. To be called once all identities were compared."""


VIEWS: Final[Sequence[View]] = (FRAGMENTS, GRAPHS, PROFILES, COMPUTED_PARTIALS, KEPT_VALUES, JOURNAL)
"""Every view, each after those that it reads: whether a person exists depends on fragments, a profile on both, and the journal tells the effects of all."""


async def refresh(change: FactChange) -> Effects:
    """Take a change of facts through every view, in the transaction that made it, and return what it did to people.

    To be called once in a transaction, after its last fact was written.
    """
    for view in VIEWS:
        await view.refresh(change)
    await prepare_nodes(change.tx, change.scope, _keys(change))
    return change.effects


async def prepare_nodes(tx: Session, scope: Scope, keys: Collection[UUID]) -> None:
    """Have a cluster commit what was written of these identities and people on all of its nodes or on none. To be called last."""
    if tx.is_distributed and keys:  # without a key, all nodes would be asked
        await tx.execute(PREPARE_NODES, scope.sandbox_id, sorted(keys))


def _keys(change: FactChange) -> set[UUID]:
    """Return every identity and person whose rows the change may have written; each says on which node of a cluster they lie."""
    people = [(person.profile_id, *person.xids, *person.former) for person in change.people]
    written = set().union(*people, change.newcomers, change.known, change.event_xids, change.seeds)
    return written.union(xid for xid, _ in change.before)
