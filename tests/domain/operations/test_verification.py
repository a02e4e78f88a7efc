"""`verify` finds every view that differs from the facts, and reports nothing where none does."""

import pytest
from world import day, event, record

from gateway.domain.operations.verification import verify
from gateway.domain.rules.versions import Mode
from gateway.domain.views import folding
from gateway.storage.queries import Query
from gateway.telemetry import StatementRan, listen

ANA, PHONE = ("Email", "ana@example.com"), ("Phone", "+1")

BREAKAGES = {
    "identity": "update gateway.identity set profile_id = null",
    "graph": "update gateway.graph set xids = array[xids[1]]",
    "fragment": "update gateway.fragment set ingested_at = '2020-01-01'",
    "profile": """update gateway.profile set document = '{"person": {}}'""",
    "tie": "update gateway.tie set is_retracted = not is_retracted",
}
ELSEWHERE = {
    "tie": "update gateway.tie set last_at = '2999-01-01' where dataset_id is not null",
    "identity": "update gateway.identity set degree_limit = 20",
    "graph": "update gateway.graph set event_xids = '{}'",
    "batch": "update gateway.batch set record_count = record_count + 1",
    "profile": "insert into gateway.profile select sandbox_id, gen_random_uuid(), profile_id, document, sources, modified_at from gateway.profile",
}
LOSSES = {
    "graph": "delete from gateway.graph",
    "fragment": "delete from gateway.fragment",
    "profile": "delete from gateway.profile",
}
STRAYS = {
    "graph": "insert into gateway.graph (sandbox_id, profile_id, xids, identity_map, size, event_xids) select $1, gen_random_uuid(), '{}', '{}', 0, '{}'",
    "fragment": "insert into gateway.fragment select sandbox_id, gen_random_uuid(), dataset_id, ordinal, batch_id, ingested_at, observed_at,"
    " folded, is_deleted, head_at, head_batch_id, head_ordinal from gateway.fragment",
    "profile": "insert into gateway.profile select sandbox_id, policy_id, gen_random_uuid(), document, sources, modified_at from gateway.profile",
    "identity": "insert into gateway.identity (sandbox_id, xid, namespace_id, value) select $1, gen_random_uuid(), 6, 'x'",
}


async def broken(world, sql):
    await world.records(record(ANA, PHONE, first_name="Ana"), record(("Email", "gone@example.com"), PHONE))
    await world.records(record(("Email", "gone@example.com")), mode=Mode.DELETE)
    await world.events(event("e1", "2026-01-01T12:00:00Z", ANA))
    assert await verify(world.db, world.scope, world.configurations) == []
    parameters = ("sandbox_id",) if "$1" in sql else ()
    async with world.db.transaction() as tx:
        await tx.execute(
            Query("test.break", sql, parameters, (), "none", "For tests."),
            *([world.scope.sandbox_id] if parameters else []),
        )
    return {difference.table for difference in await verify(world.db, world.scope, world.configurations)}


@pytest.mark.parametrize("table", BREAKAGES)
async def test_a_changed_row_is_found(world, table):
    assert table in await broken(world, BREAKAGES[table])


@pytest.mark.parametrize("table", ELSEWHERE)
async def test_a_changed_row_that_no_rule_uses_is_found_too(world, table):
    """Degree limits, who has events, what batches count, and profiles of a policy that keeps none."""
    assert await broken(world, ELSEWHERE[table]) == {table}


async def test_events_that_no_read_would_look_for_are_found(world):
    assert await broken(world, "update gateway.identity set has_events = false") == {"identity", "graph"}


@pytest.mark.parametrize("table", LOSSES)
async def test_a_lost_row_is_found(world, table):
    assert table in await broken(world, LOSSES[table])


@pytest.mark.parametrize("table", STRAYS)
async def test_a_row_that_no_fact_makes_is_found(world, table):
    assert table in await broken(world, STRAYS[table])


async def test_the_versions_of_a_record_are_read_some_at_a_time(world, monkeypatch):
    monkeypatch.setattr(folding, "VERSIONS_AT_ONCE", 10)
    for number in range(8):
        sent = (record(ANA, PHONE, first_name=f"A{number}.{n}", **({"_id": "a"} if n % 2 else {})) for n in range(5))
        await world.records(*sent, mode=Mode.MERGE if number % 2 else Mode.REPLACE)
        if number == 3:
            await world.records(record(ANA), mode=Mode.DELETE)
    reads = []
    stop = listen(lambda seen: reads.append(seen) if isinstance(seen, StatementRan) else None)
    assert await verify(world.db, world.scope, world.configurations) == []
    stop()
    read = [each.rows for each in reads if each.name == "record_versions.read_inputs"]
    assert (sum(read), max(each.rows for each in reads)) == (41, 10)
    others = BREAKAGES | {
        "tie": "update gateway.tie set first_at = '2020-01-01' where last_at = (select min(last_at) from gateway.tie)"
    }
    for table in ("fragment", "tie"):
        async with world.db.transaction() as tx:
            await tx.execute(Query("test.break", others[table], (), (), "none", "For tests."))
        assert table in {each.table for each in await verify(world.db, world.scope, world.configurations)}


@pytest.mark.parametrize(
    "sql",
    [
        "delete from gateway.change where seq = (select percentile_disc(0.5) within group (order by seq) from gateway.change)",
        "update gateway.change set xids = '{}'",
    ],
)
async def test_a_change_that_the_journal_lacks_is_found(world, sql):
    for name in ("Ana", "Ben", "Eve"):
        await world.records(record(("Email", f"{name}@example.com"), first_name=name))
    assert await verify(world.db, world.scope, world.configurations) == []
    async with world.db.transaction() as tx:
        await tx.execute(Query("test.break", sql, (), (), "none", "For tests."))
    assert {each.table for each in await verify(world.db, world.scope, world.configurations)} == {"change"}


async def test_a_sample_finds_what_is_wrong_everywhere(world):
    await world.records(*(record(("Email", f"a{n}@example.com")) for n in range(50)))
    assert await verify(world.db, world.scope, world.configurations, sample=10) == []


@pytest.mark.parametrize("number", range(4))  # the xids of some are in the order of arrival, of others not
async def test_events_of_one_call_may_share_an_id_where_the_first_names_the_second(world, number):
    first, second = (("Email", f"{name}{number}@example.com") for name in ("ana", "bob"))
    await world.events(event("e", day(1), first, second), event("e", day(1), second))
    assert await verify(world.db, world.scope, world.configurations) == []
