"""What documents of others say of erased identities is taken out of each version, event and resend, and nothing else is touched."""

from dataclasses import replace
from itertools import count

import orjson
import pytest
from crashes import killed_after
from world import World, event, record

from gateway.domain.config.registry import IdentityDescriptor
from gateway.domain.operations import erasure_redaction
from gateway.domain.operations.erasure import DeleteScope, delete_profiles, erase_people
from gateway.domain.operations.erasure_redaction import Redaction
from gateway.domain.operations.verification import verify
from gateway.domain.rules.graphs import MAX_NEIGHBOURS
from gateway.domain.rules.versions import Mode
from gateway.domain.views.pipeline import refresh
from gateway.domain.views.transactions import exclusive_transaction
from gateway.domain.work import leases
from gateway.domain.work.job_kinds import JobKind
from gateway.storage.queries import Query

ANA, BOB, CLEO, DEVICE = ("Email", "ana@x.io"), ("Email", "bob@x.io"), ("Email", "cleo@x.io"), ("GAID", "device")
FIELDS = {"crm": {"type": "object", "properties": {"number": {"type": "integer"}}}}


def read(name: str, sql: str) -> Query:
    return Query(f"test.{name}", sql, ("sandbox_id",), (), "rows", "For tests.")


VERSIONS = read("versions", "select input, as_sent from gateway.record where sandbox_id = $1 order by ordinal")
EVENTS = read(
    "events", "select event_id, document, is_redacted from gateway.event where sandbox_id = $1 order by event_id"
)
ERRORS = read("errors", "select document from gateway.ingest_error where sandbox_id = $1")
SAMPLES = read("samples", "select sample from gateway.ingestion_warning where sandbox_id = $1 order by first_seen_at")
CHANGES = read("changes", "select distinct kind from gateway.change where sandbox_id = $1")
EARLIER = read(
    "earlier",
    "update gateway.sandbox set text_rules = 1, config_version = config_version + 1 where sandbox_id = $1 returning 1",
)
RESENDS = read("resends", "select event_id, document, named_xids from gateway.event_resend where sandbox_id = $1")
NEWEST = read("newest", "select max(ingested_at) as at from gateway.event where sandbox_id = $1")
LIFT = read("lift", "update gateway.identity set erased_at = null where sandbox_id = $1 returning 1")
TIES = read("ties", "select distinct xids from gateway.tie where sandbox_id = $1")


async def erase(world: World, *identities: tuple[str, str]):
    """Erase these identities alone, and return the receipt."""
    job = await world.erase(*[await world.xid(*each) for each in identities], reach=DeleteScope.IDENTITY)
    assert await verify(world.db, world.scope, world.configurations) == []
    return job.receipt


async def stored(world: World, statement: Query, column: str = "document"):
    rows = await world.db.rows(statement, world.scope.sandbox_id)
    return [row[column] and orjson.loads(row[column]) for row in rows]


async def test_each_version_loses_the_mention_and_keeps_what_else_it_says(db):
    world = await World.create(db, "acme", [IdentityDescriptor("_acme.crm.number", "CORE")], FIELDS)
    named = {
        "extSourceSystemAudit": {"lastUpdatedDate": "2026-01-01T01:00:00+01:00"},
        "_acme": {"crm": {"number": 12.0}},
    }
    await world.records(record(BOB, first_name="Bob", **named), record(CLEO, ANA, first_name="Cleo"))
    await world.records(record(BOB, ANA, first_name="Bobby"), record(BOB, ANA, ("GAID", "g")))
    await world.records(
        {"identityMap": {**record(BOB, ANA)["identityMap"], "GAID": None}, **named},
        mode=Mode.MERGE,
    )
    receipt = await erase(world, ANA, ("CORE", "12"))
    assert receipt.redacted_mentions == 6
    audit = {"extSourceSystemAudit": {"lastUpdatedDate": "2026-01-01T00:00:00.000Z"}}
    assert await stored(world, VERSIONS, "input") == [
        record(BOB, first_name="Bob", **audit),
        record(CLEO, first_name="Cleo"),
        record(BOB, first_name="Bobby"),
        record(BOB, ("GAID", "g")),
        {"identityMap": {**record(BOB)["identityMap"], "GAID": None}, **audit},
    ]
    assert await stored(world, VERSIONS, "as_sent") == [
        {"/extSourceSystemAudit/lastUpdatedDate": "2026-01-01T01:00:00+01:00"}, None, None, None,
        {"/extSourceSystemAudit/lastUpdatedDate": "2026-01-01T01:00:00+01:00"},
    ]  # fmt: skip


