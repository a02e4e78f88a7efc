"""Reading ahead: what comes next is fetched while somebody works on what is there."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def read_ahead(items: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """Yield the items, never None, and fetch the next one while one is worked on. Close it where not all are taken, as by `aclosing`."""

    async def fetched() -> T | None:
        return await anext(items, None)

    async with aclosing(items):
        following = asyncio.create_task(fetched())
        try:
            while (item := await following) is not None:
                following = asyncio.create_task(fetched())
                yield item
        finally:
            await asyncio.wait([following])  # a statement that was cut off would end its connection
