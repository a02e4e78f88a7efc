"""The viewer, which is the caller of a request, and the sandboxes of an organization."""

import strawberry

from gateway.api.catalog import ById, ByName, Catalog
from gateway.api.context import Context, Info, attribute, plain, resolved_by
from gateway.api.identity_settings import IdentitySettings
from gateway.api.ids import input_id
from gateway.api.mutations import DeletePayload, UserError, changed, changes_of, current_version, mutation, user_errors
from gateway.api.namespaces import NamespaceType
from gateway.api.nodes import Edited, Node, id_field
from gateway.api.pagination import After, Before, Connection, First, Last, Slice
from gateway.api.scalars import described
from gateway.domain.config import sandboxes, tenants
from gateway.domain.config.configuration import UsableRows
from gateway.domain.config.identity_settings import IdentitySettings as Settings
from gateway.domain.config.sandboxes import PseudonymousExpiry
from gateway.domain.rules.limits import DAYS
from gateway.domain.rules.scope import Permission, Sandbox, SandboxType, Scope
from gateway.errors import Forbidden

described(
    SandboxType,
    "SandboxType",
    "What a sandbox is for; it never changes.",
    PRODUCTION="It serves real users.",
    DEVELOPMENT="It is for trying out and may be reset at will.",
)


async def _visible(context: Context) -> UsableRows[int, Sandbox]:
    """Return the sandboxes that the caller's token is good for; without the scope `admin` the caller's own alone."""
    is_admin = Permission.ADMIN in context.scope.permissions
    found = await tenants.list_sandboxes(context.db, context.scope) if is_admin else [context.scope.sandbox]
    return UsableRows({sandbox.sandbox_id: sandbox for sandbox in found}, {})


SANDBOXES: Catalog[Sandbox] = Catalog(
    "Sandbox", "sandboxes", _visible, "name", {"name": lambda sandbox: (sandbox.name,)}
)


# ------------------------------------------------------------------------------------------------ types


async def _identity_settings(sandbox: strawberry.Parent[Sandbox], info: Info) -> Settings:
    settings = await info.context.loaders.settings_by_sandbox.load(sandbox.sandbox_id)
    if settings is None:
        raise Forbidden("The sandbox is gone.")
    return settings


async def _expiry(sandbox: strawberry.Parent[Sandbox], info: Info) -> PseudonymousExpiry | None:
    return await info.context.loaders.expiry_by_sandbox.load(sandbox.sandbox_id)


@strawberry.type(
    name="PseudonymousExpiry",
    description="When pseudonymous people, all of whose identities are of these namespaces, go with all that is stored about them: when nothing has come in about them for so many days. A daily job removes them.",
)
class PseudonymousExpiryType:
    namespaces: list[NamespaceType] = plain("The namespaces of pseudonymous people, standard ones first.")
    days: int = plain("After how many days without a record or an event they go; the time of arrival counts.")


@strawberry.type(
    name="Sandbox",
    description="A partition of an organization: its own data, identities and configuration. Nothing crosses it.",
)
class SandboxNode(Edited, Node):
    domain = Sandbox

    id: strawberry.ID = id_field("Global id of the sandbox.", "Sandbox", "sandbox_id")
    name: str = plain("The name that the header `x-sandbox-name` selects it by.")
    title: str | None = plain("What people call it; null where nobody said.")
    type: SandboxType = plain("What the sandbox is for.")
    is_default: bool = plain("Whether it is meant where no header names a sandbox; that one cannot be deleted.")
    identity_settings: IdentitySettings = resolved_by(
        _identity_settings, "The rules by which its identity graphs are built."
    )
    pseudonymous_expiry: PseudonymousExpiryType | None = resolved_by(
        _expiry,
        "When pseudonymous people go; null keeps them.",
    )
    text_rules: int = plain(
        "The number of the rules by which values of identities are brought to one form: 2 in new sandboxes (Unicode's form NFC, unseen characters count as blanks, one spelling for whole numbers), 1 in older ones."
    )


def _scopes(scope: strawberry.Parent[Scope]) -> list[str]:
    return sorted(scope.permissions)


@strawberry.type(description="The caller, as its key, token and headers make it out.")
class Viewer:
    is_loaded = False

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
    return await SANDBOXES.page(info.context, (first, after, last, before))


async def _sandbox(info: Info, sandbox_id: ById = None, name: ByName = None) -> Sandbox | None:
    return await SANDBOXES.one(info.context, sandbox_id, name)


