"""The store of an edge holds what was last delivered, whatever was delivered before and how often."""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from catalogue import read_catalogue
from edge.deliveries import AT, delivery, projection, sandbox, served
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from public_names import ROOT

from gateway.domain.edges import centers, configurations, fills, hub_role, projections, sandboxes, wanted
from gateway.domain.edges.centers import name_center
from gateway.domain.edges.sandboxes import (
    DeliveredApiKey,
    DeliveredIssuer,
    DeliveredRevocation,
    DeliveredSigningKey,
)
from gateway.domain.edges.wanted import Lacking
from gateway.errors import Conflict, SchemaError, SettingsError, Unavailable
from gateway.storage.database import Database
from gateway.storage.migrations import migrate, migrations
from gateway.storage.notifications import Channel
from gateway.storage.queries import EDGE, all_queries

SHOP = UUID(int=1)
TABLES = {
    *(
        "migration",
        "data_center",
        "sandbox",
        "namespace",
        "api_key",
        "signing_key",
        "issuer",
        "revocation",
        "configuration",
    ),
    *("fill", "projection", "identity", "wanted"),
}
FILLED = {"given": projections.GIVEN, "asked": "= $4", "noticed": configurations.NOTICED}

OF_THE_FIRST_VERSION = f"""
    insert into edge.sandbox values (1, '{UUID(int=7)}', 'prod', true, decode(repeat('00', 32), 'hex'), 2, 5, 'digest', 'cursor', now());
    insert into edge.configuration values (1, '{SHOP}', 1, 'shop', 'PROACTIVE', 600, null, now() + interval '1 h');
    insert into edge.projection values (1, '{UUID(int=11)}', '{SHOP}', 1, 'etag', '{AT}', now(), null, '{{}}', '{{"{{}}"}}', array[now()]);
    insert into edge.identity values (1, '{UUID(int=1)}', '{SHOP}', 1, '{UUID(int=11)}', null);"""
"""What an edge of the first version held."""


@pytest.fixture
async def connection(edge_dsn):
    connection = await asyncpg.connect(edge_dsn)
    yield connection
    await connection.close()


async def test_migrations_give_the_schema_which_has_the_tables_that_are_listed(new_store, connection):
    assert [one.name[:5] for one in migrations(EDGE)] == [f"{n:04}_" for n in range(1, len(migrations(EDGE)) + 1)]
    dsn = await new_store()
    older = await asyncpg.connect(dsn)
    await older.execute("drop schema edge cascade")
    await older.execute((EDGE.path / "migrations" / "0001_baseline.sql").read_text("utf-8"))
    await older.execute(OF_THE_FIRST_VERSION)
    await migrate(dsn, EDGE)
    made = await read_catalogue(older, "edge")
    await older.close()
    served = await Database.connect(dsn, size=1)
    assert await projections.look_up(served, 1, SHOP, None, [UUID(int=1)]) == (
        5,
        {UUID(int=1): ("{}", ["{}"], "2026-11-30T12:00:00.000Z", "etag", 0)},
    )
    await served.close()
    assert made == await read_catalogue(connection, "edge")
    assert {row[0] for row in made["relations"] if row[1] == "r"} == TABLES
    listed = (ROOT / "sql/edge/schema/00_edge.sql").read_text("utf-8").partition("create schema")[0]
    assert not [name for name in TABLES if not re.search(rf"\b{name}\b", listed)]


async def test_each_statement_fits_the_schema_and_says_what_comes_back(connection):
    for statement in all_queries(EDGE):
        text = statement.with_rows(1) if statement.columns else statement.filled(**FILLED).sql
        prepared = await connection.prepare(text)
        given = len(statement.parameters) + len(statement.columns)
        assert len(prepared.get_parameters()) == given, statement.name
        assert bool(prepared.get_attributes()) == (statement.shape != "none"), statement.name
        assert statement.doc.endswith((".", ";")), statement.name


