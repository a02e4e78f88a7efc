"""What the tests of the domain stand on: a caller who may do everything in a fresh organization's default sandbox."""

import pytest
from world import World

from gateway.domain.config import sandboxes, tenants
from gateway.domain.rules.scope import EVERY_SANDBOX, Permission, Scope


@pytest.fixture
async def scope(db):
    organization = await sandboxes.create_organization(db, "acme", "Acme")
    sandbox = await tenants.read_sandbox(db, organization.organization_id, None)
    return Scope(organization, sandbox, frozenset({Permission.ADMIN}), frozenset({EVERY_SANDBOX}))


@pytest.fixture
async def world(template_world, db):
    return template_world.inside_of(db)


@pytest.fixture(scope="module")
async def module_world(module_db):
    """A sandbox for all tests of a module that change nothing there that another would notice."""
    return await World.create(module_db)
