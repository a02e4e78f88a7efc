"""Computing beside the event loop: one call at a time, a bounded number of waiting calls, and none for a caller that gave up."""

import asyncio
from threading import Event

import pytest
from client import Client
from world import World

from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Outcome
from gateway.errors import Unavailable
from gateway.runtime.threads import COMPUTATIONS, Once, Thread

EVENT = {"identities": [{"namespace": "Email", "value": "a@b.c"}, {"namespace": "ECID", "value": "9" * 38}]}
SIMULATE = "query ($e: [SimulatedEventInput!]!) { simulateIdentityGraph(events: $e) { identities { value } } }"


async def test_a_call_is_refused_as_unavailable_when_too_many_wait():
    thread, busy = Thread("test", waiting=2), Event()
    running = [asyncio.ensure_future(thread.run(busy.wait)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="try again"):
        await thread.run(int)
    busy.set()
    await asyncio.gather(*running)
    assert await thread.run(int, "7") == 7


async def test_a_call_whose_caller_gave_up_is_not_begun():
    thread, busy, done = Thread("test"), Event(), []
    first = asyncio.ensure_future(thread.run(busy.wait))
    given_up = asyncio.ensure_future(thread.run(done.append, 1))
    await asyncio.sleep(0)
    given_up.cancel()
    last = asyncio.ensure_future(thread.run(done.append, 2))
    await asyncio.sleep(0)
    busy.set()
    await asyncio.gather(first, last)
    assert done == [2]


async def test_work_for_a_key_is_done_once_for_all_that_ask_meanwhile_and_again_later():
    once, done = Once(), []

    async def work():
        done.append(1)
        await asyncio.sleep(0)
        if len(done) == 2:
            raise ValueError
        return len(done)

    assert await asyncio.gather(*(once.do("key", work) for _ in range(3))) == [1, 1, 1]
    failed = await asyncio.gather(*(once.do("key", work) for _ in range(2)), return_exceptions=True)
    assert [type(each) for each in failed] == [ValueError, ValueError]
    assert await once.do("key", work) == 3


async def test_simulations_are_computed_one_at_a_time_beside_others_and_end_at_the_deadline(db):
    client, busy = Client.of(await World.create(db)), Event()
    hasty = Client.of(client.world, Limits(seconds=0.2))
    blocker = asyncio.ensure_future(COMPUTATIONS.run(busy.wait))
    waiting = asyncio.ensure_future(client.data(SIMULATE, e=[EVENT]))
    try:
        outcome, body = await hasty.answer(SIMULATE, {"e": [EVENT]})
        assert (outcome, body["errors"][0]["extensions"]["code"]) == (Outcome.FAILED, "TIMEOUT")
        assert (await client.data("{ viewer { organization } }"))["viewer"]
        assert not waiting.done()
    finally:
        busy.set()
    await blocker
    assert len((await waiting)["simulateIdentityGraph"]) == 1


async def test_an_operation_has_only_so_many_simulations_in_it(db):
    client = Client.of(await World.create(db))
    parts = " ".join(f"a{n}: simulateIdentityGraph(events: $e) {{ identities {{ value }} }}" for n in range(20))
    error = await client.error(f"query ($e: [SimulatedEventInput!]!) {{ {parts} }}", e=[EVENT] * 500)
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"
    assert "may cost" in error["message"]
