"""JSON text that Postgres has written, and the budget of bytes that one request may read."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeVar

from gateway.errors import AnswerTooLarge
from gateway.runtime.garbage_collection import GARBAGE

K = TypeVar("K")
V = TypeVar("V")

PEOPLE_PER_PIECE: Final = 250
"""The most people whose documents one statement reads where a request asks for many."""

READS_PER_PIECE: Final = 4
"""How many concurrent reads of one request fit into a piece: smaller ones need not wait for each other."""

READ_BYTES_PER_ANSWER_BYTE: Final = 2
"""A request may read this many times the bytes of its answer, since an answer may show parts of documents."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The JSON text of an object, or the texts of the items of a list, in place of the object or the list: it goes into the answer as it is."""

    text: str | Sequence[str]

    @property
    def size(self) -> int:
        """The bytes that it has in an answer, about."""
        return len(self.text) if isinstance(self.text, str) else sum(map(len, self.text)) + len(self.text)

    def written(self) -> str:
        """Return one text. That of a list is put together by each call, so weigh it first."""
        return self.text if isinstance(self.text, str) else f"[{','.join(self.text)}]"


def too_large(most: int, *, is_done: bool = False) -> AnswerTooLarge:
    """Return the error of an answer of more than `most` bytes. `is_done`: a mutation has already changed something."""
    advice = "Ask for smaller pages, for fewer people or objects, or for a part of each document."
    done = " What was to be changed is changed." if is_done else ""
    return AnswerTooLarge(f"The answer would have more than {most:,} bytes. {advice}{done}")


class Budget:
    """Bytes of documents that one request may still read. Its large reads take turns, so it holds at most its budget and one piece more."""

    def __init__(self, answer_bytes: int) -> None:
        self._most = answer_bytes
        self._left = answer_bytes * READ_BYTES_PER_ANSWER_BYTE

    @cached_property
    def _turn(self) -> asyncio.Lock:
        """The lock of large reads. Few requests need it."""
        return asyncio.Lock()

    def spend(self, size: int) -> None:
        """Take the bytes that were read from the budget. Raises AnswerTooLarge when it is used up."""
        GARBAGE.pass_through(size)
        self._left -= size
        if self._left < 0:
            raise too_large(self._most)

    async def read(
        self,
        keys: Sequence[K],
        read: Callable[[Sequence[K]], Awaitable[Sequence[V]]],
        weight: Callable[[V], int],
        piece: int = PEOPLE_PER_PIECE,
    ) -> list[V]:
        """Return what `read` returns for keys, at most `piece` at once; spend each value's `weight` in bytes. Raises AnswerTooLarge."""
        if len(keys) * READS_PER_PIECE <= piece:
            return await self._weighed(keys, read, weight)
        values = []
        async with self._turn:
            for start in range(0, len(keys), piece):
                values += await self._weighed(keys[start : start + piece], read, weight)
        return values

    async def _weighed(
        self, keys: Sequence[K], read: Callable[[Sequence[K]], Awaitable[Sequence[V]]], weight: Callable[[V], int]
    ) -> list[V]:
        values = list(await read(keys))
        self.spend(sum(map(weight, values)))
        return values
