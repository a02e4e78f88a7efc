"""Group commit: calls that wait for one sandbox share a transaction, and no call fails for another one."""

import asyncio

import pytest

from gateway.domain.ingest.group_commit import GroupCommit
from gateway.domain.work.locks import LOCK_EXCLUSIVE
from gateway.errors import Unavailable
from gateway.storage.database import Database


class Groups:
    """The groups committed in a sandbox. The work "bad" fails its whole group, the work "wrong" fails alone."""

    def __init__(self, db, scope):
        self.db, self.scope, self.seen, self.exclusive = db, scope, [], []
        self.group_commit = GroupCommit(self.commit, weight=len, limit=12)

    async def commit(self, _tx, works):
        works = list(works)
        self.seen.append(works)
        self.exclusive.append(self.group_commit.has_exclusive(self.db, self.scope))
        if "bad" in works:
            raise ZeroDivisionError
        return [LookupError(work) if work == "wrong" else work.upper() for work in works]

    async def submit(self, *works, cancelled=()):
        """Submit works in order while another transaction holds the lock, cancel some, and return the outcomes."""
        tasks = []
        async with asyncio.timeout(60), self.db.transaction() as tx:
            await tx.execute(LOCK_EXCLUSIVE, self.scope.sandbox_id)
            for work in works:
                tasks.append(
                    asyncio.create_task(
                        self.group_commit.submit(self.db, self.scope, work, needs_exclusive=work == "exclusive")
                    )
                )
                await asyncio.sleep(0)
            for number in cancelled:
                tasks[number].cancel()
            await asyncio.sleep(0)
        return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def groups(db, scope):
    return Groups(db, scope)


async def test_calls_that_wait_are_committed_together(groups):
    assert await groups.submit("a", "b", "c") == ["A", "B", "C"]
    assert groups.seen == [["a", "b", "c"]]


async def test_a_call_that_arrives_during_the_commit_joins_the_group(db, scope):
    seen, later = [], []

    async def commit(_tx, works):
        for work in works:
            seen.append(work)
            if work == "a":
                later.append(asyncio.create_task(group_commit.submit(db, scope, "b", needs_exclusive=True)))
                await asyncio.sleep(0)
        return [len(seen)] * len(seen)

    group_commit = GroupCommit(commit, weight=len, limit=12)
    assert await group_commit.submit(db, scope, "a", needs_exclusive=True) == await later[0] == 2


async def test_each_call_fails_when_the_database_is_unavailable(dsn, scope):
    db = await Database.connect(dsn, size=1)
    await db.close()
    group_commit = GroupCommit(None, weight=len, limit=12)
    tasks = [group_commit.submit(db, scope, work, needs_exclusive=True) for work in "ab"]
    assert [type(error) for error in await asyncio.gather(*tasks, return_exceptions=True)] == [Unavailable] * 2


async def test_a_group_weighs_no_more_than_the_limit_unless_it_is_one_call(groups):
    assert len(await groups.submit("seven..", "five.", "x", "thirteen.....", "y")) == 5
    assert groups.seen == [["seven..", "five."], ["x"], ["thirteen....."], ["y"]]


async def test_a_call_that_fails_alone_leaves_the_others_committed(groups):
    a, wrong, c = await groups.submit("a", "wrong", "c")
    assert (a, repr(wrong), c) == ("A", "LookupError('wrong')", "C")
    assert groups.seen == [["a", "wrong", "c"]]


async def test_each_call_of_a_failed_group_is_committed_again_alone(groups):
    a, bad, c = await groups.submit("a", "bad", "c")
    assert (a, type(bad), c) == ("A", ZeroDivisionError, "C")
    assert groups.seen == [["a", "bad", "c"], ["a"], ["bad"], ["c"]]


async def test_a_cancelled_call_is_skipped_and_the_others_are_committed(groups):
    """The first call, which started the task that commits, and a later one."""
    cancelled, b, also, d = await groups.submit("a", "b", "c", "d", cancelled=(0, 2))
    assert ([type(cancelled), type(also)], [b, d]) == ([asyncio.CancelledError] * 2, ["B", "D"])
    assert groups.seen == [["b", "d"]]


async def test_a_queue_works_again_after_all_its_calls_were_cancelled(groups):
    await groups.submit("a", cancelled=(0,))
    assert await groups.submit("b") == ["B"]


async def test_callers_can_see_whether_a_waiting_call_needs_the_exclusive_lock(groups):
    await groups.submit("not", "exclusive")
    await groups.submit("not")
    assert groups.exclusive == [True, False]
    assert not groups.group_commit.has_exclusive(groups.db, groups.scope)
