"""Deadlines: each operation has its own, whoever looks after them."""

import asyncio

import pytest

from gateway.api.execution.deadlines import Deadlines


async def test_what_takes_too_long_is_given_up_and_the_others_go_on():
    deadlines, ends = Deadlines(0.05), asyncio.Event()

    async def waits(_):
        await asyncio.Event().wait()

    async def ends_in_time(due):
        await ends.wait()
        return due

    ending = [asyncio.create_task(deadlines.hold(ends_in_time)) for _ in range(3)]
    waiting = [asyncio.create_task(deadlines.hold(waits)) for _ in range(3)]
    await asyncio.sleep(0)
    ends.set()
    dues = await asyncio.gather(*ending)
    assert dues == sorted(dues)
    assert [type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)] == [TimeoutError] * 3
    with pytest.raises(TimeoutError):
        await deadlines.hold(waits)


async def test_a_cancelled_operation_is_cancelled_and_an_error_stays_itself():
    deadlines = Deadlines(60)

    async def waits(_):
        await asyncio.Event().wait()

    async def fails(_):
        raise ZeroDivisionError

    task = asyncio.create_task(deadlines.hold(waits))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ZeroDivisionError):
        await deadlines.hold(fails)