@pytest.mark.parametrize("statement", [projections.LOOK_UP_ONE, projections.LOOK_UP_MANY])
async def test_a_look_up_walks_primary_keys(edge_dsn, statement):
    connection = await asyncpg.connect(edge_dsn, server_settings={"plan_cache_mode": "force_generic_plan"})
    await connection.execute(f"prepare examined as {statement.sql}")
    plan = await connection.fetch("explain (costs off) execute examined(null, null, null, null)")
    await connection.close()
    walked = re.findall(r"Scan\w* (?:using|on) (\w+)", "\n".join(row[0] for row in plan))
    assert "Seq Scan" not in str(plan)
    assert set(walked) <= {
        *("sandbox_pkey", "configuration_pkey", "identity_pkey", "projection_pkey"),
        *("sandbox", "configuration", "identity", "projection"),
    }


async def test_the_role_of_hubs_may_write_what_is_delivered_and_nothing_else(store, edge_dsn, connection):
    await hub_role.create_hub_role(store, "secret of the hub's role ' \\")
    await hub_role.allow_deliveries(store)
    await connection.execute("set role gateway_hub")
    refused = []
    for table in sorted(TABLES):
        for verb, statement in {
            "insert": f"insert into edge.{table} select * from edge.{table} where false",
            "delete": f"delete from edge.{table} where false",
            "truncate": f"truncate edge.{table}",
        }.items():
            try:
                await connection.execute(statement)
            except asyncpg.InsufficientPrivilegeError:
                refused.append((verb, table))
    own = {"data_center", "migration"}
    assert set(refused) == {
        *(("truncate", table) for table in TABLES),
        *((verb, table) for verb in ("insert", "delete") for table in own),
        ("insert", "wanted"),
    }
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("create table edge.mine (n integer)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("update edge.data_center set code = 'OR2'")


async def test_only_one_hub_delivers_to_a_centre_and_a_projector_that_was_replaced_no_more(store, connection):
    with pytest.raises(SettingsError, match="the edge VA6, not of OR2"):
        await name_center(store, "OR2")
    async with delivery(store, fence=2):
        pass
    for wrong in ({"fence": 1}, {"fence": 3, "hub": "other"}, {"fence": 3, "data_center": "OR2"}):
        with pytest.raises(Conflict):
            async with delivery(store, **wrong):
                pass
    async with delivery(store, fence=2), store.transaction() as other:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(other.row(projections.query("centers.lock_center", EDGE), "60s"), 0.05)
    await connection.execute("insert into edge.migration (name) values ('9999_tomorrow')")
    with pytest.raises(SchemaError, match="bring both to one version"):
        async with delivery(store, fence=2):
            pass


async def test_a_hub_that_vanishes_in_the_middle_of_a_delivery_holds_no_other_up(store, monkeypatch):
    monkeypatch.setattr(centers, "SILENT_SECONDS", 0.05)
    with pytest.raises(Unavailable):
        async with delivery(store, fence=1) as silent:
            await sandboxes.deliver_sandbox(silent, sandbox(name="silent"))
            async with delivery(store, fence=2) as tx:  # begins once the server has ended the other
                await sandboxes.deliver_sandbox(tx, sandbox(name="other"))
            await sandboxes.deliver_sandbox(silent, sandbox(name="too late"))
    assert [one.name for one in await sandboxes.list_sandboxes(store)] == ["other"]


async def test_keys_of_an_issuer_stay_until_others_are_known(store):
    told = DeliveredIssuer("https://idp.example", "gateway", ["RS256"], 5.0, '{"keys": [1]}')
    for delivered, known in (
        (replace(told, keys=None), None),
        (told, told.keys),
        (replace(told, keys=None), told.keys),
        (replace(told, keys='{"keys": []}'), '{"keys": []}'),
    ):
        async with delivery(store) as tx:
            await sandboxes.deliver_sandbox(tx, sandbox(issuers=[delivered]))
        received = await sandboxes.read_settings(store, 1)
        assert [one.keys for one in received.sandbox.issuers] == [known]


async def test_what_is_known_of_a_sandbox_is_replaced_as_a_whole_and_each_time_noticed(store):
    keys = [DeliveredApiKey(b"a" * 32, None), DeliveredApiKey(b"b" * 32, AT)]
    more = {
        "api_keys": keys,
        "signing_keys": [DeliveredSigningKey("k1", bytes(32))],
        "issuers": [DeliveredIssuer("https://idp.example", "gateway", ["RS256", "ES256"], 5.0, '{"keys": []}')],
        "revocations": [DeliveredRevocation(b"r" * 32, AT)],
    }
    versions = []
    for delivered in (sandbox(**more), sandbox(name="renamed", api_keys=keys[:1], digest="second"), sandbox(**more)):
        async with delivery(store) as tx:
            await sandboxes.deliver_sandbox(tx, delivered)
        received = await sandboxes.read_settings(store, 1)
        assert received.sandbox == delivered
        versions.append(received.version)
    async with delivery(store) as tx:
        await configurations.switch(tx, 1, served(within="P30D"))
    received = await sandboxes.read_settings(store, 1)
    assert received.configurations == (served(within="P30D"),)
    assert [*versions, received.version] == sorted({*versions, received.version})
    async with delivery(store) as tx:
        await sandboxes.confirm(tx, 1, "here", 2.5, [SHOP])
    (listed,) = await sandboxes.list_sandboxes(store)
    assert (listed.cursor, listed.digest, listed.settings_version) == ("here", "first", received.version)
    assert await sandboxes.read_settings(store, 2) is None


async def seen(store, identities=range(1, 7), number=1):
    """What is served of each identity: a document, that it is absent, or nothing."""
    keys = [UUID(int=each) for each in identities]
    looked_up = await projections.look_up(store, 1, UUID(int=number), None, keys)
    if looked_up is None:
        return []
    return [
        (looked_up.held[key].profile if looked_up.held[key] else "absent") if key in looked_up.held else None
        for key in keys
    ]


KINDS = ("deliver", "deliver", "deliver", "remove", "erase", "absent", "withdraw")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.integers(1, 2),  # edition
        st.lists(st.tuples(st.integers(11, 14), st.frozensets(st.integers(1, 6), min_size=1)), min_size=1, max_size=3, unique_by=lambda one: one[0]),
    ),
    max_size=12,
)  # fmt: skip


