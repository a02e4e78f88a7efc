"""Links by hand keep a pair apart for good, or tie it though no document does; undone, they leave no trace."""

from dataclasses import replace

import pytest
from world import event, record

from gateway.domain.config import namespaces
from gateway.domain.config.identity_settings import NamespaceRule, update_identity_settings
from gateway.domain.operations import manual_links
from gateway.domain.operations.verification import verify
from gateway.domain.rules.graphs import IdentityType, LinkRefusal
from gateway.domain.rules.scope import Permission
from gateway.domain.rules.versions import Mode
from gateway.errors import Forbidden, Invalid, NotFound

ANA, BOB, PHONE, DEVICE = ("Email", "ana@x.io"), ("Email", "bob@x.io"), ("Phone", "+1"), ("ECID", "1" * 38)


async def unlinked(world, a, b):
    xids = [await world.xid(*each) for each in (a, b)]
    await manual_links.unlink_identities(world.db, world.scope, world.configurations, *xids)


async def linked(world, a, b):
    xids = [await world.xid(*each) for each in (a, b)]
    await manual_links.link_identities(world.db, world.scope, world.configurations, *xids)


async def groups(world):
    """Return the people, each as the values of its identities."""
    names = {await world.xid(*each): each[1] for each in (ANA, BOB, PHONE, DEVICE)}
    return {frozenset(names[xid] for xid in xids) for xids in await world.people()}


async def sound(world):
    assert await verify(world.db, world.scope, world.configurations) == []


async def refused(world, identity):
    (graph,) = await world.graphs([await world.xid(*identity)])
    return [(link.refusal, link.dataset_ids) for link in graph.refused_links]


async def test_unlinking_splits_two_people_for_good(world):
    await world.records(record(ANA, PHONE, first_name="Ana"))
    await world.records(record(BOB, PHONE, first_name="Bob"))
    await unlinked(world, BOB, PHONE)
    assert await groups(world) == {frozenset({"ana@x.io", "+1"}), frozenset({"bob@x.io"})}
    assert sorted(d["person"]["name"]["firstName"] for d in await world.documents()) == ["Ana", "Bob"]
    assert await refused(world, BOB) == await refused(world, PHONE) == [(LinkRefusal.UNLINKED, (world.crm.dataset_id,))]
    await world.records(record(PHONE, BOB, first_name="Bobby"), dataset=world.loyalty)
    await world.events(event("e1", "2026-01-01T00:00:00Z", BOB, PHONE))
    assert len(await groups(world)) == 2
    await sound(world)


async def test_an_unlinked_pair_that_is_joined_through_others_stays_joined(world):
    await world.events(event("e1", "2026-01-01T00:00:00Z", ANA, PHONE, DEVICE))
    await unlinked(world, ANA, PHONE)
    assert await groups(world) == {frozenset({"ana@x.io", "+1", "1" * 38})}
    await unlinked(world, PHONE, DEVICE)
    assert await groups(world) == {frozenset({"ana@x.io", "1" * 38})}
    await sound(world)


async def test_an_unlinked_pair_stays_apart_after_all_its_data_was_removed_and_sent_again(world):
    batch_id = await world.batch("b")
    await world.records(record(ANA, PHONE), batch_id=batch_id)
    await unlinked(world, ANA, PHONE)
    await world.abort(batch_id)
    assert await groups(world) == set()
    await sound(world)
    await world.records(record(PHONE, ANA))
    assert await groups(world) == {frozenset({"+1"})}
    await sound(world)


async def test_linking_lets_an_unlinked_pair_join_again(world):
    await world.records(record(ANA, PHONE))
    await unlinked(world, PHONE, ANA)
    await linked(world, ANA, PHONE)
    assert await groups(world) == {frozenset({"ana@x.io", "+1"})}
    await world.records(record(ANA), mode=Mode.DELETE)  # the row was all that tied them: nothing was tied by hand
    assert await groups(world) == set()
    await sound(world)


async def test_two_are_tied_by_hand_until_they_are_unlinked(world):
    await world.records(record(ANA, first_name="Ana"), record(BOB))
    await linked(world, BOB, ANA)
    assert await groups(world) == {frozenset({"ana@x.io", "bob@x.io"})}
    (graph,) = await world.graphs([await world.xid(*BOB)])
    assert [(link.dataset_ids, link.refusal) for link in graph.links] == [((), None)]
    await sound(world)
    await unlinked(world, ANA, BOB)
    assert len(await groups(world)) == 2
    assert await refused(world, ANA) == []
    await linked(world, ANA, BOB)
    assert len(await groups(world)) == 1
    await sound(world)


async def test_a_manual_tie_counts_as_newer_than_stored_ties(world):
    rules = [NamespaceRule("Email", is_unique=True), NamespaceRule("ECID")]
    await update_identity_settings(world.db, world.scope, rules)
    await world.events(
        event("e1", "2026-01-01T00:00:00Z", ANA, DEVICE), event("e2", "2026-01-02T00:00:00Z", BOB, DEVICE)
    )
    assert await groups(world) == {frozenset({"ana@x.io"}), frozenset({"bob@x.io", "1" * 38})}
    await linked(world, ANA, DEVICE)
    assert await groups(world) == {frozenset({"ana@x.io", "1" * 38}), frozenset({"bob@x.io"})}
    await linked(world, ANA, BOB)  # the settings hold all the same
    assert len(await groups(world)) == 2
    await sound(world)


async def test_linking_and_unlinking_again_change_nothing(world):
    await world.records(record(ANA, PHONE))
    await unlinked(world, ANA, PHONE)
    await unlinked(world, PHONE, ANA)
    assert len(await groups(world)) == 1
    await linked(world, ANA, PHONE)
    await linked(world, ANA, PHONE)
    assert await groups(world) == {frozenset({"ana@x.io", "+1"})}
    await sound(world)


async def test_pairs_that_cannot_be_linked_or_unlinked_are_refused_with_a_reason(world):
    await namespaces.create_namespace(world.db, world.scope, code="Store", name="Store", kind=IdentityType.NON_PEOPLE)
    await world.records(record(ANA, ("Store", "7")))
    for verb in (linked, unlinked):
        with pytest.raises(NotFound) as caught:
            await verb(world, ANA, BOB)
        assert caught.value.path == ["b"]
        with pytest.raises(Invalid):
            await verb(world, ANA, ANA)
        with pytest.raises(NotFound):  # what names no people is no identity of a graph
            await verb(world, ANA, ("Store", "7"))
    await world.records(record(BOB))
    with pytest.raises(NotFound):
        await unlinked(world, ANA, BOB)
    reader = replace(world, scope=replace(world.scope, permissions=frozenset({Permission.PROFILE_READ})))
    for verb in (linked, unlinked):
        with pytest.raises(Forbidden):
            await verb(reader, ANA, BOB)
