"""Ingestion as callers see it: counts, batches, modes, errors."""

from dataclasses import replace
from uuid import uuid4

import pytest
from world import World, event, record

from gateway.domain.config import datasets, namespaces, policies
from gateway.domain.config.identity_settings import NamespaceRule, update_identity_settings
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.facts import batches
from gateway.domain.facts.batches import BatchStatus
from gateway.domain.facts.ingest_errors import ErrorPage, list_errors
from gateway.domain.ingest import ingestion
from gateway.domain.operations.verification import verify
from gateway.domain.reading import identities
from gateway.domain.rules.graphs import MAX_NEIGHBOURS, IdentityType
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.rules.scope import Permission
from gateway.domain.rules.versions import Mode
from gateway.errors import Conflict, Forbidden, Invalid, LimitExceeded, NotFound

ANA, BOB = ("Email", "ana@example.com"), ("Email", "bob@example.com")
ECID = ("ECID", "1" * 38)
NOON = "2026-01-01T12:00:00Z"


async def batch_of(world, result):
    (batch,) = await batches.read_batches(world.db, world.scope, [result.batch_id])
    return batch


async def test_every_document_is_accepted_or_a_duplicate_or_failed(world):
    sent = [record(ANA), record(BOB), record(ANA), {"x": 1}]
    result = await world.records(*sent)
    assert (result.accepted, result.duplicates, len(result.failed)) == (2, 1, 1)
    batch = await batch_of(world, result)
    assert (batch.record_count, batch.failed_count, batch.status) == (3, 1, BatchStatus.LOADING)


async def test_a_failure_is_kept_with_its_batch(world):
    result = await world.records({"x": 1, **record(ANA)})
    (page,) = await list_errors(world.db, world.scope, ErrorPage(Window(10)), [result.batch_id])
    (error,) = page.items
    assert (error.index, error.path, error.code, error.document) == (0, "$.x", "UNKNOWN_FIELD", {"x": 1, **record(ANA)})


async def test_calls_without_a_batch_share_one(world):
    first, second = await world.records(record(ANA)), await world.records(record(BOB))
    assert first.batch_id == second.batch_id


async def test_an_event_is_taken_once_and_its_first_body_stays(world):
    first = event("e1", NOON, ECID, eventType="a")
    result = await world.events(first, first)
    assert (result.accepted, result.duplicates, result.warnings) == (1, 1, [])
    again = await world.events({**first, "eventType": "b"})
    assert (again.accepted, again.duplicates) == (0, 1)
    assert [warning.code for warning in again.warnings] == ["EVENT_DIFFERS"]


async def test_a_merge_changes_given_fields_and_null_removes(world):
    await world.records(record(ANA, first_name="Ana", person={"gender": "female", "name": {"firstName": "Ana"}}))
    await world.records({"identityMap": record(ANA)["identityMap"], "person": {"gender": None}}, mode=Mode.MERGE)
    assert await world.documents() == [{"person": {"name": {"firstName": "Ana"}}}]
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_deletion_of_an_unknown_record_adds_no_identity_and_no_profile(world):
    """It counts as a duplicate and adds no identity. It stays as a version: a record with an older time loses against it."""
    result = await world.records(record(ANA, BOB), record(("Phone", "+1")), mode=Mode.DELETE)
    assert (result.accepted, result.duplicates, result.failed) == (0, 2, [])
    named = [await world.xid(*each) for each in (ANA, BOB, ("Phone", "+1"))]
    assert await identities.read_identities(world.db, world.scope, named) == [None] * 3
    assert await world.people() == set()
    assert await verify(world.db, world.scope, world.configurations) == []
    await world.records(record(ANA, first_name="Ana"))
    await world.records(record(ANA), dataset=world.loyalty, mode=Mode.DELETE)
    assert await world.documents() == [{"person": {"name": {"firstName": "Ana"}}}]
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_deletion_stays_when_the_batch_of_the_deleted_record_is_aborted(world):
    batch_id = await world.batch("records")
    await world.records(record(ANA), batch_id=batch_id)
    await world.records(record(ANA), mode=Mode.DELETE)
    await world.abort(batch_id)
    assert await identities.read_identities(world.db, world.scope, [await world.xid(*ANA)]) == [None]
    assert await verify(world.db, world.scope, world.configurations) == []


