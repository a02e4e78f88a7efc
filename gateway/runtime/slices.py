"""Long computations on the event loop, in time slices: one slice in each turn of the loop, so that everything else waits for one at most."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Final, TypeVar

S = TypeVar("S")
T = TypeVar("T")

SLICE_SECONDS: Final = 0.002
"""The length of a slice. Work is cut where it can be: after a document, after a few kilobytes of a stream."""

MAX_TURNS: Final = 8
"""Turns that the loop has, at most, after a slice that could not be cut in time."""


class Slices:
    """Slices for all computations of a process, first come, first served: `async with SLICES` around a part of the work, until `is_over`."""

    def __init__(self) -> None:
        self._is_taken = False
        self._waiting = deque[asyncio.Future[None]]()
        self._begin = 0.0

    @property
    def is_over(self) -> bool:
        """Whether the current slice has lasted for SLICE_SECONDS."""
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
        """Let the loop turn; several times after a slice that was too long, as a request takes several turns."""
        try:
            times_too_long = int((perf_counter() - self._begin) / SLICE_SECONDS)
            for _ in range(min(1 + times_too_long, MAX_TURNS)):
                await asyncio.sleep(0)
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        """Give the next slice to the computation that has waited longest. It stays taken meanwhile, so that no other gets it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._is_taken = False


SLICES: Final = Slices()
"""The slices of this process."""


async def in_time_slices(work: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """Return the result of `work` for each item, in their order, without holding the event loop for longer than a slice at a time.

    The first slice is taken at once, which is enough for most; the rest of the items waits for slices of SLICES.
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
    """Work for one slice, on at least one item if there is any. Return whether all items are done."""
    begin = perf_counter()
    for number in range(len(done), len(items)):
        done.append(work(items[number]))
        if perf_counter() - begin >= SLICE_SECONDS:
            break
    return len(done) == len(items)
