"""What tests stand on: a copy of the sandbox knows nothing of what another copy was changed to."""

from dataclasses import replace

import pytest
from world import record

from gateway.domain.config import registry


@pytest.mark.parametrize("field", ["one", "other"])
async def test_a_copy_of_the_sandbox_has_the_validators_of_its_own_schemas(template_world, db, field):
    """Each changes the same schema to the same version, and to something else."""
    world, own = template_world.inside_of(db), f"_{template_world.scope.organization.code}"
    fields = {field: {"type": "string"}}
    await registry.update_schema(world.db, world.scope, world.crm.schema_id, custom_fields=fields)
    world = replace(world, scope=replace(world.scope, sandbox=await world.fresh_sandbox()))
    documents = [record(("Email", f"{name}@x.io"), **{own: {name: "x"}}) for name in ("one", "other")]
    taken = await world.records(*documents)
    assert [failure.index for failure in taken.failed] == [1 if field == "one" else 0]
