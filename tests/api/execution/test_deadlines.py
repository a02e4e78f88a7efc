"""Deadlines: each operation has its own, whoever looks after them."""

import asyncio

import pytest

from gateway.api.execution.deadlines import Deadlines


async def test_what_takes_too_long_is_given_up_and_the_others_go_on():
    deadlines, ends = Deadlines(0.05), asyncio.Event()

    async def waits():
        async with deadlines.deadline():
            await asyncio.Event().wait()

    async def ends_in_time(number):
        async with deadlines.deadline():
            await ends.wait()
            return number

    ending = [asyncio.create_task(ends_in_time(number)) for number in range(3)]
    waiting = [asyncio.create_task(waits()) for _ in range(3)]
    await asyncio.sleep(0)
    ends.set()
    assert await asyncio.gather(*ending) == [0, 1, 2]
    assert [type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)] == [TimeoutError] * 3
    with pytest.raises(TimeoutError):
        await waits()


async def test_a_cancelled_operation_is_cancelled_and_an_error_stays_itself():
    deadlines = Deadlines(60)

    async def waits():
        async with deadlines.deadline():
            await asyncio.Event().wait()

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ZeroDivisionError):
        async with deadlines.deadline():
            raise ZeroDivisionError
