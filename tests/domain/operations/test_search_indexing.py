"""Indexes for searches: made by a job, each for one sandbox; dropped once nothing uses them."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from working import work_off
from world import World, event, record

from gateway.domain.config import policies, sandboxes, search_indexes
from gateway.domain.operations import search_indexing
from gateway.domain.reading import search_candidates
from gateway.domain.reading.conditions import check_condition
from gateway.domain.reading.search import Search, count_profiles, find_profiles
from gateway.domain.reading.search_candidates import find_candidates, note_candidates
from gateway.domain.rules import limits
from gateway.domain.rules.keyset import Window
from gateway.domain.work import job_lists, jobs, leases
from gateway.domain.work.job_kinds import JobKind
from gateway.domain.work.jobs import JobStatus
from gateway.errors import Conflict, Invalid, NotFound, Taken, TooMany
from gateway.pql.check import check
from gateway.storage.queries import Query
from gateway.xdm.classes import XdmClass

DUE = Query(
    "test.due",
    "update gateway.job set due_at = created_at where sandbox_id = $1 and kind = 'EXPIRE_SEARCH_INDEXES'",
    ("sandbox_id",), (), "rows", "For tests.",
)  # fmt: skip
ANA, BOB, CARL = [("Email", f"{name}@example.com") for name in ("ana", "bob", "carl")]
CITY, TYPE = "homeAddress.city", "xEvent.eventType"
MADE = Query(
    "test.made",
    """select c.relname as name, x.indisvalid as is_valid, a.attstattarget as target, pg_get_indexdef(c.oid) as definition
         from pg_class c join pg_index x on x.indexrelid = c.oid join pg_attribute a on a.attrelid = c.oid and a.attnum = 1
        where c.relname ~ '^search_[0-9]' order by c.relname""",
    (), (), "rows", "For tests.",
)  # fmt: skip

OTHER_TYPE = Query(
    "test.other_type",
    "update gateway.event set document = jsonb_set(document, '{commerce}', $2::text::jsonb) where sandbox_id = $1 and event_id = 'None'",
    ("sandbox_id", "commerce"),
    (),
    "rows",
    "For tests.",
)
NO_OLD = Query("test.no_old", "select null from (select $1::double precision) x", ("seconds",), (), "value", "For tests.")  # fmt: skip


@pytest.fixture
async def world(world):
    """Three people: two in Rome, of whom one bought something twice, and one elsewhere."""
    await world.records(
        record(ANA, homeAddress={"city": "Rome"}),
        record(BOB, homeAddress={"city": "Oslo"}),
        record(CARL, homeAddress={"city": "Rome"}),
    )
    await world.events(
        *(event(f"b{n}", "2026-01-01T00:00:00Z", ANA, eventType="buy") for n in range(2)),
        event("c", "2026-01-02T00:00:00Z", CARL, eventType="buy"),
        event("d", "2026-01-02T00:00:00Z", BOB, eventType="look"),
    )
    return world


async def created(world, path=CITY):
    config = await world.config()
    return await search_indexes.create_search_index(world.db, world.scope, config, config.default_policy, path)


async def built(world, path=CITY):
    index, job_id = await created(world, path)
    await work_off(world.db, world.configurations)
    (job,) = await job_lists.read_jobs(world.db, world.scope, [job_id])
    return index, job


async def now(world):
    return await world.db.value(Query("test.now", "select gateway.now()", (), (), "value", "For tests."))


async def found(world, text, policy=None):
    """The first identities of the people that an index finds; None if none tells. And what else was found."""
    config = await world.config()
    checked = check(text, config.input_type(XdmClass.INDIVIDUAL_PROFILE))
    assert checked.expression, checked.errors
    policy = policy or config.default_policy
    candidates = await find_candidates(world.db, world.scope, policy, checked.expression, await now(world))
    return candidates.profile_ids and set(candidates.profile_ids), candidates


async def ids(world, *people):
    return {await world.xid(*one) for one in people}


async def expire(world):
    """Do the recurring job of the world's sandbox, and return its status."""
    await jobs.schedule(world.db)
    await world.db.rows(DUE, world.scope.sandbox_id)
    claim = await leases.claim(world.db, [JobKind.EXPIRE_SEARCH_INDEXES])
    work = search_indexing.expire_search_indexes(world.db, world.scope, world.configurations, claim, days=30)
    await leases.carry_out(world.db, claim, work)


