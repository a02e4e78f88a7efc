"""The viewer, which is the caller of a request, and the sandboxes of an organization."""

from collections.abc import Sequence
from datetime import datetime

import strawberry

from gateway.api.context import Context, Info, attribute, plain, resolved_by
from gateway.api.identity_settings import IdentitySettings
from gateway.api.ids import input_id
from gateway.api.mutations import DeleteInput, DeletePayload, UserError, changed, mutation, user_errors
from gateway.api.nodes import Node, id_field
from gateway.api.pagination import After, Before, Connection, First, Last, Listing, Slice
from gateway.api.scalars import described
from gateway.domain.config import sandboxes, tenants
from gateway.domain.config.namespaces import Namespace
from gateway.domain.rules.scope import Permission, Sandbox, SandboxType, Scope

described(
    SandboxType,
    "SandboxType",
    "What a sandbox is for; it never changes.",
    PRODUCTION="It serves real users.",
    DEVELOPMENT="It is for trying out and may be reset at will.",
)

SANDBOXES: Listing[Sandbox] = Listing("sandboxes", lambda sandbox: (sandbox.name,))


# ------------------------------------------------------------------------------------------------ types


async def _identity_settings(sandbox: strawberry.Parent[Sandbox], info: Info) -> list[Namespace]:
    return await info.context.loaders.settings_by_sandbox.load(sandbox.sandbox_id)


@strawberry.type(
    name="Sandbox",
    description="A partition of an organization: its own data, identities and configuration. Nothing crosses it.",
)
class SandboxNode(Node):
    domain = Sandbox

    id: strawberry.ID = id_field("Global id of the sandbox.", "Sandbox", "sandbox_id")
    name: str = plain("The name that the header `x-sandbox-name` selects it by.")
    title: str | None = plain("What people call it; null where nobody said.")
    type: SandboxType = plain("What the sandbox is for.")
    is_default: bool = plain("Whether it is meant where no header names a sandbox; that one cannot be deleted.")
    identity_settings: IdentitySettings = resolved_by(
        _identity_settings, "The rules by which its identity graphs are built."
    )
    created_at: datetime = plain("When the sandbox was made.")


def _scopes(scope: strawberry.Parent[Scope]) -> list[str]:
    return sorted(scope.permissions)


@strawberry.type(description="The caller, as its key, token and headers make it out.")
class Viewer:
    organization: str = attribute("organization.name", "Name of the organization that the key belongs to.")
    sandbox: SandboxNode = plain("The sandbox that this request reads and writes.")
    scopes: list[str] = resolved_by(
        _scopes, "What the token allows, in the alphabet's order; `admin` includes the others."
    )
    actor: str = plain("Whom the token was issued to: what the caller changes is said to be made by this name.")


# ------------------------------------------------------------------------------------------------ queries


async def _viewer(info: Info) -> Scope:
    return info.context.scope


async def _sandboxes(
    info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
) -> Slice[Sandbox]:
    info.context.scope.require(Permission.ADMIN)
    found = await tenants.list_sandboxes(info.context.db, info.context.scope)
    return SANDBOXES.cut(found, SANDBOXES.window(first, after, last, before))


async def read_sandboxes(context: Context, keys: Sequence[int]) -> list[Sandbox | None]:
    """Read the sandboxes with these ids, None for the others. A caller without the scope `admin` finds its own sandbox only."""
    found = {context.scope.sandbox_id: context.scope.sandbox}
    if set(keys) - found.keys() and Permission.ADMIN in context.scope.permissions:
        found = {each.sandbox_id: each for each in await tenants.list_sandboxes(context.db, context.scope)}
    return [found.get(key) for key in keys]


@strawberry.type(description="Queries of the viewer and sandboxes.")
class TenantQuery:
    viewer: Viewer = resolved_by(_viewer, "Who asks: organization, sandbox and scopes of the request.")
    sandboxes: Connection[SandboxNode] = resolved_by(
        _sandboxes,
        "The sandboxes of the organization that the token is good for, by name; at most 75. Needs the scope `admin`.",
    )


# ------------------------------------------------------------------------------------------------ mutations


@strawberry.input(description="A sandbox to be made.")
class SandboxInput:
    name: str = plain("A lower-case letter, then up to 63 letters, digits and hyphens; for good.")
    title: str | None = plain("What people will call it.", default=None)
    type: SandboxType = plain("What it is for.", default=SandboxType.DEVELOPMENT)


@strawberry.input(description="A sandbox to be emptied.")
class ResetSandboxInput:
    id: strawberry.ID = plain("The sandbox to empty.")
    confirm_name: str = plain("Its name again, so that no other one is emptied by mistake.")


@strawberry.type(description="The sandbox that was made or emptied, or what was wrong.")
class SandboxPayload:
    sandbox: SandboxNode | None = changed("The sandbox as it is now; null where nothing was done.")
    user_errors: list[UserError] = user_errors()


async def _create(context: Context, given: SandboxInput) -> Sandbox:
    return await sandboxes.create_sandbox(context.db, context.scope, given.name, given.title, given.type)


async def _reset(context: Context, given: ResetSandboxInput) -> Sandbox:
    sandbox_id = input_id(given.id, "Sandbox", "id")
    return await sandboxes.reset_sandbox(context.db, context.scope, sandbox_id, given.confirm_name)


async def _delete(context: Context, given: DeleteInput) -> strawberry.ID:
    await sandboxes.delete_sandbox(context.db, context.scope, input_id(given.id, "Sandbox", "id"))
    return given.id


@strawberry.type(description="Mutations of the viewer and sandboxes.")
class TenantMutation:
    create_sandbox: SandboxPayload = mutation(
        _create,
        "Makes an empty sandbox with the standard namespaces and the default merge policy. Needs the scope `admin`, and a token for all sandboxes.",
    )
    reset_sandbox: SandboxPayload = mutation(
        _reset,
        "Removes everything from a sandbox, its configuration included; it is as new. Needs the scope `admin`, and a token for that sandbox.",
        configures=True,
    )
    delete_sandbox: DeletePayload = mutation(
        _delete,
        "Removes a sandbox and everything in it. The default one stays. Needs the scope `admin`, and a token for that sandbox.",
        configures=True,
    )
