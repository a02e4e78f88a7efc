"""Pieces of a job that hold the exclusive lock of a sandbox's facts one after another, with turns between for writers that wait for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

from gateway.domain.config.configuration import Configurations
from gateway.domain.rules.scope import Scope
from gateway.domain.views.fact_change import FactChange
from gateway.domain.views.transactions import exclusive_transaction
from gateway.domain.work.locks import IS_AWAITED
from gateway.storage.database import Database

TURN = 2.0
"""How long those who wait have between two pieces, in times of the first one: a job beside callers takes a third of the time at most."""


class ExclusivePieces:
    """Opens the transactions of one job in a sandbox. `seconds` is how long the last one held the lock."""

    def __init__(self, db: Database, scope: Scope, configurations: Configurations) -> None:
        self._db, self._scope, self._configurations = db, scope, configurations
        self._not_before = 0.0
        self.seconds = 0.0

    @asynccontextmanager
    async def next(self) -> AsyncIterator[FactChange]:
        """Open the next transaction. Where others waited for the one before, they had TURN times as long as it took. Raises NotFound."""
        await asyncio.sleep(self._not_before - perf_counter())
        async with exclusive_transaction(self._db, self._scope, self._configurations) as change:
            begin = perf_counter()
            yield change
            is_awaited = await change.tx.value(IS_AWAITED, self._scope.sandbox_id)
        end = perf_counter()
        self.seconds = end - begin
        self._not_before = end + TURN * self.seconds if is_awaited else end
