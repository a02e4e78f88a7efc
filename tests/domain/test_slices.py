"""Slices: long work goes on in pieces, one in each turn of the event loop, whoever it is for."""

import asyncio
from itertools import pairwise
from types import SimpleNamespace

import orjson
import pytest
from world import event, record

from gateway.domain.config import policies
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.facts import appending
from gateway.domain.ingest import validation
from gateway.domain.operations import diffs
from gateway.domain.reading import profiles
from gateway.domain.rules import merge
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.views import graph_component
from gateway.runtime import slices
from gateway.runtime.slices import Slices, in_time_slices

PEOPLE = [(("Email", f"p{number}@x.io"), ("Phone", f"+{number}")) for number in range(40)]


def loyalty_first(world):
    """The settings of a policy that keeps nothing merged."""
    rule = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (world.loyalty.dataset_id, world.crm.dataset_id))
    return PolicySettings("Loyalty first", IdentityGraphType.PDG, rule)


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


async def test_a_cancelled_waiter_for_a_slice_holds_up_nobody():
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


@pytest.fixture
async def turns(monkeypatch):
    """Gives a way to spy on a function: in which turn of the event loop each call of it is. Slices are as short as can be."""
    monkeypatch.setattr(slices, "SLICE_SECONDS", 1e-9)
    turn = 0

    async def others():
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    def spied_on(module, name):
        calls, function = list[int](), getattr(module, name)

        def spy(*args, **kwargs):
            calls.append(turn)
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, spy)
        return calls

    watching = asyncio.create_task(others())
    yield spied_on
    watching.cancel()


def assert_one_in_each_turn(calls, least):
    assert len(calls) >= least
    assert len(set(calls)) == len(calls)


async def test_after_a_slice_that_could_not_be_cut_others_have_several_turns(turns):
    thing = SimpleNamespace(work=str)
    calls = turns(thing, "work")
    await in_time_slices(thing.work, range(10))
    assert all(after - before > 1 for before, after in pairwise(calls[1:]))  # the first is not waited for


async def test_what_is_over_in_one_slice_costs_no_turn():
    turned = asyncio.create_task(asyncio.sleep(0))
    assert await in_time_slices(str, range(3)) == ["0", "1", "2"]
    assert not turned.done()


async def test_others_have_turns_between_pieces_of_long_work(turns):
    thing = SimpleNamespace(work=str)
    calls = turns(thing, "work")
    assert await in_time_slices(thing.work, range(100)) == [str(number) for number in range(100)]
    assert_one_in_each_turn(calls, 100)


async def test_documents_are_read_in_slices_however_they_are_sent(world, turns):
    calls = turns(validation.Reader, "_valid")
    for document in (record(*PEOPLE[0]), orjson.dumps(record(*PEOPLE[1]))):
        await world.records(*[document] * 300)
    assert_one_in_each_turn(calls, 600)


async def test_people_are_merged_in_slices_when_they_are_written(world, turns):
    calls = turns(merge, "_stacked")
    await world.records(*(record(*person, first_name="Ana") for person in PEOPLE))
    assert_one_in_each_turn(calls, len(PEOPLE))


async def test_people_who_are_not_materialized_are_merged_in_slices_when_they_are_read(world, turns):
    await world.records(*(record(*person, first_name="Ana") for person in PEOPLE))
    policy = await policies.create_policy(world.db, world.scope, loyalty_first(world))
    merged, parsed = turns(merge, "_stacked"), turns(profiles, "_fragment")
    config = await world.config()
    read = await profiles.search_profiles(
        world.db, world.scope, config, config.policy(policy.policy_id), Window(len(PEOPLE))
    )
    assert len(read.items) == len(PEOPLE)
    assert_one_in_each_turn(merged, len(PEOPLE))
    assert_one_in_each_turn(parsed, len(PEOPLE))


async def test_policies_are_compared_in_slices(world, turns):
    await world.records(*(record(*person, first_name="Ana") for person in PEOPLE))
    base = (await world.config()).default_policy.policy_id
    merged, compared = turns(merge, "_stacked"), turns(diffs, "changed_paths")
    found = await diffs.diff_policies(
        world.db, world.scope, world.configurations, base, loyalty_first(world), seconds=60
    )
    assert found.profiles_compared == len(PEOPLE)
    assert_one_in_each_turn(merged, len(PEOPLE))
    assert_one_in_each_turn(compared, len(PEOPLE))


async def test_a_component_is_walked_in_slices(world, turns):
    """A chain of people that is longer than a graph may be: each of them is looked at in a turn of its own."""
    calls = turns(graph_component._NeighbourWalk, "_unite")
    names = [name for person in PEOPLE for name in person]
    await world.events(*(event(f"{n}", "2026-01-01T00:00:00Z", *pair) for n, pair in enumerate(pairwise(names))))
    assert_one_in_each_turn(calls, len(names))


async def test_what_documents_say_of_who_belongs_together_is_put_together_in_slices(world, turns):
    calls = turns(appending, "_tie_id")
    await world.records(*(record(*person) for person in PEOPLE))
    assert_one_in_each_turn(calls, len(PEOPLE))