class Model:
    """A store in a few dictionaries: of each edition, whose each identity is, and what is said of each person."""

    def __init__(self):
        self.owners, self.said = {1: {}, 2: {}}, {1: {}, 2: {}}

    def disown(self, edition, identities, state):
        for each in identities:
            self.owners[edition][each] = state

    def prune(self, edition):
        owned = set(self.owners[edition].values())
        self.said[edition] = {one: text for one, text in self.said[edition].items() if one in owned}

    def apply(self, kind, edition, people, text):
        owners, said = self.owners[edition], self.said[edition]
        if kind == "deliver":
            for person, _ in people:
                self.disown(edition, [each for each, owner in owners.items() if owner == person], "absent")
            for person, identities in people:
                self.disown(edition, identities, person)
                said[person] = text
            self.prune(edition)
        elif kind in {"remove", "erase"}:
            gone = {person for person, _ in people}
            for each in (1, 2):
                mine = [identity for identity, owner in self.owners[each].items() if owner in gone]
                self.disown(each, mine, "erased" if kind == "erase" else "absent")
                self.said[each] = {one: text for one, text in self.said[each].items() if one not in gone}
        elif kind == "absent":
            free = {each for _, identities in people for each in identities if not isinstance(owners.get(each), int)}
            self.disown(edition, [each for each in free if owners.get(each) != "erased"], "absent")
        else:
            for person, _ in people:
                said.pop(person, None)

    def seen(self, edition):
        states = [self.owners[edition].get(each) for each in range(1, 7)]
        return ["absent" if state in {"absent", "erased"} else self.said[edition].get(state) for state in states]


