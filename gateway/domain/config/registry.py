"""XDM schemas: what the documents of a sandbox may look like, and which of their fields are identities.

A schema only ever grows: fields are added, never removed, retyped or narrowed; identity descriptors are added, never removed; it is
enabled for profile, never disabled. A field has one type in all schemas of a class, so that their union exists.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

import orjson

from gateway.domain.config.attribute_programs import ATTRIBUTES_FIELD, Unions, with_attributes
from gateway.domain.config.broken_rows import Broken, BrokenRow, parse_rows, refuse_change
from gateway.domain.config.computed_attributes import fields_of, load_attributes, programs_of
from gateway.domain.config.namespaces import Namespace, load_namespaces, unknown_namespace
from gateway.domain.config.projection_contents import lacking, list_projected
from gateway.domain.config.tenants import lock_configuration
from gateway.domain.config.validator_cache import VALIDATORS
from gateway.domain.rules.edited import Edited, check_version
from gateway.domain.rules.graphs import IdentityType
from gateway.domain.rules.limits import CUSTOM_FIELD_BYTES, CUSTOM_FIELDS, IDENTITY_FIELDS, SCHEMAS, check_room
from gateway.domain.rules.names import check_name
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work import audit
from gateway.domain.work.audit import Subject
from gateway.errors import Conflict, Invalid, NotFound, Taken, TooMany, UserFault
from gateway.storage.database import Database, Session
from gateway.storage.queries import query
from gateway.xdm import bounds
from gateway.xdm.classes import XdmClass, compose, field_groups
from gateway.xdm.evolution import additive_problems, conflicts, union
from gateway.xdm.fields import RANGES, Field, Problem
from gateway.xdm.paths import field_at
from gateway.xdm.types import entity_types
from gateway.xdm.validation import Validator

CLOCK = query("registry.read_clock")
LIST = query("registry.list_schemas")
CREATE = query("registry.create_schema")
UPDATE = query("registry.update_schema")

IDENTITY_TYPES = frozenset({"string", "uri", *RANGES})


@dataclass(frozen=True, slots=True)
class IdentityDescriptor:
    """A statement that the field at a dotted path holds an identity of a namespace. The primary identity names the person of the document."""

    path: str
    namespace_code: str
    is_primary: bool = False


@dataclass(frozen=True)
class XdmSchema(Edited):
    """An XDM schema. `custom_fields` lie under `_{tenant_code}` in documents."""

    schema_id: UUID
    tenant_code: str
    title: str
    xdm_class: XdmClass
    field_groups: tuple[str, ...]
    custom_fields: dict[str, Any]
    identities: tuple[IdentityDescriptor, ...]
    is_profile_enabled: bool

    def __hash__(self) -> int:
        return hash((self.schema_id, self.version))

    @property
    def primary(self) -> IdentityDescriptor | None:
        """The descriptor of the primary identity; None if documents mark theirs in identityMap."""
        return next((descriptor for descriptor in self.identities if descriptor.is_primary), None)

    @cached_property
    def json_schema(self) -> Field:
        """Class, field groups and custom fields as one JSON Schema. It is shared: never change it."""
        return compose(self.xdm_class, self.field_groups, self.custom_fields, self.tenant_code)

    @property
    def validator(self) -> Validator:
        """The validator of documents against this version of the schema, from the cache of the process."""
        return VALIDATORS.of((self.schema_id, self.version), self.json_schema)


async def load_schemas(
    tx: Session, scope: Scope, broken: Broken[UUID] | None = None, known: Mapping[UUID, XdmSchema] | None = None
) -> list[XdmSchema]:
    """Load all schemas of the sandbox, oldest first. Needs no permission. Rows that cannot be parsed go into `broken`.

    `known`: schemas loaded before, by id. Where the version is unchanged, the known object is returned, and its custom fields, which may
    be large, are not read again.
    """
    loaded = known or {}
    rows = await tx.rows(LIST, scope.sandbox_id, list(loaded), [schema.version for schema in loaded.values()])

    def parse(row: Any) -> XdmSchema:
        return loaded[row["schema_id"]] if row["custom_fields"] is None else _schema(scope, row)

    return parse_rows(rows, parse, broken, table="xdm_schema", key="schema_id", name="title")


def check_usable(schema: XdmSchema, codes: Collection[str]) -> None:
    """Check that the schema can be composed and that its identity descriptors fit. `codes`: of the namespaces. Raises Invalid, NotFound."""
    _ = schema.json_schema  # composes it
    for place, descriptor in enumerate(schema.identities):
        _check_descriptor(schema, descriptor, codes, ["identities", str(place)])


def union_of(xdm_class: XdmClass, tenant_code: str, members: Sequence[XdmSchema]) -> Field:
    """Return the union of the profile-enabled schemas of a class; if there are none, all fields that ship for the class."""
    if members:
        return union([schema.json_schema for schema in members])
    return compose(xdm_class, None, None, tenant_code)


async def create_schema(
    db: Database,
    scope: Scope,
    *,
    title: str,
    xdm_class: XdmClass,
    field_groups: Sequence[str] | None = None,
    custom_fields: dict[str, Any] | None = None,
    identities: Sequence[IdentityDescriptor] = (),
    is_profile_enabled: bool = True,
) -> XdmSchema:
    """Create a schema, with all field groups of its class unless `field_groups` lists them. Needs `config:write`.

    Raises Forbidden, Invalid, TooMany, Taken, NotFound for a namespace, and Conflict if another schema declares a field differently.
    """
    scope.require(Permission.CONFIG_WRITE)
    groups = _groups(xdm_class, field_groups, "fieldGroups")
    async with db.transaction(scope.sandbox_id) as tx:
        broken: Broken[UUID] = {}
        schemas, codes = await _locked(tx, scope, broken)
        now = await tx.value(CLOCK)
        schema = XdmSchema(
            *(uuid4(), scope.organization.code, title, xdm_class, groups, _fields(custom_fields), tuple(identities)),
            is_profile_enabled,
            version=1,
            created_at=now,
            updated_at=now,
            created_by=scope.actor,
        )
        check_room(len(schemas) + len(broken), SCHEMAS, "schemas", "A sandbox")
        _check_reserved(schema)
        await asyncio.to_thread(_check_bounds, schema, schemas)
        titles = {each.title for each in schemas} | {row.name for row in broken.values()}
        await asyncio.to_thread(_check, schema, schemas, titles, codes)  # thousands of fields take a while
        await _check_readers(tx, scope, schema, schemas)
        _check_primary(schema, codes)
        await tx.execute(CREATE, scope.sandbox_id, *_columns(schema), xdm_class.value, now, scope.actor)
        await audit.record(tx, scope, "createSchema", Subject("XdmSchema", (schema.schema_id,)), after=schema)
    return schema


async def update_schema(
    db: Database,
    scope: Scope,
    schema_id: UUID,
    *,
    title: str | None = None,
    add_field_groups: Sequence[str] = (),
    custom_fields: dict[str, Any] | None = None,
    identities: Sequence[IdentityDescriptor] | None = None,
    is_profile_enabled: bool | None = None,
    current_version: int | None = None,
) -> XdmSchema:
    """Change a schema and return it. Field groups are added; any other argument that is not None replaces the former value as a whole.

    Needs `config:write`. Raises Forbidden, NotFound for the schema or a namespace, Taken, TooMany, Stale unless `current_version` is None or
    the schema's version, Invalid for a change that does more than add, and Conflict for a broken schema, or if another schema declares a
    field differently.
    """
    scope.require(Permission.CONFIG_WRITE)
    async with db.transaction(scope.sandbox_id) as tx:
        broken: Broken[UUID] = {}
        schemas, codes = await _locked(tx, scope, broken)
        refuse_change(broken, schema_id)
        old = next((schema for schema in schemas if schema.schema_id == schema_id), None)
        if old is None:
            raise NotFound("There is no schema with this id.", path=["id"])
        check_version(old.version, current_version)
        added = _groups(old.xdm_class, add_field_groups, "addFieldGroups")
        new = replace(
            old,
            title=old.title if title is None else title,
            field_groups=tuple(dict.fromkeys([*old.field_groups, *added])),
            custom_fields=old.custom_fields if custom_fields is None else _fields(custom_fields),
            identities=old.identities if identities is None else tuple(identities),
            is_profile_enabled=old.is_profile_enabled if is_profile_enabled is None else is_profile_enabled,
        )
        _check_reserved(new, old)
        others = [schema for schema in schemas if schema is not old]
        if custom_fields is not None:
            await asyncio.to_thread(_check_bounds, new, others)
        await asyncio.to_thread(_check_growth, old, new)
        titles = {each.title for each in others} | {row.name for row in broken.values()}
        await asyncio.to_thread(_check, new, others, titles, codes)
        if not old.is_profile_enabled:
            await _check_readers(tx, scope, new, others)
        if new.primary != old.primary:
            _check_primary(new, codes)
        if new != old:
            stamps: Any = await tx.row(UPDATE, scope.sandbox_id, *_columns(new))
            new = replace(new, **stamps)
            await audit.record(tx, scope, "updateSchema", Subject("XdmSchema", (schema_id,)), before=old, after=new)
    return new


async def _locked(tx: Session, scope: Scope, broken: Broken[UUID]) -> tuple[list[XdmSchema], dict[str, Namespace]]:
    """Load the schemas, and the namespaces by code, under the lock of the configuration. Unusable schemas go into `broken`."""
    await lock_configuration(tx, scope)
    schemas = await load_schemas(tx, scope, broken)
    codes = {namespace.code: namespace for namespace in await load_namespaces(tx, scope)}
    return await asyncio.to_thread(select_usable, schemas, codes, broken), codes


def select_usable(schemas: Iterable[XdmSchema], codes: Collection[str], broken: Broken[UUID]) -> list[XdmSchema]:
    """Select the schemas that can be used, and compose them; describe the others in `broken`. Slow for thousands of fields."""
    found = []
    for schema in schemas:
        try:
            check_usable(schema, codes)
        except Exception as error:  # noqa: BLE001 (one bad schema, whatever is wrong with it, must not hide the others)
            broken[schema.schema_id] = BrokenRow.of("xdm_schema", schema.schema_id, schema.title, error)
        else:
            found.append(schema)
    return found


# ------------------------------------------------------------------------------------------------ rules


def _groups(xdm_class: XdmClass, names: Sequence[str] | None, argument: str) -> tuple[str, ...]:
    shipped = [group.name for group in field_groups(xdm_class)]
    for name in names or ():
        if name not in shipped:
            known = ", ".join(shipped)
            raise Invalid(f"{xdm_class.value} has no field group {name!r}. There are: {known}.", path=[argument])
    return tuple(shipped if names is None else dict.fromkeys(names))


def _fields(custom_fields: dict[str, Any] | None) -> dict[str, Any]:
    if custom_fields is not None and not isinstance(custom_fields, dict):
        raise Invalid("Custom fields are an object of field names and JSON Schemas.", path=["customFields"])
    return custom_fields or {}


def _check_reserved(new: XdmSchema, old: XdmSchema | None = None) -> None:
    """Refuse a custom field where computed attributes stand; one that was there before this rule stays."""
    if ATTRIBUTES_FIELD in new.custom_fields and not (old and ATTRIBUTES_FIELD in old.custom_fields):
        raise Invalid("Computed attributes stand here.", path=["customFields", ATTRIBUTES_FIELD])


def _check(schema: XdmSchema, others: Collection[XdmSchema], titles: Collection[str], codes: Collection[str]) -> None:
    """Check that the schema fits the sandbox's other schemas, their titles, and its namespaces (by code)."""
    check_name(schema.title, "title")
    if schema.title in titles:
        raise Taken(f"There is a schema {schema.title!r} already.", path=["title"])
    check_usable(schema, codes)
    _check_once(schema.identities)
    peers = [other.json_schema for other in others if other.xdm_class is schema.xdm_class]
    if peers:
        _refuse_first(Conflict, schema, conflicts(union(peers), schema.json_schema))
    _try(schema, peers)


