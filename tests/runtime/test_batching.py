"""Coalesced reads: keys that wait at one moment are read together, and none by a read that has begun."""

import asyncio

import pytest

from gateway.errors import Timeout
from gateway.runtime.batching import GATHERING_TURNS, MAX_CONCURRENT_READS, Coalescer


class Store:
    """Notes what it is asked, and answers when it is let."""

    def __init__(self):
        self.reads, self.gate = [], asyncio.Event()

    async def read(self, keys):
        self.reads.append(list(keys))
        await self.gate.wait()
        return [key if key >= 0 else ValueError(key) for key in keys]


async def turns(count=GATHERING_TURNS + 2):
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("at_once", [1, MAX_CONCURRENT_READS])
async def test_keys_asked_for_at_one_moment_are_read_together_and_later_ones_by_the_next_read(at_once):
    store = Store()
    shared = Coalescer(store.read, at_once=at_once)
    first = [shared.load(number) for number in (1, 2, 1)]
    await turns()
    later = []
    for number in range(3, 6 + at_once):
        later.append(shared.load(number))
        await turns()
    assert store.reads[0] == [1, 2, 1]
    assert len(store.reads) == at_once
    store.gate.set()
    assert await asyncio.gather(*first) == [1, 2, 1]
    assert await asyncio.gather(*later) == list(range(3, 6 + at_once))
    assert len(store.reads) == at_once + 1


async def test_keys_that_are_asked_for_in_the_next_turns_share_the_read():
    store = Store()
    shared = Coalescer(store.read)
    for number in range(1, GATHERING_TURNS + 2):
        shared.load(number)
        await turns(1)
    assert store.reads == [list(range(1, GATHERING_TURNS + 1))]
    await turns()
    assert store.reads[1:] == [[GATHERING_TURNS + 1]]


async def test_no_more_reads_run_than_may_where_a_caller_reads_for_itself_while_others_gather():
    store = Store()
    shared = Coalescer(store.read, at_once=1)
    gathering, alone = shared.load(1), asyncio.ensure_future(shared.value(2))
    await turns()
    assert store.reads == [[2]]
    store.gate.set()
    assert await asyncio.gather(gathering, alone) == [1, 2]
    assert store.reads == [[2], [1]]


async def test_an_answer_that_is_an_error_is_raised_for_its_own_key_alone():
    store = Store()
    store.gate.set()
    shared = Coalescer(store.read)
    good, bad = shared.load(1), shared.load(-1)
    assert await good == 1
    with pytest.raises(ValueError, match="-1"):
        await bad


async def test_a_read_that_fails_fails_for_all_its_keys_and_not_for_the_next_read():
    async def read(keys):
        if 0 in keys:
            raise OSError
        return keys

    shared = Coalescer(read)
    assert [type(each) for each in await asyncio.gather(shared.load(0), shared.load(1), return_exceptions=True)] == [
        OSError
    ] * 2
    assert await shared.load(2) == 2


async def test_a_caller_that_gives_up_leaves_the_read_to_the_others():
    store = Store()
    shared = Coalescer(store.read)
    stays, goes = shared.load(1), shared.load(2)
    await turns()
    goes.cancel()
    store.gate.set()
    assert await stays == 1


async def test_a_read_weighs_no_more_than_it_may_unless_it_is_one_key():
    store = Store()
    shared = Coalescer(store.read, weight=float, most=4)
    asked = [shared.load(number) for number in (3, 1, 1, 9, 2, 2, 0, 1)]
    await turns()
    assert store.reads == [[3, 1], [1]]  # as many at once as ever
    store.gate.set()
    assert await asyncio.gather(*asked) == [3, 1, 1, 9, 2, 2, 0, 1]
    assert store.reads == [[3, 1], [1], [9], [2, 2, 0], [1]]


async def test_a_caller_that_waits_for_too_long_gets_a_timeout_and_the_next_are_served():
    store = Store()
    shared = Coalescer(store.read, at_once=1, seconds=0.05)
    being_read = shared.load(1)
    await turns()
    before_it = shared.load(2)
    for waiting in (being_read, before_it):
        with pytest.raises(Timeout):
            await waiting
    store.gate.set()
    assert await shared.load(3) == 3
    assert store.reads == [[1], [2, 3]]


async def test_a_key_that_is_asked_for_alone_is_read_at_once_and_those_that_come_meanwhile_by_the_next_read():
    store = Store()
    shared = Coalescer(store.read, at_once=1)
    alone, *together = [asyncio.ensure_future(shared.value(number)) for number in (1, 2, -3, 4)]
    await turns()
    assert store.reads == [[1]]
    alone.cancel()
    await turns()
    assert store.reads == [[1], [2, -3, 4]]
    store.gate.set()
    good, bad, also_good = await asyncio.gather(*together, return_exceptions=True)
    assert (good, also_good, repr(bad)) == (2, 4, "ValueError(-3)")
    with pytest.raises(ValueError, match="-5"):
        await shared.value(-5)
    assert await shared.value(6) == 6
