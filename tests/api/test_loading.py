"""Shared loaders: what many requests ask for at one moment goes together, and each has a bounded part of it in hand."""

import asyncio

import pytest

from gateway.api.finished import READS_PER_PIECE, Budget
from gateway.api.loading import FEW, PIECES_AT_ONCE, Alike, Kept, Shared
from gateway.errors import LimitExceeded

LARGE, SMALL = 2, FEW * READS_PER_PIECE  # keys of a piece


class Store:
    """Notes what each statement reads, and answers when it is let."""

    def __init__(self, piece):
        self.read_at_once, self.gate = [], asyncio.Event()
        self.shared = Shared(self.read, lambda _: piece)

    async def read(self, _, keys):
        self.read_at_once.append(list(keys))
        await self.gate.wait()
        return list(keys)

    def request(self, most=1_000):
        """The loader of a new request, whose answer may have so many bytes; a value has as many as its key says."""
        return Kept(self.shared, Budget(most), lambda value: value)


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (each round is a turn of the loop)
            await asyncio.sleep(0)


async def test_large_pages_of_several_requests_are_read_together_up_to_so_many_pieces():
    store = Store(LARGE)
    asked = [store.request().load(("sight", (number,))) for number in range(LARGE * PIECES_AT_ONCE + 1)]
    await until(lambda: len(store.read_at_once) == 2)
    assert [len(keys) for keys in store.read_at_once] == [LARGE * PIECES_AT_ONCE, 1]
    store.gate.set()
    assert await asyncio.gather(*asked) == [[number] for number in range(len(asked))]


async def test_of_one_request_no_more_than_a_piece_is_read_at_once_however_it_asks():
    store = Store(LARGE)
    request = store.request()
    asked = [request.load(("sight", keys)) for keys in ((1,), (2,), (3, 4, 5), (6, 7, 8, 9, 10))]
    await until(lambda: store.read_at_once)
    for _ in range(10):
        await asyncio.sleep(0)
    assert store.read_at_once == [[1]]
    store.gate.set()
    assert await asyncio.gather(*asked) == [[1], [2], [3, 4, 5], [6, 7, 8, 9, 10]]
    assert max(map(len, store.read_at_once)) == LARGE


async def test_a_small_read_does_not_wait_for_large_pages():
    store = Store(LARGE)
    store.shared.piece = lambda arguments: SMALL if arguments == "little" else LARGE
    large = [store.request().load(("much", (number,))) for number in range(100)]
    await until(lambda: len(store.read_at_once) == 2)
    little = store.request().load(("little", (1,)))
    await until(lambda: len(store.read_at_once) == 3)
    assert not little.done()
    store.gate.set()
    await asyncio.gather(little, *large)


async def test_each_request_pays_for_its_part_of_a_shared_read():
    store = Store(LARGE)
    store.gate.set()
    modest, greedy = store.request(most=10).load(("sight", (20,))), store.request(most=10).load(("sight", (21,)))
    assert await modest == [20]
    with pytest.raises(LimitExceeded):
        await greedy


@pytest.mark.parametrize("outcome", [None, ValueError()])
async def test_what_cannot_be_read_together_is_read_one_at_a_time(outcome):
    """Because it says so, or fails: then each arguments fail for themselves."""

    async def read(arguments, keys):
        if arguments == "bad":
            raise LookupError
        return [(arguments, key) for key in keys]

    async def read_alike(groups):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    shared = Shared(read, lambda _: SMALL, Alike(len, read_alike))
    asked = [
        Kept(shared, Budget(1_000), lambda _: 1).load((arguments, (1,))) for arguments in ("one", "bad", "two", "four")
    ]
    one, bad, two, four = await asyncio.gather(*asked, return_exceptions=True)
    assert (one, two, four, type(bad)) == ([("one", 1)], [("two", 1)], [("four", 1)], LookupError)