async def _check_readers(tx: Session, scope: Scope, schema: XdmSchema, others: Sequence[XdmSchema]) -> None:
    """Refuse the first profile-enabled schema of a class while published attributes or projections read fields that the union has without one alone."""
    enabled = [other for other in others if other.is_profile_enabled]
    if not schema.is_profile_enabled or any(other.xdm_class is schema.xdm_class for other in enabled):
        return
    attributes = await load_attributes(tx, scope, {})
    members = [schema, *enabled]
    profile, event = (
        union_of(each, schema.tenant_code, [member for member in members if member.xdm_class is each])
        for each in (XdmClass.INDIVIDUAL_PROFILE, XdmClass.EXPERIENCE_EVENT)
    )
    found = await asyncio.to_thread(programs_of, Unions(schema.tenant_code, profile, event), attributes)
    if found.faults:
        names = ", ".join(map(repr, sorted(found.faults)))
        raise Conflict(
            f"Its class would lack fields that computed attributes read: {names}. Take more field groups, or disable them."
        )
    full = [
        with_attributes(one, schema.tenant_code, fields_of(each, attributes, found))
        for each, one in ((XdmClass.INDIVIDUAL_PROFILE, profile), (XdmClass.EXPERIENCE_EVENT, event))
    ]
    for projected in await list_projected(tx, scope):
        if gone := lacking(projected.paths, *full):
            raise Conflict(
                f"Its class would lack fields that the projection {projected.name!r} selects: {', '.join(gone)}."
                " Take more field groups, or change or delete it."
            )


