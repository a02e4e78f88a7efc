"""The configuration as one value: complete, never older than requested, and read only when it changed."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from gateway.domain.config import datasets, identity_settings, namespaces, policies, registry, sandboxes, tenants
from gateway.domain.config.configuration import READ_VERSION, Configurations
from gateway.domain.config.policies import IdentityGraphType, PolicySettings
from gateway.domain.config.registry import IdentityDescriptor
from gateway.domain.rules.graphs import IdentityType, Rules
from gateway.domain.rules.merge import AttributeMerge, AttributeMergeType
from gateway.domain.rules.scope import SandboxType
from gateway.errors import BadInput, Forbidden, NotFound
from gateway.storage.queries import Query
from gateway.xdm.classes import XdmClass, compose

PROFILE, EVENT = XdmClass.INDIVIDUAL_PROFILE, XdmClass.EXPERIENCE_EVENT
TEXT = {"type": "string"}
MONEY = {"type": "object", "meta:composite": True, "properties": {"amount": {"type": "number"}, "currency": TEXT}}
OTHER = PolicySettings("Other", IdentityGraphType.NONE, AttributeMerge(AttributeMergeType.TIMESTAMP_ORDERED))


async def now(db, scope):
    """Return the scope of a request that arrives now."""
    sandbox = await tenants.read_sandbox(db, scope.organization.organization_id, scope.sandbox.name)
    return replace(scope, sandbox=sandbox)


async def schema_of(db, scope, title="Customer", xdm_class=PROFILE, **changes):
    return await registry.create_schema(db, scope, title=title, xdm_class=xdm_class, **changes)


async def test_a_configuration_holds_everything_that_is_set_in_its_sandbox(db, scope):
    card = await namespaces.create_namespace(db, scope, code="Card", name="Card", kind=IdentityType.CROSS_DEVICE)
    schema = await schema_of(db, scope, identities=[IdentityDescriptor("personID", "Card", is_primary=True)])
    dataset = await datasets.create_dataset(db, scope, name="CRM", schema_id=schema.schema_id)
    policy = await policies.create_policy(db, scope, replace(OTHER, is_active_on_edge=True))
    config = await Configurations().read(db, await now(db, scope))
    assert (config.sandbox_id, config.tenant_code, config.version) == (scope.sandbox_id, "acme", 5)
    assert config.namespace("Card") == config.namespaces[card.namespace_id] == card
    assert config.namespace("card") is None
    assert config.schemas == {schema.schema_id: schema}
    assert config.dataset(dataset.dataset_id) == dataset
    assert config.policy(policy.policy_id) == policy
    assert config.policy(None) == config.default_policy
    assert config.default_policy.settings == policies.DEFAULT
    assert config.materialized == [config.default_policy, policy]
    assert config.rules == Rules()


async def test_errors_name_the_thing_that_is_missing(db, scope):
    config = await Configurations().read(db, scope)
    with pytest.raises(BadInput):
        config.policy(uuid4())
    with pytest.raises(NotFound) as caught:
        config.dataset(uuid4())
    assert caught.value.path == ["datasetId"]


async def test_identity_settings_are_rules_of_the_graph(db, scope):
    set_up = Query(
        "test.settings",
        "update gateway.namespace set priority = 1, is_unique_per_graph = true where sandbox_id = $1 and namespace_id = 6",
        ("sandbox_id",), (), "none", "For this test.",
    )  # fmt: skip
    async with db.transaction() as tx:
        await tx.execute(set_up, scope.sandbox_id)
    config = await Configurations().read(db, scope)
    assert config.rules == Rules({6: 1}, frozenset({6}))
    (ruled,) = await identity_settings.read_identity_settings(db, scope, [scope.sandbox_id])
    assert ruled.namespaces == (config.namespaces[6],)


# ------------------------------------------------------------------------------------------------ unions


async def test_the_union_of_a_class_without_schemas_has_all_fields_that_ship_for_it(db, scope):
    await schema_of(db, scope, field_groups=[], is_profile_enabled=False)
    config = await Configurations().read(db, await now(db, scope))
    for xdm_class in XdmClass:
        assert config.union(xdm_class) == compose(xdm_class, None, None, "acme")
    assert config.composites["homeAddress"] is None


async def test_profile_enabled_schemas_make_the_union_of_their_class(db, scope):
    await schema_of(db, scope, "One", field_groups=["profile-loyalty"], custom_fields={"a": TEXT})
    await schema_of(db, scope, "Two", field_groups=["profile-work-contact"], custom_fields={"b": TEXT, "pay": MONEY})
    await schema_of(db, scope, "Draft", custom_fields={"c": TEXT}, is_profile_enabled=False)
    await schema_of(db, scope, "Event", EVENT, custom_fields={"d": TEXT})
    config = await Configurations().read(db, await now(db, scope))
    properties = config.union(PROFILE)["properties"]
    assert {"loyalty", "workEmail"} <= properties.keys()
    assert "homeAddress" not in properties
    assert properties["_acme"]["properties"].keys() == {"a", "b", "pay"}
    assert config.union(EVENT)["properties"]["_acme"]["properties"].keys() == {"d"}
    assert config.composites["_acme"] == {"pay": None}


async def test_unchanged_schemas_are_not_compiled_again(db, scope):
    schema, configurations = await schema_of(db, scope), Configurations()
    before = await configurations.read(db, await now(db, scope))
    await datasets.create_dataset(db, scope, name="CRM", schema_id=schema.schema_id)
    after = await configurations.read(db, await now(db, scope))
    assert after.version > before.version
    assert after.validator(schema.schema_id) is before.validator(schema.schema_id)
    assert after.union(PROFILE) is before.union(PROFILE)
    await registry.update_schema(db, scope, schema.schema_id, custom_fields={"a": TEXT})
    grown = await configurations.read(db, await now(db, scope))
    assert grown.validator(schema.schema_id).is_valid({"_acme": {"a": "x"}})
    assert not after.validator(schema.schema_id).is_valid({"_acme": {"a": "x"}})
    assert "_acme" in grown.union(PROFILE)["properties"]


# ------------------------------------------------------------------------------------------------ the cache


async def test_a_configuration_is_read_once_for_each_version(db, scope, statements):
    configurations = Configurations()
    with statements() as names:
        first = await asyncio.gather(*(configurations.read(db, scope) for _ in range(8)))
        assert await configurations.read(db, scope, scope.sandbox.config_version) is first[0]
    assert all(config is first[0] for config in first)
    assert sorted(names) == [
        "computed_attributes.list_attributes",
        "configuration.read_version",
        "configuration.read_version",
        "datasets.list_datasets",
        "namespaces.list_namespaces",
        "policies.list_policies",
        "projection_configurations.list_configurations",
        "projection_destinations.list_destinations",
        "registry.list_schemas",
    ]


async def test_every_change_is_seen_by_the_next_request(db, scope):
    configurations = Configurations()
    await configurations.read(db, scope)
    schema = await schema_of(db, scope)
    assert schema.schema_id not in (await configurations.read(db, scope)).schemas  # this request began before
    assert schema.schema_id in (await configurations.read(db, await now(db, scope))).schemas
    assert schema.schema_id in (await configurations.read(db, scope)).schemas


async def test_a_newer_version_can_be_asked_for(db, scope):
    configurations = Configurations()
    await configurations.read(db, scope)
    await schema_of(db, scope)
    assert (await configurations.read(db, scope, at_least=2)).version == 2


async def test_a_change_in_between_is_never_half_seen(db, scope):
    """A dataset is never there without its schema, however reads and changes interleave."""

    async def change(number):
        schema = await schema_of(db, scope, f"Schema {number}", field_groups=[])
        await datasets.create_dataset(db, scope, name=f"Dataset {number}", schema_id=schema.schema_id)

    async def watch():
        for _ in range(10):
            config = await Configurations().read(db, scope)
            assert {dataset.schema_id for dataset in config.datasets.values()} <= config.schemas.keys()
            assert config.version == 1 + len(config.schemas) + len(config.datasets)

    await asyncio.gather(*(change(number) for number in range(10)), watch(), watch())


async def test_a_snapshot_has_the_configuration_of_its_moment_whatever_changes(db, scope):
    configurations = Configurations()
    await configurations.read(db, scope)
    await schema_of(db, scope)  # the cached one is older than the snapshot
    async with configurations.snapshot(db, scope) as (tx, config):
        await schema_of(db, scope, "Later")
        assert {schema.title for schema in config.schemas.values()} == {"Customer"}
        assert config.version == await tx.value(READ_VERSION, scope.sandbox_id)
    async with db.at_one_moment() as still:
        before = await still.value(READ_VERSION, scope.sandbox_id)
        await schema_of(db, scope, "Too late")
        await configurations.read(db, scope, at_least=before + 1)  # the cached one is newer than the moment
        async with configurations.snapshot(still, scope) as (tx, config):
            assert config.version == before == await tx.value(READ_VERSION, scope.sandbox_id)
            assert {schema.title for schema in config.schemas.values()} == {"Customer", "Later"}


async def test_only_so_many_configurations_are_kept(db, scope, statements):
    dev = await sandboxes.create_sandbox(db, scope, "dev", None, SandboxType.DEVELOPMENT)
    configurations, there = Configurations(size=1), replace(scope, sandbox=dev)
    here = await configurations.read(db, scope)
    assert (await configurations.read(db, there)).sandbox_id == dev.sandbox_id
    with statements() as names:
        assert (await configurations.read(db, scope)).version == here.version
    assert names


async def test_a_sandbox_that_is_gone_has_no_configuration(db, scope):
    dev = await sandboxes.create_sandbox(db, scope, "dev", None, SandboxType.DEVELOPMENT)
    await sandboxes.delete_sandbox(db, scope, dev.sandbox_id, "dev")
    with pytest.raises(Forbidden):
        await Configurations().read(db, replace(scope, sandbox=dev))
