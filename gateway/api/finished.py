"""JSON that the store has finished, and how much of it one request may have."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeVar

from gateway.errors import AnswerTooLarge
from gateway.runtime.garbage_collection import GARBAGE

K = TypeVar("K")
V = TypeVar("V")

PIECE: Final = 250
"""People whose documents are read in one statement where many are asked for."""

FEW_PIECES: Final = 4
"""How many of what is read side by side go into a piece."""

READ_FOR_ONE_TOLD: Final = 2
"""How many times as much may be read as may be told: of some documents only a part is."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Stands where a resolver would give an object or a list: its JSON text, which goes into the answer as it is."""

    text: str


def too_large(most: int, *, is_done: bool = False) -> AnswerTooLarge:
    """What is wrong with an answer of more than so many bytes. `is_done`: a mutation has changed what it was to change."""
    advice = "Ask for smaller pages, for fewer people or objects, or for a part of each document."
    done = " What was to be changed is changed." if is_done else ""
    return AnswerTooLarge(f"The answer would have more than {most:,} bytes. {advice}{done}")


class Budget:
    """How many bytes of documents one request may still read.

    What is a good part of a piece is read while nothing else of that kind is, so that a request holds at most what it may and one piece more.
    """

    def __init__(self, answer_bytes: int) -> None:
        self._most = answer_bytes
        self._left = answer_bytes * READ_FOR_ONE_TOLD

    @cached_property
    def _turn(self) -> asyncio.Lock:
        """Whose turn it is, of what is a good part of a piece. Few requests ask for as much."""
        return asyncio.Lock()

    def spend(self, size: int) -> None:
        """Note what was read. Raises LimitExceeded when it is too much."""
        GARBAGE.pass_through(size)
        self._left -= size
        if self._left < 0:
            raise too_large(self._most)

    async def read(
        self,
        keys: Sequence[K],
        read: Callable[[Sequence[K]], Awaitable[Sequence[V]]],
        weight: Callable[[V], int],
        piece: int = PIECE,
    ) -> list[V]:
        """What `read` gives for the keys, asked of it in pieces of so many. Raises LimitExceeded."""
        if len(keys) * FEW_PIECES <= piece:
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