async def test_a_job_makes_an_index_for_the_rows_of_its_sandbox_and_policy(world):
    index, job = await built(world)
    assert (job.status, job.done, job.total, job.input) == (JobStatus.COMPLETED, 1, 1, {"path": CITY})
    (made,) = await world.db.rows(MADE)
    of = f"(sandbox_id = {world.scope.sandbox_id}) AND (policy_id = '{index.policy_id}'::uuid)"
    assert made["name"] == f"search_{world.scope.sandbox_id}_{index.index_id.hex}"
    assert (made["is_valid"], made["target"], of in made["definition"]) == (True, 0, True)
    (listed,) = await search_indexes.list_search_indexes(world.db, world.scope)
    assert (listed.is_ready, listed.job_id, listed.path, listed.type) == (True, None, CITY, "string")


async def test_people_are_found_by_an_index_and_by_none_that_is_not_ready(world):
    condition = 'homeAddress.city = "Rome"'
    await created(world)
    assert (await found(world, condition))[0] is None
    await work_off(world.db, world.configurations)
    people, candidates = await found(world, condition)
    assert (people, candidates.missing) == (await ids(world, ANA, CARL), None)
    assert candidates.used.path == CITY
    await world.records(record(BOB, homeAddress={"city": "Rome"}), record(CARL, homeAddress={"city": "Bonn"}))
    assert (await found(world, condition))[0] == await ids(world, ANA, BOB)  # what changed is in it at once


async def test_people_are_found_by_how_many_events_they_have_under_a_policy_with_a_graph_and_without(world):
    await built(world, TYPE)
    for text, people in [
        ('xEvent[eventType = "buy"].count() >= 2', [ANA]),
        ('xEvent[eventType = "buy" and timestamp occurs on date(2026, 1, 2)]', [CARL]),
        ('exists E from xEvent where E.eventType in ["look", "other"]', [BOB]),
    ]:
        assert (await found(world, text))[0] == await ids(world, *people), text
    settings = policies.PolicySettings("None", policies.IdentityGraphType.NONE, (await world.config()).default_policy.settings.attribute_merge)  # fmt: skip
    none = await policies.create_policy(world.db, world.scope, settings)
    assert (await found(world, 'xEvent[eventType = "look"]', none))[0] == await ids(world, BOB)


async def test_where_an_index_finds_too_many_the_next_condition_is_looked_at(world, monkeypatch):
    monkeypatch.setattr(search_candidates, "MAX_CANDIDATES", 1)
    await built(world)
    await built(world, TYPE)
    condition = 'homeAddress.city = "Rome" and xEvent[eventType = "look"]'
    people, candidates = await found(world, condition)
    assert (people, candidates.used.path) == (await ids(world, BOB), TYPE)
    people, candidates = await found(world, 'homeAddress.city = "Rome"')
    assert (people, candidates.missing) == (None, None)


async def test_a_search_over_many_people_asks_once_for_the_index_that_it_lacks(world, monkeypatch):
    config, condition = await world.config(), 'homeAddress.city = "Rome" and person.name.lastName = "Li"'

    async def searched():
        _, candidates = await found(world, condition)
        await note_candidates(world.db, world.scope, config.default_policy, candidates, await now(world))
        return [index.path for index in await search_indexes.list_search_indexes(world.db, world.scope)]

    assert await searched() == []
    monkeypatch.setattr(search_candidates, "MANY_PEOPLE", 2)
    assert await searched() == [CITY]
    await work_off(world.db, world.configurations)
    assert await searched() == [CITY]  # which serves the search, so that it asks for no other
    (index,) = await search_indexes.list_search_indexes(world.db, world.scope)
    assert (index.is_ready, index.created_by) == (True, world.scope.actor)