async def test_a_number_that_earlier_rules_hashed_as_it_was_sent_is_found(db):
    described = [IdentityDescriptor("_acme.crm.number", "CORE")]
    world = await World.create(db, "acme", described, FIELDS)
    await db.rows(EARLIER, world.scope.sandbox_id)
    world.scope = replace(world.scope, sandbox=await world.fresh_sandbox())
    await world.records(record(BOB, _acme={"crm": {"number": 12.0}}))
    assert (await erase(world, ("CORE", "12.0"))).redacted_mentions == 1
    assert await stored(world, VERSIONS, "input") == [record(BOB)]


async def test_a_deletion_keeps_no_identity_but_its_own(world):
    """It makes no tie, so nothing would lead from another identity to it."""
    await world.records(record(BOB, ANA))
    await world.records(record(BOB, ANA, DEVICE, first_name="Bob"), mode=Mode.DELETE)
    assert await stored(world, VERSIONS, "input") == [record(BOB, ANA), record(BOB, first_name="Bob")]


async def test_a_redacted_event_takes_any_document_as_a_repetition_also_once_its_batch_is_gone(world):
    one, two, three = [await world.batch(key, world.shop) for key in ("one", "two", "three")]
    sent = event("1", "2026-01-01T00:00:00Z", BOB, ANA)
    await world.events(sent, batch_id=one)
    await world.events({**sent, "eventType": "other"}, batch_id=two)
    assert (await erase(world, ANA)).redacted_mentions == 2
    await world.db.rows(LIFT, world.scope.sandbox_id)
    result = await world.events(sent, batch_id=three)
    assert (result.accepted, result.duplicates, result.warnings) == (0, 1, [])
    told = event("1", "2026-01-01T00:00:00.000Z", BOB)
    assert await stored(world, EVENTS) == [told]
    for gone, left in ((one, [{**told, "eventType": "other"}]), (two, [told]), (three, [])):
        await world.delete(gone)
        assert await stored(world, EVENTS) == left


async def test_a_device_that_is_used_again_loses_what_was_said_of_it_before_alone(world):
    """Although both events share a tie."""
    await world.events(event("1", "2026-01-01T00:00:00Z", BOB, DEVICE))
    (row,) = await world.db.rows(NEWEST, world.scope.sandbox_id)
    await world.events(event("2", "2026-01-02T00:00:00Z", BOB, DEVICE))
    redaction, mentions = Redaction(world.scope, [await world.xid(*DEVICE)], row["at"]), 0
    while not redaction.is_over:
        async with exclusive_transaction(world.db, world.scope, world.configurations) as change:
            mentions += (await redaction.redact_some(change)).mentions
            await refresh(change)
    assert mentions == 1
    assert await stored(world, EVENTS) == [
        event("1", "2026-01-01T00:00:00.000Z", BOB),
        event("2", "2026-01-02T00:00:00.000Z", BOB, DEVICE),
    ]
    assert await world.people() == {(await world.xid(*BOB), await world.xid(*DEVICE))}
    assert await verify(world.db, world.scope, world.configurations) == []


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_pieces_of_any_size_take_out_every_mention_once_and_a_dry_run_counts_as_many(world, monkeypatch, size):
    for name in ("TIES_PER_PAGE", "RECORDS_AT_ONCE", "SPANS_AT_ONCE", "VERSIONS_PER_PIECE", "EVENTS_PER_PIECE"):
        monkeypatch.setattr(erasure_redaction, name, size)
    for key in ("one", "two"):
        batch = await world.batch(key, world.shop)
        for number, other in enumerate((BOB, CLEO, BOB)):
            days = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", f"2026-01-0{1 + number}T00:00:00.001Z"]
            sent = [event(f"{number}{n}", moment, other, ANA, eventType=key) for n, moment in enumerate(days)]
            await world.events(*sent, event(f"x{number}", days[2], other), batch_id=batch)
    for number in range(3):
        await world.records(
            record(BOB, ANA, first_name=f"B{number}"), record(CLEO, ANA, DEVICE, first_name=f"C{number}")
        )
    await world.records(record(ANA, first_name="Ana"))
    xid = await world.xid(*ANA)
    counted = (await world.erase(xid, reach=DeleteScope.IDENTITY, is_dry_run=True)).receipt
    receipt = await erase(world, ANA)
    assert counted.redacted_mentions == receipt.redacted_mentions == 9 + 9 + 6
    assert not [row for row in await world.db.rows(TIES, world.scope.sandbox_id) if xid in row["xids"]]
    for statement, column in ((VERSIONS, "input"), (EVENTS, "document"), (RESENDS, "document")):
        assert "ana@x.io" not in repr(await stored(world, statement, column))
    assert all(xid not in row["named_xids"] for row in await world.db.rows(RESENDS, world.scope.sandbox_id))


