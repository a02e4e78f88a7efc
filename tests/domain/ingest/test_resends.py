"""Events of a dataset with one `_id` and a common identity are one event, whichever identity is the primary one."""

import asyncio

import orjson
import pytest
from world import World, event

from gateway.domain.config import registry
from gateway.domain.config.identity_settings import NamespaceRule, update_identity_settings
from gateway.domain.config.namespaces import create_namespace
from gateway.domain.config.registry import IdentityDescriptor
from gateway.domain.operations.verification import verify
from gateway.domain.rules.graphs import IdentityType
from gateway.storage.database import Database
from gateway.storage.queries import Query

EMAIL, PHONE, DEVICE = ("Email", "ana@x.io"), ("Phone", "+1"), ("ECID", "1" * 38)
NOON = "2026-01-01T12:00:00Z"
EVENTS = Query(
    "test.events",
    "select xid, event_id, batch_id, timestamp, event_type, ingested_at, document::text from gateway.event where sandbox_id = $1",
    ("sandbox_id",),
    (),
    "rows",
    "For tests.",
)


LENGTHEN = Query(
    "test.lengthen",
    "update gateway.event_resend set document = jsonb_set(document, '{eventType}', to_jsonb($2::text)) where sandbox_id = $1",
    ("sandbox_id", "event_type"),
    (),
    "none",
    "For tests.",
)


async def stored(world):
    return [tuple(row) for row in await world.db.rows(EVENTS, world.scope.sandbox_id)]


async def settings_change(world):
    """Make the e-mail address the primary identity by settings, against the mark."""
    await update_identity_settings(world.db, world.scope, [NamespaceRule("Email"), NamespaceRule("ECID")])
    return event("e1", NOON, DEVICE, EMAIL)


async def another_mark(world):
    return event("e1", NOON, EMAIL, DEVICE)


async def a_descriptor_comes(world):
    """Make a field of the document an identity, and by settings the primary one."""
    await create_namespace(world.db, world.scope, code="Page", name="Page", kind=IdentityType.CROSS_DEVICE)
    descriptor = IdentityDescriptor("web.webPageDetails.name", "Page")
    await registry.update_schema(world.db, world.scope, world.shop.schema_id, identities=[descriptor])
    await update_identity_settings(world.db, world.scope, [NamespaceRule("Page")])


@pytest.mark.parametrize("change", [settings_change, another_mark, a_descriptor_comes])
async def test_an_event_sent_again_under_another_primary_identity_is_a_resend(world, change):
    first = event("e1", NOON, DEVICE, EMAIL, web={"webPageDetails": {"name": "Home"}})
    if change is a_descriptor_comes:
        first["identityMap"] = {"ECID": [{"id": DEVICE[1]}]}
    await world.events(first)
    before = await stored(world)
    again = await change(world) or first
    result = await world.events(again)
    assert (result.accepted, result.duplicates) == (0, 1)
    assert [warning.code for warning in result.warnings] == [] if again == first else ["EVENT_DIFFERS"]
    assert await stored(world) == before
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_within_one_call_the_first_event_is_stored_and_the_others_are_resends(world):
    result = await world.events(event("e1", NOON, DEVICE, EMAIL), event("e1", NOON, EMAIL, DEVICE))
    assert (result.accepted, result.duplicates) == (1, 1)
    ((xid, *_),) = await stored(world)
    assert xid == await world.xid(*DEVICE)
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_events_without_a_common_identity_may_have_the_same_id(world):
    result = await world.events(event("e1", NOON, DEVICE), event("e1", NOON, EMAIL))
    assert (result.accepted, len(await stored(world))) == (2, 2)
    repeated = await world.events(event("e1", NOON, PHONE, EMAIL, DEVICE))
    assert (repeated.accepted, repeated.duplicates) == (0, 1)
    assert await verify(world.db, world.scope, world.configurations) == []


@pytest.mark.parametrize("many", [1, 20])
async def test_one_of_several_concurrent_calls_with_different_marks_stores_the_event(dsn, many):
    db = await Database.connect(dsn, size=8)
    world = await World.create(db)
    people = [(("Email", f"p{n}@x.io"), ("ECID", f"{n + 1:038d}")) for n in range(many)]
    await world.events(*(event("known", NOON, *person) for person in people))
    rounds = 20 // many + 2
    for number in range(rounds):
        calls = [
            [event(f"e{number}", NOON, *(person if place % 2 else reversed(person))) for person in people]
            for place in range(8)
        ]
        results = await asyncio.gather(*(world.events(*documents) for documents in calls))
        assert sum(result.accepted for result in results) == many
    assert len(await stored(world)) == many * (rounds + 1)
    assert await verify(world.db, world.scope, world.configurations) == []
    await db.close()


