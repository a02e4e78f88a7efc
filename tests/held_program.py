"""`gateway`, whose jobs are all done at once, in small pieces, and some of which stop at a commit.

HOLD_AT     JSON: {"<sandbox>/<job>": [number of the commit, "before" or "after"]}. One that stops after a commit stops for good, one that
            stops before it goes on when stdin ends.
HOLD_TELLS  A file descriptor, to which `held <sandbox>/<job>` is written when a job stops, and `left …` when its worker leaves it.
"""

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

from crashes import at_commits
from every_kind import OF_INDEXES, small_pieces

from gateway.cli import main
from gateway.domain.config.configuration import Configurations
from gateway.domain.operations import search_indexing
from gateway.domain.work.leases import LeasedJob
from gateway.server import worker
from gateway.server.worker import Handler
from gateway.storage.database import Database

HOLD_AT: dict[str, tuple[int, str]] = {
    name: (number, when) for name, (number, when) in json.loads(os.environ["HOLD_AT"]).items()
}
HEARTBEAT = "leases.extend_lease"
TELLS = int(os.environ["HOLD_TELLS"])

do_job = worker.do_job


@dataclass
class Doing:
    """A job that is done, in a task of its own, and in others that this one waits for; heartbeats are sent by one of these. `alone`: what lets others go on once it stops or ends."""

    name: str
    task: asyncio.Task[None] | None
    alone: AsyncExitStack
    commits: int = 0


doing = ContextVar[Doing]("doing")


def tell(word: str) -> None:
    os.write(TELLS, f"{word} {doing.get().name}\n".encode())


async def hold(number: int, when: str) -> None:
    here = doing.get()
    if HOLD_AT.get(here.name) == (number, when):
        await here.alone.aclose()
        tell("held")
        await (stdin_ended() if when == "before" else asyncio.Future())


@cache
def stdin_ended() -> asyncio.Future[None]:
    loop, ended = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def end() -> None:
        loop.remove_reader(sys.stdin)
        ended.set_result(None)

    loop.add_reader(sys.stdin, end)
    return ended


def is_its_own(point: str) -> bool:
    here = doing.get(None)
    return here is not None and (here.task is asyncio.current_task() or point != HEARTBEAT)


async def before(point: str) -> None:
    if is_its_own(point):
        await hold(doing.get().commits + 1, "before")


async def after(point: str) -> None:
    if is_its_own(point):
        doing.get().commits += 1
        await hold(doing.get().commits, "after")


async def do_held_job(db: Database, configurations: Configurations, handler: Handler, claim: LeasedJob) -> None:
    """Do a job whose claim was its first commit.

    Those that make or drop indexes go one at a time: Postgres lets each wait until the transaction has ended of whoever was reading
    when it began, and that of another one may be about to stop.
    """
    async with AsyncExitStack() as alone:
        if claim.kind in OF_INDEXES:
            await alone.enter_async_context(in_order)
        doing.set(Doing(f"{claim.sandbox_id}/{claim.job_id}", asyncio.current_task(), alone))
        await after("leases.claim_job")
        try:
            await do_job(db, configurations, handler, claim)
        finally:
            tell("left")


in_order = asyncio.Lock()


if __name__ == "__main__":
    search_indexing.WAIT_SECONDS = 600
    worker.do_job = do_held_job
    worker._Pool.has_room = True
    with small_pieces(), at_commits(before=before, after=after):
        main()
