"""While a worker of a cluster is away, its people are unavailable, each alone, and everybody else is served."""

import asyncio

import asyncpg
import pytest
from citus import WorkerLine, needs_cluster
from world import event, record

from gateway.domain.operations.verification import verify
from gateway.errors import Unavailable

pytestmark = needs_cluster

PEOPLE = [f"p{number}@example.com" for number in range(150)]
"""So many that some have an identity on each worker, and some, one in sixteen, all of their rows on the one that stays."""

PROFILE = """entityJson identities { value }
  events(first: 2, orderBy: {direction: DESC}) { totalCount nodes { eventId } }"""
MANY = "query ($asked: [IdentityInput!]!) { profiles(identities: $asked) { status message profile { %s } } }"
ONE = "query ($key: IdentityKeyInput!) { profile(identity: {key: $key}) { %s } }"


def key(address):
    return {"namespace": "Email", "value": address}


def named(address):
    number = PEOPLE.index(address) + 1
    return ("Email", address), ("ECID", f"{number:038d}"), ("Phone", f"+4930{number:06d}")


async def many(client, selected=PROFILE):
    """What is told of each person, and the places of those of whom there is an error instead of the profile."""
    asked = [{"key": key(address)} for address in PEOPLE]
    _, body = await client.answer(MANY % selected, {"asked": asked})
    errors = body.get("errors", ())
    assert {error["extensions"]["code"] for error in errors} <= {"UNAVAILABLE"}
    return body["data"]["profiles"], {error["path"][1] for error in errors}


@pytest.fixture
async def line(dsn):
    coordinator = await asyncpg.connect(dsn)
    async with WorkerLine(coordinator) as line:
        yield line
    await coordinator.close()


@pytest.fixture
async def people(client):
    """People with three identities each, a record, and an event under each identity."""
    stored = await client.world.records(*(record(*named(address), first_name=address) for address in PEOPLE))
    assert (stored.accepted, stored.warnings) == (len(PEOPLE), [])
    await client.world.events(
        *(event(f"{address} {n}", "2026-01-01T00:00:00.000Z", each) for address in PEOPLE for n, each in enumerate(named(address)))
    )  # fmt: skip
    return client


def split(found, failed):
    """The addresses of people who were read, and of the others."""
    away = {place for place, each in enumerate(found) if each["status"] == "UNAVAILABLE"} | failed
    return [
        [address for place, address in enumerate(PEOPLE) if (place in away) is is_away] for is_away in (False, True)
    ]


@pytest.mark.parametrize(
    "selected", [PROFILE, "entityJson", "fragments { document } identityGraph { links { a { value } } }"]
)
async def test_of_many_people_those_on_the_worker_are_unavailable_and_the_others_as_before(people, line, selected):
    before, _ = await many(people, selected)
    line.leave()
    meanwhile, failed = await many(people, selected)
    await line.come_back()
    assert all(split(meanwhile, failed))
    for place, (then, now) in enumerate(zip(before, meanwhile, strict=True)):
        if now["status"] == "UNAVAILABLE" or place in failed:
            assert now["profile"] is None
            assert (now["message"] is None) is (place in failed)
        else:
            assert now == then
    assert await many(people, selected) == (before, set())


async def test_people_asked_for_at_the_same_moment_as_somebody_on_the_worker_are_served(people, line):
    line.leave()
    present, away = split(*await many(people))
    answers = await asyncio.gather(*(people.answer(ONE % PROFILE, {"key": key(address)}) for address in PEOPLE))
    told = {address: body for address, (_, body) in zip(PEOPLE, answers, strict=True)}
    assert [told[address]["errors"] for address in present if not told[address]["data"]["profile"]] == []
    assert [told[address]["data"]["profile"] for address in away] == [None] * len(away)
    assert {error["extensions"]["code"] for address in away for error in told[address]["errors"]} == {"UNAVAILABLE"}
    await line.come_back()


async def test_a_write_while_a_worker_is_away_is_stored_or_refused_whole(people, line):
    world = people.world
    line.leave()
    present, away = split(*await many(people))

    async def send(address):
        return await world.events(event(f"{address} new", "2026-01-02T00:00:00.000Z", *named(address)))

    for address in present[:5]:
        assert (await send(address)).accepted == 1
    for address in away[:5]:
        with pytest.raises(Unavailable):
            await send(address)
    await line.come_back()
    found, _ = await many(people)
    counted = {address: each["profile"]["events"]["totalCount"] for address, each in zip(PEOPLE, found, strict=True)}
    assert counted == {address: 4 if address in present[:5] else 3 for address in PEOPLE}
    assert await verify(world.db, world.scope, world.configurations, None) == []
    assert [(await send(address)).accepted for address in away[:5]] == [1] * len(away[:5])
