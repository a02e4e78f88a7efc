"""From a valid operation to a plan: the fields of all objects that it selects, how they are resolved, how they are completed.

All that does not depend on a request is found out here, once: fields are collected through fragments and directives, arguments are
coerced, resolvers are taken out of their wrappers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
)
from graphql.execution.collect_fields import (
    FieldDetails,
    FragmentDetails,
    GroupedFieldSet,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from gateway.api.context import Context
from gateway.api.execution.columns import (
    FAILED,
    Abstract,
    Asked,
    Column,
    Completion,
    Json,
    Leaf,
    Listed,
    Objects,
    Resolver,
    Run,
    Selection,
    Text,
    Written,
)
from gateway.api.execution.inputs import Arguments
from gateway.api.execution.introspection import FIELDS as INTROSPECTIONS
from gateway.api.execution.introspection import Introspection
from gateway.api.execution.lookahead import TYPENAME, Lookahead, Path, Walk, reading_of, unbound_in
from gateway.api.execution.paths import root
from gateway.api.execution.resolvers import Attribute, Constant, Evaluated, Function, Part, RootFunction, WithAttributes
from gateway.api.projections import NotProjected
from gateway.projection.tree import Document, computed_in

LEAVES: Final = {"String": Text, "ID": Text, "JSON": Json}
"""How scalars are finished whose values may be long."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a selection is below a field that reads records: `parts` are those of its projection, by the keys that lead there."""

    parts: Mapping[Path, int]
    path: Path = ()

    @property
    def part(self) -> int | None:
        return self.parts.get(self.path)

    def below(self, key: str) -> "_Place":
        return _Place(self.parts, (*self.path, key)) if self.parts else self


