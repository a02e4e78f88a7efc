"""Random queries from a schema: some fields of each type, with arguments that find something in the sandbox."""

from random import Random
from typing import Any

from generation.sandbox_values import InputPosition, SandboxValues, literal
from graphql import (
    REMOVE,
    ArgumentNode,
    DocumentNode,
    FieldNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    NamedTypeNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    visit,
)

DEPTH = 7
"""The most levels of objects; the limit of a query's depth is twice as high."""

RARE = {"diffMergePolicies": 0.8, "unionSchema": 0.4, "sdl": 0.2, "jsonSchema": 0.2}
"""Probability, relative to other fields, of fields that take long or return much."""

OFTEN = {
    "profile",
    "profiles",
    "searchProfiles",
    "events",
    "identity",
    "identityGraph",
    "node",
    "nodes",
    "entity",
    "computed",
    "buckets",
}
"""Fields that are chosen more often than others, as are fields of documents that have a value somewhere; the last two are seldom come to."""


class QueryGenerator:
    """A generator of one query."""

    def __init__(self, schema: GraphQLSchema, known: SandboxValues, random: Random) -> None:
        self._schema = schema
        self._known = known
        self._random = random
        self._left = random.choice([6, 12, 25, 45])  # fields that may still be added
        self._aliases = 0

    def document(self) -> DocumentNode:
        query = self._schema.query_type
        names = self._some(query, list(query.fields), self._random.choice([1, 1, 1, 2, 3]))
        fields = [self._field(query, name, query.fields[name], 1) for name in names]
        return document_of(fields)

    def _below(self, named: GraphQLNamedType, depth: int) -> SelectionSetNode | None:
        if is_leaf_type(named):
            return None
        selections = (
            self._of_types(named, depth) if isinstance(named, GraphQLInterfaceType) else self._of_type(named, depth)
        )
        self._random.shuffle(selections)
        return SelectionSetNode(selections=tuple(selections))

    def _of_type(self, parent: GraphQLObjectType, depth: int, prefix: str = "") -> list[SelectionNode]:
        wanted = [name for name in parent.fields if self._wants(parent.fields[name], name, depth)]
        count = self._random.choice([1, 2, 3, 4, 6])
        names = self._some(parent, wanted, count)
        self._left -= len(names)
        fields = [self._field(parent, name, parent.fields[name], depth, prefix) for name in names]
        return fields or [field_node("__typename")]

    def _some(self, parent: GraphQLObjectType, names: list[str], count: int) -> list[str]:
        """Choose up to `count` of a type's fields, by weight."""

        def place(name: str) -> float:
            key = getattr(parent.fields[name].resolve, "key", None)
            weight = 4 if name in OFTEN or key in self._known.filled else RARE.get(name, 1)
            return self._random.random() ** (1 / weight)

        return sorted(names, key=place, reverse=True)[:count]

    def _wants(self, field: GraphQLField, name: str, depth: int) -> bool:
        if self._random.random() > RARE.get(name, 1):
            return False
        return is_leaf_type(get_named_type(field.type)) or (depth < DEPTH and self._left > 0)

    def _of_types(self, interface: GraphQLInterfaceType, depth: int) -> list[SelectionNode]:
        """Make fragments on some of the interface's types, in which every field has an alias of its own."""
        types = self._random.sample(self._schema.get_possible_types(interface), self._random.choice([1, 2, 3, 5]))
        parts: list[SelectionNode] = [field_node("id")] if self._random.random() < 0.5 else []
        for each in types:
            selections = self._of_type(each, depth, f"{each.name}_" if len(types) > 1 else "")
            parts.append(inline(each.name, selections))
        return parts

    def _field(
        self, parent: GraphQLNamedType, name: str, field: GraphQLField, depth: int, prefix: str = ""
    ) -> FieldNode:
        coordinate = f"{parent.name}.{name}"
        arguments = {
            each: self._known.draw(self._random, InputPosition(coordinate, each), argument.type)
            for each, argument in self._given(field).items()
        }
        if "first" in arguments and self._random.random() < 0.9:
            arguments.pop("last", None)
        alias = self._alias(prefix, name, bool(arguments))
        return FieldNode(
            name=NameNode(value=name),
            alias=NameNode(value=alias) if alias else None,
            arguments=tuple(ArgumentNode(name=NameNode(value=each), value=literal(value)) for each, value in arguments.items()),
            directives=(),
            selection_set=self._below(get_named_type(field.type), depth + 1),
        )  # fmt: skip

    def _given(self, field: GraphQLField) -> dict[str, GraphQLArgument]:
        """Choose the arguments of a field: the required ones and some of the others; of a look-up by id or name mostly one."""
        is_look_up = "id" in field.args and not is_required_argument(field.args["id"])
        if is_look_up and self._random.random() < 0.9:
            name = self._random.choice(list(field.args))
            return {name: field.args[name]}
        return {
            each: argument
            for each, argument in field.args.items()
            if is_required_argument(argument) or self._random.random() < (0.6 if each == "first" else 0.3)
        }

    def _alias(self, prefix: str, name: str, has_arguments: bool) -> str | None:
        """Return an alias for a field, mostly for one with arguments, so that fragments do not conflict."""
        if self._aliases < 20 and (prefix or self._random.random() < (0.5 if has_arguments else 0.05)):
            self._aliases += 1
            return f"{prefix}{name}_{self._aliases}"
        return None


def with_sandbox_values(
    document: DocumentNode, schema: GraphQLSchema, known: SandboxValues, random: Random
) -> DocumentNode:
    """Replace most arguments of a query by values that find something in the sandbox."""
    types = TypeInfo(schema)
    return visit(document, TypeInfoVisitor(types, _ArgumentReplacer(types, known, random)))


class _ArgumentReplacer(Visitor):
    def __init__(self, types: TypeInfo, known: SandboxValues, random: Random) -> None:
        super().__init__()
        self._types, self._known, self._random = types, known, random

    def enter_argument(self, node: ArgumentNode, _key: Any, _parent: Any, _path: Any, ancestors: list[Any]) -> Any:
        argument, parent, asked = self._types.get_argument(), self._types.get_parent_type(), ancestors[-1]
        if not is_required_argument(argument) and self._random.random() < 0.6:
            return REMOVE
        if self._random.random() < 0.2:
            return None
        place = InputPosition(f"{parent.name}.{asked.name.value}", node.name.value)
        return ArgumentNode(name=node.name, value=literal(self._known.draw(self._random, place, argument.type)))


def field_node(name: str) -> FieldNode:
    return FieldNode(name=NameNode(value=name), alias=None, arguments=(), directives=(), selection_set=None)


def inline(type_name: str | None, selections: list[SelectionNode]) -> InlineFragmentNode:
    condition = NamedTypeNode(name=NameNode(value=type_name)) if type_name else None
    return InlineFragmentNode(
        type_condition=condition, directives=(), selection_set=SelectionSetNode(selections=tuple(selections))
    )


def document_of(fields: list[Any]) -> DocumentNode:
    """Return a query with these root fields."""
    operation = OperationDefinitionNode(
        operation=OperationType.QUERY, name=None, variable_definitions=(), directives=(), selection_set=SelectionSetNode(selections=tuple(fields))
    )  # fmt: skip
    return DocumentNode(definitions=(operation,))
