"""Group commit: calls in this process that need the exclusive lock of a sandbox share one transaction.

Rebuilding graphs takes about as long for one call as for many about the same people. So the transaction that gets the lock does the work
of all waiting calls, and of calls that arrive meanwhile. It runs in a task of its own, so that a cancelled call does not cancel the others.
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
Result = TypeVar("Result")


@dataclass(slots=True)
class _Submission(Generic[Work, Result]):
    """A call's work in a queue. `runs_alone`: its group failed, so it is committed again, alone."""

    work: Work
    result: asyncio.Future[Result]
    needs_exclusive: bool
    runs_alone: bool = False


@dataclass(slots=True)
class _Queue(Generic[Work, Result]):
    """The calls that wait for a sandbox, and the group whose transaction has it now."""

    waiting: deque[_Submission[Work, Result]] = field(default_factory=deque)
    group: list[_Submission[Work, Result]] = field(default_factory=list)


class GroupCommit(Generic[Work, Result]):
    """Queues of calls by sandbox, committed in groups by `commit`, which returns a result or an exception for each call.

    What `commit` raises itself fails the whole group; then each of its calls runs alone. `commit` iterates over the group, which grows while
    it works. A group weighs at most `limit`, by `weight`, unless it is a single call.
    """

    def __init__(
        self,
        commit: Callable[[Session, Iterable[Work]], Awaitable[Sequence[Result | Exception]]],
        *,
        weight: Callable[[Work], int],
        limit: int,
    ) -> None:
        self._commit, self._weight, self._limit = commit, weight, limit
        self._queues: dict[tuple[Database, int], _Queue[Work, Result]] = {}
        self._tasks = set[asyncio.Task[None]]()

    def has_exclusive(self, db: Database, scope: Scope) -> bool:
        """Return whether a call that needs the exclusive lock has it or waits for it.

        If so, a call that needs only the shared lock would have to wait, and may as well be submitted.
        """
        queue = self._queues.get((db, scope.sandbox_id))
        return queue is not None and any(submission.needs_exclusive for submission in chain(queue.group, queue.waiting))

    async def submit(self, db: Database, scope: Scope, work: Work, *, needs_exclusive: bool) -> Result:
        """Commit this work in a group, under the exclusive lock. Return its result or raise its exception, whatever becomes of other calls.

        `needs_exclusive` is only for `has_exclusive`: False if the shared lock would do for this call.
        """
        submission = _Submission[Work, Result](work, asyncio.get_running_loop().create_future(), needs_exclusive)
        key = (db, scope.sandbox_id)
        if key not in self._queues:
            self._queues[key] = _Queue()
            task = asyncio.create_task(self._serve(*key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._queues[key].waiting.append(submission)
        return await submission.result

    async def _serve(self, db: Database, sandbox_id: int) -> None:
        queue = self._queues[db, sandbox_id]
        try:
            while queue.waiting:
                await self._commit_group(db, sandbox_id, queue)
        finally:
            del self._queues[db, sandbox_id]

    async def _commit_group(self, db: Database, sandbox_id: int, queue: _Queue[Work, Result]) -> None:
        outcomes: Sequence[Result | Exception]
        queue.group = []
        try:
            async with lock_exclusive(db, sandbox_id) as tx:
                outcomes = await self._commit(tx, self._next_group(queue))
        except Exception as error:  # noqa: BLE001 (set on the call that raised it)
            if len(queue.group) > 1:
                for submission in reversed(queue.group):
                    submission.runs_alone = True
                    queue.waiting.appendleft(submission)
                return
            if not queue.group:
                list(self._next_group(queue))  # the lock failed: the calls of this group fail
            outcomes = [error] * len(queue.group)
        for submission, outcome in zip(queue.group, outcomes, strict=True):
            _resolve(submission.result, outcome)

    def _next_group(self, queue: _Queue[Work, Result]) -> Iterator[Work]:
        """Move waiting calls into the group and yield their work, skipping cancelled ones, up to the limit of weight."""
        weight = 0
        while queue.waiting:
            submission = queue.waiting[0]
            weight += self._weight(submission.work)
            if queue.group and (submission.runs_alone or queue.group[0].runs_alone or weight > self._limit):
                return
            queue.waiting.popleft()
            if not submission.result.cancelled():
                queue.group.append(submission)
                yield submission.work


def _resolve(result: asyncio.Future[Result], outcome: Result | Exception) -> None:
    if result.cancelled():
        return
    if isinstance(outcome, Exception):
        result.set_exception(outcome)
    else:
        result.set_result(outcome)
