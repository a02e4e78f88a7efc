"""Organizations, sandboxes, keys and scopes."""

import pytest

from gateway.domain.config import api_keys, namespaces, sandboxes, tenants
from gateway.domain.config.namespaces import IdentityType
from gateway.domain.config.tenants import ApiKeyUse, key_hash
from gateway.domain.rules.scope import EVERY_SANDBOX, Permission, SandboxType, Scope
from gateway.errors import Conflict, Forbidden, Invalid, NotFound, Taken
from gateway.storage.queries import Query

ADMIN = frozenset({Permission.ADMIN})


async def scope_of(db, code="acme", permissions=ADMIN):
    organization = await sandboxes.create_organization(db, code, code.title())
    sandbox = await tenants.read_sandbox(db, organization.organization_id, None)
    return Scope(organization, sandbox, permissions, frozenset({EVERY_SANDBOX}))


async def test_an_organization_starts_with_a_default_production_sandbox(db):
    scope = await scope_of(db)
    assert (scope.sandbox.name, scope.sandbox.type, scope.sandbox.is_default) == ("prod", "PRODUCTION", True)
    assert await tenants.list_organizations(db) == [scope.organization]


async def test_two_organizations_may_use_one_sandbox_name_and_do_not_see_each_other(db):
    one, two = await scope_of(db, "one"), await scope_of(db, "two")
    for scope in (one, two):
        await sandboxes.create_sandbox(db, scope, "dev", "Development", SandboxType.DEVELOPMENT)
    dev = await tenants.read_sandbox(db, one.organization.organization_id, "dev")
    assert dev in await tenants.list_sandboxes(db, one)
    assert dev not in await tenants.list_sandboxes(db, two)
    with pytest.raises(NotFound):
        await sandboxes.delete_sandbox(db, two, dev.sandbox_id, "dev")


@pytest.mark.parametrize(("name", "error"), [("prod", Taken), ("Prod", Invalid), ("", Invalid), ("x" * 65, Invalid)])
async def test_a_bad_sandbox_name_is_explained(db, name, error):
    with pytest.raises(error) as caught:
        await sandboxes.create_sandbox(db, await scope_of(db), name, None, SandboxType.DEVELOPMENT)
    assert caught.value.path == ["name"]


async def test_a_taken_or_broken_organization_code_is_explained(db):
    await scope_of(db)
    with pytest.raises(Taken):
        await sandboxes.create_organization(db, "acme", "Another")
    with pytest.raises(Invalid):
        await sandboxes.create_organization(db, "Acme!", "Shouting")


async def test_a_deleted_sandbox_leaves_nothing_and_the_default_one_stays(db):
    scope = await scope_of(db)
    dev = await sandboxes.create_sandbox(db, scope, "dev", None, SandboxType.DEVELOPMENT)
    plant = Query(
        "test.plant",
        "insert into gateway.unlinked_pair (sandbox_id, xid, other_xid, created_at)"
        " values ($1, gen_random_uuid(), gen_random_uuid(), gateway.now())",
        ("sandbox_id",), (), "none", "For this test.",
    )  # fmt: skip
    count = Query(
        "test.count",
        "select count(*) from gateway.unlinked_pair where sandbox_id = $1",
        ("sandbox_id",),
        (),
        "value",
        "Same.",
    )
    async with db.transaction() as tx:
        await tx.execute(plant, dev.sandbox_id)
    await sandboxes.delete_sandbox(db, scope, dev.sandbox_id, "dev")
    assert await db.value(count, dev.sandbox_id) == 0
    assert await tenants.list_sandboxes(db, scope) == [scope.sandbox]
    with pytest.raises(Conflict):
        await sandboxes.delete_sandbox(db, scope, scope.sandbox_id, scope.sandbox.name)


async def test_a_key_leads_to_its_own_organization_and_is_kept_as_a_hash_only(db):
    scope, other = await scope_of(db), await scope_of(db, "other")
    dev = await sandboxes.create_sandbox(db, scope, "dev", None, SandboxType.DEVELOPMENT)
    await sandboxes.create_sandbox(db, other, "foreign", None, SandboxType.DEVELOPMENT)
    _, key = await api_keys.create_api_key(db, scope, "test")
    ours, theirs = scope.organization.organization_id, other.organization.organization_id
    uses = [(key, ours, None), (key, ours, "dev"), (key, ours, "foreign"), (key, theirs, None), (key, None, None)]
    asked = [ApiKeyUse(key_hash(given), organization_id, name) for given, organization_id, name in uses]
    strange = ApiKeyUse(key_hash(key + "x"), ours, None)
    found = await tenants.authenticate(db, [*asked, strange, asked[0]])
    assert [each and (each.organization, each.sandbox) for each in found] == [
        (scope.organization, scope.sandbox),
        (scope.organization, dev),
        (scope.organization, None),
        (None, None),
        (None, None),
        None,
        (scope.organization, scope.sandbox),
    ]


async def test_what_leads_to_the_same_place_again_is_the_same_object_until_something_is_changed(db):
    scope = await scope_of(db)
    _, key = await api_keys.create_api_key(db, scope, "crm")
    use = ApiKeyUse(key_hash(key), scope.organization.organization_id, None)
    [first], [second] = await tenants.authenticate(db, [use]), await tenants.authenticate(db, [use])
    assert second is first
    await namespaces.create_namespace(db, scope, code="Card", name="Card", kind=IdentityType.CROSS_DEVICE)
    [changed] = await tenants.authenticate(db, [use])
    assert changed.sandbox.config_version == first.sandbox.config_version + 1


async def test_without_the_permission_nothing_happens(db):
    scope = await scope_of(db, permissions=frozenset({Permission.PROFILE_READ}))
    scope.require(Permission.PROFILE_READ)
    with pytest.raises(Forbidden, match="admin"):
        await sandboxes.create_sandbox(db, scope, "dev", None, SandboxType.DEVELOPMENT)


def test_a_scope_nobody_knows_is_named():
    assert tenants.permissions(["profile:read"]) == {Permission.PROFILE_READ}
    with pytest.raises(Invalid, match="profile:raed"):
        tenants.permissions(["profile:raed"])


async def test_a_secret_is_not_printed(db):
    scope = await scope_of(db)
    assert scope.sandbox.secret.hex() not in repr(scope)
    assert repr(scope.sandbox.secret) not in repr(scope)