@pytest.mark.parametrize(("versions", "size"), [(3, 10**9), (1_000, 1)])
async def test_a_record_of_many_versions_is_redacted_over_several_pieces_each_of_which_may_be_the_last_of_its_worker(
    db, monkeypatch, versions, size
):
    """By number or by size; between two pieces a record says what its versions say then, and a dry run counts as many mentions."""
    monkeypatch.setattr(erasure_redaction, "VERSIONS_PER_PIECE", versions)
    monkeypatch.setattr(erasure_redaction, "BYTES_PER_PIECE", size)
    world = await World.create(db, "acme", [IdentityDescriptor("_acme.crm.number", "CORE")], FIELDS)
    modes = [Mode.REPLACE, Mode.MERGE, Mode.DELETE, Mode.REPLACE, Mode.MERGE, Mode.MERGE, Mode.MERGE]
    for number, mode in enumerate(modes):
        said = {} if mode is Mode.DELETE else {"_acme": {"crm": {"number": 12}}}
        await world.records(record(BOB, first_name=f"B{number}", **said), mode=mode)
    core = await world.xid("CORE", "12")
    counted = (await world.erase(core, reach=DeleteScope.IDENTITY, is_dry_run=True)).receipt
    await delete_profiles(world.db, world.scope, [core], reach=DeleteScope.IDENTITY)
    claim, told = await leases.claim(world.db, [JobKind.DELETE_PROFILE]), []
    for commits in count(1):
        work = erase_people(world.db, world.scope, world.configurations, claim)
        if not await killed_after(commits, work, []):
            break
        assert await verify(world.db, world.scope, world.configurations) == []
        told += [each for each in await world.documents() if each not in told]
    assert claim.receipt == counted
    assert counted.redacted_mentions == 6
    assert [(each["person"]["name"]["firstName"], "_acme" in each) for each in told] == [("B6", True), ("B6", False)]
    assert not any("number" in repr(each) for each in await stored(world, VERSIONS, "input"))


async def test_refused_documents_and_samples_that_name_an_erased_identity_go_and_others_stay(world):
    await world.records(record(ANA, ("GAID", "null")), record(BOB, ANA, colour="red"), record(BOB, colour="blue"))
    await world.events(event("1", "2026-01-01T00:00:00Z", BOB, ("GAID", "null")))
    assert (await erase(world, ANA)).errors == 1
    assert await stored(world, ERRORS) == [record(BOB, colour="blue")]
    assert [sample is None for sample in await stored(world, SAMPLES, "sample")] == [True, False]
    await world.records(record(CLEO, ("GAID", "null")))
    assert [sample is None for sample in await stored(world, SAMPLES, "sample")] == [False, False]


async def test_an_identity_that_joined_nobody_joins_nobody_while_it_is_taken_out_piece_by_piece(world, monkeypatch):
    monkeypatch.setattr(erasure_redaction, "TIES_PER_PAGE", 20)
    await world.records(*(record(("Email", f"{n}@x.io"), DEVICE) for n in range(MAX_NEIGHBOURS + 5)))
    people = await world.people()
    await erase(world, DEVICE)
    assert await world.people() == people
    assert {row["kind"] for row in await world.db.rows(CHANGES, world.scope.sandbox_id)} == {"CREATED", "UPDATED"}


@pytest.mark.parametrize("statement", [erasure_redaction.REDACT_EVENTS, erasure_redaction.REDACT_VERSIONS])
async def test_the_documents_of_a_piece_are_written_without_a_look_at_the_others_of_their_identity(world, statement):
    """Else each piece would read all, and a person with many would take the square of their number; without statistics, as it may be in a bulk load."""
    bob, dataset = await world.xid(*BOB), world.shop if statement is erasure_redaction.REDACT_EVENTS else world.crm
    await world.events(*(event(f"e{n}", "2026-01-01T00:00:00Z", BOB) for n in range(1_000)))
    await world.records(*(record(BOB, first_name=f"B{n}") for n in range(1_000)))
    is_event = statement is erasure_redaction.REDACT_EVENTS
    rows = [
        (bob, dataset.dataset_id, f"e{n}" if is_event else n, *((None, "{}") if is_event else ("{}", None)))
        for n in range(500)
    ]
    explain = Query("test.explain", f"explain {statement.with_rows(len(rows))}", (), (), "rows", "For tests.")
    keys = ([bob], [dataset.dataset_id], [row[2] for row in rows])
    async with world.db.transaction() as tx:
        plan = [
            row[0] for row in await tx.rows(explain, world.scope.sandbox_id, *keys, *(v for row in rows for v in row))
        ]
    conditions = [line for line in plan if "Index Cond" in line]
    assert conditions
    assert all(("event_id" if is_event else "ordinal") in line for line in conditions), plan
