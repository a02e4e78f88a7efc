"""Identity namespaces: what kind of identity a value is."""

from collections.abc import Sequence
from typing import Annotated, Final

import strawberry

from gateway.api.catalog import ById, Catalog, Filter, among, condition, configured, equals
from gateway.api.context import Context, Info, attribute, plain, resolved_by
from gateway.api.ids import input_id
from gateway.api.mutations import UserError, changed, changes_of, current_version, mutation, user_errors
from gateway.api.nodes import Edited, Node, id_field
from gateway.api.pagination import After, Before, Connection, First, Last, Slice
from gateway.api.scalars import described
from gateway.domain.config import namespaces
from gateway.domain.config.namespaces import Namespace
from gateway.domain.reading.identities import known_namespace
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.normalization import IdentityNormalization
from gateway.domain.rules.scope import Permission
from gateway.errors import LimitExceeded, NotFound
from gateway.projection.predicates import Predicate, one_of
from gateway.projection.tree import Format

MAX_CODES: Final = 1_000
"""The most codes of namespaces in an argument."""

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

NamespacesArgument = Annotated[
    list[str] | None,
    strawberry.argument(
        name="namespaces",
        description="Codes of namespaces, at most 1,000: only identities of these are told, of an empty list none. Left out, all are. A namespace that the sandbox lacks is BAD_INPUT.",
    ),
]

ByCode = Annotated[
    str | None, strawberry.argument(description="Its code, case included. Exactly one argument is given.")
]


def of_namespaces(context: Context, namespaces: Sequence[str] | None = None) -> tuple[Predicate, ...]:
    """Return the condition on identities `i` that they are of the namespaces with these codes, none without codes. Raises BadInput, LimitExceeded."""
    if namespaces is None:
        return ()
    return (one_of("i.namespace_id", "integer", sorted(namespace_ids(context, namespaces))),)


def namespace_ids(context: Context, codes: Sequence[str]) -> set[int]:
    """Return the ids of the namespaces with these codes. Raises BadInput for a code that no namespace has, LimitExceeded for more than 1,000."""
    if len(codes) > MAX_CODES:
        raise LimitExceeded(f"At most {MAX_CODES:,} namespaces at once; {len(codes):,} were given.")
    return {known_namespace(context.config, code).namespace_id for code in codes}


def _number(context: Context, key: tuple[int, int]) -> int | None:
    """Return the number of a namespace of the caller's own sandbox, None for one of another."""
    sandbox_id, number = key
    return number if sandbox_id == context.scope.sandbox_id else None


NAMESPACES: Catalog[Namespace] = Catalog(
    "IdentityNamespace",
    "identityNamespaces",
    configured(lambda context: context.config.namespaces),
    "code",
    {"code": lambda namespace: (namespace.code,)},
    _number,
)


@strawberry.type(
    name="IdentityNamespace",
    description="A kind of identity, such as e-mail addresses or the customer numbers of one shop. It is never deleted.",
)
class NamespaceType(Edited, Node):
    domain = Namespace
    is_loaded = False

    id: strawberry.ID = id_field("Global id of the namespace.", "IdentityNamespace", "sandbox_id", "namespace_id")
    code: str = plain("The name by which data calls it, case included; it never changes.", Format.TEXT)
    name: str = plain("What people call it.", Format.TEXT)
    description: str | None = plain("What its values are; null where nobody said.", Format.TEXT)
    id_type: IdentityType = attribute("type", "What kind of thing its values name.", reads=Format.TEXT)
    is_custom: bool = plain("Whether this sandbox made it; standard ones are in every sandbox.", Format.BOOLEAN)
    normalization: IdentityNormalization = plain("When two spellings of a value are one identity.", Format.TEXT)
    priority: int | None = plain(
        "Its rank in the sandbox's identity settings, 1 the highest; null where it is not listed.",
        Format.NUMBER,
    )
    is_unique_per_graph: bool = plain("Whether a graph holds at most one identity of it.", Format.BOOLEAN)


# ------------------------------------------------------------------------------------------------ queries


@strawberry.input(description="Which namespaces are wanted: those that fit all that is given.")
class IdentityNamespaceFilter(Filter):
    is_custom: bool | None = condition(
        "Only those that this sandbox made, or only the standard ones.", equals("is_custom")
    )
    id_type: list[IdentityType] | None = condition("Only those whose values name such things.", among("type"))


Wanted = Annotated[
    IdentityNamespaceFilter | None,
    strawberry.argument(name="filter", description="Which namespaces are wanted; all without it."),
]


async def _identity_namespaces(
    info: Info,
    *,
    wanted: Wanted = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Slice[Namespace]:
    return await NAMESPACES.page(info.context, (first, after, last, before), wanted)


async def _identity_namespace(info: Info, namespace_id: ById = None, code: ByCode = None) -> Namespace | None:
    return await NAMESPACES.one(info.context, namespace_id, code, "code")


@strawberry.type(description="Queries of namespaces.")
class NamespaceQuery:
    identity_namespaces: Connection[NamespaceType] = resolved_by(
        _identity_namespaces, "The namespaces of the sandbox by code, standard ones included."
    )
    identity_namespace: NamespaceType | None = resolved_by(
        _identity_namespace, "The namespace with this id or this code; null where the sandbox has none."
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
    current_version: int | None = current_version()
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
    number = _number(context, input_id(given.id, "IdentityNamespace", "id"))
    if number is None:
        raise NotFound(path=["id"])
    changes = changes_of({"name": given.name}, {"description": given.description})
    return await namespaces.update_namespace(context.db, context.scope, number, changes, given.current_version)


@strawberry.type(description="Mutations of namespaces.")
class NamespaceMutation:
    create_identity_namespace: IdentityNamespacePayload = mutation(
        _create,
        Permission.CONFIG_WRITE,
        "Makes a namespace that is never deleted. Needs the scope `config:write`.",
        configures=True,
    )
    update_identity_namespace: IdentityNamespacePayload = mutation(
        _update,
        Permission.CONFIG_WRITE,
        "Renames or describes a custom namespace. Needs the scope `config:write`.",
        configures=True,
    )
