"""Turns: those in this process who must have a sandbox to themselves have it together.

To group people anew takes about as long for one call as for many about the same people. So whoever gets the sandbox does the work of all
who wait for it, and of those who come meanwhile, in one transaction. A task does it that belongs to none of them: who is cut off cuts off
nobody else.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Generic, TypeVar

from gateway.domain.rules.scope import Scope
from gateway.domain.work.locks import lock_exclusive
from gateway.storage.database import Database, Session

Work = TypeVar("Work")
Done = TypeVar("Done")


@dataclass(slots=True)
class _Turn(Generic[Work, Done]):
    work: Work
    done: asyncio.Future[Done]
    is_needed: bool
    is_by_itself: bool = False


@dataclass(slots=True)
class _Queue(Generic[Work, Done]):
    """Who waits for a sandbox, and who has it now."""

    waiting: deque[_Turn[Work, Done]] = field(default_factory=deque)
    visiting: list[_Turn[Work, Done]] = field(default_factory=list)


class GroupCommit(Generic[Work, Done]):
    """Who waits for which sandbox. `do` works for several callers and says what came of each; what it raises is everybody's.

    It takes the next work when it has done one, so that whoever comes meanwhile is among them. Together are at most as many as weigh no more than `limit`, by `weight`; one that weighs more goes by itself.
    """

    def __init__(
        self,
        do: Callable[[Session, Iterable[Work]], Awaitable[Sequence[Done | Exception]]],
        *,
        weight: Callable[[Work], int],
        limit: int,
    ) -> None:
        self._do, self._weight, self._limit = do, weight, limit
        self._queues: dict[tuple[Database, int], _Queue[Work, Done]] = {}
        self._tasks = set[asyncio.Task[None]]()

    def are_needed(self, db: Database, scope: Scope) -> bool:
        """Whether somebody has the sandbox or waits for it who cannot do without: others had to wait for him anyway."""
        queue = self._queues.get((db, scope.sandbox_id))
        return queue is not None and any(turn.is_needed for turn in chain(queue.visiting, queue.waiting))

    async def take(self, db: Database, scope: Scope, work: Work, *, is_needed: bool) -> Done:
        """What came of this work, once it is committed. Raises what it failed for; nobody fails for what is another's."""
        turn = _Turn[Work, Done](work, asyncio.get_running_loop().create_future(), is_needed)
        key = (db, scope.sandbox_id)
        if key not in self._queues:
            self._queues[key] = _Queue()
            task = asyncio.create_task(self._serve(*key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._queues[key].waiting.append(turn)
        return await turn.done

    async def _serve(self, db: Database, sandbox_id: int) -> None:
        queue = self._queues[db, sandbox_id]
        try:
            while queue.waiting:
                await self._commit_group(db, sandbox_id, queue)
        finally:
            del self._queues[db, sandbox_id]

    async def _commit_group(self, db: Database, sandbox_id: int, queue: _Queue[Work, Done]) -> None:
        outcomes: Sequence[Done | Exception]
        queue.visiting = []
        try:
            async with lock_exclusive(db, sandbox_id) as tx:
                outcomes = await self._do(tx, self._next_group(queue))
        except Exception as error:  # noqa: BLE001 (given to whose work raised it)
            if len(queue.visiting) > 1:
                for turn in reversed(queue.visiting):
                    turn.is_by_itself = True
                    queue.waiting.appendleft(turn)
                return
            if not queue.visiting:
                list(self._next_group(queue))  # who would have come in
            outcomes = [error] * len(queue.visiting)
        for turn, outcome in zip(queue.visiting, outcomes, strict=True):
            _tell(turn.done, outcome)

    def _next_group(self, queue: _Queue[Work, Done]) -> Iterator[Work]:
        """The next of those who wait, and who goes along with it; without those who gave up."""
        weight = 0
        while queue.waiting:
            turn = queue.waiting[0]
            weight += self._weight(turn.work)
            if queue.visiting and (turn.is_by_itself or queue.visiting[0].is_by_itself or weight > self._limit):
                return
            queue.waiting.popleft()
            if not turn.done.cancelled():
                queue.visiting.append(turn)
                yield turn.work


def _tell(done: asyncio.Future[Done], outcome: Done | Exception) -> None:
    if done.cancelled():
        return
    if isinstance(outcome, Exception):
        done.set_exception(outcome)
    else:
        done.set_result(outcome)
