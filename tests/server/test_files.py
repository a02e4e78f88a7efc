"""What `gateway ingest` does with a file, beside what the command line says of it."""

from world import World, record

from gateway.server.files import refresh_statistics
from gateway.storage.queries import Query

COUNTED = Query(
    "test.counted",
    "select reltuples::bigint from pg_class where oid = 'gateway.identity'::regclass",
    (),
    (),
    "value",
    "For these tests.",
)


async def test_tables_are_counted_anew_once_they_have_grown_by_a_tenth(db):
    world = await World.create(db)
    people = [record(("Email", f"{number}@example.com")) for number in range(1600)]
    await world.records(*people[:800])
    await refresh_statistics(db)
    assert await db.value(COUNTED) == 800
    await world.records(*people[800:810])
    await refresh_statistics(db)
    assert await db.value(COUNTED) == 800
    await world.records(*people[810:])
    await refresh_statistics(db)
    assert await db.value(COUNTED) == 1600