def disjoint(people):
    """The same people, each identity with the first of them alone; those without any go."""
    taken, kept = set(), []
    for person, identities in people:
        kept += [(person, identities - taken)] if identities - taken else []
        taken |= identities
    return kept


async def apply(store, kind, edition, people, text):
    persons = [UUID(int=person) for person, _ in people]
    identities = {UUID(int=each) for _, some in people for each in some}
    async with delivery(store) as tx:
        if kind == "deliver":
            given = [projection(person, some, text, edition=edition) for person, some in people]
            await projections.deliver(tx, 1, given)
        elif kind in {"remove", "erase"}:
            await projections.remove(tx, 1, persons, erased=kind == "erase")
        elif kind == "absent":
            await projections.set_absent(tx, 1, SHOP, edition, identities)
        else:
            await projections.withdraw(tx, 1, SHOP, edition, persons)


async def switch(store, edition):
    async with delivery(store) as tx:
        await configurations.switch(tx, 1, served(edition=edition))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_a_store_is_what_a_model_of_it_says_and_repeating_a_step_changes_nothing(store, steps):
    async with delivery(store) as tx:
        while await sandboxes.drop_sandbox(tx, 1):
            pass
        await sandboxes.deliver_sandbox(tx, sandbox())
        await configurations.switch(tx, 1, served())
    model = Model()
    for number, (kind, edition, people) in enumerate(steps):
        step = kind, edition, disjoint(people), f'{{"step": {number}}}'
        model.apply(*step)
        await apply(store, *step)
        assert await seen(store) == model.seen(1)
        await apply(store, *step)
        assert await seen(store) == model.seen(1)
    for each in (1, 2):
        listed = await projections.read_projections(store, 1, SHOP, each, after=None, limit=100)
        assert {one.person.int: one.profile for one in listed} == model.said[each]
        for one in listed:
            owned = [identity for identity, owner in model.owners[each].items() if owner == one.person.int]
            assert [identity.int for identity in one.identities] == sorted(owned)
        people, identities = ([UUID(int=number) for number in some] for some in (range(11, 15), range(1, 7)))
        held = await projections.find_held(store, 1, SHOP, each, people=people, identities=identities)
        assert {one.int for one in held.people} == model.said[each].keys()
        assert {one.int for one in held.identities} == model.owners[each].keys()
    counted = await projections.count_projections(store, 1)
    assert {one.edition: one.projections for one in counted} == {
        each: len(said) for each, said in model.said.items() if said
    }
    await switch(store, 2)
    carried = [place for place, each in enumerate(range(1, 7)) if model.owners[1].get(each) == "erased"]
    after = model.seen(2)
    for place in carried:
        after[place] = after[place] or ("absent" if model.owners[2].get(place + 1) is None else None)
    assert await seen(store) == after
    async with delivery(store) as tx:
        while await projections.drop_projections(tx, 1, SHOP, [2], 2):
            pass
    assert await seen(store) == after
    assert await projections.read_projections(store, 1, SHOP, 1, after=None, limit=100) == []


async def test_an_edition_is_filled_beside_the_served_one_and_taken_at_once(store):
    async with delivery(store) as tx:
        await sandboxes.deliver_sandbox(tx, sandbox())
        await configurations.switch(tx, 1, served())
        await projections.deliver(tx, 1, [projection(11, [1], '"old"')])
        await fills.begin_fill(tx, 1, SHOP, 2)
        await fills.note_fill(tx, 1, SHOP, 2, filled_to="eleven", done=1)
        await fills.begin_fill(tx, 1, SHOP, 2)
        await projections.deliver(tx, 1, [projection(11, [2], '"new"', edition=2)])
    assert [(one.edition, one.filled_to, one.done) for one in await fills.list_fills(store, 1)] == [(2, "eleven", 1)]
    assert await seen(store, [1, 2]) == ['"old"', None]
    await switch(store, 2)
    assert await seen(store, [1, 2]) == [None, '"new"']
    assert await fills.list_fills(store, 1) == []
    async with delivery(store) as tx:
        await configurations.stop_serving(tx, 1, SHOP)
    assert await seen(store, [1, 2]) == []
    assert await configurations.list_served(store, 1) == []