@pytest.mark.parametrize("dataset", ["crm", "loyalty"])
async def test_the_later_of_two_records_about_one_person_in_a_call_wins(world, dataset):
    """They have one time and two identities; the order of the xids does not matter."""
    await world.records(record(ANA, *((("Phone", f"+{n}")) for n in range(8))), dataset=world.loyalty)
    for last in range(8):
        order = [*(n for n in range(8) if n != last), last]
        rows = [record(("Phone", f"+{n}"), first_name=f"{last}/{n}") for n in order]
        await world.records(*rows, dataset=getattr(world, dataset))
        assert await world.documents() == [{"person": {"name": {"firstName": f"{last}/{last}"}}}]
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_deleted_record_has_no_profile_until_it_is_sent_again(world):
    await world.records(record(ANA, ("Phone", "+1")))
    await world.records(record(ANA), mode=Mode.DELETE)
    assert await world.people() == set()
    await world.records(record(("Phone", "+1")))
    assert await world.people() == {(await world.xid("Phone", "+1"),)}
    await world.records(record(ANA, ("Phone", "+1")))
    assert [len(person) for person in await world.people()] == [2]
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_a_graph_beyond_the_limit_keeps_fifty_identities_and_the_others_stay_people(world):
    """Fifty-five cookies of one person: the oldest ones are removed from the graph, and become people of their own."""
    cookies = [("ECID", f"{n:038d}") for n in range(1, 56)]
    documents = [event(f"e{n}", f"2026-01-01T12:00:{n:02d}Z", cookie, ANA) for n, cookie in enumerate(cookies)]
    for document in documents:
        await world.events(document)
    sizes = sorted(len(person) for person in await world.people())
    assert sizes == [1] * 6 + [50]
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_an_identity_with_too_many_neighbours_joins_no_people(world):
    """An e-mail address that more than a hundred devices share belongs to no person."""
    shared = [event(f"e{n}", NOON, ("ECID", f"{n:038d}"), ANA) for n in range(1, 104)]
    await world.events(*shared)
    assert {len(person) for person in await world.people()} == {1}
    await world.events(event("late", NOON, ("ECID", f"{999:038d}"), ANA))
    assert {len(person) for person in await world.people()} == {1}
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_an_identity_of_a_non_people_namespace_links_nobody(world):
    from_stores = await namespace_of_stores(world)
    shop = (from_stores, "store-1")
    result = await world.records(record(ANA, shop), record(BOB, shop))
    assert (result.accepted, len(await world.people())) == (2, 2)
    await world.events(event("e1", NOON, shop, ANA, ("Phone", "+1")))
    assert await verify(world.db, world.scope, world.configurations) == []


async def namespace_of_stores(world):
    made = await namespaces.create_namespace(
        world.db, world.scope, code="Store", name="Store", kind=IdentityType.NON_PEOPLE
    )
    world.scope = replace(world.scope, sandbox=(await world.fresh_sandbox()))
    return made.code


async def test_every_materialized_policy_is_kept_merged(world):
    precedence = AttributeMerge(AttributeMergeType.DATASET_PRECEDENCE, (world.loyalty.dataset_id,))
    settings = PolicySettings("Loyalty only", IdentityGraphType.NONE, precedence, is_active_on_edge=True)
    await policies.create_policy(world.db, world.scope, settings)
    await world.records(record(ANA, ("Phone", "+1"), first_name="Ana"))
    await world.records(record(("Phone", "+1"), first_name="Anna"), dataset=world.loyalty)
    documents = await world.documents()
    assert sorted(d["person"]["name"]["firstName"] for d in documents) == ["Anna", "Anna"]
    assert await verify(world.db, world.scope, world.configurations) == []


# ------------------------------------------------------------------------------------------------ together


def deleted(world, *identities):
    return world.records(record(*identities), mode=Mode.DELETE)


async def test_calls_that_wait_together_share_a_transaction_and_each_has_its_outcome(world, statements):
    await world.records(record(ANA, first_name="Ana"))
    with statements() as seen:
        gone, new, same, events = await world.together(
            deleted(world, ANA),
            world.records(record(BOB, ECID, first_name="Bob"), {"x": 1}),
            world.records(record(BOB, ECID, first_name="Bob"), dataset=world.crm),
            world.events(event("e1", NOON, ECID), event("e1", NOON, ECID)),
        )
    assert [(r.accepted, r.duplicates, len(r.failed)) for r in (gone, new, same, events)] == [
        (1, 0, 0),
        (1, 0, 1),
        (0, 1, 0),
        (1, 1, 0),
    ]
    assert seen.count("graph_component.with_facts") == 1
    assert await world.documents() == [{"person": {"name": {"firstName": "Bob"}}}]
    assert (await batch_of(world, same)).record_count == 4
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_records_of_calls_that_wait_together_are_merged_into_known_people(world):
    await world.records(record(ANA, first_name="Ana"), record(BOB, first_name="Bob"))
    await world.together(
        deleted(world, ECID),
        world.records(record(ANA, first_name="Anna")),
        world.records(record(BOB, first_name="Bobby")),
    )
    names = [document["person"]["name"]["firstName"] for document in await world.documents()]
    assert sorted(names) == ["Anna", "Bobby"]


