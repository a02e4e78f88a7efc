"""Random rewriting of a query: with variables, fragments, directives, aliases, and fields that are selected twice.

The result is mostly valid, and selects what the query selected, except where a directive or a variable changes it.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from generation.query_generator import document_of, field_node, inline
from generation.sandbox_values import InputPosition, SandboxValues
from graphql import (
    ArgumentNode,
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    NamedTypeNode,
    NameNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    Undefined,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    parse_type,
    value_from_ast_untyped,
)

DIRECTIVES = 7
"""One less than a document may have."""

ABSENT: Any = object()
"""The value of a variable that is not given."""


@dataclass
class Variable:
    """A variable of an operation, which can draw values for itself."""

    name: str
    type: str
    place: InputPosition
    input_type: Any
    default: ValueNode | None
    first: Any

    @property
    def definition(self) -> VariableDefinitionNode:
        return VariableDefinitionNode(
            variable=VariableNode(name=NameNode(value=self.name)), type=parse_type(self.type), default_value=self.default, directives=()
        )  # fmt: skip

    def value(self, random: Random, known: SandboxValues) -> Any:
        """Draw a value or ABSENT; rarely, a value of a wrong type."""
        chance = random.random()
        is_required = self.type.endswith("!") and self.default is None
        if chance < 0.02:
            return random.choice([None, "x", 3.5, {"a": 1}, [[]]])
        if chance < 0.2:
            return self.first if is_required else ABSENT
        if chance < 0.3 and not self.type.endswith("!"):
            return None
        return known.draw(random, self.place, self.input_type)


@dataclass
class RewrittenQuery:
    """A rewritten document with its variables."""

    document: DocumentNode
    variables: list[Variable] = field(default_factory=list)

    def values(self, random: Random, known: SandboxValues, *, first: bool = False) -> dict[str, Any]:
        """Draw values for all variables."""
        drawn = {each.name: each.first if first else each.value(random, known) for each in self.variables}
        return {name: value for name, value in drawn.items() if value is not ABSENT}


class QueryRewriter:
    """A rewriter of one query."""

    def __init__(self, schema: GraphQLSchema, known: SandboxValues, random: Random) -> None:
        self._schema = schema
        self._known = known
        self._random = random
        self._variables: list[Variable] = []
        self._fragments: list[FragmentDefinitionNode] = []
        self._directives = 0
        # a document leans to one or the other, so that some are full of fragments, and some have none
        self._bent = {
            what: random.choice([0.0, 0.1, 0.3]) for what in ("variable", "fragment", "directive", "twice", "typename")
        }

    def rewritten(self, document: DocumentNode) -> RewrittenQuery:
        """Return the query with random rewritings applied."""
        (operation,) = document.definitions
        selections = self._selections(self._schema.query_type, operation.selection_set)
        definitions = tuple(each.definition for each in self._variables)
        name = NameNode(value="Asked") if definitions or self._chance(0.3) else None
        operation = _copy(operation, name=name, selection_set=selections, variable_definitions=definitions)
        others = self._other_operation() if name and self._chance(0.1) else []
        return RewrittenQuery(DocumentNode(definitions=(*others, operation, *self._fragments)), self._variables)

    def _other_operation(self) -> list[OperationDefinitionNode]:
        (other,) = document_of([field_node("__typename")]).definitions
        return [_copy(other, name=NameNode(value="Other"))]

    def _leans(self, what: str) -> bool:
        return self._chance(self._bent[what])

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    # -------------------------------------------------------------------------------------------- selections

    def _selections(self, parent: GraphQLNamedType, selections: SelectionSetNode) -> SelectionSetNode:
        found: list[SelectionNode] = []
        for node in selections.selections:
            found += self._selection(parent, node)
        if self._leans("typename"):
            found.insert(self._random.randrange(len(found) + 1), field_node("__typename"))
        if self._leans("fragment"):
            found = self._wrapped(parent, found)
        spreadable = [each for each in self._fragments if each.type_condition.name.value == parent.name]
        if spreadable and self._chance(0.2):
            found.append(self._spread(self._random.choice(spreadable)))
        return SelectionSetNode(selections=tuple(found))

    def _selection(self, parent: GraphQLNamedType, node: SelectionNode) -> list[SelectionNode]:
        if isinstance(node, InlineFragmentNode):
            inside = self._schema.get_type(node.type_condition.name.value) if node.type_condition else parent
            return [self._directed(_copy(node, selection_set=self._selections(inside, node.selection_set)))]
        if isinstance(node, FieldNode) and node.name.value in getattr(parent, "fields", {}):
            return self._field(parent, node)
        return [node]

    def _field(self, parent: Any, node: FieldNode) -> list[SelectionNode]:
        definition, name = parent.fields[node.name.value], node.name.value
        arguments = tuple(
            _copy(each, value=self._value(InputPosition(f"{parent.name}.{name}", each.name.value), definition.args[each.name.value], each.value))
            for each in node.arguments or ()
        )  # fmt: skip
        node = _copy(node, arguments=arguments)
        if node.selection_set:
            node = _copy(node, selection_set=self._selections(get_named_type(definition.type), node.selection_set))
        return [self._directed(each) for each in self._parts(node)]

    def _parts(self, node: FieldNode) -> list[FieldNode]:
        """Return the field, or several that merge into it, each with a part of its selections."""
        if not self._leans("twice"):
            return [node]
        if node.selection_set is None:
            return [node, node]
        selections = node.selection_set.selections
        halves = [[each for each in selections if self._chance(0.6)] or list(selections[:1]) for _ in range(2)]
        left = [each for each in selections if not any(each is other for half in halves for other in half)]
        return [
            _copy(node, selection_set=SelectionSetNode(selections=tuple(half)))
            for half in (halves[0] + left, halves[1])
        ]

    def _wrapped(self, parent: GraphQLNamedType, found: list[SelectionNode]) -> list[SelectionNode]:
        """Move some selections into a fragment: named, inline without a type, or on an interface."""
        inside = [each for each in found if self._chance(0.6)]
        if not inside:
            return found
        outside = [each for each in found if not any(each is other for other in inside)]
        chance = self._random.random()
        if chance < 0.3:
            wrapped: SelectionNode = inline(parent.name if chance < 0.15 else None, inside)
        elif chance < 0.4 and _is_node(parent) and any(_is_id(each) for each in inside):
            outside += [each for each in inside if not _is_id(each)]
            wrapped = inline("Node", [each for each in inside if _is_id(each)])
        else:
            wrapped = self._spread(self._fragment(parent, inside))
        return [*outside, self._directed(wrapped)]

    def _fragment(self, parent: GraphQLNamedType, inside: list[SelectionNode]) -> FragmentDefinitionNode:
        self._fragments.append(
            FragmentDefinitionNode(
                name=NameNode(value=f"F{len(self._fragments)}"), variable_definitions=(), directives=(),
                type_condition=NamedTypeNode(name=NameNode(value=parent.name)), selection_set=SelectionSetNode(selections=tuple(inside)),
            )
        )  # fmt: skip
        return self._fragments[-1]

    def _spread(self, fragment: FragmentDefinitionNode) -> FragmentSpreadNode:
        return FragmentSpreadNode(name=fragment.name, arguments=(), directives=())

    # -------------------------------------------------------------------------------------------- directives

    def _directed(self, node: Any) -> Any:
        """Add a directive to the node, perhaps, that mostly includes it."""
        if self._directives >= DIRECTIVES or not self._leans("directive"):
            return node
        self._directives += 1
        name = self._random.choice(["skip", "include"])
        shown = self._chance(0.8)
        value: ValueNode = BooleanValueNode(value=shown if name == "include" else not shown)
        if self._chance(0.6):
            value = self._flag(value)
        condition = ArgumentNode(name=NameNode(value="if"), value=value)
        return _copy(
            node,
            directives=(*(node.directives or ()), DirectiveNode(name=NameNode(value=name), arguments=(condition,))),
        )

    def _flag(self, value: Any) -> ValueNode:
        has_default = self._chance(0.4)
        place, boolean = InputPosition("@", "if"), self._schema.type_map["Boolean"]
        default, first = (value, ABSENT) if has_default else (None, value.value)
        return self._declared("Boolean" if has_default and self._chance(0.5) else "Boolean!", place, GraphQLNonNull(boolean), default, first)  # fmt: skip

    # -------------------------------------------------------------------------------------------- variables

    def _value(self, place: InputPosition, given: Any, value: ValueNode, *, strict: bool = False) -> ValueNode:
        """Return the value, a variable in its place, or the value with variables for its parts. `strict`: the variable must not be null."""
        if self._leans("variable"):
            return self._variable(place, given, value, strict=strict)
        named, inner = get_named_type(given.type), get_nullable_type(given.type)
        if isinstance(value, ListValueNode) and isinstance(inner, GraphQLList):
            item = _Item(inner.of_type)
            return _copy(value, values=tuple(self._value(place, item, each) for each in value.values))
        if isinstance(value, ObjectValueNode) and isinstance(named, GraphQLInputObjectType):
            fields = [
                _copy(each, value=self._value(InputPosition(named.name, each.name.value), named.fields[each.name.value], each.value, strict=named.is_one_of))
                for each in value.fields
            ]  # fmt: skip
            return _copy(value, fields=tuple(fields))
        return value

    def _variable(self, place: InputPosition, given: Any, value: ValueNode, *, strict: bool) -> ValueNode:
        known, plain = str(get_nullable_type(given.type)), value_from_ast_untyped(value)
        is_required = isinstance(given.type, GraphQLNonNull) and given.default_value is Undefined
        for each in self._variables:
            if each.type == f"{known}!" and each.place.kind == place.kind and plain is not None and self._chance(0.1):
                return VariableNode(name=NameNode(value=each.name))
        chance = self._random.random()
        if plain is not None and chance < 0.3 and not strict:  # the value is the default
            first = self._random.choice([ABSENT, ABSENT, plain, None])
            return self._declared(known, place, given.type, value, first)
        if plain is not None and (is_required or strict or chance < 0.5):
            return self._declared(f"{known}!", place, GraphQLNonNull(get_nullable_type(given.type)), None, plain)
        if strict or isinstance(given.type, GraphQLNonNull):
            return value
        return self._declared(known, place, given.type, None, self._random.choice([plain, plain, None, ABSENT]))

    def _declared(
        self, type_text: str, place: InputPosition, input_type: Any, default: ValueNode | None, first: Any
    ) -> VariableNode:
        name = f"v{len(self._variables)}"
        self._variables.append(Variable(name, type_text, place, input_type, default, first))
        return VariableNode(name=NameNode(value=name))


@dataclass
class _Item:
    """The position of an item in a list, which has no default."""

    type: Any
    default_value: Any = Undefined


def _is_node(parent: Any) -> bool:
    return isinstance(parent, GraphQLObjectType) and any(each.name == "Node" for each in parent.interfaces)


def _is_id(node: Any) -> bool:
    return isinstance(node, FieldNode) and node.name.value in {"id", "__typename"} and not node.directives


def _copy(node: Any, **changes: Any) -> Any:
    return type(node)(**{key: getattr(node, key) for key in node.keys if key != "loc"} | changes)
