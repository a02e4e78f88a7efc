"""The GraphQL schema of one sandbox: the process's schema with the entity types of the sandbox's unions.

graphql-core's `extend_schema` would copy every type into a plain one of its kind, and Strawberry's enums, which take
and give enum members, would no longer do so. So the copy is made here: input types, enums, scalars and directives are
shared with the base schema, and only types with output fields, which can reach an entity, are made anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import strawberry
from graphql import (
    GraphQLField,
    GraphQLFloat,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLTypeResolver,
    GraphQLUnionType,
    get_named_type,
    is_introspection_type,
    print_type,
    specified_scalar_types,
)

from gateway.api.scalars import JSON
from gateway.api.weights import METADATA as WEIGHT
from gateway.api.weights import OBJECT, Weight
from gateway.xdm.types import FieldDefinition, TypeDefinition, entity_types

PROFILE_ENTITY: Final = "ProfileEntity"
EVENT_ENTITY: Final = "ExperienceEventEntity"

COMPUTED_WEIGHT: Final = Weight(itself=10 * OBJECT)
"""The cost of the object of computed attributes, beside that of its selection."""

_Type = TypeVar("_Type", bound=GraphQLNamedType)


@strawberry.type(description="Stands in the process's schema where each sandbox has the type of its own profile union.")
class ProfileEntity:
    placeholder: JSON | None = strawberry.field(description="Never seen: every sandbox's schema replaces this type.")


@strawberry.type(description="Stands in the process's schema where each sandbox has the type of its own event union.")
class ExperienceEventEntity:
    placeholder: JSON | None = strawberry.field(description="Never seen: every sandbox's schema replaces this type.")


def with_entities(base: GraphQLSchema, profile_union: dict[str, Any], event_union: dict[str, Any]) -> GraphQLSchema:
    """Return a schema like `base` with entity types made of two unions; `base` itself stays as it is.

    An entity's value is the merged document as a plain dict; generated fields take their values from it by key.
    The result is as valid as `base`, and is not checked again.
    """
    copy = _Copy(base, entity_types({PROFILE_ENTITY: profile_union, EVENT_ENTITY: event_union}))
    kwargs: dict[str, Any] = {**base.to_kwargs()}
    extended = GraphQLSchema(**{**kwargs, **copy.roots(), "types": copy.types(), "assume_valid": True})
    extended._strawberry_schema = base._strawberry_schema  # type: ignore[attr-defined]  # noqa: SLF001 (Strawberry's `info.schema` reads it)
    return extended


def entity_sdl(schema: GraphQLSchema, root: str) -> str:
    """Return the SDL of an entity type and of all types that it holds, the entity first. `root` is its name."""
    found: dict[str, GraphQLObjectType] = {}
    todo: list[GraphQLNamedType] = [schema.type_map[root]]
    for named_type in todo:
        if isinstance(named_type, GraphQLObjectType) and named_type.name not in found:
            found[named_type.name] = named_type
            todo.extend(get_named_type(field.type) for field in named_type.fields.values())
    return "\n\n".join(map(print_type, found.values()))


class _Copy:
    """A copy of a schema's output types in which every reference leads to the copy."""

    def __init__(self, base: GraphQLSchema, generated: list[TypeDefinition]) -> None:
        self._base = base
        self._types: dict[str, GraphQLNamedType] = dict(specified_scalar_types)
        for name, named_type in base.type_map.items():
            if not is_introspection_type(named_type):
                self._types[name] = self._copied(named_type)
        for definition in generated:
            if definition.name in base.type_map and definition.name not in (PROFILE_ENTITY, EVENT_ENTITY):
                raise TypeError(f"The generated type {definition.name} has the name of one of the gateway's own types.")
            self._types[definition.name] = self._generated(definition)

    def roots(self) -> dict[str, GraphQLObjectType | None]:
        """Return the copies of the operation types, by the names of GraphQLSchema's parameters."""
        base = self._base
        roots = {"query": base.query_type, "mutation": base.mutation_type, "subscription": base.subscription_type}
        return {name: root and self._same(root) for name, root in roots.items()}

    def types(self) -> list[GraphQLNamedType]:
        """Return every type of the new schema."""
        return list(self._types.values())

    def _copied(self, named_type: GraphQLNamedType) -> GraphQLNamedType:
        # what a type refers to is looked up when the schema is put together: by then every name leads to its copy
        kwargs: dict[str, Any] = {**named_type.to_kwargs()}
        match named_type:
            case GraphQLObjectType() | GraphQLInterfaceType():
                kwargs["fields"] = lambda: {name: self._field(field) for name, field in named_type.fields.items()}
                kwargs["interfaces"] = lambda: [self._same(interface) for interface in named_type.interfaces]
                return type(named_type)(**kwargs)
            case GraphQLUnionType():
                kwargs["types"] = lambda: [self._same(member) for member in named_type.types]
                return GraphQLUnionType(**kwargs | {"resolve_type": _by_members_of(named_type)})
        return named_type

    def _field(self, field: GraphQLField) -> GraphQLField:
        kwargs: dict[str, Any] = {**field.to_kwargs()}
        return GraphQLField(**{**kwargs, "type_": self._retyped(field.type)})

    def _retyped(self, output_type: Any) -> Any:
        match output_type:
            case GraphQLNonNull():
                return GraphQLNonNull(self._retyped(output_type.of_type))
            case GraphQLList():
                return GraphQLList(self._retyped(output_type.of_type))
        return self._same(output_type)

    def _same(self, named_type: _Type) -> _Type:
        """Return the copy of a type of the base schema, or the type itself where it is shared."""
        return cast("_Type", self._types[named_type.name]) if named_type.name in self._types else named_type

    # -------------------------------------------------------------------------------------------- generated types

    def _generated(self, definition: TypeDefinition) -> GraphQLObjectType:
        return GraphQLObjectType(
            definition.name,
            lambda: {field.name: self._generated_field(field) for field in definition.fields},
            description=definition.description,
        )

    def _generated_field(self, field: FieldDefinition) -> GraphQLField:
        is_float = field.type.strip("[!]") == GraphQLFloat.name
        resolve = FloatByKey(field.key) if is_float else ByKey(field.key, field.is_computed)
        extensions = {WEIGHT: COMPUTED_WEIGHT} if field.is_computed else None
        return GraphQLField(
            self._parsed(field.type), resolve=resolve, description=field.description, extensions=extensions
        )

    def _parsed(self, type_text: str) -> Any:
        """Return the type that a definition writes in SDL: a name, or a list of non-null types."""
        if type_text.startswith("["):
            return GraphQLList(GraphQLNonNull(self._parsed(type_text[1:-2])))
        return self._types[type_text]


@dataclass(frozen=True, slots=True)
class ByKey:
    """A resolver that returns the value under a key of the document; `is_computed`: an object of values that have to be added to it before."""

    key: str
    is_computed: bool = False

    def __call__(self, document: Mapping[str, Any], _: GraphQLResolveInfo[Any] | None = None) -> Any:
        return document.get(self.key)


class FloatByKey(ByKey):
    """A `ByKey` for floats. For a whole number beyond 2^53 it returns the nearest float, as JavaScript does; graphql-core would raise an error."""

    def __call__(self, document: Mapping[str, Any], _: GraphQLResolveInfo[Any] | None = None) -> Any:
        return _nearest(document.get(self.key))


def _nearest(value: Any) -> Any:
    if isinstance(value, list):
        return list(map(_nearest, value))
    return float(value) if type(value) is int else value


def _by_members_of(union: GraphQLUnionType) -> GraphQLTypeResolver | None:
    """Return the resolver of a union, bound to the union itself: Strawberry's knows the members of no copy."""
    resolve = union.resolve_type
    return resolve and (lambda value, info, _: resolve(value, info, union))
