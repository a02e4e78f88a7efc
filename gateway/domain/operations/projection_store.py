"""The store of an edge, as the holder of its data centre's lease writes to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from gateway.domain.edges.centers import begin_delivery
from gateway.domain.operations.projection_centers import Lease
from gateway.storage.database import Database, Session
from gateway.storage.migrations import check_schema
from gateway.storage.queries import EDGE

CONNECTIONS: Final = 3
"""To one edge, beside the one that listens."""

EDGE_SECONDS: Final = 10.0
"""How long one statement at an edge may take, and to connect to it."""


@asynccontextmanager
async def open_edge(address: str) -> AsyncIterator[Database]:
    """Connect to the store of an edge during the block. Raises SchemaError for one of another version; DatabaseRefused, Unavailable, Timeout."""
    edge = await Database.connect(address, size=CONNECTIONS, statement_seconds=EDGE_SECONDS)
    try:
        await check_schema(edge, EDGE)
        yield edge
    finally:
        await edge.close()


@dataclass(frozen=True, slots=True)
class EdgeStore:
    """The store of the edge in a data centre. `hub` names this deployment."""

    db: Database
    hub: str
    lease: Lease

    @property
    def data_center(self) -> str:
        return self.lease.data_center

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[Session]:
        """Open a transaction that delivers. Raises Conflict once another holds the lease, or for another deployment; SchemaError."""
        async with self.db.transaction() as tx:
            await begin_delivery(tx, hub=self.hub, data_center=self.data_center, fence=self.lease.number)
            yield tx
