"""How fields of one level are read together: keys are collected until nothing else can run, then read in one call.

A `Loader` does so for one request; what is `Shared` is read together for all requests that ask at the same moment, and `Kept` keeps what one
of them was answered.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, Final, Generic, NamedTuple, TypeVar, cast

from aiodataloader import DataLoader

from gateway.api.finished import READS_PER_PIECE, Budget
from gateway.errors import Unavailable
from gateway.runtime.batching import Coalescer

G = TypeVar("G", bound=Hashable)
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
V = TypeVar("V")

FEW: Final = 4
"""Keys of a field that share a statement with those of others; more of them fill one of their own."""

PIECES_AT_ONCE: Final = 4
"""Pieces that one statement reads for several requests. What each of these has in hand is one of them at most, however it is read."""


class Loader(DataLoader[K, V], Generic[K, V]):
    """Collects keys until nothing else can run, then reads them all: `read` answers in the order of the keys.

    Each is asked for once.
    """

    def __init__(self, read: Callable[[Sequence[K]], Awaitable[Sequence[V | Exception]]]) -> None:
        self._read = read
        self._reads = set[asyncio.Task[Any]]()
        super().__init__()

    async def batch_load_fn(self, keys: list[K]) -> list[V]:
        """Read the keys that were collected; `DataLoader` calls it. Raises Unavailable once the request is given up."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._reads.add(task)
        try:
            return list(await self._read(keys))  # type: ignore[arg-type]  # an exception among them is raised where its key was asked for
        except asyncio.CancelledError as error:
            raise Unavailable("The request has ended.") from error  # else who asked for a key would wait for ever
        finally:
            self._reads.discard(task)

    def give_up(self) -> None:
        """Cancel the reads that run."""
        for task in self._reads:
            task.cancel()


class Shared(Generic[G, K, V]):
    """A way to `read`, for requests that ask at the same moment. `small` is for a small part of what one statement may read for one request,
    which is a `piece`; `large` for up to a piece, and nobody with little waits for that. `alike`: how arguments that differ share a read."""

    def __init__(
        self,
        read: Callable[[G, Sequence[K]], Awaitable[Sequence[V]]],
        piece: Callable[[G], int],
        alike: "Alike[G, K, V] | None" = None,
    ) -> None:
        self.read = read
        self.piece = piece
        together = grouped(by_levels(read), alike and Alike(alike.kind, alike_by_levels(alike.read)))
        self.small: Coalescer[tuple[G, tuple[K, ...]], list[V]] = Coalescer(together)
        self.large: Coalescer[tuple[G, tuple[K, ...]], list[V]] = Coalescer(
            together, weight=lambda asked: len(asked[1]) / piece(asked[0]), most=PIECES_AT_ONCE
        )


class Alike(NamedTuple, Generic[G, K, V]):
    """How several arguments share a read. `kind` is equal for those that can. `read` answers for the keys of each; with None where it cannot."""

    kind: Callable[[G], Hashable]
    read: Callable[[Sequence[tuple[G, Sequence[K]]]], Awaitable[Sequence[Sequence[V]] | None]]


class Kept(Generic[G, K, V]):
    """What a request has asked of a shared loader, so that it asks but once. All but small parts of a piece is weighed; and what is more than
    a few keys has statements of its own, each of at most a piece."""

    def __init__(
        self,
        shared: Shared[G, K, V],
        budget: Budget,
        weight: Callable[[V], int],
        token: Callable[[K], Hashable] = lambda key: key,
    ) -> None:
        """`token` stands for a key: something that is equal for equal keys, and quicker to hash."""
        self._shared = shared
        self._budget = budget
        self._weight = weight
        self._token = token
        self._asked: dict[tuple[G, tuple[Hashable, ...]], asyncio.Future[list[V]]] = {}

    def load(self, key: tuple[G, tuple[K, ...]]) -> "asyncio.Future[list[V]]":
        """Return the values of the keys, once they are read."""
        asked = key[0], tuple(map(self._token, key[1]))
        found = self._asked.get(asked)
        if found is None:
            is_small = len(key[1]) <= FEW and self._shared.piece(key[0]) >= FEW * READS_PER_PIECE
            found = self._shared.small.load(key) if is_small else asyncio.ensure_future(self._weighed(*key, asked[1]))
            self._asked[asked] = found
        return found

    def give_up(self) -> None:
        """Wait no longer for what was asked, and cancel the reads for which nobody else waits."""
        for future in self._asked.values():
            future.cancel()
        self._shared.small.drop_unwanted()
        self._shared.large.drop_unwanted()

    async def _weighed(self, arguments: G, keys: tuple[K, ...], tokens: tuple[Hashable, ...]) -> list[V]:
        if len({*tokens}) < len(tokens):
            by_token = dict(zip(tokens, keys, strict=True))
            values = await self._weighed(arguments, tuple(by_token.values()), tuple(by_token))
            found = dict(zip(by_token, values, strict=True))
            return [found[token] for token in tokens]
        read = partial(self._shared.read if len(keys) > FEW else self._together, arguments)
        return await self._budget.read(keys, read, self._weight, self._shared.piece(arguments))

    def _together(self, arguments: G, keys: Sequence[K]) -> "asyncio.Future[list[V]]":
        return self._shared.large.load((arguments, tuple(keys)))


