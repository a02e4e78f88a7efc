"""Admission: bounded work, a bounded queue, and turns that are fair between tenants."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api import schema
from gateway.errors import Unavailable
from gateway.server.http import printed_schemas
from gateway.server.http.admission import Admission
from gateway.telemetry import AdmissionRefused, QueueChanged, listen


class Work:
    """Work that goes on until it is let go; `begun` names who got a place, in order."""

    def __init__(self, **limits):
        self.admission = Admission("test", **limits)
        self.begun, self.refused, self._ends, self.tasks = [], [], [], []

    async def _run(self, tenant, weight):
        try:
            async with self.admission.place(tenant, weight):
                self.begun.append(tenant)
                end = asyncio.get_running_loop().create_future()
                self._ends.append(end)
                await end
        except Unavailable:
            self.refused.append(tenant)

    async def ask(self, tenants, weight=1):
        self.tasks += [asyncio.create_task(self._run(tenant, weight)) for tenant in tenants]
        await self.settle()

    async def end_one(self):
        self._ends.pop(0).set_result(None)
        await self.settle()

    async def end_all(self):
        while self._ends:
            await self.end_one()

    async def settle(self):
        for _ in range(6):
            await asyncio.sleep(0)


async def test_places_are_bounded_and_a_tenant_has_only_its_share():
    work = Work(places=4, share=3, waiting=100, waiting_share=100)
    await work.ask("aaaaaaaa")
    assert work.begun == ["a"] * 3
    await work.ask("b")
    assert work.begun == [*"aaab"]  # at once, whatever another one has waiting


async def test_waiting_requests_are_admitted_round_robin_by_tenant():
    work = Work(places=2, share=2, waiting=100, waiting_share=100)
    await work.ask("aaaaaaaa")
    await work.ask("bb")
    await work.ask("c")
    await work.end_all()
    assert "".join(work.begun) == "aaabcabaaaa"


async def test_beyond_the_queue_a_request_is_refused_at_once():
    work = Work(places=1, share=1, waiting=4, waiting_share=3)
    await work.ask("aaaaaaaa")
    assert (work.begun, work.refused) == (["a"], ["a"] * 4)


async def test_a_full_queue_refuses_a_request_of_the_tenant_with_most_waiting():
    work = Work(places=1, share=1, waiting=4, waiting_share=4)
    await work.ask("aaaaa")
    await work.ask("bcb")
    assert sorted(work.refused) == [*"aab"]  # with a second one, b would have as many as a
    await work.end_all()
    assert sorted(work.begun) == [*"aaabc"]


async def test_without_a_queue_a_request_that_finds_no_place_is_refused():
    work = Work(places=4, share=2)
    await work.ask("aaab")
    assert (work.begun, work.refused) == ([*"aab"], ["a"])


async def test_a_cancelled_waiter_leaves_no_trace():
    work = Work(places=1, share=1, waiting=9, waiting_share=9)
    await work.ask("aabc")
    for task in work.tasks[1:3]:
        task.cancel()
    await work.settle()
    await work.end_all()
    assert work.begun == [*"ac"]
    await work.ask("d")
    assert work.begun == [*"acd"]


async def test_a_place_given_at_the_moment_of_cancellation_goes_to_the_next():
    work = Work(places=1, share=1, waiting=9, waiting_share=9)
    await work.ask("abc")
    work._ends.pop(0).set_result(None)
    await asyncio.sleep(0)
    work.tasks[1].cancel()
    await work.settle()
    await work.end_all()
    await work.ask("d")
    assert work.begun[-1] == "d"


async def test_waiting_is_limited_in_time():
    work = Work(places=1, share=1, waiting=9, waiting_share=9, seconds=0.01)
    await work.ask("ab")
    await work.tasks[1]
    assert work.refused == ["b"]
    await work.end_all()
    await work.ask("c")
    assert work.begun == [*"ac"]


async def test_heavy_work_takes_more_places_and_does_not_starve():
    work = Work(places=4, share=4, waiting=9, waiting_share=9)
    await work.ask("aaa")
    await work.ask("b", weight=4)
    assert work.begun == [*"aaa"]
    await work.end_all()
    assert work.begun == [*"aaab"]
    await work.ask("c")
    assert work.begun[-1] == "c"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["ask", "end", "cancel"])), max_size=60))
@settings(max_examples=60)
def test_no_place_is_lost_or_taken_twice_in_any_sequence(steps):
    async def run():
        work = Work(places=3, share=2, waiting=5, waiting_share=4)
        for tenant, step in steps:
            if step == "ask":
                await work.ask(tenant)
            elif step == "end" and work._ends:
                await work.end_one()
            elif step == "cancel" and work.tasks:
                work.tasks[len(work.tasks) // 2].cancel()
                await work.settle()
            work._ends = [end for end in work._ends if not end.done()]
            assert len(work._ends) <= 3
        while work._ends:
            await work.end_one()
            work._ends = [end for end in work._ends if not end.done()]
        admission = work.admission
        assert (admission._free, admission._held, admission._waiting, dict(admission._queues)) == (3, {}, 0, {})
        await asyncio.gather(*work.tasks, return_exceptions=True)

    asyncio.run(run())


async def test_waiting_and_refused_requests_are_observed():
    seen = []
    end = listen(seen.append)
    work = Work(places=1, share=1, waiting=2, waiting_share=2)
    await work.ask("aaaa")
    await work.end_all()
    end()
    assert [one.length for one in seen if isinstance(one, QueueChanged)] == [1, 2, 1, 0]
    assert seen.count(AdmissionRefused("test")) == 1


# ---------------------------------------------------------------------------------------------- over HTTP


@pytest.fixture
async def small(start_gateway):
    async with start_gateway(requests_at_once=4, requests_waiting=8, streams=2) as started:
        yield started


async def one_waits(admission):
    for _ in range(10_000):
        if admission._waiting:
            return
        await asyncio.sleep(0)
    raise AssertionError("nobody waits")


QUERY = {"query": "{ __typename }"}


async def test_a_tenant_beyond_its_queue_is_refused_and_another_is_answered_at_once(small):
    """All places for operations and the queue of the default sandbox are taken."""
    await small.run('mutation { createSandbox(input: {name: "other", title: "O"}) { sandbox { name } } }')
    admission = small.app.state.services.admission.operations
    mine, others = await small.headers(), await small.headers(sandbox="other")
    for headers in (mine, others):
        assert (await small.http.post("/graphql", json=QUERY, headers=headers)).status_code == 200
    tenant = (await small.store.sandbox(None)).sandbox_id
    for _ in range(3):
        assert admission.enter(tenant) is None
    waiting = [admission.enter(tenant) for _ in range(4)]

    async def ask(headers):
        return await small.http.post("/graphql", json=QUERY, headers=headers)

    refused, answered = await ask(mine), await ask(others)
    assert (refused.status_code, answered.status_code) == (503, 200)
    assert refused.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    assert refused.headers["retry-after"]
    metrics = (await small.http.get("/metrics")).text
    assert 'gateway_admission_refused_total{queue="operations"} 1.0' in metrics
    assert 'gateway_admission_waiting{queue="operations"} 4.0' in metrics
    assert (await small.http.get("/healthz")).status_code == 200
    for turn in waiting:
        turn.cancel()
    for _ in range(3):
        admission.leave(tenant)
    assert (await ask(mine)).status_code == 200


async def test_a_request_waits_for_its_turn(small):
    admission = small.app.state.services.admission.operations
    headers = await small.headers()
    await small.http.post("/graphql", json=QUERY, headers=headers)
    tenant = (await small.store.sandbox(None)).sandbox_id
    for _ in range(3):
        admission.enter(tenant)
    asked = asyncio.create_task(small.http.post("/graphql", json=QUERY, headers=headers))
    await one_waits(admission)
    admission.leave(tenant)
    assert (await asked).status_code == 200


async def test_strangers_have_a_queue_of_their_own_and_do_not_delay_known_callers(small):
    services = small.app.state.services
    headers = await small.headers()
    await small.http.post("/graphql", json=QUERY, headers=headers)
    services.admission.strangers.enter("127.0.0.1")
    turns = [services.admission.strangers.enter("127.0.0.1") for _ in range(2)]
    unknown = await small.http.post("/graphql", json=QUERY, headers=headers | {"x-api-key": "nonsense"})
    known = await small.http.post("/graphql", json=QUERY, headers=headers)
    assert (unknown.status_code, known.status_code) == (503, 200)
    for turn in turns:
        turn.cancel()


async def test_concurrent_streams_are_bounded(small):
    to, headers = await small.dataset(), await small.headers() | {"content-type": "application/x-ndjson"}
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def body():
        begun.set()
        await go_on.wait()
        yield b""

    first = asyncio.create_task(small.http.post(f"/ingest/{to}", content=body(), headers=headers))
    await begun.wait()
    second = await small.http.post(f"/ingest/{to}", content=b"", headers=headers)
    go_on.set()
    assert (second.status_code, (await first).status_code) == (503, 200)
    assert second.headers["retry-after"]
    assert second.json()["accepted"] == 0


async def test_large_bodies_are_bounded_in_bytes_and_small_ones_are_not_counted(small):
    headers = await small.headers() | {"content-type": "application/json"}
    await small.http.post("/graphql", json=QUERY, headers=headers)
    bodies = small.app.state.services.admission.bodies
    tenant = (await small.store.sandbox(None)).sandbox_id
    bodies.enter(tenant, 256)
    asked = asyncio.create_task(
        small.http.post("/graphql", json=QUERY | {"variables": {"a": "x" * 200_000}}, headers=headers)
    )
    assert (await small.http.post("/graphql", json=QUERY, headers=headers)).status_code == 200
    await one_waits(bodies)
    bodies.leave(tenant, 256)
    assert (await asked).status_code == 200


async def test_a_body_with_too_many_values_is_refused(small):
    """Two million empty lists are four megabytes of text, and a hundred and twenty of objects."""
    headers = await small.headers() | {"content-type": "application/json"}
    content = b'{"query": "{ __typename }", "variables": {"a": [' + b"[]," * 600_000 + b"1]}}"
    for _ in range(2):
        answer = await small.http.post("/graphql", content=content, headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (413, "LIMIT_EXCEEDED")


async def test_a_schema_is_printed_once_for_each_version_of_a_sandbox_and_one_at_a_time(small, monkeypatch):
    prints, at_once, most = [], 0, 0

    def noted(config):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        prints.append(config)
        text = schema.print_sdl(config)
        at_once -= 1
        return text

    monkeypatch.setattr(printed_schemas, "print_sdl", noted)
    headers = await small.headers()

    async def ask(given):
        return (await small.http.get("/schema.graphql", headers=given)).text

    texts = await asyncio.gather(*(ask(given) for given in [{}, headers] for _ in range(3)))
    assert (len(texts), len(prints), most) == (6, 2, 1)
    await small.dataset()
    assert await ask(headers) != texts[-1]
    assert len(prints) == 3