async def test_equal_content_keeps_its_time_and_events_that_grow_old_are_left_out(store):
    times = [AT - timedelta(days=each) for each in range(3)]
    first = projection(11, [1], "{}", events=["0", "1", "2"], times=times, due=AT)
    async with delivery(store) as tx:
        await sandboxes.deliver_sandbox(tx, sandbox())
        await configurations.switch(tx, 1, served())
        await projections.deliver(tx, 1, [first])
        later = [replace(first, projected_at=AT + timedelta(hours=1))]
        await projections.deliver(tx, 1, later)
    for since, events in ((None, "012"), (times[2], "012"), (times[1], "01"), (AT + timedelta(1), "")):
        looked_up = await projections.look_up(store, 1, SHOP, since, [UUID(int=1)])
        found = looked_up.held[UUID(int=1)]
        cut = f"-{len(events)}" if len(events) < len(times) else ""
        assert found[1:4] == (list(events), "2026-11-30T12:00:00.000Z", first.etag + cut)
    assert [one.person.int for one in await projections.list_due(store, 1, AT, 10)] == [11]
    assert await projections.list_due(store, 1, AT - timedelta(seconds=1), 10) == []


async def test_an_absence_is_known_for_a_while_and_an_erasure_for_good(store, connection):
    async with delivery(store) as tx:
        await sandboxes.deliver_sandbox(tx, sandbox())
        await configurations.switch(tx, 1, served())
        await projections.deliver(tx, 1, [projection(11, [1]), projection(12, [2])])
        await projections.set_absent(tx, 1, SHOP, 1, [UUID(int=3)])
        await projections.remove(tx, 1, [UUID(int=11)], erased=True)
        await projections.remove(tx, 1, [UUID(int=12)], erased=False)
    assert await seen(store, [1, 2, 3, 4]) == ["absent", "absent", "absent", None]
    await connection.execute(
        "update edge.identity set absent_until = absent_until - interval '31 s' where absent_until < 'infinity'"
    )
    assert await seen(store, [1, 2, 3, 4]) == ["absent", None, None, None]
    async with delivery(store) as tx:
        await sandboxes.confirm(tx, 1, "later", 0, [])
    assert [row["identity"].int for row in await connection.fetch("select identity from edge.identity")] == [1]


async def test_what_is_lacking_wakes_the_hub_is_answered_once_and_bounded(store, monkeypatch):
    first, second = (Lacking(UUID(int=each), 6, f"{each}@example.com") for each in (1, 2))
    with store.waiter(Channel.EDGE_WANTED) as waiter, store.waiter(Channel.EDGE_ANSWERED) as answered:
        await wanted.want(store, 1, SHOP, [first, second])
        await waiter.wait(10)
        await wanted.want(store, 1, SHOP, [first])
        listed = await wanted.list_wanted(store, 10)
        assert sorted(one.value for one in listed) == ["1@example.com", "2@example.com"]
        async with delivery(store) as tx:
            await wanted.answer(tx, 1, listed[:1])
        await answered.wait(10)
        assert await wanted.list_wanted(store, 10) == listed[1:]
    async with delivery(store) as tx:
        await sandboxes.deliver_sandbox(tx, sandbox())
        await projections.deliver(tx, 1, [projection(11, [1, 2])])
        await projections.remove(tx, 1, [UUID(int=11)], erased=True)
    assert await wanted.list_wanted(store, 10) == []
    monkeypatch.setattr(wanted, "MAX_WANTED", 1)
    await wanted.want(store, 1, SHOP, [first])
    await wanted.want(store, 1, SHOP, [second])
    assert len(await wanted.list_wanted(store, 10)) == 1
