"""Deadlines: each operation has its own, although one timer serves all."""

import asyncio

import pytest

from gateway.runtime.deadlines import Deadlines


async def held(deadlines, run):
    with deadlines.begin() as deadline:
        return await run(deadline.due)


async def test_an_operation_beyond_its_limit_is_given_up_and_the_others_go_on():
    deadlines, ends = Deadlines(0.05), asyncio.Event()

    async def waits(_):
        await asyncio.Event().wait()

    async def ends_in_time(due):
        await ends.wait()
        return due

    ending = [asyncio.create_task(held(deadlines, ends_in_time)) for _ in range(3)]
    waiting = [asyncio.create_task(held(deadlines, waits)) for _ in range(3)]
    await asyncio.sleep(0)
    ends.set()
    dues = await asyncio.gather(*ending)
    assert dues == sorted(dues)
    assert [type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)] == [TimeoutError] * 3
    with pytest.raises(TimeoutError):
        await held(deadlines, waits)


async def test_a_cancelled_operation_is_cancelled_and_an_error_stays_itself():
    deadlines = Deadlines(60)

    async def waits(_):
        await asyncio.Event().wait()

    async def fails(_):
        raise ZeroDivisionError

    task = asyncio.create_task(held(deadlines, waits))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ZeroDivisionError):
        await held(deadlines, fails)


async def test_what_is_given_up_and_cancelled_at_once_is_cancelled():
    async def is_cancelled_when_given_up(_):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            asyncio.current_task().cancel()
            raise

    task = asyncio.create_task(held(Deadlines(0.01), is_cancelled_when_given_up))
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_goes_on_after_what_was_given_up_in_it():
    deadlines = Deadlines(0.01)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await held(deadlines, lambda _: asyncio.Event().wait())
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0)
