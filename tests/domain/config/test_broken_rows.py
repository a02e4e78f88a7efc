"""A broken row of configuration is reported where it is needed, and breaks nothing else."""

from dataclasses import replace
from operator import attrgetter
from uuid import UUID

import pytest
from world import World, event, record

from gateway.domain.config import datasets, namespaces, policies, registry
from gateway.domain.config.configuration import Configurations
from gateway.domain.operations.verification import verify
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.scope import Scope
from gateway.errors import Conflict, Misconfigured, Taken
from gateway.storage.queries import Query
from gateway.telemetry import ConfigurationBroken, listen
from gateway.xdm.classes import XdmClass

ADA, CARD = ("Email", "ada@example.com"), ("Card", "1")
TEXT = {"f": {"type": "string"}}


async def edit(db, scope: Scope, sql: str, *args, without: str | None = None) -> None:
    """Change the configuration by SQL, on a database that may lack a check constraint, and increment its version."""
    names = ("sandbox_id", *(f"arg{place}" for place, _ in enumerate(args)))
    counted = "update gateway.sandbox set config_version = config_version + 1 where sandbox_id = $1"
    async with db.transaction() as tx:
        if without is not None:
            table, check = without.split(".")
            dropped = f"alter table gateway.{table} drop constraint {check}"
            await tx.execute(Query("test.drop", dropped, (), (), "none", "For these tests."))
        await tx.execute(Query("test.edit", sql, names, (), "none", "For these tests."), scope.sandbox_id, *args)
        await tx.execute(
            Query("test.count", counted, ("sandbox_id",), (), "none", "For these tests."), scope.sandbox_id
        )


CUSTOM = "update gateway.xdm_schema set custom_fields = $3 where sandbox_id = $1 and schema_id = $2"
IDENTITIES = "update gateway.xdm_schema set identities = $3 where sandbox_id = $1 and schema_id = $2"
GROUPS = "update gateway.xdm_schema set field_groups = array[$3] where sandbox_id = $1 and schema_id = $2"

SCHEMA_FAULTS = [
    (CUSTOM, '{"f": {"type": "string", "default": "x"}}'),
    (CUSTOM, '{"f": {"type": "string", "title": 5}}'),
    (CUSTOM, '{"f": 1}'),
    (CUSTOM, '["f"]'),
    (CUSTOM, "null"),
    (CUSTOM, '{"f":' * 2_000 + "1" + "}" * 2_000),
    (IDENTITIES, "{}"),
    (IDENTITIES, "[1]"),
    (IDENTITIES, '[{"path": "nothing.here", "namespace": "Email", "isPrimary": false}]'),
    (IDENTITIES, '[{"path": "personalEmail.address", "namespace": "Nothing", "isPrimary": false}]'),
    (GROUPS, "profile-hobbies"),
]


async def other_schema(world: World) -> UUID:
    schema = await registry.create_schema(
        world.db, world.scope, title="Other", xdm_class=XdmClass.INDIVIDUAL_PROFILE, custom_fields=TEXT
    )
    return schema.schema_id


@pytest.mark.parametrize(("sql", "value"), SCHEMA_FAULTS)
async def test_a_schema_that_cannot_be_used_is_named_and_the_others_go_on(db, world, sql, value):
    schema_id = await other_schema(world)
    dataset = await datasets.create_dataset(db, world.scope, name="Broken", schema_id=schema_id)
    await edit(db, world.scope, sql, schema_id, value)
    heard = []
    stop = listen(lambda seen: heard.append(seen) if isinstance(seen, ConfigurationBroken) else None)
    config = await world.config()
    stop()
    (row,) = config.broken
    assert (row.table, row.key, row.name) == ("xdm_schema", schema_id, "Other")
    assert [seen.message for seen in heard] == [row.message]
    assert (await world.records(record(ADA, first_name="Ada"))).accepted == 1
    assert (await world.events(event("1", "2024-05-01T00:00:00Z", ADA))).accepted == 1
    with pytest.raises(Misconfigured, match="'Other'"):
        await world.records(record(ADA), dataset=dataset)
    with pytest.raises(Misconfigured, match=str(schema_id)):
        config.schemas.find(schema_id)
    with pytest.raises(Misconfigured, match=str(schema_id)):
        config.schemas.named("Other", attrgetter("title"))
    (difference,) = await verify(db, await fresh(world), Configurations())
    assert (difference.table, difference.key) == ("xdm_schema", str(schema_id))


async def fresh(world: World) -> Scope:
    return replace(world.scope, sandbox=await world.fresh_sandbox())


async def test_a_schema_that_cannot_be_used_starts_no_mutation_and_keeps_its_title(db, world):
    schema_id = await other_schema(world)
    await edit(db, world.scope, CUSTOM, schema_id, '{"f": 1}')
    with pytest.raises(Conflict, match="'Other'") as caught:
        await registry.update_schema(db, world.scope, schema_id, title="Mended")
    assert caught.value.path == ["id"]
    with pytest.raises(Taken):
        await other_schema(world)


async def test_a_namespace_that_cannot_be_used_fails_the_documents_that_name_it(db, world):
    card = await namespaces.create_namespace(db, world.scope, code="Card", name="Card", kind=IdentityType.CROSS_DEVICE)
    await world.records(record(CARD, first_name="Bea"))
    await edit(
        db,
        world.scope,
        "update gateway.namespace set normalization = 'SOMEHOW' where sandbox_id = $1 and namespace_id = $2",
        card.namespace_id,
        without="namespace.namespace_normalization_known",
    )
    result = await world.records(record(ADA, first_name="Ada"), record(CARD, first_name="Bea"))
    assert (result.accepted, len(result.failed)) == (1, 1)
    assert "'Card'" in result.failed[0].message
    with pytest.raises(Conflict, match="'Card'"):
        await namespaces.update_namespace(db, world.scope, card.namespace_id, {"name": "Card number"})
    with pytest.raises(Taken):
        await namespaces.create_namespace(db, world.scope, code="Card", name="Card", kind=IdentityType.CROSS_DEVICE)


async def test_a_default_policy_that_cannot_be_used_stops_what_it_keeps_and_nothing_else(db, world):
    await world.records(record(ADA, first_name="Ada"))
    await edit(
        db,
        world.scope,
        "update gateway.merge_policy set merge_type = 'SOMEHOW' where sandbox_id = $1",
        without="merge_policy.merge_policy_merge_type_known",
    )
    config = await world.config()
    for asked in (lambda: config.default_policy, lambda: config.policy(None), lambda: config.materialized):
        with pytest.raises(Misconfigured, match="'Default'"):
            asked()
    with pytest.raises(Misconfigured, match="'Default'"):
        await world.records(record(ADA, first_name="Adah"))
    assert (await world.events(event("1", "2024-05-01T00:00:00Z", ADA))).accepted == 1
    with pytest.raises(Conflict, match="'Default'"):
        await policies.create_policy(db, world.scope, policies.DEFAULT)
    assert [one.table for one in await verify(db, await fresh(world), Configurations())] == ["merge_policy"]


async def test_a_sandbox_without_a_default_policy_says_so(db, world):
    await edit(db, world.scope, "delete from gateway.merge_policy where sandbox_id = $1")
    with pytest.raises(Misconfigured, match="no default merge policy"):
        _ = (await world.config()).default_policy
