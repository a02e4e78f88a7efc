"""Slices: long work goes on in pieces, one in each turn of the event loop, whoever it is for."""

import asyncio
from itertools import pairwise

import pytest

from gateway.domain import slices
from gateway.domain.slices import Slices


async def work(given, name, done, pieces=3):
    for _ in range(pieces):
        async with given:
            done.append(name)


async def test_in_each_turn_of_the_loop_there_is_one_slice_for_all_and_they_take_turns():
    given, done, turns = Slices(), [], []

    async def others():
        while True:
            turns.append(len(done))
            await asyncio.sleep(0)

    watching = asyncio.create_task(others())
    await asyncio.gather(*(work(given, name, done) for name in "abc"))
    watching.cancel()
    assert done == list("abc" * 3)
    assert max(after - before for before, after in pairwise(turns)) == 1


async def test_who_is_cut_off_while_waiting_holds_up_nobody():
    given, done = Slices(), []
    tasks = [asyncio.create_task(work(given, name, done)) for name in "abcd"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (done.count("a"), done.count("b"), done.count("d")) == (3, 0, 3)
    await asyncio.wait_for(work(given, "e", done), 5)


async def test_what_breaks_in_a_slice_gives_it_back():
    given, done = Slices(), []
    with pytest.raises(ZeroDivisionError):
        async with given:
            done.append(1 / 0)
    await asyncio.wait_for(work(given, "a", done), 5)
    assert done == ["a"] * 3


async def test_documents_are_read_in_slices_however_they_are_sent(world, monkeypatch):
    """With slices as short as can be, others have their turn after each document."""
    monkeypatch.setattr(slices, "SECONDS", 0)
    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    watching = asyncio.create_task(others())
    for document in ({}, b"{}"):
        turns = 0
        await world.records(*[document] * 300)
        assert turns >= 300
    watching.cancel()