def _try(schema: XdmSchema, peers: Sequence[Field]) -> None:
    """Build all that requests derive from the schema, so that an unusable schema is refused before it is stored."""
    try:
        for partial in (False, True):
            Validator(schema.json_schema).compile(partial=partial)
        entity_types({"TriedEntity": union([*peers, schema.json_schema])})
    except ValueError as error:
        raise Invalid(f"No validator can be made of these fields: {error}", path=["customFields"]) from error


def _check_bounds(schema: XdmSchema, others: Collection[XdmSchema]) -> None:
    """Check that custom fields compose, and that they are within the limits, alone and together with those of the other schemas."""
    _ = schema.json_schema
    for problem in bounds.check_bounds(schema.custom_fields):
        path = ["customFields", *filter(None, [problem.path])]
        raise TooMany(f"{problem.path}: {problem.message}" if problem.path else problem.message, path=path)
    kept = [each.custom_fields for each in (schema, *others)]
    if (count := sum(map(bounds.count_of, kept))) > CUSTOM_FIELDS:
        message = (
            f"The schemas of a sandbox have at most {CUSTOM_FIELDS:,} custom fields together; these would be {count:,}."
        )
        raise TooMany(message, path=["customFields"])
    if (size := sum(map(bounds.size_of, kept))) > CUSTOM_FIELD_BYTES:
        message = (
            f"The custom fields of a sandbox take up to {CUSTOM_FIELD_BYTES:,} bytes of JSON; these would be {size:,}."
        )
        raise TooMany(message, path=["customFields"])