def grouped(
    read: Callable[[G, Sequence[K]], Awaitable[Sequence[V]]],
    alike: Alike[G, K, V] | None = None,
) -> Callable[[Sequence[tuple[G, K]]], Awaitable[Sequence[V | Exception]]]:
    """Return a function that reads pairs of arguments and key, for fields with arguments: one call of `read` for each arguments.

    Calls go side by side, and one that fails fails for its own keys alone. Arguments that are `alike` share a call.
    """

    async def read_group(arguments: G, keys: Sequence[K]) -> Sequence[V | Exception]:
        try:
            return await read(arguments, keys)
        except Exception as error:  # noqa: BLE001 (the loader raises it where the keys were asked for)
            return [error] * len(keys)

    async def read_kind(groups: Sequence[tuple[G, Sequence[K]]]) -> Sequence[Sequence[V | Exception]]:
        if alike and len(groups) > 1:
            with suppress(Exception):  # which of them fails is told by a call for each
                if (answers := await alike.read(groups)) is not None:
                    return answers
        return await together([read_group(*group) for group in groups])

    async def read_groups(pairs: Sequence[tuple[G, K]]) -> Sequence[V | Exception]:
        groups: dict[G, list[K]] = {}
        for arguments, key in pairs:
            groups.setdefault(arguments, []).append(key)
        if len(groups) == 1:
            return await read_group(*groups.popitem())
        kinds: dict[Hashable, list[tuple[G, list[K]]]] = {}
        for group in groups.items():
            kinds.setdefault(alike.kind(group[0]) if alike else group[0], []).append(group)
        answers = await together([read_kind(kind) for kind in kinds.values()])
        rest = {
            arguments: iter(answer)
            for kind, found in zip(kinds.values(), answers, strict=True)
            for (arguments, _), answer in zip(kind, found, strict=True)
        }
        return [next(rest[arguments]) for arguments, _ in pairs]

    return read_groups


def by_levels(
    read: Callable[[G, Sequence[K]], Awaitable[Sequence[V]]],
) -> Callable[[G, Sequence[tuple[K, ...]]], Awaitable[list[list[V]]]]:
    """Return a function that reads tuples of keys in one call of `read`, and gives the values of each tuple."""

    async def read_levels(arguments: G, levels: Sequence[tuple[K, ...]]) -> list[list[V]]:
        return _by_level(levels, await read(arguments, [key for level in levels for key in level]))

    return read_levels


def alike_by_levels(
    read: Callable[[Sequence[tuple[G, Sequence[K]]]], Awaitable[Sequence[Sequence[V]] | None]],
) -> Callable[[Sequence[tuple[G, Sequence[tuple[K, ...]]]]], Awaitable[Sequence[Sequence[list[V]]] | None]]:
    """Return a function that does for `Alike.read` what `by_levels` does for other reads."""

    async def read_levels(groups: Sequence[tuple[G, Sequence[tuple[K, ...]]]]) -> Sequence[Sequence[list[V]]] | None:
        found = await read([(arguments, [key for level in levels for key in level]) for arguments, levels in groups])
        if found is None:
            return None
        return [_by_level(levels, values) for (_, levels), values in zip(groups, found, strict=True)]

    return read_levels


def _by_level(levels: Sequence[tuple[K, ...]], values: Iterable[V]) -> list[list[V]]:
    rest = iter(values)
    return [list(islice(rest, len(level))) for level in levels]


async def together(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return what the calls give. They run side by side, so that what they ask of loaders goes to the store in one statement.

    Where one raises, the others are given up.
    """
    if len(calls) == 1:  # needs no task
        return [await calls[0]]
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        raise