NOWHERE: Final = _Place({})


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled operation, for certain values of the variables that `@skip` and `@include` depend on. `changes`: it is a mutation."""

    selection: Selection
    changes: bool
    introspections: tuple[Introspection, ...] = ()

    async def run(self, context: Context, variables: VariableValues, answer_bytes: int) -> Run:
        """Run it, and return the run with its `data` and errors. Raises LimitExceeded for an answer of more than so many bytes."""
        run = Run(context, variables, answer_bytes, self.changes)
        (data,) = await self.selection.finish(run, [None], root)
        if data is FAILED:
            run.absorb([[]])
        else:
            run.data = data
        run.check_size()
        return run


def compile_operation(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, flags: Mapping[str, Any]
) -> Plan:
    """Return the plan of an operation. `flags` are the values of the variables in `@skip` and `@include`."""
    compiler = _Compiler(schema, document, operation, flags)
    changes = operation.operation is OperationType.MUTATION
    return Plan(compiler.root(in_turn=changes), changes, tuple(compiler.introspections))


class _Compiler:
    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        flags: Mapping[str, Any],
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._flags = VariableValues({}, dict(flags))
        self.introspections: list[Introspection] = []
        self._walk = Walk(self._fields)
        self._fragments = {
            node.name.value: FragmentDetails(node)
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }

    def root(self, *, in_turn: bool) -> Selection:
        root_type = cast("GraphQLObjectType", self._schema.get_root_type(self._operation.operation))
        fields, *_ = collect_fields(self._schema, self._fragments, self._flags, root_type, self._operation)
        return Selection(self._columns(root_type, fields, NOWHERE), in_turn=in_turn)

    def _fields(self, parent_type: GraphQLObjectType, details: list[FieldDetails]) -> GroupedFieldSet:
        return collect_subfields(
            self._schema, self._fragments, self._flags, self._operation, parent_type, details
        ).grouped_field_set

    def _below(self, parent_type: GraphQLObjectType, details: list[FieldDetails], place: "_Place") -> Selection:
        return Selection(self._columns(parent_type, self._fields(parent_type, details), place))

    def _columns(self, parent_type: GraphQLObjectType, fields: GroupedFieldSet, place: "_Place") -> list[Column]:
        return [self._column(parent_type, key, details, place) for key, details in fields.items()]

    def _column(self, parent_type: GraphQLObjectType, key: str, details: list[FieldDetails], place: "_Place") -> Column:
        name = details[0].node.name.value
        asked = Asked(tuple(each.node for each in details), f"{parent_type.name}.{name}")
        if name == TYPENAME:
            return Column(key, Constant(parent_type.name), Leaf(asked, str, nullable=False))
        if name in INTROSPECTIONS:
            resolver = Introspection(
                self._schema, self._operation, self._definitions(), key, [each.node for each in details]
            )
            self.introspections.append(resolver)
            return Column(key, resolver, Completion(asked, nullable=name == "__type"))
        return self._field(parent_type.fields[name], key, asked, details, place)

    def _field(
        self, field: GraphQLField, key: str, asked: Asked, details: list[FieldDetails], place: "_Place"
    ) -> Column:
        place = place.below(key)
        if reading_of(field).is_record:
            completion = self._completion(field.type, asked, details, place)
            return Column(key, self._resolver(field, details, None), completion)
        document = self._document(field, details)
        if document is not None:
            names = computed_in(document)
            resolver: Resolver = Evaluated(document) if names is None else WithAttributes(document, names)
            completion = Completion(asked, nullable=not isinstance(field.type, GraphQLNonNull))
        else:
            selected = self._walk.look_ahead(field, details)
            resolver = self._resolver(field, details, selected)
            inner = _Place(selected.parts) if selected else NOWHERE
            completion = self._completion(field.type, asked, details, inner)
            if isinstance(completion, Leaf) and place.part is not None:
                completion = Written(completion)
        return Column(key, resolver if place.part is None else Part(place.part, resolver), completion)

    def _definitions(self) -> dict[str, FragmentDefinitionNode]:
        return {name: fragment.definition for name, fragment in self._fragments.items()}

    # -------------------------------------------------------------------------------------------- values

    def _document(self, field: GraphQLField, details: list[FieldDetails]) -> Document | None:
        """The field as a document of a record, if it is one."""
        if reading_of(field).reads is None:
            return None
        try:
            node = self._walk.node(field, details)
        except NotProjected:
            return None
        return node if isinstance(node, Document) and not unbound_in(node) else None

    def _resolver(self, field: GraphQLField, details: list[FieldDetails], selected: Lookahead | None) -> Resolver:
        definition: StrawberryField = field.extensions["strawberry-definition"]
        if definition.is_basic_field:
            return Attribute(definition.python_name)
        resolver = cast("StrawberryResolver[Any]", definition.base_resolver)
        return _function(resolver, Arguments(field, details[0].node), selected)

    # -------------------------------------------------------------------------------------------- completion

    def _completion(
        self, output_type: Any, asked: Asked, details: list[FieldDetails], place: "_Place", *, nullable: bool = True
    ) -> Completion:
        match output_type:
            case GraphQLNonNull():
                return self._completion(output_type.of_type, asked, details, place, nullable=False)
            case GraphQLList():
                return Listed(asked, self._completion(output_type.of_type, asked, details, place), nullable=nullable)
            case GraphQLScalarType():
                kind = LEAVES.get(output_type.name, Leaf)
                return kind(asked, output_type.coerce_output_value, nullable=nullable)
            case GraphQLEnumType():
                return Leaf(asked, _enum_serializer(output_type), nullable=nullable)
            case GraphQLObjectType():
                return Objects(asked, self._below(output_type, details, place), nullable=nullable, part=place.part)
            case GraphQLInterfaceType():
                return Abstract(asked, self._by_type(output_type, asked, details), nullable=nullable)
        raise TypeError(f"{output_type} is a kind of type that the schema does not have")

    def _by_type(
        self, interface: GraphQLInterfaceType, asked: Asked, details: list[FieldDetails]
    ) -> Callable[[Any], Completion]:
        """For a value of one of the interface's types: its completion. Only types that are met are compiled."""
        compiled: dict[type, Completion] = {}

        def completion(value: Any) -> Completion:
            kind = type(value)
            if kind not in compiled:
                compiled[kind] = Objects(
                    asked, self._below(self._type_of(value, interface), details, NOWHERE), nullable=True
                )
            return compiled[kind]

        return completion

    def _type_of(self, value: Any, interface: GraphQLInterfaceType) -> GraphQLObjectType:
        """Our types tell their own by the domain's class (`Node.is_type_of`)."""
        for each in self._schema.get_possible_types(interface):
            if each.extensions["strawberry-definition"].origin.is_type_of(value, None):
                return each
        raise TypeError(f"{interface.name} has no type for {type(value).__name__}")


def _function(resolver: StrawberryResolver[Any], arguments: Arguments, selected: Lookahead | None) -> Function:
    info = resolver.info_parameter
    kind = RootFunction if resolver.parent_parameter is None else Function
    return kind(
        cast("Callable[..., Any]", resolver.wrapped_func),
        arguments,
        selected,
        info=info.name if info else None,
        waits=resolver.is_async,
    )


def _enum_serializer(enum_type: GraphQLEnumType) -> Callable[[Any], Any]:
    """The name of a value: looked up where the domain gives a member of the enum."""
    return partial(_enum_name, {}, enum_type.coerce_output_value)


def _enum_name(known: dict[Any, str], serialize: Callable[[Any], str], value: Any) -> str:
    if value not in known:
        known[value] = serialize(value)
    return known[value]
