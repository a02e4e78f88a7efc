"""Concurrent writers that link the same people lose nothing, do not deadlock, and leave what one writer leaves."""

import asyncio
import random
from contextlib import suppress

import pytest
from client import Client
from world import World, event, record

from gateway.domain.facts.batches import read_batches
from gateway.domain.operations import removal
from gateway.domain.operations.verification import verify
from gateway.domain.rules.versions import Mode
from gateway.errors import Conflict
from gateway.storage.database import Database
from gateway.storage.queries import Query
from gateway.telemetry import TransactionRestarted, listen

WRITERS = 8

PEOPLE = Query(
    "test.people",
    "select g.xids, p.document::text from gateway.graph g left join gateway.profile p using (sandbox_id, profile_id) where g.sandbox_id = $1",
    ("sandbox_id",),
    (),
    "rows",
    "For tests.",
)


@pytest.fixture
async def world(dsn):
    db = await Database.connect(dsn, size=WRITERS)
    yield await World.create(db)
    await db.close()


def sharing(dice, number, people=40):
    """Make a record of a person, who mostly shares an identity with another one."""
    somebody, other = dice.randrange(people), dice.randrange(people)
    named = [("Email", f"p{somebody}@example.com"), ("Phone", f"+{other}")]
    return record(*named[: dice.choice([1, 2, 2])], first_name=f"N{number}")


async def people(world):
    """Return graphs and documents, without times."""
    rows = await world.db.rows(PEOPLE, world.scope.sandbox_id)
    return sorted((tuple(row["xids"]), row["document"]) for row in rows)


async def test_eight_writers_of_the_same_people_lose_nothing(world):
    """Each writer sends its own records; the same identities come from all of them, in other orders."""
    dice = random.Random(7)
    calls = [[sharing(dice, number) for number in range(25)] for _ in range(40)]
    restarts = []
    stop = listen(lambda seen: restarts.append(seen) if isinstance(seen, TransactionRestarted) else None)
    todo = iter(calls)

    async def writer():
        for documents in todo:
            result = await world.records(*documents)
            assert (result.accepted + result.duplicates, result.failed) == (len(documents), [])

    await asyncio.wait_for(asyncio.gather(*(writer() for _ in range(WRITERS))), timeout=120)
    stop()
    assert restarts  # else nobody met anybody, and this test proves nothing
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_new_people_are_created_once(world):
    """All writers bring the same new people at the same moment."""
    documents = [record(("Email", f"p{n}@example.com"), ("ECID", f"{n:038d}")) for n in range(1, 101)]
    await asyncio.gather(*(world.records(*documents[n:], *documents[:n]) for n in range(0, 96, 12)))
    assert len(await people(world)) == 100
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_records_events_deletions_and_aborted_batches_at_once_leave_right_views(world):
    """Each kind of writer runs several times at the same moment."""
    dice = random.Random(11)
    batches = {}

    async def adder(number):
        result = await world.records(*(sharing(dice, number, 15) for _ in range(10)))
        batches[result.batch_id] = True
        await world.events(
            *(
                event(
                    f"e{number}-{n}",
                    "2026-01-01T00:00:00Z",
                    ("ECID", f"{dice.randrange(15):038d}"),
                    ("Email", f"p{n}@example.com"),
                )
                for n in range(5)
            )
        )

    async def remover(number):
        await world.records(record(("Email", f"p{number}@example.com")), mode=Mode.DELETE)

    async def aborter():
        batch = await world.batch("aborted")
        await world.records(*(sharing(dice, n, 15) for n in range(10)), batch_id=batch)
        await world.abort(batch)

    await asyncio.gather(*(adder(n) for n in range(12)), *(remover(n) for n in range(6)), aborter())
    assert await verify(world.db, world.scope, world.configurations) == []


@pytest.mark.parametrize("are_one_person", [True, False])
async def test_an_event_that_comes_at_once_with_other_identities_is_stored_once(world, are_one_person):
    """Of sendings with one `_id` each may name other identities of the same four, in another order; whoever comes later finds what was stored."""
    dice = random.Random(13)
    identities = [("Email", "a@x.io"), ("Phone", "+491701"), ("ECID", "1" * 38), ("GAID", "g")]
    for number, identity in enumerate(identities):  # nobody is new
        await world.events(event(f"first{number}", "2026-01-01T00:00:00Z", identity))
    if are_one_person:
        await world.events(event("tie", "2026-01-01T00:00:00Z", *identities))

    def sending(number):
        named = (dice.sample(identities, dice.choice([1, 1, 2, 2, 3])) for _ in range(2))
        events = [event(f"e{number}-{n}", "2026-01-01T00:00:00Z", *each) for n, each in enumerate(named)]
        return world.events(*dice.sample(events, 2))

    for number in range(50):
        await asyncio.gather(*(sending(number) for _ in range(3)))
    assert await verify(world.db, world.scope, world.configurations) == []