@strawberry.type(description="Queries of the viewer and sandboxes.")
class TenantQuery:
    viewer: Viewer = resolved_by(_viewer, "Who asks: organization, sandbox and scopes of the request.")
    sandboxes: Connection[SandboxNode] = resolved_by(
        _sandboxes,
        "The sandboxes of the organization that the token is good for, by name; at most 75. Needs the scope `admin`.",
    )
    sandbox: SandboxNode | None = resolved_by(
        _sandbox,
        "The sandbox with this id or this name; null where the organization has none, or the token is not good for it. Without the scope `admin` it is the request's own or null.",
    )


# ------------------------------------------------------------------------------------------------ mutations


@strawberry.input(description="A sandbox to be made.")
class SandboxInput:
    name: str = plain("A lower-case letter, then up to 63 letters, digits and hyphens; for good.")
    title: str | None = plain("What people will call it.", default=None)
    type: SandboxType = plain("What it is for.", default=SandboxType.DEVELOPMENT)


@strawberry.input(description="When pseudonymous people go, for good.")
class PseudonymousExpiryInput:
    namespaces: list[str] = plain(
        "Codes of the namespaces of pseudonymous people, one or more, each once; whoever has an identity of another one stays."
    )
    days: int = plain(f"After how many days without a record or an event they go, from 1 to {DAYS:,}.")


@strawberry.input(description="Changes of a sandbox. A field that is left out stays as it is.")
class UpdateSandboxInput:
    id: strawberry.ID = plain("The sandbox to change.")
    current_version: int | None = current_version()
    title: str | None = plain("What people will call it; null takes the title away.", default=strawberry.UNSET)
    pseudonymous_expiry: PseudonymousExpiryInput | None = plain(
        "When pseudonymous people go, given whole; null keeps them.", default=strawberry.UNSET
    )


@strawberry.input(description="A sandbox to be emptied.")
class ResetSandboxInput:
    id: strawberry.ID = plain("The sandbox to empty.")
    confirm_name: str = plain("Its name again, so that no other one is emptied by mistake.")


@strawberry.input(description="A sandbox to be deleted with everything in it.")
class DeleteSandboxInput:
    id: strawberry.ID = plain("The sandbox to delete.")
    confirm_name: str = plain("Its name again, so that no other one is deleted by mistake.")


@strawberry.type(description="The sandbox that was made, changed or emptied, or what was wrong.")
class SandboxPayload:
    sandbox: SandboxNode | None = changed("The sandbox as it is now; null where nothing was done.")
    user_errors: list[UserError] = user_errors()


async def _create(context: Context, given: SandboxInput) -> Sandbox:
    return await sandboxes.create_sandbox(context.db, context.scope, given.name, given.title, given.type)


async def _reset(context: Context, given: ResetSandboxInput) -> Sandbox:
    sandbox_id = input_id(given.id, "Sandbox", "id")
    return await sandboxes.reset_sandbox(context.db, context.scope, sandbox_id, given.confirm_name)


async def _update(context: Context, given: UpdateSandboxInput) -> Sandbox:
    changes = changes_of({}, {"title": given.title, "pseudonymous_expiry": given.pseudonymous_expiry})
    if expiry := given.pseudonymous_expiry:
        changes["pseudonymous_expiry"] = (expiry.namespaces, expiry.days)
    sandbox_id = input_id(given.id, "Sandbox", "id")
    return await sandboxes.update_sandbox(context.db, context.scope, sandbox_id, changes, given.current_version)


async def _delete(context: Context, given: DeleteSandboxInput) -> strawberry.ID:
    sandbox_id = input_id(given.id, "Sandbox", "id")
    await sandboxes.delete_sandbox(context.db, context.scope, sandbox_id, given.confirm_name)
    return given.id


@strawberry.type(description="Mutations of the viewer and sandboxes.")
class TenantMutation:
    create_sandbox: SandboxPayload = mutation(
        _create,
        Permission.ADMIN,
        "Makes an empty sandbox with the standard namespaces and the default merge policy. Needs the scope `admin`, and a token for all sandboxes.",
    )
    update_sandbox: SandboxPayload = mutation(
        _update,
        Permission.ADMIN,
        "Changes a sandbox's title, or when its pseudonymous people are to go. Needs the scope `admin`, and a token for that sandbox.",
        configures=True,
    )
    reset_sandbox: SandboxPayload = mutation(
        _reset,
        Permission.ADMIN,
        "Removes everything from a sandbox, its configuration included; it is as new, but identities that were erased stay so, and their namespaces stay. Needs the scope `admin`, and a token for that sandbox.",
        configures=True,
    )
    delete_sandbox: DeletePayload = mutation(
        _delete,
        Permission.ADMIN,
        "Removes a sandbox and everything in it. The default one stays. Needs the scope `admin`, and a token for that sandbox.",
        configures=True,
    )