async def test_the_first_resend_succeeds_an_event_whose_batch_is_removed(world):
    """With its own document, primary identity, batch and times; later resends become resends of it."""
    batches = [await world.batch(str(n), world.shop) for n in range(3)]
    await world.events(event("e1", NOON, DEVICE, EMAIL, eventType="a"), batch_id=batches[0])
    await world.events(event("e1", "2026-01-02T12:00:00Z", EMAIL, DEVICE, eventType="b"), batch_id=batches[1])
    await world.events(event("e1", NOON, PHONE, EMAIL, DEVICE, eventType="c"), batch_id=batches[2])
    firsts = []
    for batch_id in batches:
        ((xid, _, of_batch, timestamp, event_type, *_),) = await stored(world)
        firsts.append((xid, of_batch, timestamp.day, event_type))
        await world.abort(batch_id)
        assert await verify(world.db, world.scope, world.configurations) == []
    assert firsts == [
        (await world.xid(*DEVICE), batches[0], 1, "a"),
        (await world.xid(*EMAIL), batches[1], 2, "b"),
        (await world.xid(*PHONE), batches[2], 1, "c"),
    ]
    assert await stored(world) == []


async def test_of_a_type_from_before_it_had_a_limit_the_column_has_the_beginning(world):
    batches = [await world.batch(str(n), world.shop) for n in range(2)]
    await world.events(event("e1", NOON, EMAIL, eventType="a"), batch_id=batches[0])
    await world.events(event("e1", NOON, EMAIL, eventType="b"), batch_id=batches[1])
    async with world.db.transaction(world.scope.sandbox_id) as tx:
        await tx.execute(LENGTHEN, world.scope.sandbox_id, "b" * 3_000)
    await world.abort(batches[0])
    ((*_, event_type, _, document),) = await stored(world)
    assert (event_type, orjson.loads(document)["eventType"]) == ("b" * 128, "b" * 3_000)


async def test_a_stored_event_becomes_a_resend_of_the_successor_that_it_repeats(world):
    """The third event names the identity of the second, and not of the first: it is a resend only while the second is stored."""
    batches = [await world.batch(str(n), world.shop) for n in range(4)]
    await world.events(event("e1", NOON, DEVICE, eventType="a"), batch_id=batches[0])
    await world.events(event("e1", NOON, EMAIL, DEVICE, eventType="b"), batch_id=batches[1])
    await world.events(event("e1", NOON, PHONE, EMAIL, eventType="c"), batch_id=batches[2])
    await world.events(event("e1", NOON, PHONE, eventType="d"), batch_id=batches[3])
    assert {row[4] for row in await stored(world)} == {"a", "c"}
    for batch_id, types in zip(batches, [{"b", "d"}, {"c"}, {"d"}, set()], strict=True):
        await world.abort(batch_id)
        assert await verify(world.db, world.scope, world.configurations) == []
        assert {row[4] for row in await stored(world)} == types


async def test_verification_finds_an_event_that_was_stored_twice_and_names_the_earlier_one(world):
    """An earlier release stored such events twice, under two identities."""
    await world.events(event("e1", NOON, DEVICE, EMAIL))
    twin = """insert into gateway.event
              select sandbox_id, $2::uuid, dataset_id, event_id, batch_id, timestamp, event_type, document, ingested_at + interval '1 second'
                from gateway.event where sandbox_id = $1"""
    async with world.db.transaction() as tx:
        xid = await world.xid(*EMAIL)
        await tx.execute(
            Query("test.twin", twin, ("sandbox_id", "xid"), (), "none", "For tests."), world.scope.sandbox_id, xid
        )
        tie = "insert into gateway.tie select sandbox_id, xid, gen_random_uuid(), batch_id, dataset_id, $2, ingested_at, ordinal, xids, first_at, last_at from gateway.tie where sandbox_id = $1"
        await tx.execute(
            Query("test.tie", tie, ("sandbox_id", "xid"), (), "none", "For tests."), world.scope.sandbox_id, xid
        )
    found = await verify(world.db, world.scope, world.configurations)
    (difference,) = [one for one in found if one.table == "event"]
    assert difference.message == f"repeats the event of {await world.xid(*DEVICE)}"
    result = await world.events(event("e1", NOON, EMAIL, DEVICE))
    assert (result.accepted, result.duplicates) == (0, 1)
