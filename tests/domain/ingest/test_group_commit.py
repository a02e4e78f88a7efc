"""Turns: who waits for the same sandbox has it together, and nobody has to suffer for another."""

import asyncio

import pytest

from gateway.domain.ingest.group_commit import GroupCommit
from gateway.domain.work.locks import LOCK_EXCLUSIVE
from gateway.errors import Unavailable
from gateway.storage.database import Database


class Visits:
    """What is done in a sandbox; the work "bad" spoils the whole visit, the work "wrong" only itself."""

    def __init__(self, db, scope):
        self.db, self.scope, self.seen, self.needed = db, scope, [], []
        self.turns = GroupCommit(self.do, weight=len, limit=12)

    async def do(self, _tx, works):
        works = list(works)
        self.seen.append(works)
        self.needed.append(self.turns.are_needed(self.db, self.scope))
        if "bad" in works:
            raise ZeroDivisionError
        return [LookupError(work) if work == "wrong" else work.upper() for work in works]

    async def take(self, *works, given_up=()):
        """Let them come one after the other while somebody else has the sandbox; what became of each."""
        tasks = []
        async with asyncio.timeout(60), self.db.transaction() as tx:
            await tx.execute(LOCK_EXCLUSIVE, self.scope.sandbox_id)
            for work in works:
                tasks.append(
                    asyncio.create_task(self.turns.take(self.db, self.scope, work, is_needed=work == "needed"))
                )
                await asyncio.sleep(0)
            for number in given_up:
                tasks[number].cancel()
            await asyncio.sleep(0)
        return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def visits(db, scope):
    return Visits(db, scope)


async def test_who_waits_goes_together(visits):
    assert await visits.take("a", "b", "c") == ["A", "B", "C"]
    assert visits.seen == [["a", "b", "c"]]


async def test_whoever_comes_while_others_are_worked_for_goes_with_them(db, scope):
    seen, later = [], []

    async def do(_tx, works):
        for work in works:
            seen.append(work)
            if work == "a":
                later.append(asyncio.create_task(turns.take(db, scope, "b", is_needed=True)))
                await asyncio.sleep(0)
        return [len(seen)] * len(seen)

    turns = GroupCommit(do, weight=len, limit=12)
    assert await turns.take(db, scope, "a", is_needed=True) == await later[0] == 2


async def test_without_a_store_everybody_is_told(dsn, scope):
    db = await Database.connect(dsn, size=1)
    await db.close()
    turns = GroupCommit(None, weight=len, limit=12)
    tasks = [turns.take(db, scope, work, is_needed=True) for work in "ab"]
    assert [type(error) for error in await asyncio.gather(*tasks, return_exceptions=True)] == [Unavailable] * 2


async def test_together_they_weigh_no_more_than_the_limit_unless_it_is_one(visits):
    assert len(await visits.take("seven..", "five.", "x", "thirteen.....", "y")) == 5
    assert visits.seen == [["seven..", "five."], ["x"], ["thirteen....."], ["y"]]


async def test_what_one_fails_for_is_not_another_ones(visits):
    a, wrong, c = await visits.take("a", "wrong", "c")
    assert (a, repr(wrong), c) == ("A", "LookupError('wrong')", "C")
    assert visits.seen == [["a", "wrong", "c"]]


async def test_a_visit_that_fails_is_made_again_by_each_by_itself(visits):
    a, bad, c = await visits.take("a", "bad", "c")
    assert (a, type(bad), c) == ("A", ZeroDivisionError, "C")
    assert visits.seen == [["a", "bad", "c"], ["a"], ["bad"], ["c"]]


async def test_who_gives_up_is_left_out_and_cuts_off_nobody(visits):
    """The first one, who would have had the sandbox, and another."""
    gave_up, b, also, d = await visits.take("a", "b", "c", "d", given_up=(0, 2))
    assert ([type(gave_up), type(also)], [b, d]) == ([asyncio.CancelledError] * 2, ["B", "D"])
    assert visits.seen == [["b", "d"]]


async def test_nothing_is_left_when_everybody_gave_up(visits):
    await visits.take("a", given_up=(0,))
    assert await visits.take("b") == ["B"]


async def test_whoever_comes_learns_whether_somebody_needs_the_sandbox(visits):
    await visits.take("not", "needed")
    await visits.take("not")
    assert visits.needed == [True, False]
    assert not visits.turns.are_needed(visits.db, visits.scope)