async def test_a_refused_call_leaves_nothing_and_the_calls_that_wait_with_it_are_stored(world):
    closed = await world.batch("k")
    await batches.complete_batch(world.db, world.scope, closed)
    _, refused, taken = await world.together(
        deleted(world, ANA),
        world.records(record(BOB, ECID, first_name="Bob"), batch_id=closed),
        world.records(record(BOB, first_name="Bobby"), mode=Mode.MERGE),
    )
    assert (type(refused), taken.accepted) == (Conflict, 1)
    assert await world.people() == {(await world.xid(*BOB),)}
    assert await world.documents() == [{"person": {"name": {"firstName": "Bobby"}}}]
    assert await verify(world.db, world.scope, world.configurations) == []


async def test_calls_that_wait_together_are_validated_again_after_a_change_of_configuration(world):
    await world.records(record(ANA))
    await update_identity_settings(world.db, world.scope, [NamespaceRule("Email", is_unique=True)])
    calls = (world.events(event(f"e{n}", NOON, ECID, ANA, BOB)) for n in range(2))
    _, *results = await world.together(deleted(world, ("Phone", "+1")), *calls)
    assert [result.accepted for result in results] == [1, 1]
    assert max(len(person) for person in await world.people()) == 2  # by the old one: 3
    assert await verify(world.db, world.scope, world.configurations) == []


# ------------------------------------------------------------------------------------------------ refusals


async def test_a_call_takes_a_thousand_documents(world):
    with pytest.raises(LimitExceeded):
        await world.records(*[record(ANA)] * 1001)


async def test_a_call_without_documents_succeeds(world):
    assert (await world.records()).accepted == 0


async def test_a_dataset_of_the_other_class_or_an_unknown_one_is_refused(world):
    with pytest.raises(Invalid):
        await world.records(record(ANA), dataset=world.shop)
    with pytest.raises(NotFound):
        await world.records(record(ANA), dataset=replace(world.crm, dataset_id=uuid4()))


async def test_a_dataset_that_is_not_enabled_for_profile_is_refused_until_it_is(world):
    archive = await datasets.create_dataset(
        world.db, world.scope, name="Archive", schema_id=world.crm.schema_id, is_profile_enabled=False
    )
    world.scope = replace(world.scope, sandbox=await world.fresh_sandbox())
    with pytest.raises(Invalid, match="not enabled"):
        await world.records(record(ANA), dataset=archive)
    await datasets.update_dataset(world.db, world.scope, archive.dataset_id, {"is_profile_enabled": True})
    world.scope = replace(world.scope, sandbox=await world.fresh_sandbox())
    assert (await world.records(record(ANA), dataset=archive)).accepted == 1


async def test_an_unknown_batch_or_one_of_another_dataset_is_refused(world):
    with pytest.raises(NotFound):
        await world.records(record(ANA), batch_id=uuid4())
    with pytest.raises(NotFound):
        await world.records(record(ANA), batch_id=await world.batch("k", world.loyalty))
    assert await world.people() == set()


async def test_a_complete_batch_takes_nothing_more(world):
    batch_id = await world.batch("k")
    await world.records(record(ANA), batch_id=batch_id)
    await batches.complete_batch(world.db, world.scope, batch_id)
    with pytest.raises(Conflict):
        await world.records(record(BOB), batch_id=batch_id)
    assert len(await world.people()) == 1


async def test_a_rolling_batch_that_was_closed_is_followed_by_another(world):
    first = await world.records(record(ANA))
    await batches.complete_batch(world.db, world.scope, first.batch_id)
    second = await world.records(record(BOB))
    assert second.batch_id != first.batch_id


async def test_ingestion_needs_profile_write(world):
    reader = replace(world.scope, permissions=frozenset({Permission.PROFILE_READ}))
    with pytest.raises(Forbidden):
        await ingestion.ingest_records(world.db, reader, world.configurations, world.crm.dataset_id, [record(ANA)])


async def test_the_same_value_in_two_sandboxes_has_nothing_in_common(db):
    one, two = await World.create(db), await World.create(db)
    await one.records(record(ANA))
    await two.records(record(ANA))
    assert await one.people() != await two.people()
    assert await verify(db, one.scope, one.configurations) == []


async def test_the_number_of_statements_does_not_depend_on_the_number_of_documents(world, statements):
    await world.records(record(ANA))
    with statements() as few:
        await world.records(*(record(("Email", f"a{n}@x.io")) for n in range(4)))
    with statements() as many:
        await world.records(*(record(("Email", f"b{n}@x.io")) for n in range(512)))
    assert len(few) == len(many)


async def test_an_identity_with_too_many_links_is_warned_of_once(world):
    devices = [("ECID", f"1{n:037}") for n in range(MAX_NEIGHBOURS + 2)]
    await world.events(*(event(f"{n}", NOON, ANA, device) for n, device in enumerate(devices[:MAX_NEIGHBOURS])))
    result = await world.events(event("one too many", NOON, ANA, devices[MAX_NEIGHBOURS]))
    assert [(warning.index, warning.code) for warning in result.warnings] == [(0, "IDENTITY_CAP")]
    assert (await world.events(event("another", NOON, ANA, devices[MAX_NEIGHBOURS + 1]))).warnings == []
