"""Long work on the event loop, in slices: one slice in each turn of the loop, whoever it is for, so that others wait for one at most."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Final, TypeVar

S = TypeVar("S")
T = TypeVar("T")

SLICE_SECONDS: Final = 0.002
"""How long a slice goes on. Work is cut where it can be: at a document, at a few kilobytes of a stream."""

MAX_TURNS: Final = 8
"""Turns of the loop that others have after a slice which could not be cut, at most."""


class Slices:
    """Hands out slices in the order in which they are asked for. Enter it around a piece of work; `is_over` says when to leave it."""

    def __init__(self) -> None:
        self._is_taken = False
        self._waiting = deque[asyncio.Future[None]]()
        self._begin = 0.0

    @property
    def is_over(self) -> bool:
        """Whether the slice at hand has gone on for as long as it may."""
        return perf_counter() - self._begin >= SLICE_SECONDS

    async def __aenter__(self) -> None:
        if self._is_taken:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._pass_on()
                raise
        self._is_taken = True
        self._begin = perf_counter()

    async def __aexit__(self, *raised: object) -> None:
        """Give way to others: for several turns of the loop where the slice went on for longer than it may, as a request takes several."""
        try:
            times_too_long = int((perf_counter() - self._begin) / SLICE_SECONDS)
            for _ in range(min(1 + times_too_long, MAX_TURNS)):
                await asyncio.sleep(0)
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        """Give the next slice to who has waited longest; it stays taken, so that nobody comes before."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._is_taken = False


SLICES: Final = Slices()
"""Those of this process."""


async def in_time_slices(work: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """What the work makes of each item, in their order; others have turns of the loop in between where it takes longer than a slice.

    It begins at once, and most of it is over then. What is left waits for slices.
    """
    todo, done = list(items), list[T]()
    if _worked(work, todo, done):
        return done
    await asyncio.sleep(0)
    while True:
        async with SLICES:
            if _worked(work, todo, done):
                return done


def _worked(work: Callable[[S], T], items: Sequence[S], done: list[T]) -> bool:
    """Go on for one slice, with one item at least if there is any; whether all are done."""
    begin = perf_counter()
    for number in range(len(done), len(items)):
        done.append(work(items[number]))
        if perf_counter() - begin >= SLICE_SECONDS:
            break
    return len(done) == len(items)
