"""The projector: delivers projections to the edges of `GATEWAY_EDGES`, in a process that does jobs, each edge by itself.

Of all processes one delivers to an edge at a time: the one that holds the lease of its data centre. An edge that does not answer, or has
another version, is tried again with growing pauses, and goes on from what it has; the others do not notice.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final
from uuid import uuid4

from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import read_own_scope
from gateway.domain.edges import sandboxes
from gateway.domain.edges.wanted import Want, list_wanted
from gateway.domain.operations.projection_centers import (
    LEASE_SECONDS,
    Lease,
    extend_lease,
    list_destinations,
    read_hub,
    release_lease,
    take_lease,
)
from gateway.domain.operations.projection_delivery import SandboxDelivery
from gateway.domain.operations.projection_store import EdgeStore, open_edge
from gateway.domain.rules.scope import Scope
from gateway.errors import BadInput, GatewayError, Misconfigured
from gateway.server.delivered_issuers import DeliveredIssuers
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.listener import Waiter
from gateway.storage.notifications import Channel
from gateway.telemetry import EdgeChanged, FaultMasked, observe

BEAT_SECONDS: Final = LEASE_SECONDS / 4
POLL_SECONDS: Final = 1.0
"""Between two looks at the journal, and at who asks for a lease, of which nobody told."""

MAX_PAUSE_SECONDS: Final = 10.0
"""The longest pause before an edge that did not answer is tried again."""

WANTED_AT_ONCE: Final = 200
"""What an edge lacks, that is fetched together."""

LISTED_SECONDS: Final = 10.0
"""How often an edge is asked for sandboxes that are no more."""


@asynccontextmanager
async def projecting(db: Database, configurations: Configurations, settings: Settings) -> AsyncIterator[None]:
    """Deliver to the edges of the settings as long as the block lasts."""
    edges, issuers = settings.edges.items(), DeliveredIssuers(settings.jwt_issuers, settings.jwt_leeway_seconds)
    projectors = [
        Projector(db, configurations, code, address.get_secret_value(), issuers=issuers) for code, address in edges
    ]
    tasks = [asyncio.create_task(projector.work()) for projector in projectors]
    if projectors:
        tasks.append(asyncio.create_task(issuers.watch()))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(slots=True)
class _Holding:
    """The lease that is held, and what is noted with it: whether the edge has answered since, or why nothing is delivered."""

    lease: Lease
    is_reached: bool = False
    error: str | None = None


class Projector:
    """Delivers to the edge in one data centre."""

    def __init__(
        self, db: Database, configurations: Configurations, data_center: str, address: str, *, issuers: DeliveredIssuers
    ) -> None:
        self._db, self._configurations, self._data_center, self._address = db, configurations, data_center, address
        self._issuers = issuers
        self._deliveries: dict[int, SandboxDelivery] = {}
        self._listed_at = float("-inf")
        self._fault: str | None = None

    async def work(self) -> None:
        """Deliver whenever the lease is to be had, until cancelled."""
        lease_id = uuid4()
        while True:
            try:
                lease = await take_lease(self._db, self._data_center, lease_id)
                if lease is not None:
                    try:
                        await self._hold(_Holding(lease))
                    finally:
                        await release_lease(self._db, lease)
            except Exception as error:  # noqa: BLE001 # most likely the database cannot be reached now: the lease runs out
                self._observe(error, _said(error))
            await asyncio.sleep(POLL_SECONDS)

    async def _hold(self, holding: _Holding) -> None:
        """Deliver until the lease is lost."""
        delivering = asyncio.create_task(self._deliver(holding))
        try:
            while await extend_lease(self._db, holding.lease, is_reached=holding.is_reached, error=holding.error):
                holding.is_reached = False
                await asyncio.wait({delivering}, timeout=BEAT_SECONDS)
        finally:
            delivering.cancel()
            with suppress(asyncio.CancelledError):
                await delivering

    async def _deliver(self, holding: _Holding) -> None:
        """Deliver, again and again, with growing pauses where that is held up."""
        pause = POLL_SECONDS
        while True:
            began = monotonic()
            try:
                await self._connected(holding)
            except Exception as error:  # noqa: BLE001 # an edge that is away or of another version, or the hub's database: both come back
                holding.error = _said(error)
                self._observe(error, holding.error)
            if monotonic() - began > MAX_PAUSE_SECONDS:
                pause = POLL_SECONDS
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    def _observe(self, error: Exception | None, reason: str | None) -> None:
        """Observe once that deliveries are held up, or go on."""
        if reason != self._fault:
            self._fault = reason
            if error is not None and not isinstance(error, GatewayError):
                observe(FaultMasked(error))
            observe(EdgeChanged(self._data_center, "recovered" if reason is None else "held up", reason))

    async def _connected(self, holding: _Holding) -> None:
        """Connect to the edge, and deliver until something fails."""
        async with open_edge(self._address) as edge:
            store = EdgeStore(edge, await read_hub(self._db), holding.lease)
            self._deliveries, self._listed_at = {}, float("-inf")
            with self._db.waiter(Channel.CHANGES) as changed, edge.waiter(Channel.EDGE_WANTED) as wanted:
                relaying = asyncio.create_task(_relay(wanted, changed))
                try:
                    while True:
                        more = await self._round(store)
                        holding.is_reached, holding.error = True, None
                        self._observe(None, None)
                        if not more:
                            await changed.wait(POLL_SECONDS)
                finally:
                    relaying.cancel()

    async def _round(self, store: EdgeStore) -> bool:
        """Give each sandbox a turn. Return whether there is more to do at once."""
        more = False
        for sandbox_id in await list_destinations(self._db, self._data_center):
            if (delivery := await self._delivery(store, sandbox_id)) is not None:
                with suppress(BadInput, Misconfigured):  # of this sandbox alone, whose status says so
                    more |= await delivery[0].turn(delivery[1])
        await self._answer(store)
        return await self._forget(store) or more

    async def _delivery(self, store: EdgeStore, sandbox_id: int) -> tuple[SandboxDelivery, Scope] | None:
        """Return the delivery of a sandbox, and its scope; None once the sandbox is gone."""
        scope = await read_own_scope(self._db, sandbox_id)
        if scope is None:
            self._deliveries.pop(sandbox_id, None)
            return None
        if sandbox_id not in self._deliveries:
            of = self._db, self._configurations, store, scope
            self._deliveries[sandbox_id] = SandboxDelivery(*of, issuers=self._issuers.now)
        return self._deliveries[sandbox_id], scope

    async def _answer(self, store: EdgeStore) -> None:
        """Fetch what the edge was asked for and lacks."""
        asked = defaultdict[int, list[Want]](list)
        for want in await list_wanted(store.db, WANTED_AT_ONCE):
            asked[want.sandbox_id].append(want)
        for sandbox_id, wants in asked.items():
            if (delivery := await self._delivery(store, sandbox_id)) is not None:
                await delivery[0].answer(delivery[1], wants)

    async def _forget(self, store: EdgeStore) -> bool:
        """Take a piece of a sandbox that is no more from the edge. Return whether more is left of it."""
        if monotonic() - self._listed_at < LISTED_SECONDS:
            return False
        for received in await sandboxes.list_sandboxes(store.db):
            if await read_own_scope(self._db, received.sandbox_id) is None:
                async with store.delivering() as tx:
                    if await sandboxes.drop_sandbox(tx, received.sandbox_id):
                        return True
        self._listed_at = monotonic()
        return False


def _said(error: Exception) -> str:
    return error.message if isinstance(error, GatewayError) else f"Something broke inside ({type(error).__name__})."


async def _relay(waiter: Waiter, woken: Waiter) -> None:
    """Wake one waiter whenever the other is."""
    while True:
        await waiter.wait(POLL_SECONDS)
        woken.wake()