def _check_descriptor(
    schema: XdmSchema, descriptor: IdentityDescriptor, codes: Collection[str], path: list[str]
) -> None:
    field = field_at(schema.json_schema, descriptor.path)
    if field is None:
        raise Invalid(f"The schema has no field at {descriptor.path!r}.", path=[*path, "path"])
    if field["meta:xdmType"] not in IDENTITY_TYPES:
        kind = field["meta:xdmType"]
        raise Invalid(
            f"An identity is text or a whole number; {descriptor.path} is of type {kind}.", path=[*path, "path"]
        )
    if descriptor.namespace_code not in codes:
        raise NotFound(unknown_namespace(descriptor.namespace_code, sorted(codes)), path=[*path, "namespace"])


def _check_primary(schema: XdmSchema, namespaces: Mapping[str, Namespace]) -> None:
    """Refuse a primary identity of a NON_PEOPLE namespace: every document would fail."""
    if schema.primary is not None and namespaces[schema.primary.namespace_code].type is IdentityType.NON_PEOPLE:
        place = schema.identities.index(schema.primary)
        message = f"{schema.primary.namespace_code} is of type NON_PEOPLE, so it cannot be the primary identity."
        raise Invalid(message, path=["identities", str(place), "namespace"])


def _check_once(identities: Sequence[IdentityDescriptor]) -> None:
    paths = [descriptor.path for descriptor in identities]
    if len(set(paths)) != len(paths):
        raise Invalid("A field is an identity of one namespace.", path=["identities"])
    if len(paths) > IDENTITY_FIELDS:
        raise TooMany(f"At most {IDENTITY_FIELDS} fields of a schema hold identities.", path=["identities"])
    if sum(descriptor.is_primary for descriptor in identities) > 1:
        raise Invalid("A schema has at most one primary identity.", path=["identities"])


