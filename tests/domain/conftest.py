"""What the tests of the domain stand on: a caller who may do everything in a fresh organization's default sandbox."""

from contextlib import contextmanager

import pytest
from world import World

from gateway.domain import sandboxes, tenants
from gateway.domain.tenants import Permission, Scope
from gateway.telemetry import StatementRan, listen


@pytest.fixture
async def scope(db):
    organization = await sandboxes.create_organization(db, "acme", "Acme")
    sandbox = await tenants.read_sandbox(db, organization.organization_id, None)
    return Scope(organization, sandbox, frozenset({Permission.ADMIN}))


@pytest.fixture
async def world(db):
    return await World.create(db)


@pytest.fixture
def statements():
    """A context in which the names of all statements are noted, in the order in which they came back."""

    @contextmanager
    def noted():
        names = []
        stop = listen(lambda seen: names.append(seen.name) if isinstance(seen, StatementRan) else None)
        try:
            yield names
        finally:
            stop()

    return noted
