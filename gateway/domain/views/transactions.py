"""Transactions that change facts outside of ingestion, with the lock of the sandbox's facts and the configuration as it is now."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.domain.config.configuration import READ_VERSION, Configuration, Configurations
from gateway.domain.facts.appending import read_stamp
from gateway.domain.rules.scope import Scope
from gateway.domain.views.fact_change import FactChange
from gateway.domain.views.graph_union import LockedPeople
from gateway.domain.work.locks import lock_exclusive, lock_rows
from gateway.errors import NotFound
from gateway.storage.database import Database, Session


@asynccontextmanager
async def exclusive_transaction(
    db: Database, scope: Scope, configurations: Configurations
) -> AsyncIterator[FactChange]:
    """Open a transaction with the exclusive lock of the sandbox's facts, and yield its change, which says nothing yet. Raises NotFound."""
    config = await configurations.read(db, scope)
    while True:
        async with lock_exclusive(db, scope.sandbox_id) as tx:
            stamp = await read_stamp(tx, scope)
            if stamp["config_version"] == config.version:
                yield FactChange(tx, scope, config, stamp["ordinal"], stamp["at"])
                return
        config = await configurations.read(db, scope, stamp["config_version"])


@asynccontextmanager
async def shared_transaction(
    db: Database, scope: Scope, configurations: Configurations
) -> AsyncIterator[tuple[Session, Configuration]]:
    """Open a transaction with the shared lock, on a cluster the exclusive one, and yield it with the configuration as it is now. Raises NotFound.

    `change_of` makes its change once the people that it concerns are locked.
    """
    config = await configurations.read(db, scope)
    while True:
        async with lock_rows(db, scope.sandbox_id) as tx:
            version = await tx.value(READ_VERSION, scope.sandbox_id)
            if version is None:
                raise NotFound("The sandbox is gone.")
            if version == config.version:
                yield tx, config
                return
        config = await configurations.read(db, scope, version)


async def change_of(tx: Session, scope: Scope, config: Configuration, locked: LockedPeople) -> FactChange:
    """Return the change of a transaction that has locked these people. It says nothing yet. Raises NotFound."""
    stamp = await read_stamp(tx, scope)
    return FactChange(tx, scope, config, stamp["ordinal"], stamp["at"], locked=locked)