async def test_searches_at_once_ask_for_no_more_indexes_than_a_sandbox_may_have(world, monkeypatch):
    monkeypatch.setattr(search_candidates, "MANY_PEOPLE", 2)
    for module in (search_candidates, search_indexes):
        monkeypatch.setattr(module, "SEARCH_INDEXES", 2)
    leaves = ('homeAddress.city = "Rome"', 'person.name.lastName = "Li"', 'xEvent[eventType = "buy"]')
    lacking, policy = [(await found(world, text))[1] for text in leaves * 5], (await world.config()).default_policy
    at = await now(world)
    await asyncio.gather(*(note_candidates(world.db, world.scope, policy, each, at) for each in lacking))
    listed = await search_indexes.list_search_indexes(world.db, world.scope)
    assert len({index.job_id for index in listed} - {None}) == len(listed) == 2


async def test_an_index_over_a_field_of_another_type_by_now_is_not_used_nor_made_and_goes(world):
    await built(world)
    await created(world, "person.birthDate")
    await world.db.rows(Query("test.type", "update gateway.search_index set type = 'double'", (), (), "rows", "For tests."))  # fmt: skip
    assert (await found(world, 'homeAddress.city = "Rome"'))[0] is None
    await work_off(world.db, world.configurations)
    assert [index.is_ready for index in await search_indexes.list_search_indexes(world.db, world.scope)] == [True, False]  # fmt: skip
    await expire(world)
    assert (await search_indexes.list_search_indexes(world.db, world.scope), await world.db.rows(MADE)) == ([], [])


async def test_an_index_stays_as_long_as_searches_use_it(world, later):
    await built(world)
    policy = (await world.config()).default_policy
    for days, is_used in [(20, True), (45, False), (75, None)]:
        world.db = await later(timedelta(days=days))
        await expire(world)
        if is_used is None:
            break
        _, candidates = await found(world, 'homeAddress.city = "Rome"')
        if is_used:
            await note_candidates(world.db, world.scope, policy, candidates, await now(world))
        assert len(await world.db.rows(MADE)) == 1
    assert await search_indexes.list_search_indexes(world.db, world.scope) == []
    assert await world.db.rows(MADE) == []


@pytest.mark.parametrize("how", ["index", "policy", "sandbox", "cancelled"])
async def test_what_is_in_no_list_is_dropped_also_if_it_went_while_it_was_made(world, db, how, monkeypatch):
    other, (index, job_id), build = await World.create(db), await created(world), search_indexing._build

    async def build_and_lose(*given, **named):
        await build(*given, **named)
        if how == "cancelled":
            await jobs.cancel_job(db, world.scope, job_id)
        elif how == "index":
            await search_indexes.delete_search_index(db, world.scope, index.index_id)
        elif how == "policy":
            await sandboxes.reset_sandbox(db, world.scope, world.scope.sandbox_id, world.scope.sandbox.name)
        else:
            await db.rows(Query("test.gone", "delete from gateway.sandbox where sandbox_id = $1", ("sandbox_id",), (), "rows", "For tests."), world.scope.sandbox_id)  # fmt: skip

    monkeypatch.setattr(search_indexing, "_build", build_and_lose)
    await work_off(db, world.configurations)
    assert await search_indexes.list_search_indexes(db, world.scope) == []
    assert len(await db.rows(MADE)) == 1
    if how != "sandbox":
        await expire(other)
        assert len(await db.rows(MADE)) == 1  # each sandbox looks for its own
        other = world
    await expire(other)
    assert await db.rows(MADE) == []