def _check_growth(old: XdmSchema, new: XdmSchema) -> None:
    """Refuse a change that removes or narrows: stored documents must stay valid, queries and identities must stay."""
    _refuse_first(Invalid, new, additive_problems(old.json_schema, new.json_schema))
    kept = {(descriptor.path, descriptor.namespace_code) for descriptor in new.identities}
    for descriptor in old.identities:
        if (descriptor.path, descriptor.namespace_code) not in kept:
            raise Invalid(
                f"{descriptor.path} stays an identity of {descriptor.namespace_code}: list it too.", path=["identities"]
            )
    if old.is_profile_enabled and old.primary != new.primary:
        raise Invalid("The primary identity of a profile-enabled schema stays as it is.", path=["identities"])
    if old.is_profile_enabled and not new.is_profile_enabled:
        raise Invalid("A schema that is enabled for profile stays so.", path=["enableForProfile"])


def _refuse_first(error: type[UserFault], schema: XdmSchema, problems: Iterable[Problem]) -> None:
    for problem in problems:
        inner = problem.path.removeprefix(f"_{schema.tenant_code}").removeprefix(".")
        raise error(f"{problem.path}: {problem.message}", path=["customFields", inner] if inner else ["customFields"])


# ------------------------------------------------------------------------------------------------ rows


def _columns(schema: XdmSchema) -> tuple[Any, ...]:
    descriptors = [
        {"path": descriptor.path, "namespace": descriptor.namespace_code, "isPrimary": descriptor.is_primary}
        for descriptor in schema.identities
    ]
    texts = (orjson.dumps(part).decode() for part in (schema.custom_fields, descriptors))
    return schema.schema_id, schema.title, schema.field_groups, *texts, schema.is_profile_enabled


def _schema(scope: Scope, row: Any) -> XdmSchema:
    custom_fields, identities = orjson.loads(row["custom_fields"]), orjson.loads(row["identities"])
    if not isinstance(custom_fields, dict) or not isinstance(identities, list):
        raise TypeError("custom_fields is an object, identities is a list")
    return XdmSchema(
        schema_id=row["schema_id"],
        tenant_code=scope.organization.code,
        title=row["title"],
        xdm_class=XdmClass(row["class"]),
        field_groups=tuple(row["field_groups"]),
        custom_fields=custom_fields,
        identities=tuple(IdentityDescriptor(each["path"], each["namespace"], each["isPrimary"]) for each in identities),
        is_profile_enabled=row["is_profile_enabled"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        created_by=row["created_by"],
    )
