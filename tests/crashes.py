"""Work that is killed: no code of ours runs after it, its transaction is rolled back, and earlier commits stay."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

from gateway.storage.database import Database, Session
from gateway.telemetry import Observation, StatementRan, listen

BESIDE = "maintenance.notify"
"""The statement that a process sends beside its work, after a commit: it is no part of it."""

WRITTEN = "at one moment"
"""In place of the last statement before the commit of what was written at one moment, by which another transaction may wait."""

Stop = Callable[[str], Awaitable[None]]
"""What is awaited at a commit; it is given the name of the last statement before it."""


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

    async def kill(point: str) -> None:
        points.append(point)
        if len(points) == number:
            raise Killed

    with at_commits(after=kill):
        try:
            await work
        except Killed:
            return True
    return False


async def go_on(_: str) -> None:
    """Stop at no commit."""


@contextmanager
def at_commits(*, before: Stop = go_on, after: Stop = go_on) -> Iterator[None]:
    """Stop before and after each commit of this process, as long as the block lasts."""
    last, begin, begin_still = ContextVar[list[str]]("last"), Database.transaction, Database.writing_at_one_moment

    def note(observation: Observation) -> None:
        if isinstance(observation, StatementRan) and observation.name != BESIDE and (names := last.get(None)):
            names[0] = observation.name

    @asynccontextmanager
    async def transaction(db: Database, sandbox_id: int | None = None) -> AsyncIterator[Session]:
        last.set(names := [""])
        async with begin(db, sandbox_id) as tx:
            yield tx
            await tx._connection.execute(
                "select"
            )  # since a portal of the last statement would keep a snapshot, for which others wait
            await before(names[0])
        await after(names[0])

    @asynccontextmanager
    async def writing_at_one_moment(db: Database) -> AsyncIterator[Database]:
        async with begin_still(db) as still:
            yield still
            await before(WRITTEN)
        await after(WRITTEN)

    stop = listen(note)
    Database.transaction = transaction  # type: ignore[method-assign]
    Database.writing_at_one_moment = writing_at_one_moment  # type: ignore[method-assign]
    try:
        yield
    finally:
        Database.transaction = begin  # type: ignore[method-assign]
        Database.writing_at_one_moment = begin_still  # type: ignore[method-assign]
        stop()
