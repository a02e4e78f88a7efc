"""People: where an identity leads, and pages of everybody, under both kinds of graph."""

from dataclasses import replace
from itertools import product

import orjson
import pytest
from citus import STATEMENTS, WAYS
from world import event, record

from gateway.domain.config import namespaces
from gateway.domain.config.policies import IdentityGraphType
from gateway.domain.reading import people
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Permission
from gateway.domain.rules.versions import Mode
from gateway.errors import BadCursor, Forbidden, Unavailable
from gateway.storage.queries import Query

ANA, PHONE, BEN = ("Email", "ana@x.io"), ("Phone", "+49"), ("Email", "ben@x.io")
NONE = IdentityGraphType.NONE


async def found(world, *identities, **view):
    xids = [await world.xid(*identity) for identity in identities]
    return await people.read_people(world.db, world.scope, await world.config(), xids, **view)


async def listed(world, window=None, **view):
    return await people.list_people(world.db, world.scope, await world.config(), window or Window(), **view)


async def test_any_member_finds_the_person_and_an_unknown_identity_nobody(world):
    await world.records(record(ANA, PHONE))
    by_mail, by_phone, nobody = await found(world, ANA, PHONE, BEN)
    assert by_mail.person == by_phone.person
    assert set(by_mail.person.xids) == {await world.xid(*ANA), await world.xid(*PHONE)}
    assert by_mail.person.profile_id == by_mail.person.xids[0]
    assert orjson.loads(by_mail.person.identity_map) == {"Email": [{"id": "ana@x.io"}], "Phone": [{"id": "+49"}]}
    assert (by_mail.identity.value, by_phone.identity.value) == ("ana@x.io", "+49")
    assert nobody == people.Found(None, None)


async def test_without_a_graph_each_identity_with_data_is_alone_and_others_are_nobody(world):
    await world.records(record(ANA, PHONE))
    await world.events(event("e", "2026-01-01T00:00:00Z", BEN))
    by_mail, by_phone, by_event = await found(world, ANA, PHONE, BEN, graph=NONE)
    assert by_mail.person.xids == (await world.xid(*ANA),)
    assert orjson.loads(by_mail.person.identity_map) == {"Email": [{"id": "ana@x.io"}]}
    assert by_phone.identity.value == "+49"
    assert by_phone.person is None
    assert by_event.person.xids == (await world.xid(*BEN),)


async def test_what_a_policy_keeps_comes_with_the_person(world):
    await world.records(record(ANA, first_name="Ana"))
    await world.events(event("e", "2026-01-01T00:00:00Z", BEN))
    policy = (await world.config()).default_policy
    ana, ben = await found(world, ANA, BEN, policy=(policy.policy_id, policy.version))
    assert orjson.loads(ana.person.merged.document) == {"person": {"name": {"firstName": "Ana"}}}
    assert ana.person.merged.sources == (world.crm.dataset_id,)
    assert ben.person.merged is None


@pytest.mark.parametrize("graph", IdentityGraphType)
@pytest.mark.parametrize("backward", [False, True])
async def test_pages_of_everybody_are_the_list_by_ids(world, graph, backward):
    await world.records(*(record(("Email", f"{n}@x.io"), ("Phone", f"{n}"), first_name=f"{n}") for n in range(5)))
    await world.events(*(event("e", "2026-01-01T00:00:00Z", ("Email", f"{n}@y.io")) for n in range(2)))
    await world.records(record(BEN))
    await world.records(record(BEN), mode=Mode.DELETE)
    policy = (await world.config()).default_policy
    version = (policy.policy_id, policy.version)
    collected, window = [], Window(3, backward)
    while True:
        page = await listed(world, window, graph=graph, policy=version)
        collected = page.items + collected if backward else collected + page.items
        if not (page.has_previous if backward else page.has_next):
            break
        key = (page.items[0 if backward else -1].profile_id,)
        window = window._replace(**{"before" if backward else "after": key})
    assert [person.profile_id for person in collected] == sorted(person.profile_id for person in collected)
    assert await people.count_people(world.db, world.scope, graph) == len(collected) == 7
    assert (await listed(world, graph=graph, policy=version)).items == collected
    if graph is IdentityGraphType.PDG:
        assert sum(person.merged is not None for person in collected) == 5
    world.db.is_distributed = True
    assert (await listed(world, Window(10, backward), graph=graph, policy=version)).items == collected


