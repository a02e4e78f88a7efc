"""Datasets: names, schemas, enabling for profile, which is final, and counts of records."""

from dataclasses import replace
from uuid import uuid4

import pytest
from world import event, record

from gateway.domain.config import datasets, registry, sandboxes
from gateway.domain.config.configuration import Configurations
from gateway.domain.facts.batches import create_batch
from gateway.domain.rules.scope import Permission, SandboxType
from gateway.errors import Forbidden, Invalid, NotFound, Taken
from gateway.xdm.classes import XdmClass

ANA, BEN = ("Email", "ana@x.io"), ("Email", "ben@x.io")


@pytest.fixture
async def schema(db, scope):
    return await registry.create_schema(db, scope, title="Customer", xdm_class=XdmClass.INDIVIDUAL_PROFILE)


async def create(db, scope, schema, **changes):
    return await datasets.create_dataset(db, scope, **{"name": "CRM", "schema_id": schema.schema_id} | changes)


async def stored(db, scope):
    """Read the datasets as a new process does."""
    return list((await Configurations().read(db, scope)).datasets.values())


async def test_a_dataset_keeps_what_it_was_given(db, scope, schema):
    dataset = await create(db, scope, schema, description="All customers")
    other = await create(db, scope, schema, name="Archive", is_profile_enabled=False)
    assert await stored(db, scope) == [other, dataset]
    assert (dataset.description, dataset.is_profile_enabled, other.is_profile_enabled) == ("All customers", True, False)


async def test_only_what_is_given_changes(db, scope, schema):
    dataset = await create(db, scope, schema, description="Old", is_profile_enabled=False)
    changed = await datasets.update_dataset(db, scope, dataset.dataset_id, {"description": None})
    assert changed == replace(dataset, description=None, version=2, updated_at=changed.updated_at)
    changed = await datasets.update_dataset(
        db, scope, dataset.dataset_id, {"name": "Customers", "is_profile_enabled": True}
    )
    renamed = {"name": "Customers", "description": None, "is_profile_enabled": True}
    assert changed == replace(dataset, **renamed, version=3, updated_at=changed.updated_at)
    assert await stored(db, scope) == [changed]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": ""}, ["name"]),
        ({"event_retention_days": 0}, ["eventRetentionDays"]),
        ({"event_retention_days": 36_501}, ["eventRetentionDays"]),
        ({"event_retention_days": 30}, ["eventRetentionDays"]),  # of a dataset of records
        ({"description": "a\x00"}, ["description"]),
        ({"is_profile_enabled": False}, ["enableForProfile"]),
    ],
)
async def test_a_broken_rule_is_explained_and_leaves_all_as_it_was(db, scope, schema, change, path):
    dataset = await create(db, scope, schema)
    with pytest.raises(Invalid) as caught:
        await datasets.update_dataset(db, scope, dataset.dataset_id, change)
    assert caught.value.path == path
    assert await stored(db, scope) == [dataset]


async def test_a_name_is_taken_once_and_a_schema_must_be_there(db, scope, schema):
    await create(db, scope, schema)
    other = await create(db, scope, schema, name="Other")
    for change in (create(db, scope, schema), datasets.update_dataset(db, scope, other.dataset_id, {"name": "CRM"})):
        with pytest.raises(Taken) as caught:
            await change
        assert caught.value.path == ["name"]
    with pytest.raises(NotFound) as caught:
        await create(db, scope, schema, name="Third", schema_id=uuid4())
    assert caught.value.path == ["schemaId"]


async def test_a_dataset_feeds_profiles_only_if_its_schema_does(db, scope):
    schema = await registry.create_schema(
        db, scope, title="Draft", xdm_class=XdmClass.INDIVIDUAL_PROFILE, is_profile_enabled=False
    )
    dataset = await create(db, scope, schema, is_profile_enabled=False)
    for change in (
        create(db, scope, schema, name="Other"),
        datasets.update_dataset(db, scope, dataset.dataset_id, {"is_profile_enabled": True}),
    ):
        with pytest.raises(Invalid) as caught:
            await change
        assert caught.value.path == ["enableForProfile"]


async def test_another_sandboxs_schemas_and_datasets_are_not_found(db, scope, schema):
    dataset = await create(db, scope, schema)
    there = replace(scope, sandbox=await sandboxes.create_sandbox(db, scope, "dev", None, SandboxType.DEVELOPMENT))
    with pytest.raises(NotFound):
        await create(db, there, schema)
    with pytest.raises(NotFound):
        await datasets.update_dataset(db, there, dataset.dataset_id, {"name": "Mine"})


async def test_config_write_is_needed_to_change_and_not_to_count(db, scope, schema):
    reader = replace(scope, permissions=frozenset({Permission.PROFILE_READ}))
    with pytest.raises(Forbidden):
        await create(db, reader, schema)
    with pytest.raises(Forbidden):
        await datasets.update_dataset(db, reader, uuid4(), {})
    assert await datasets.count_records(db, reader, [uuid4()]) == [0]
    loader = replace(scope, permissions=frozenset({Permission.PROFILE_WRITE}))
    with pytest.raises(Forbidden, match="profile:read or config:write"):
        await datasets.count_records(db, loader, [uuid4()])


async def test_records_are_counted_without_failures_repeats_and_what_was_aborted(world, statements):
    db, scope, config = world.db, world.scope, await world.config()
    batch = await create_batch(db, scope, config, world.crm.dataset_id, "aborted")
    await world.records(record(ANA, first_name="Ana"), record(BEN, first_name="Ben"), {"nothing": 1})
    await world.records(record(ANA, first_name="Anna"), batch_id=batch.batch_id)
    await world.events(event("1", "2026-01-01T00:00:00Z", ANA))
    await world.events(event("1", "2026-01-01T00:00:00Z", ANA))
    await world.abort(batch.batch_id)
    asked = [world.shop.dataset_id, uuid4(), world.crm.dataset_id, world.loyalty.dataset_id]
    with statements() as names:
        assert await datasets.count_records(db, scope, asked) == [1, 0, 2, 0]
    assert names == ["datasets.count_records"]
