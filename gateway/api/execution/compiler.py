"""From a valid operation to a plan: which fields of which objects are wanted, where their values come from, how they are completed.

All that does not depend on a request is found out here, once: fields are collected through fragments and directives, arguments are
coerced, resolvers are taken out of their wrappers. What this does not know how to compile is refused, and runs on the stock executor.
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
from gateway.api.entities import ByKey
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
)
from gateway.api.execution.inputs import Arguments
from gateway.api.execution.introspection import FIELDS as INTROSPECTIONS
from gateway.api.execution.introspection import Introspection
from gateway.api.execution.paths import root
from gateway.api.execution.resolvers import Attribute, Constant, Entity, Function, Key, RootFunction
from gateway.api.execution.texts import TYPENAME
from gateway.api.execution.wants import ENTITY, HOLDERS, wanted
from gateway.api.loaders import Wanted

LEAVES: Final = {"String": Text, "ID": Text, "JSON": Json}
"""How scalars are finished whose values may be long."""


class NotCompiled(Exception):
    """The operation uses something that only the stock executor knows."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled query, for certain values of the variables that `@skip` and `@include` depend on."""

    selection: Selection
    introspections: tuple[Introspection, ...] = ()

    async def run(self, context: Context, variables: VariableValues, answer_bytes: int) -> Run:
        """The run that has ended, with its `data` and errors. Raises LimitExceeded for an answer of more than so many bytes."""
        run = Run(context, variables, answer_bytes)
        (data,) = await self.selection.finish(run, [None], root)
        if data is FAILED:
            run.absorb([[]])
        else:
            run.data = data
        return run


def compile_query(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, flags: Mapping[str, Any]
) -> Plan:
    """The plan of a query. `flags` are the values of the variables in `@skip` and `@include`. Raises NotCompiled."""
    if operation.operation is not OperationType.QUERY or schema.query_type is None:
        raise NotCompiled("not a query")
    compiler = _Compiler(schema, document, operation, flags)
    return Plan(compiler.root(schema.query_type), tuple(compiler.introspections))


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
        self._fragments = {
            node.name.value: FragmentDetails(node)
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }

    def root(self, query_type: GraphQLObjectType) -> Selection:
        fields, *_ = collect_fields(self._schema, self._fragments, self._flags, query_type, self._operation)
        return self._selection(query_type, fields)

    def _fields(self, parent_type: GraphQLObjectType, details: list[FieldDetails]) -> GroupedFieldSet:
        return collect_subfields(
            self._schema, self._fragments, self._flags, self._operation, parent_type, details
        ).grouped_field_set

    def _below(self, parent_type: GraphQLObjectType, details: list[FieldDetails]) -> Selection:
        return self._selection(parent_type, self._fields(parent_type, details))

    def _selection(self, parent_type: GraphQLObjectType, fields: GroupedFieldSet) -> Selection:
        return Selection(tuple(self._column(parent_type, key, details) for key, details in fields.items()))

    def _column(self, parent_type: GraphQLObjectType, key: str, details: list[FieldDetails]) -> Column:
        name = details[0].node.name.value
        asked = Asked(tuple(each.node for each in details), f"{parent_type.name}.{name}")
        if name == TYPENAME:
            return Column(key, Constant(parent_type.name), Leaf(asked, str, nullable=False))
        if name in INTROSPECTIONS:
            resolver = Introspection(
                self._schema, self._operation, self._definitions(), key, [each.node for each in details]
            )
            self.introspections.append(resolver)
            return Column(key, resolver, Leaf(asked, _same, nullable=name == "__type"))
        field = parent_type.fields[name]
        return Column(key, self._resolver(parent_type, field, details), self._completion(field.type, asked, details))

    def _definitions(self) -> dict[str, FragmentDefinitionNode]:
        return {name: fragment.definition for name, fragment in self._fragments.items()}

    # -------------------------------------------------------------------------------------------- values

    def _resolver(self, parent_type: GraphQLObjectType, field: GraphQLField, details: list[FieldDetails]) -> Resolver:
        if isinstance(field.resolve, ByKey):
            return Key(field.resolve)
        if parent_type.name in HOLDERS and details[0].node.name.value == ENTITY:
            return Entity()
        definition: StrawberryField = field.extensions["strawberry-definition"]
        if definition.is_basic_field:
            return Attribute(definition.python_name)
        resolver = definition.base_resolver
        if resolver is None or definition.extensions:
            raise NotCompiled("field extensions")
        arguments = Arguments(self._schema, field, details[0].node)
        return _function(
            resolver, arguments, wanted(field.type, details, self._fields, partial(Arguments, self._schema))
        )

    # -------------------------------------------------------------------------------------------- completion

    def _completion(
        self, output_type: Any, asked: Asked, details: list[FieldDetails], *, nullable: bool = True
    ) -> Completion:
        match output_type:
            case GraphQLNonNull():
                return self._completion(output_type.of_type, asked, details, nullable=False)
            case GraphQLList():
                return Listed(asked, self._completion(output_type.of_type, asked, details), nullable=nullable)
            case GraphQLScalarType():
                kind = LEAVES.get(output_type.name, Leaf)
                return kind(asked, output_type.coerce_output_value, nullable=nullable)
            case GraphQLEnumType():
                return Leaf(asked, _enum_serializer(output_type), nullable=nullable)
            case GraphQLObjectType():
                return Objects(asked, self._below(output_type, details), nullable=nullable)
            case GraphQLInterfaceType():
                return Abstract(asked, self._by_type(output_type, asked, details), nullable=nullable)
        raise NotCompiled("a union")

    def _by_type(
        self, interface: GraphQLInterfaceType, asked: Asked, details: list[FieldDetails]
    ) -> Callable[[Any], Completion]:
        """For a value of one of the interface's types: its completion. Only types that are met are compiled."""
        compiled: dict[type, Completion] = {}

        def completion(value: Any) -> Completion:
            kind = type(value)
            if kind not in compiled:
                compiled[kind] = Objects(asked, self._below(self._type_of(value, interface), details), nullable=True)
            return compiled[kind]

        return completion

    def _type_of(self, value: Any, interface: GraphQLInterfaceType) -> GraphQLObjectType:
        """Our types tell their own by the domain's class (`Node.is_type_of`)."""
        for each in self._schema.get_possible_types(interface):
            if each.extensions["strawberry-definition"].origin.is_type_of(value, None):
                return each
        raise TypeError(f"{interface.name} has no type for {type(value).__name__}")


def _function(resolver: StrawberryResolver[Any], arguments: Arguments, wanted: Wanted) -> Function:
    info = resolver.info_parameter
    kind = RootFunction if resolver.parent_parameter is None else Function
    return kind(
        cast("Callable[..., Any]", resolver.wrapped_func),
        arguments,
        wanted,
        info=info.name if info else None,
        waits=resolver.is_async,
    )


def _same(value: Any) -> Any:
    return value


def _enum_serializer(enum_type: GraphQLEnumType) -> Callable[[Any], Any]:
    """The name of a value: looked up where the domain gives a member of the enum."""
    return partial(_enum_name, {}, enum_type.coerce_output_value)


def _enum_name(known: dict[Any, str], serialize: Callable[[Any], str], value: Any) -> str:
    if value not in known:
        known[value] = serialize(value)
    return known[value]
