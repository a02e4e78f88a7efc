"""Transactions on a connection of the driver."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.storage.faults import leaves_sound


@asynccontextmanager
async def transaction_on(connection: Any, **options: Any) -> AsyncIterator[None]:
    """Begin a transaction with these options, then commit it, or roll it back when the block raises.

    After a statement that was cut off, nothing more is sent: the connection ends, and the transaction with it. A rollback would first
    wait for that statement's end, perhaps for ever.
    """
    transaction = connection.transaction(**options)
    await transaction.start()
    try:
        yield
    except BaseException as error:
        if not is_cut_off(error):
            await transaction.rollback()
        raise
    await transaction.commit()


def is_cut_off(error: BaseException) -> bool:
    """Return whether a statement may still be running, or its connection be lost."""
    return isinstance(error, asyncio.CancelledError) or (isinstance(error, Exception) and not leaves_sound(error))
