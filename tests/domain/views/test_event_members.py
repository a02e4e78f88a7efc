"""Graphs tell which of their members have events, whatever order facts come in and however they go. Reads look under no others."""

import asyncio
import random

import pytest
from client import Client
from world import World, event, record

from gateway.domain.operations.verification import verify
from gateway.domain.rules.versions import Mode
from gateway.storage.database import Database
from gateway.storage.queries import Query

EMAIL, PHONE, DEVICE = ("Email", "ana@example.com"), ("Phone", "+1"), ("ECID", "1" * 38)
AT = "2026-01-01T12:00:00Z"
WRITERS = 8


def read(columns, table):
    sql = f"select {columns} from gateway.{table} where sandbox_id = $1"
    return Query("test.read", sql, ("sandbox_id",), (), "rows", "For tests.")


GRAPHS, VALUES = read("xids, event_xids", "graph"), read("xid, value", "identity")
EVENTS = """query ($value: String!) { profile(identity: {key: {namespace: "Email", value: $value}}) {
    events(first: 50) { totalCount nodes { id } } some: events(filter: {eventTypes: ["look"]}) { totalCount } limits { eventCount } } }"""


async def noted(world):
    """The values of the members that have events, of each person, sorted."""
    assert await verify(world.db, world.scope, world.configurations) == []
    values = {row["xid"]: row["value"] for row in await world.db.rows(VALUES, world.scope.sandbox_id)}
    graphs = await world.db.rows(GRAPHS, world.scope.sandbox_id)
    return sorted([values[xid] for xid in row["xids"] if xid in row["event_xids"]] for row in graphs)


async def test_a_member_is_noted_with_its_first_event_however_it_joined(world):
    await world.records(record(EMAIL, PHONE))
    assert await noted(world) == [[]]
    await world.events(event("1", AT, PHONE))
    assert await noted(world) == [["+1"]]
    await world.events(event("2", AT, DEVICE, EMAIL))
    assert await noted(world) == [["+1", "1" * 38]]
    await world.events(event("3", AT, EMAIL), event("4", AT, PHONE))
    assert await noted(world) == [["ana@example.com", "+1", "1" * 38]]


async def test_people_who_join_bring_their_members_with_events(world):
    await world.events(event("1", AT, DEVICE), event("2", AT, PHONE))
    await world.records(record(EMAIL, first_name="Ana"))
    assert await noted(world) == [[], ["+1"], ["1" * 38]]
    await world.records(record(EMAIL, DEVICE, PHONE))
    assert await noted(world) == [["+1", "1" * 38]]


async def test_first_events_beside_a_deletion_are_noted_too(world):
    """Calls that share a transaction with a deletion leave people to a rebuild."""
    await world.records(record(EMAIL, PHONE), record(("Email", "bob@example.com")))
    outcomes = await world.together(
        world.records(record(("Email", "bob@example.com")), mode=Mode.DELETE),
        world.events(event("1", AT, PHONE), event("2", AT, DEVICE)),
    )
    assert not [one for one in outcomes if isinstance(one, Exception)]
    assert await noted(world) == [["+1"], ["1" * 38]]


async def test_events_that_go_take_the_note_with_them_and_successors_bring_it(world):
    first, second = [await world.batch(name, world.shop) for name in ("first", "second")]
    await world.records(record(EMAIL, PHONE))
    await world.events(event("1", AT, EMAIL), event("2", AT, EMAIL), batch_id=first)
    await world.events(event("1", AT, PHONE, EMAIL), batch_id=second)
    assert await noted(world) == [
        ["ana@example.com", "+1"]
    ]  # one too many: the resend is stored beside the first event
    await world.revert(first)
    assert await noted(world) == [["+1"]]


@pytest.fixture
async def shared(dsn):
    db = await Database.connect(dsn, size=WRITERS)
    yield await World.create(db)
    await db.close()


async def test_of_writers_who_bring_first_events_of_the_same_people_none_is_lost_or_stuck(shared):
    world, dice = shared, random.Random(5)
    await world.records(
        *(record(("Email", f"p{n}@example.com"), ("Phone", f"+{n}"), ("ECID", f"{n:038d}")) for n in range(1, 21))
    )
    members = [("Email", "p{}@example.com"), ("Phone", "+{}"), ("ECID", "{:038d}")]

    def call(writer):
        events = []
        for person in dice.sample(range(1, 21), 20):
            namespace, form = members[dice.randrange(3)]
            events.append(event(f"{writer}-{person}", AT, (namespace, form.format(person)), eventType="look"))
        return events

    joining = [record(("Email", f"p{n}@example.com"), ("Email", f"q{n}@example.com")) for n in range(1, 21)]
    calls = [world.events(*call(writer)) for writer in range(2 * WRITERS)]
    await asyncio.wait_for(asyncio.gather(*calls, world.records(*joining)), timeout=120)
    assert await verify(world.db, world.scope, world.configurations) == []
    for person in (1, 20):
        told = await Client.of(world).data(EVENTS, value=f"q{person}@example.com")
        found = told["profile"]
        assert (found["events"]["totalCount"], len(found["events"]["nodes"])) == (2 * WRITERS, 2 * WRITERS)
        assert found["some"]["totalCount"] == found["limits"]["eventCount"] == 2 * WRITERS