FACTS_OF = Query(
    "test.facts_of",
    """select (select count(*) from gateway.event where sandbox_id = $1 and batch_id = $2) as events,
              (select count(*) from gateway.event_resend where sandbox_id = $1 and batch_id = $2) as resends,
              (select count(*) from gateway.tie where sandbox_id = $1 and batch_id = $2) as ties""",
    ("sandbox_id", "batch_id"),
    (),
    "row",
    "For tests.",
)
EVENT_IDS = Query(
    "test.event_ids",
    "select event_id from gateway.event where sandbox_id = $1",
    ("sandbox_id",),
    (),
    "rows",
    "For tests.",
)


async def test_batches_go_while_others_load_send_again_write_read_and_remove(world, monkeypatch):
    """Two batches of the same people are aborted at once. What a third one sent, too, stays; nobody's read fails meanwhile."""
    monkeypatch.setattr(removal, "FIRST_SIZE", 15)
    monkeypatch.setattr(removal, "PIECE_SECONDS", 0.005)
    dice, client = random.Random(3), Client.of(world)
    first, second, kept = [await world.batch(name, world.shop) for name in ("first", "second", "kept")]
    sent, is_over = set(), False

    def visit(number):
        device = ("ECID", f"{number % 40 + 1:038d}")
        named = [device, ("Email", f"p{number % 20}@example.com")][: dice.choice([1, 1, 2])]
        return event(f"e{number}", "2026-01-01T00:00:00Z", *named[:: dice.choice([1, -1])], eventType=dice.choice("ab"))

    async def loader():
        with suppress(Conflict):
            for start in range(160, 400, 40):
                await world.events(*map(visit, range(start, start + 40)), batch_id=first)

    async def writer():
        for _ in range(8):
            numbers = dice.sample(range(160), 10)
            await world.events(*map(visit, numbers), batch_id=kept)
            sent.update(f"e{number}" for number in numbers)
            await world.records(
                *(record(("Email", f"p{n}@example.com"), first_name="P") for n in dice.sample(range(20), 2))
            )

    async def reader():
        asked = [{"key": {"namespace": "ECID", "value": f"{n + 1:038d}"}} for n in range(40)]
        while not is_over:
            data = await client.data(PROFILES, identities=asked)
            assert len(data["profiles"]) == 40

    for batch_id in (first, second):
        await world.events(*map(visit, range(120)), batch_id=batch_id)
    reading = asyncio.create_task(reader())
    await asyncio.gather(
        loader(),
        writer(),
        writer(),
        world.abort(first),
        world.abort(second),
        world.abort(second),
    )
    is_over = True
    await reading
    assert await verify(world.db, world.scope, world.configurations) == []
    for batch in await read_batches(world.db, world.scope, [first, second]):
        facts = await world.db.row(FACTS_OF, world.scope.sandbox_id, batch.batch_id)
        assert (batch.status, batch.record_count, *facts) == ("ABORTED", 0, 0, 0, 0)
    (batch,) = await read_batches(world.db, world.scope, [kept])
    rows = await world.db.rows(EVENT_IDS, world.scope.sandbox_id)
    assert {row["event_id"] for row in rows} == sent
    assert batch.record_count == len(rows)


# Identities of a person who goes in the middle of a request may be missing: a request does not see one moment yet.
PROFILES = """
query ($identities: [IdentityInput!]!) {
  profiles(identities: $identities) { status profile { id events(first: 3) { nodes { id } } } }
}
"""


async def test_one_writer_and_eight_end_in_the_same_people(world):
    """The records do not contradict each other, so nothing depends on the order of arrival."""
    dice = random.Random(5)
    documents = [
        record(("Email", f"p{n}@example.com"), ("Phone", f"+{dice.randrange(60)}"), first_name=f"N{n}")
        for n in range(200)
    ]
    for start in range(0, 200, 50):
        await world.records(*documents[start : start + 50])
    alone = await people(world)
    await world.empty()
    dice.shuffle(documents)
    await asyncio.gather(*(world.records(*documents[n::WRITERS]) for n in range(WRITERS)))
    together = await people(world)
    assert [xids for xids, _ in together] == [xids for xids, _ in alone]
