"""XDM schemas, the field groups that they are made of, and the union that types a sandbox's entities."""

from typing import Annotated, Any, cast

import strawberry

from gateway.api.catalog import ById, Catalog, Filter, condition, configured, contains, equals
from gateway.api.context import Context, Info, itself, later, plain, resolved_by
from gateway.api.entities import EVENT_ENTITY, PROFILE_ENTITY, entity_sdl
from gateway.api.ids import input_id
from gateway.api.mutations import UserError, changed, current_version, mutation, user_errors
from gateway.api.nodes import Edited, Node, id_field
from gateway.api.pagination import After, Before, Connection, First, Last, Slice
from gateway.api.scalars import JSON, described
from gateway.api.weights import OBJECT, Weight
from gateway.domain.config import registry
from gateway.domain.config.namespaces import Namespace
from gateway.domain.config.registry import IdentityDescriptor, XdmSchema
from gateway.domain.rules.scope import Permission
from gateway.xdm.classes import FieldGroup, XdmClass, field_groups

described(
    XdmClass,
    "XdmClass",
    "What a schema describes, and so what becomes of its documents.",
    INDIVIDUAL_PROFILE="A person as they are now: documents are records, each replaces or changes the one before.",
    EXPERIENCE_EVENT="Something that a person did, at its time: documents are events, which only add up.",
)

Class = Annotated[XdmClass, strawberry.argument(name="class", description="The class whose union is wanted.")]
OfClass = Annotated[
    XdmClass | None,
    strawberry.argument(name="class", description="Only what is of this class; all where it is left out."),
]

ByTitle = Annotated[
    str | None, strawberry.argument(description="Its title, case included. Exactly one argument is given.")
]

SCHEMAS: Catalog[XdmSchema] = Catalog(
    "XdmSchema",
    "schemas",
    configured(lambda context: context.config.schemas),
    "title",
    {"title": lambda schema: (schema.title, schema.schema_id)},
)


def _namespace(descriptor: strawberry.Parent[IdentityDescriptor], info: Info) -> Namespace | None:
    return info.context.config.namespace(descriptor.namespace_code)


@strawberry.type(
    name="IdentityDescriptor", description="Says that a field of a schema holds identities of a namespace."
)
class IdentityDescriptorType:
    is_loaded = False

    path: str = plain("Dotted path to the field, such as `personalEmail.address`.")
    namespace: Any = resolved_by(
        _namespace, "What kind of identity the field's values are.", later("gateway.api.namespaces", "NamespaceType")
    )
    is_primary: bool = plain("Whether the field names the person that a document is about.")


@strawberry.type(
    name="XdmSchema",
    description="What the documents of a dataset may look like: a class, field groups and custom fields. It only ever grows.",
)
class XdmSchemaType(Edited, Node):
    domain = XdmSchema
    is_loaded = False

    id: strawberry.ID = id_field("Global id of the schema.", "XdmSchema", "schema_id")
    title: str = plain("What people call the schema; no two of a sandbox share a title.")
    xdm_class: XdmClass = plain("What the schema describes.", name="class")
    field_groups: list[str] = plain("Names of the shipped field groups in it, in the order they were added.")
    json_schema: JSON = plain(
        "The whole schema as JSON Schema: class, field groups, and custom fields under the tenant's name.",
        weight=Weight(10 * OBJECT),
    )
    is_profile_enabled: bool = plain(
        "Whether the schema is part of the class's union, so that its datasets may feed profiles."
    )
    identities: list[IdentityDescriptorType] = plain("The fields that hold identities.")


@strawberry.type(
    name="FieldGroup",
    description="Standard fields that belong together and ship with the gateway, such as those of a person's contact details.",
)
class FieldGroupType:
    is_loaded = False

    name: str = plain("What `createSchema` and `updateSchema` take it by, such as `profile-loyalty`.")
    title: str = plain("What people call it.")
    xdm_class: XdmClass = plain("The class of the schemas that may have it.", name="class")
    json_schema: JSON = plain(
        "Its fields as JSON Schema, without those of the class, which every schema has.", weight=Weight(OBJECT)
    )


# ------------------------------------------------------------------------------------------------ the union of a class


def _union(xdm_class: strawberry.Parent[XdmClass], info: Info) -> JSON:
    return JSON(info.context.config.full_union(xdm_class))


def _members(xdm_class: strawberry.Parent[XdmClass], info: Info) -> tuple[XdmSchema, ...]:
    return info.context.config.members(xdm_class)


def _sdl(xdm_class: strawberry.Parent[XdmClass], info: Info) -> str:
    return entity_sdl(info.context.schema, ENTITIES[xdm_class])


ENTITIES = {XdmClass.INDIVIDUAL_PROFILE: PROFILE_ENTITY, XdmClass.EXPERIENCE_EVENT: EVENT_ENTITY}


@strawberry.type(
    description="All fields that the profile-enabled schemas of a class have between them. It types `entity`."
)
class UnionSchema:
    is_loaded = False

    xdm_class: XdmClass = resolved_by(itself, "The class that it is the union of.", name="class")
    json_schema: JSON = resolved_by(
        _union,
        "The union as JSON Schema; without any schema of the class, all that ships for it.",
        weight=Weight(10 * OBJECT),
    )
    schemas: list[XdmSchemaType] = resolved_by(_members, "The schemas that it is made of, the oldest first.")
    sdl: str = resolved_by(
        _sdl, "The GraphQL types made of it, in SDL, those of `entity` first.", weight=Weight(10 * OBJECT)
    )


# ------------------------------------------------------------------------------------------------ queries