async def test_a_cursor_that_is_none_is_refused(world):
    with pytest.raises(BadCursor):
        await listed(world, Window(after=("x",)))


@pytest.mark.one_postgres(STATEMENTS)
async def test_the_number_of_statements_does_not_grow_with_the_people(world, statements):
    await world.records(*(record(("Email", f"{n}@x.io"), ("Phone", f"{n}")) for n in range(20)))
    everybody = [("Email", f"{n}@x.io") for n in range(20)]
    for is_distributed, expected in (
        (False, ["people.read_people"]),
        (True, ["identities.read_identities", "people.read_people_by_id"]),
    ):
        world.db.is_distributed = is_distributed
        for asked in (everybody[:1], everybody):
            with statements() as seen:
                await found(world, *asked)
            assert [name for name in seen if name.startswith(("people", "identities"))] == expected


async def test_on_a_cluster_people_are_found_in_two_trips_and_are_the_same(world):
    await world.records(record(ANA, PHONE, first_name="Ana"))
    await world.events(event("e", "2026-01-01T00:00:00Z", BEN, ("ECID", "1" * 38)))
    await world.records(record(BEN, first_name="Ben"))
    await world.records(record(BEN, first_name="Ben"), mode=Mode.DELETE)
    policy = (await world.config()).default_policy
    names = (ANA, PHONE, BEN, ("ECID", "1" * 38), ("Email", "nobody@x.io"))
    version = (policy.policy_id, policy.version)
    at_once = await found(world, *names, policy=version)
    world.db.is_distributed = True
    assert await found(world, *names, policy=version) == at_once


async def test_a_pointer_that_is_older_than_its_graph_is_followed_again_but_not_for_ever(world, statements):
    await world.records(record(ANA, PHONE), record(BEN))
    lead_away = Query(
        "test.lead_away", "update gateway.identity set profile_id = $3 where sandbox_id = $1 and xid = $2",
        ("sandbox_id", "xid", "profile_id"), (), "none", "Points an identity to a graph that lacks it.",
    )  # fmt: skip
    async with world.db.transaction() as tx:
        await tx.execute(lead_away, world.scope.sandbox_id, await world.xid(*PHONE), await world.xid(*BEN))
    world.db.is_distributed = True
    with statements() as seen, pytest.raises(Unavailable):
        await found(world, ANA, PHONE)
    assert seen.count("identities.read_identities") == people.TRIES
    (ana,) = await found(world, ANA)
    assert ana.person is not None


async def test_a_read_that_meets_what_its_configuration_does_not_know_says_try_again(world):
    config = await world.config()
    await namespaces.create_namespace(
        world.db, world.scope, code="Loyalty", name="Loyalty programme", kind=IdentityType.CROSS_DEVICE
    )
    await world.config()
    await world.records(record(("Loyalty", "7")))
    with pytest.raises(Unavailable):
        await people.read_people(world.db, world.scope, config, [await world.xid("Loyalty", "7")], graph=NONE)


async def test_profile_read_is_needed(world):
    writer = replace(world.scope, permissions=frozenset({Permission.PROFILE_WRITE}))
    for world.db.is_distributed, graph in product(WAYS, IdentityGraphType):
        with pytest.raises(Forbidden):
            await people.read_people(world.db, writer, await world.config(), [], graph=graph)
        with pytest.raises(Forbidden):
            await people.list_people(world.db, writer, await world.config(), Window(), graph=graph)
        with pytest.raises(Forbidden):
            await people.count_people(world.db, writer, graph)
