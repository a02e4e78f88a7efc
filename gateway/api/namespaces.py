"""Identity namespaces: what kind of identity a value is."""

from collections.abc import Sequence

import strawberry

from gateway.api.context import Context, Info, attribute, plain, resolved_by
from gateway.api.ids import input_id
from gateway.api.mutations import UserError, changed, mutation, user_errors
from gateway.api.nodes import Node, id_field
from gateway.api.pagination import After, Before, Connection, First, Last, Listing, Slice
from gateway.api.scalars import described
from gateway.domain.config import namespaces
from gateway.domain.config.namespaces import Namespace
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.normalization import IdentityNormalization
from gateway.errors import NotFound

described(
    IdentityType,
    "IdentityType",
    "What kind of thing an identity names. Graphs prefer the kinds that name people for long.",
    CROSS_DEVICE="A person on every device, such as a customer number.",
    EMAIL="An e-mail address, or a hash of one.",
    PHONE="A phone number, or a hash of one.",
    DEVICE="A device, such as an advertising id of a phone.",
    COOKIE="A browser, as a cookie knows it.",
    PARTNER="A person as a partner knows them.",
    NON_PEOPLE="No person at all, such as a product; it never joins people.",
)
described(
    IdentityNormalization,
    "IdentityNormalization",
    "When two spellings of a value are one identity. It is fixed when the namespace is made.",
    EXACT="Only when they are equal, character by character.",
    TRIM_LOWERCASE="When they are equal without blanks at the ends and without regard to case.",
    E164="When they are one phone number: `+` and 8 to 15 digits, whatever blanks, dashes and brackets stand between them, and `00` for `+`. A value that is no such number is compared as with EXACT.",
)

NAMESPACES: Listing[Namespace] = Listing("identityNamespaces", lambda namespace: (namespace.code,))


@strawberry.type(
    name="IdentityNamespace",
    description="A kind of identity, such as e-mail addresses or the customer numbers of one shop. It is never deleted.",
)
class NamespaceType(Node):
    domain = Namespace

    id: strawberry.ID = id_field("Global id of the namespace.", "IdentityNamespace", "sandbox_id", "namespace_id")
    code: str = plain("The name by which data calls it, case included; it never changes.")
    name: str = plain("What people call it.")
    description: str | None = plain("What its values are; null where nobody said.")
    id_type: IdentityType = attribute("type", "What kind of thing its values name.")
    is_custom: bool = plain("Whether this sandbox made it; standard ones are in every sandbox.")
    normalization: IdentityNormalization = plain("When two spellings of a value are one identity.")
    priority: int | None = plain(
        "Its rank in the sandbox's identity settings, 1 the highest; null where it is not listed."
    )
    is_unique_per_graph: bool = plain("Whether a graph holds at most one identity of it.")


async def _identity_namespaces(
    info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
) -> Slice[Namespace]:
    info.context.require_configuration()
    return NAMESPACES.cut(info.context.config.namespaces.values(), NAMESPACES.window(first, after, last, before))


async def read_namespaces(context: Context, keys: Sequence[tuple[int, int]]) -> list[Namespace | None]:
    """Return the namespaces with these pairs of a sandbox and a number, None for those that this sandbox lacks. Raises Forbidden."""
    context.require_configuration()
    own = context.scope.sandbox_id
    return [context.config.namespaces.find(number) if sandbox_id == own else None for sandbox_id, number in keys]


@strawberry.type(description="Queries of namespaces.")
class NamespaceQuery:
    identity_namespaces: Connection[NamespaceType] = resolved_by(
        _identity_namespaces, "All namespaces of the sandbox by code, standard ones included."
    )


# ------------------------------------------------------------------------------------------------ mutations


@strawberry.input(description="A namespace to be made. Its code, type and normalization are for good.")
class CreateIdentityNamespaceInput:
    code: str = plain(
        "The name by which data will call it: 1 to 64 characters, case included, not the code of another namespace."
    )
    name: str = plain("What people call it.")
    id_type: IdentityType = plain("What kind of thing its values name.")
    normalization: IdentityNormalization = plain(
        "When two spellings of a value are one identity.", default=IdentityNormalization.EXACT
    )
    description: str | None = plain("What its values are.", default=None)


@strawberry.input(description="A custom namespace and what is to be said of it; what is left out stays as it is.")
class UpdateIdentityNamespaceInput:
    id: strawberry.ID = plain("The namespace to change; standard ones never change.")
    name: str | None = plain("What people call it; null leaves it as it is.", default=None)
    description: str | None = plain("What its values are; null takes the description away.", default=strawberry.UNSET)


@strawberry.type(description="The namespace that was made or changed, or what was wrong.")
class IdentityNamespacePayload:
    identity_namespace: NamespaceType | None = changed("The namespace as it is now; null where nothing was done.")
    user_errors: list[UserError] = user_errors()


async def _create(context: Context, given: CreateIdentityNamespaceInput) -> Namespace:
    return await namespaces.create_namespace(
        context.db,
        context.scope,
        code=given.code,
        name=given.name,
        kind=given.id_type,
        normalization=given.normalization,
        description=given.description,
    )


async def _update(context: Context, given: UpdateIdentityNamespaceInput) -> Namespace:
    changes: dict[str, str | None] = {} if given.name is None else {"name": given.name}
    if given.description is not strawberry.UNSET:
        changes["description"] = given.description
    sandbox_id, number = input_id(given.id, "IdentityNamespace", "id")
    if sandbox_id != context.scope.sandbox_id:
        raise NotFound(path=["id"])
    return await namespaces.update_namespace(context.db, context.scope, number, changes)


@strawberry.type(description="Mutations of namespaces.")
class NamespaceMutation:
    create_identity_namespace: IdentityNamespacePayload = mutation(
        _create, "Makes a namespace that is never deleted. Needs the scope `config:write`.", configures=True
    )
    update_identity_namespace: IdentityNamespacePayload = mutation(
        _update, "Renames or describes a custom namespace. Needs the scope `config:write`.", configures=True
    )
