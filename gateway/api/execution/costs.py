"""The cost of an operation, known before it runs: about the number of objects that have to be loaded for it.

    an object              1; a hundredth where nothing is loaded for it: of the configuration, a connection, a part of a document
    a leaf                 a hundredth; a document as JSON a tenth
    a page                 as many items as `first` or `last` says, 50 where neither does
    a look-up of many      as many as are given; an event of a simulation fifteen, and the simulation 800
    a condition in PQL     what `checkExpression` calls its cost: as if it were computed for a hundred records
    any other list         its usual length: of what is bounded at 50 there are mostly few
    introspection          a twentieth for each value, and each list as long as such lists are in this schema; `__typename` nothing

Some fields read more from the store than they show, and cost that: they declare it (`api/weights.py`). A field that is selected twice counts twice, and so do
fields of several types for an object that can only have one of them: a cost is a bound for usual data, not a forecast.

A document is walked once, and each fragment of it once however often it is spread; a request only evaluates what that gave.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    NamedTypeNode,
    OperationDefinitionNode,
    SchemaMetaFieldDef,
    SelectionNode,
    SelectionSetNode,
    TypeMetaFieldDef,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_introspection_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
)

from gateway.api.conditions import NO_CONDITIONS, Conditions
from gateway.api.execution.argument_texts import AskedText, conditions_of
from gateway.api.execution.limits import Limits
from gateway.api.execution.raw_arguments import ArgumentReader, Variables
from gateway.api.weights import LEAF, OBJECT, is_loaded, weight_of
from gateway.domain.rules.keyset import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from gateway.errors import LimitExceeded

JSON_LEAF: Final = 10 * LEAF
"""Documents as JSON are not taken apart, but have some length."""

INTROSPECTED: Final = 5 * LEAF
"""Values of introspection are made one by one."""

CONTAINERS: Final = ("Connection", "Edge", "Payload")
"""Ends of the names of types that only hold loaded objects."""

INTROSPECTION: Final = {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef}


class Given(NamedTuple):
    """What a cost depends on: the values of the variables, and what the conditions of the operation cost, each by what it is over and its
    text. `known` has what was worked out already."""

    variables: Variables
    costs: Mapping[tuple[Any, Any], int]
    known: dict[int, int]


Amount: TypeAlias = int | Callable[[Given], int]
"""A cost, or a number of times: fixed, or a function of what is given."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one operation as a function of its variables and conditions. Built once for a document; a call takes microseconds."""

    _amount: Amount

    @classmethod
    def of(cls, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> "Cost":
        """Return the cost of an operation. Invalid parts of its document cost nothing."""
        return cls(_Walk(schema, document, operation).amount())

    def __call__(self, variables: Variables | None, conditions: Conditions = NO_CONDITIONS) -> int:
        """Return the cost in objects, rounded up. The variables may be unchecked values of any type."""
        amount = self._amount
        if not isinstance(amount, int):
            costs = {key: condition.expression.cost for key, condition in conditions.items()}
            amount = amount(Given(variables or {}, costs, {}))
        return -(-amount // OBJECT)


def check_cost(cost: int, limits: Limits) -> None:
    """Raise LimitExceeded if the cost is above the limit."""
    if cost > limits.cost:
        raise LimitExceeded(
            f"The operation may cost {cost:,}, which is about the number of objects to load; at most {limits.cost:,} are allowed. Ask for smaller pages: a page in a page multiplies, and has {DEFAULT_PAGE_SIZE} items where neither `first` nor `last` is given; a condition in PQL costs what `checkExpression` tells."
        )


# ------------------------------------------------------------------------------------------------ the walk


@dataclass(frozen=True, slots=True)
class _Selected:
    """The cost of a selection set: once, and for a connection also for each item of its page."""

    once: Amount = 0
    each: Amount = 0


class _Walk:
    """Builds the sums of one operation by walking its selections."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        self._schema = schema
        self._operation = operation
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._walked: dict[str, _Selected] = {}
        self._given = ArgumentReader(operation)

    def amount(self) -> Amount:
        root = self._schema.get_root_type(self._operation.operation)
        return self._below(root, self._operation.selection_set).once

    def _below(self, parent: GraphQLNamedType | None, selections: SelectionSetNode | None) -> _Selected:
        selected = [self._selection(parent, node) for node in selections.selections] if selections else []
        return _Selected(_total(*(found.once for found in selected)), _total(*(found.each for found in selected)))

    def _selection(self, parent: GraphQLNamedType | None, node: SelectionNode) -> _Selected:
        match node:
            case FieldNode():
                selected = self._field(parent, node)
            case FragmentSpreadNode():
                selected = self._fragment(node.name.value)
            case InlineFragmentNode(type_condition=None):
                selected = self._below(parent, node.selection_set)
            case InlineFragmentNode(type_condition=NamedTypeNode(name=name)):
                selected = self._below(self._schema.get_type(name.value), node.selection_set)
        for directive in node.directives or ():
            count = _left_in(self._given, directive)
            selected = _Selected(_product(count, selected.once), _product(count, selected.each))
        return selected

    def _fragment(self, name: str) -> _Selected:
        fragment = self._fragments.get(name)
        if name not in self._walked and fragment:
            self._walked[name] = _Selected()  # one that spreads itself counts nothing inside itself
            of = self._schema.get_type(fragment.type_condition.name.value)
            below = self._below(of, fragment.selection_set)
            self._walked[name] = _Selected(_remembered(below.once), _remembered(below.each))
        return self._walked.get(name, _Selected())

    def _field(self, parent: GraphQLNamedType | None, node: FieldNode) -> _Selected:
        fields: Mapping[str, GraphQLField] = getattr(parent, "fields", {})
        field = fields.get(node.name.value) or INTROSPECTION.get(node.name.value)
        if parent is None or field is None:
            return _Selected()
        coordinate = f"{parent.name}.{node.name.value}"
        named = get_named_type(field.type)
        below = self._below(named, node.selection_set)
        weight = weight_of(field)
        conditions = [_product(_cost_of(each, self._given), OBJECT) for each in conditions_of(field, node)]
        itself = _total(weight.itself, *conditions)
        own = INTROSPECTED if is_introspection_type(parent) else _weight(named)
        item = _total(own, below.once)
        if "pageInfo" in fields and is_list_type(get_nullable_type(field.type)):
            return _Selected(itself, item)
        usual = self._introspected.get(coordinate, weight.size) if coordinate.startswith("__") else weight.size
        counts = _Counts(self._given, field, node, usual)
        looked_up = _product(counts.looked_up, weight.key)
        return _Selected(_total(itself, looked_up, _product(counts.length, item), _product(counts.page, below.each)))

    @cached_property
    def _introspected(self) -> Mapping[str, int]:
        return _introspected(self._schema)


class _Counts:
    """The counts of one field: the keys it looks up, the items of its page, the length of its list."""

    def __init__(self, given: ArgumentReader, field: GraphQLField, node: FieldNode, usual: int) -> None:
        arguments = {argument.name.value: argument.value for argument in node.arguments or ()}
        many = [name for name, each in field.args.items() if is_required_argument(each) and _is_list(each.type)]
        self.looked_up: Amount = _counted(given, _items, arguments.get(many[0])) if many else 0
        self.page: Amount = _counted(given, _page, arguments.get("first"), arguments.get("last"))
        self.length: Amount = 1
        if _is_list(field.type) and not is_leaf_type(get_named_type(field.type)):
            self.length = self.looked_up if many else self.page if "first" in field.args else usual


def _cost_of(asked: AskedText, given: ArgumentReader) -> Amount:
    read = asked.read_by(given)

    def count(given: Given) -> int:
        text = read(given.variables)
        return given.costs.get((asked.xdm_class, text), 0) if isinstance(text, str) else 0

    return count


def _left_in(given: ArgumentReader, directive: DirectiveNode) -> Amount:
    """Return 0 where `@skip` or `@include` leaves its field out, else 1."""
    leaves_out = {"skip": True, "include": False}.get(directive.name.value)
    nodes = [argument.value for argument in directive.arguments or ()]
    return 1 if leaves_out is None else _counted(given, lambda value=None: int(value is not leaves_out), *nodes)


def _counted(given: ArgumentReader, count: Callable[..., int], *nodes: ValueNode | None) -> Amount:
    """Return what is counted of the values of those arguments that are stated."""
    readers = [given.value(node) for node in nodes if node is not None]
    if any(isinstance(node, VariableNode) for node in nodes):
        return lambda given: count(*[read(given.variables) for read in readers])
    return count(*[read({}) for read in readers])


def _page(*sizes: Any) -> int:
    """Return how many items a page has at most: the first of the sizes that is present, else the default."""
    for size in sizes:
        if type(size) is int or (isinstance(size, float) and size.is_integer()):
            return max(0, min(int(size), MAX_PAGE_SIZE))  # a larger page is refused where it is read
    return DEFAULT_PAGE_SIZE


def _items(many: Any = None) -> int:
    """Return how many items a list has, at most the size of the largest page."""
    if isinstance(many, list):
        return min(len(many), MAX_PAGE_SIZE)
    return 0 if many is None else 1


# ------------------------------------------------------------------------------------------------ amounts


def _value(amount: Amount, given: Given) -> int:
    return amount if isinstance(amount, int) else amount(given)


def _total(*amounts: Amount) -> Amount:
    constant = sum(each for each in amounts if isinstance(each, int))
    varying = [each for each in amounts if not isinstance(each, int)]
    return (lambda given: constant + sum([each(given) for each in varying])) if varying else constant


def _product(count: Amount, amount: Amount) -> Amount:
    if isinstance(count, int) and isinstance(amount, int):
        return count * amount
    if 0 in (count, amount):
        return 0
    return lambda given: _value(count, given) * _value(amount, given)


def _remembered(amount: Amount) -> Amount:
    """Return the amount of what stands in several places, which is worked out once for all of them."""
    if isinstance(amount, int):
        return amount

    def remembered(given: Given) -> int:
        if (key := id(amount)) not in given.known:
            given.known[key] = amount(given)
        return given.known[key]

    return remembered


# ------------------------------------------------------------------------------------------------ types


def _is_list(given_type: Any) -> bool:
    return is_list_type(get_nullable_type(given_type))


def _introspected(schema: GraphQLSchema) -> dict[str, int]:
    """Return the length of each list of introspection in this schema, for types and fields the average."""
    types = list(schema.type_map.values())
    with_fields = [named.fields for named in types if isinstance(named, GraphQLObjectType | GraphQLInterfaceType)]
    fields = [field for each in with_fields for field in each.values()]
    inputs = [named.fields for named in types if isinstance(named, GraphQLInputObjectType)]
    values = [named.values for named in types if isinstance(named, GraphQLEnumType)]
    return {
        "__Schema.types": len(types),
        "__Schema.directives": len(schema.directives),
        "__Type.fields": _average(sum(map(len, with_fields)), len(with_fields)),
        "__Type.inputFields": _average(sum(map(len, inputs)), len(inputs)),
        "__Type.enumValues": _average(sum(map(len, values)), len(types)),
        "__Type.interfaces": 1,
        "__Type.possibleTypes": 1,
        "__Field.args": _average(sum(len(field.args) for field in fields), len(fields)),
    }


def _average(sum_of_all: int, count: int) -> int:
    return -(-sum_of_all // count) if count else 0


def _weight(named: GraphQLNamedType) -> int:
    if is_leaf_type(named):
        return JSON_LEAF if named.name == "JSON" else LEAF
    return OBJECT if is_loaded(named) and not named.name.endswith(CONTAINERS) else LEAF