async def made_at_once(worlds, *beside):
    """Do the jobs of these sandboxes that make indexes, all at the same time, and return what each says at the end: its status and its error."""
    of, job_ids = {world.scope.sandbox_id: world for world in worlds}, {}
    doing = []
    while claim := await leases.claim(worlds[0].db, [JobKind.BUILD_SEARCH_INDEX]):
        world, job_ids[claim.sandbox_id] = of[claim.sandbox_id], claim.job_id
        work = search_indexing.build_search_index(world.db, world.scope, world.configurations, claim)
        doing.append(leases.carry_out(world.db, claim, work))
    await asyncio.gather(*doing, *beside)
    told = [(await job_lists.read_jobs(of[one].db, of[one].scope, [job_id]))[0] for one, job_id in job_ids.items()]
    return [(job.status, job.error) for job in told]


ANOTHER = "Another index for searches is being made or dropped."
WAITING = """
    select (select count(*) from pg_locks join pg_stat_activity using (pid) where not granted and datname = current_database())
         + (select count(*) from gateway.job where status = 'NEW' and kind = 'BUILD_SEARCH_INDEX' and error = $1)"""


async def ended_once_both_wait(transaction):
    """End a transaction as soon as two jobs have met it or each other, each in the middle of a statement or put off."""
    while await transaction.fetchval(WAITING, ANOTHER) < 2:
        pass
    await transaction.close()


