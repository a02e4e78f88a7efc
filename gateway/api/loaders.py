"""One lazily made loader for each `result_by_key`: what the fields of one level ask for goes to the domain in one call.

A `Loaders` lives as long as what it has read may be taken for current: one query, or one field of a mutation.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from aiodataloader import DataLoader

from gateway.domain.configuration import Configuration
from gateway.domain.tenants import Scope
from gateway.storage.database import Database

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Loader(DataLoader[K, V], Generic[K, V]):
    """Collects keys until nothing else can run, then reads them all: `read` answers in the order of the keys, each asked for once."""

    def __init__(self, read: Callable[[Sequence[K]], Awaitable[Sequence[V]]]) -> None:
        self._read = read
        super().__init__()

    async def batch_load_fn(self, keys: list[K]) -> list[V]:
        return list(await self._read(keys))


class Loaders:
    """The loaders of one request."""

    def __init__(self, db: Database, scope: Scope, config: Configuration) -> None:
        self._db = db
        self._scope = scope
        self._config = config
