"""Work that is killed: no code of ours runs after it, its transaction is rolled back, and earlier commits stay."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from gateway.storage.database import Database, Session
from gateway.telemetry import Observation, StatementRan, listen

BESIDE = "maintenance.notify"
"""The statement that a process sends beside its work, after a commit: it is no part of it."""


class Killed(BaseException):
    """The end of work as by `kill -9`: no code of ours catches it."""


async def killed_at(number: int, work: Awaitable[object], named: str = "") -> bool:
    """Kill the work after its statement of this number, counted from 1, of all or of those with this name; return whether it ran so many."""
    seen = 0

    def kill(observation: Observation) -> None:
        nonlocal seen
        if isinstance(observation, StatementRan) and observation.name != BESIDE:
            seen += named in ("", observation.name)
            if seen == number:
                stop()
                raise Killed

    stop = listen(kill)
    try:
        await work
    except Killed:
        return True
    stop()
    return False


async def killed_after(number: int, work: Awaitable[object], points: list[str]) -> bool:
    """Kill the work after its commit of this number, counted from 1; return whether it committed as often.

    Adds to `points`, for each commit, the name of the last statement before it.
    """
    stop = listen(lambda one: names.append(one.name) if isinstance(one, StatementRan) and one.name != BESIDE else None)
    names, begin = [""], Database.transaction

    @asynccontextmanager
    async def transaction(db: Database, sandbox_id: int | None = None) -> AsyncIterator[Session]:
        async with begin(db, sandbox_id) as tx:
            yield tx
        points.append(names[-1])
        if len(points) == number:
            raise Killed

    Database.transaction = transaction  # type: ignore[method-assign]
    try:
        await work
    except Killed:
        return True
    finally:
        Database.transaction = begin  # type: ignore[method-assign]
        stop()
    return False
