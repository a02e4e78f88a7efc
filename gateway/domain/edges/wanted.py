"""What an edge was asked for and does not have. An edge cannot call its hub: it writes down what it lacks, and the hub listens."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from gateway.storage.database import Database, Reader, Session
from gateway.storage.notifications import Channel
from gateway.storage.queries import EDGE, query

WANT = query("wanted.want", EDGE)
LIST_WANTED = query("wanted.list_wanted", EDGE)
ANSWER = query("wanted.answer", EDGE)

MAX_WANTED: Final = 100_000
"""What an edge wants at once; what else it lacks, it does not note."""


@dataclass(frozen=True, slots=True)
class Want:
    """A projection that an edge lacks. `identity` is the edge's key of it, `value` is normalized."""

    sandbox_id: int
    configuration_id: UUID
    namespace_id: int
    value: str = field(repr=False)
    identity: UUID
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Lacking:
    """An identity without a projection at an edge; `identity` is the edge's key of it, `value` is normalized."""

    identity: UUID
    namespace_id: int
    value: str = field(repr=False)


async def want(db: Database, sandbox_id: int, configuration_id: UUID, lacking: Sequence[Lacking]) -> None:
    """Note what is lacking of a configuration, and wake the hub if it listens."""
    rows = [(each.identity, each.namespace_id, each.value) for each in lacking]
    async with db.transaction(sandbox_id) as tx:
        await tx.update_rows(WANT, sandbox_id, configuration_id, MAX_WANTED, rows=rows)
        tx.notify(Channel.EDGE_WANTED)


async def list_wanted(db: Reader, limit: int) -> list[Want]:
    """List what an edge wants, oldest first."""
    return [Want(**row) for row in await db.rows(LIST_WANTED, limit)]


async def answer(tx: Session, sandbox_id: int, wants: Sequence[Want]) -> None:
    """Take out what this transaction has delivered, and wake the requests at the edge that wait for it."""
    await tx.execute(ANSWER, sandbox_id, [each.configuration_id for each in wants], [each.identity for each in wants])
    tx.notify(Channel.EDGE_ANSWERED)