@strawberry.input(description="Which schemas are wanted: those that fit all that is given.")
class XdmSchemaFilter(Filter):
    title: str | None = condition(
        "Only those whose title contains this text, without regard to case.", contains("title")
    )
    is_profile_enabled: bool | None = condition(
        "Only those that are part of their class's union, or only the others.", equals("is_profile_enabled")
    )


Wanted = Annotated[
    XdmSchemaFilter | None,
    strawberry.argument(name="filter", description="Which schemas are wanted; all without it."),
]


async def _schemas(
    info: Info,
    *,
    xdm_class: OfClass = None,
    wanted: Wanted = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Slice[XdmSchema]:
    of_class = [equals("xdm_class")(xdm_class)] if xdm_class else []
    return await SCHEMAS.page(info.context, (first, after, last, before), wanted, None, *of_class)


async def _schema(info: Info, schema_id: ById = None, title: ByTitle = None) -> XdmSchema | None:
    return await SCHEMAS.one(info.context, schema_id, title, "title")


async def _field_groups(info: Info, *, xdm_class: OfClass = None) -> list[FieldGroup]:
    info.context.require_configuration()
    return [group for each in XdmClass if xdm_class in (None, each) for group in field_groups(each)]


async def _union_schema(info: Info, xdm_class: Class) -> XdmClass:
    info.context.require_configuration()
    return xdm_class


@strawberry.type(description="Queries of schemas.")
class RegistryQuery:
    schemas: Connection[XdmSchemaType] = resolved_by(_schemas, "The schemas of the sandbox, by title.")
    schema: XdmSchemaType | None = resolved_by(
        _schema, "The schema with this id or this title; null where the sandbox has none."
    )
    field_groups: list[FieldGroupType] = resolved_by(
        _field_groups,
        "The field groups that schemas can be made of: of profiles, then of events, each by name.",
        weight=Weight(size=20),
    )
    union_schema: UnionSchema = resolved_by(
        _union_schema, "What the profile-enabled schemas of a class come to together."
    )


# ------------------------------------------------------------------------------------------------ mutations


@strawberry.input(description="Says that a field holds identities of a namespace.")
class IdentityDescriptorInput:
    path: str = plain("Dotted path to a field of text or whole numbers, outside arrays and maps.")
    namespace: str = plain("Code of the namespace that the field's values belong to.")
    is_primary: bool | None = plain(
        "Whether the field names the person that a document is about; at most one of a schema does.", default=False
    )


@strawberry.input(description="A schema to be made.")
class CreateSchemaInput:
    title: str = plain("What people will call it: 1 to 255 characters, not the title of another schema.")
    xdm_class: XdmClass = plain("What its documents describe.", name="class")
    field_groups: list[str] | None = plain(
        "Names of shipped field groups of the class; all of them where it is left out.", default=None
    )
    custom_fields: JSON | None = plain(
        "Own fields as the `properties` of a JSON Schema; they go under the tenant's name.", default=None
    )
    identities: list[IdentityDescriptorInput] | None = plain(
        "The fields that hold identities. Without a primary one, documents name theirs in `identityMap`.", default=None
    )
    enable_for_profile: bool | None = plain(
        "Whether it joins the union of its class; datasets that feed profiles need that.", default=True
    )


@strawberry.input(
    description="Changes of a schema, which can only add. A field that is left out, or null, stays as it is."
)
class UpdateSchemaInput:
    id: strawberry.ID = plain("The schema to change.")
    title: str | None = plain("Its new title.", default=None)
    add_field_groups: list[str] | None = plain(
        "Names of shipped field groups to add to those that it has.", default=None
    )
    custom_fields: JSON | None = plain(
        "All own fields, those that are there included: none may be missing, retyped or narrowed.", default=None
    )
    identities: list[IdentityDescriptorInput] | None = plain(
        "All fields that hold identities, those that are known included.", default=None
    )
    enable_for_profile: bool | None = plain(
        "True makes it join the union of its class; that cannot be undone.", default=None
    )
    current_version: int | None = current_version()


@strawberry.type(description="The schema that was made or changed, or what was wrong.")
class SchemaPayload:
    schema: XdmSchemaType | None = changed("The schema as it is now; null where nothing was done.")
    user_errors: list[UserError] = user_errors()


async def _create(context: Context, given: CreateSchemaInput) -> XdmSchema:
    return await registry.create_schema(
        context.db,
        context.scope,
        title=given.title,
        xdm_class=given.xdm_class,
        field_groups=given.field_groups,
        custom_fields=cast("Any", given.custom_fields),
        identities=_descriptors(given.identities) or (),
        is_profile_enabled=given.enable_for_profile is not False,
    )


async def _update(context: Context, given: UpdateSchemaInput) -> XdmSchema:
    return await registry.update_schema(
        context.db,
        context.scope,
        input_id(given.id, "XdmSchema", "id"),
        title=given.title,
        add_field_groups=given.add_field_groups or (),
        custom_fields=cast("Any", given.custom_fields),
        identities=_descriptors(given.identities),
        is_profile_enabled=given.enable_for_profile,
        current_version=given.current_version,
    )


def _descriptors(given: list[IdentityDescriptorInput] | None) -> list[IdentityDescriptor] | None:
    if given is None:
        return None
    return [IdentityDescriptor(each.path, each.namespace, bool(each.is_primary)) for each in given]


@strawberry.type(description="Mutations of schemas.")
class RegistryMutation:
    create_schema: SchemaPayload = mutation(
        _create,
        Permission.CONFIG_WRITE,
        "Makes a schema; the sandbox's GraphQL types follow at once. Needs the scope `config:write`.",
        configures=True,
    )
    update_schema: SchemaPayload = mutation(
        _update,
        Permission.CONFIG_WRITE,
        "Adds to a schema; what it allowed before stays allowed. Needs the scope `config:write`.",
        configures=True,
    )