@pytest.mark.one_postgres("workers wait for a lock for as long as it takes: Citus passes no `lock_timeout` on")
async def test_indexes_are_made_one_at_a_time_and_wait_for_old_transactions_as_jobs_that_are_due_again(
    world, dsn, monkeypatch
):
    worlds = [world, await World.create(world.db)]
    for each in worlds:
        await created(each)
    monkeypatch.setattr(search_indexing, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(search_indexing, "TURN_SECONDS", 0)
    old, young = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    await old.execute("begin isolation level repeatable read; select from gateway.profile")
    for wait_seconds, find_old, reason in [
        (0.05, NO_OLD, "Transactions that are open now hold it up."),
        (0.001, search_indexing.FIND_OLD_TRANSACTION, "A transaction of the database that is open since 20"),
    ]:
        monkeypatch.setattr(search_indexing, "WAIT_SECONDS", wait_seconds)
        monkeypatch.setattr(search_indexing, "FIND_OLD_TRANSACTION", find_old)
        for _ in range(leases.MAX_JOB_ATTEMPTS // 2 + 1):
            told = await made_at_once(worlds)
            assert {status for status, _ in told} == {JobStatus.NEW}
            assert all(error == ANOTHER or error.startswith(reason) for _, error in told)
        assert any(error != ANOTHER for _, error in told)
    assert any(not each["is_valid"] for each in await world.db.rows(MADE))  # the first waits left what they had begun
    await old.close()
    monkeypatch.undo()
    monkeypatch.setattr(search_indexing, "TURN_SECONDS", 0)
    await young.execute("begin; lock table gateway.profile in row exclusive mode")
    told = await made_at_once(worlds, ended_once_both_wait(young))
    assert {error for _, error in told} == {None, ANOTHER}
    ended = [status for status, error in told if error is None]
    while told := await made_at_once(worlds):
        assert {error for _, error in told} <= {None, ANOTHER}
        ended += [status for status, _ in told if status is not JobStatus.NEW]
    assert ended == [JobStatus.COMPLETED] * 2
    assert [each["is_valid"] for each in await world.db.rows(MADE)] == [True] * 2


@pytest.mark.parametrize("left", ["(modified_at)", "((document ->> 'x'))"])
async def test_what_an_interrupted_job_left_is_made_anew(world, left):
    """Its index is invalid; or one of which Postgres still keeps values in its statistics, which is as good as none."""
    index, _ = await created(world)
    name = f"search_{world.scope.sandbox_id}_{index.index_id.hex}"
    statements = [f"create index {name} on gateway.profile {left}"]
    if left == "(modified_at)":
        statements.append(f"update pg_index set indisvalid = false where indexrelid = 'gateway.{name}'::regclass")
    for statement in statements:
        await world.db.rows(Query("test.left", statement, (), (), "rows", "For tests."))
    await work_off(world.db, world.configurations)
    (made,) = await world.db.rows(MADE)
    assert (made["is_valid"], made["target"], "city" in made["definition"]) == (True, 0, True)


async def test_writers_go_on_with_any_value_under_an_index(world):
    """No value is too long for an index, and none of another type, from a time when the field had that, makes it fail."""
    await built(world)
    await built(world, "person.birthDate")
    await built(world, "xEvent.commerce.order.priceTotal")
    for number in (1.7976931348623157e308, -1.7976931348623157e308, 5e-324, 0.1, 2**63, None):
        order = {} if number is None else {"commerce": {"order": {"priceTotal": number}}}
        assert (await world.events(event(f"{number}", "2026-01-01T00:00:00Z", CARL, **order))).accepted == 1
    for commerce in ('{"order": {"priceTotal": "x"}}', '{"order": {"priceTotal": [1, "x"]}}', '[{"order": {"priceTotal": 1}}]', '{"order": 1}', "null"):  # fmt: skip
        await world.db.rows(OTHER_TYPE, world.scope.sandbox_id, commerce)
    for text in ("= 0.1", f"= {2**63}", "> 99999999999999999999"):
        assert (await found(world, f"xEvent[commerce.order.priceTotal {text}]"))[0] == await ids(world, CARL), text
    city = "R" * 20_000
    assert (await world.records(record(ANA, homeAddress={"city": city}))).accepted == 1
    assert (await found(world, f'homeAddress.city = "{city[:9_000]}"'))[0] == await ids(
        world, ANA
    )  # the whole condition decides


async def test_what_cannot_be_indexed_is_refused_and_twenty_are_enough(world, monkeypatch):
    for path in ("", "homeAddress", "xEvent", "xEvent.productListItems.SKU", "identityMap.Email.id", "no.such"):
        with pytest.raises(Invalid, match="An index is over a string, a number"):
            await created(world, path)
    await created(world)
    with pytest.raises(Taken):
        await created(world)
    config = await world.config()
    other = policies.PolicySettings("Other", policies.IdentityGraphType.PDG, config.default_policy.settings.attribute_merge)  # fmt: skip
    with pytest.raises(Conflict, match="keeps no profiles"):
        policy = await policies.create_policy(world.db, world.scope, other)
        await search_indexes.create_search_index(world.db, world.scope, config, policy, CITY)
    monkeypatch.setattr(search_indexes, "SEARCH_INDEXES", 1)
    with pytest.raises(TooMany):
        await created(world, TYPE)
    (index,) = await search_indexes.list_search_indexes(world.db, world.scope)
    await search_indexes.delete_search_index(world.db, world.scope, index.index_id)
    with pytest.raises(NotFound):
        await search_indexes.delete_search_index(world.db, world.scope, index.index_id)
    assert limits.SEARCH_INDEXES == 20


@pytest.mark.parametrize(
    "text", ['homeAddress.city = "Rome"', 'xEvent[eventType = "buy"].count() >= 1 and homeAddress.city != "Bonn"']
)
async def test_a_search_finds_the_same_people_by_an_index_as_by_going_through_all(world, statements, text):
    """And pages of it, either way; only the one statement says that an index was used."""

    async def searched():
        config = await world.config()
        condition = await check_condition(config, (XdmClass.INDIVIDUAL_PROFILE, text))
        search = Search(config.default_policy, condition, 10)
        pages = [
            await find_profiles(world.db, world.scope, config, search, window)
            for window in (Window(10), Window(1), Window(10, backward=True))
        ]
        shown = [[each.profile_id for each in page.items] for page in pages]
        return (
            shown,
            [(page.has_next, page.has_previous) for page in pages],
            await count_profiles(world.db, world.scope, config, search),
        )

    through_all = await searched()
    assert set(through_all[0][0]) == await ids(world, ANA, CARL)
    await built(world)
    await built(world, TYPE)
    with statements() as names:
        assert await searched() == through_all
    assert len([name for name in names if name.startswith("search_candidates.find_")]) == 4
