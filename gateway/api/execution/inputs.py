"""Inputs of an operation: its variables and the arguments of its fields, coerced as the GraphQL specification says (6.1.2, 6.4.1).

The coercion of variables is compiled once for their type, and takes many objects field by field. Invalid values are coerced again by
graphql-core, which raises the errors: so all errors are graphql-core's, and cost nothing while there are none.
"""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from itertools import repeat
from operator import is_
from typing import Any, Final, NamedTuple

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    VariableDefinitionNode,
    VariableNode,
    get_argument_values,
    get_nullable_type,
    get_variable_values,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.utilities.coerce_input_value import coerce_default_value

from gateway.api.execution.errors import VariablesRefused
from gateway.api.execution.limits import nodes_of
from gateway.api.execution.sizes import MAX_INPUT_VALUES, MAX_VALUES_INLINE, check_values, exceed, holds_many
from gateway.api.rows import Rows

Coercion = Callable[[Any], Any]
"""Returns the coerced value, or `Undefined` for one that does not fit."""


class _Variable(NamedTuple):
    name: str
    signature: GraphQLVariableSignature
    coerce: Coercion
    default: Any
    holds_many: bool

    @property
    def is_required(self) -> bool:
        return isinstance(self.signature.type, GraphQLNonNull)


class Variables:
    """The variables of an operation."""

    def __init__(self, schema: GraphQLSchema, operation: OperationDefinitionNode, max_errors: int) -> None:
        self._schema = schema
        self._operation = operation
        self._definitions = operation.variable_definitions or ()
        self._max_errors = max_errors
        self._variables = [_variable(schema, definition) for definition in self._definitions]
        self._nested = [each.name for each in self._variables if each.holds_many]

    def are_many(self, given: Mapping[str, Any]) -> bool:
        """Return whether these values are so many that they are better read in a thread."""
        return not given.keys().isdisjoint(self._nested) and exceed(
            self._schema, self._operation, given, MAX_VALUES_INLINE
        )

    def read(self, given: Mapping[str, Any]) -> VariableValues:
        """Return the coerced values of the variables for one request. Raises VariablesRefused, LimitExceeded."""
        sources, coerced = {}, {}
        for each in self._variables:
            name, signature, coerce, default, holds_many = each
            value = given.get(name, Undefined)  # JSON has no such value
            sources[name] = VariableValueSource(signature, value)
            if value is not Undefined:
                if holds_many or (type(value) is list and len(value) > MAX_INPUT_VALUES):
                    check_values(self._schema, self._operation, given)
                value = coerce(value)
                if value is Undefined:
                    return self._read_slowly(given)
                coerced[name] = value
            elif default is not Undefined:
                coerced[name] = default
            elif each.is_required:
                return self._read_slowly(given)
        return VariableValues(sources, coerced)

    def _read_slowly(self, given: Mapping[str, Any]) -> VariableValues:
        check_values(self._schema, self._operation, given)
        values = get_variable_values(
            self._schema, self._definitions, dict(given), self._max_errors, hide_suggestions=True
        )
        if isinstance(values, list):
            raise VariablesRefused(values)
        return values


def _variable(schema: GraphQLSchema, definition: VariableDefinitionNode) -> _Variable:
    signature = get_variable_signature(schema, definition)
    if isinstance(signature, GraphQLError):
        raise signature  # the document was not validated
    coerce, default = coercion(signature.type), coerce_default_value(signature)
    return _Variable(signature.name, signature, coerce, default, holds_many(signature.type))


# ------------------------------------------------------------------------------------------------ coercion


_TEXTS: Final = {"String", "ID"}
"""Scalars whose values are texts, which need no coercion."""


def coercion(input_type: Any, *, nullable: bool = True) -> Coercion:
    """Return a function that coerces a variable's value to a type, as graphql-core's `coerce_input_value` does."""
    nothing = None if nullable else Undefined
    match input_type:
        case GraphQLNonNull():
            return coercion(input_type.of_type, nullable=False)
        case GraphQLList():
            return partial(_coerced_list, coercion(input_type.of_type), nothing)
        case GraphQLInputObjectType():
            return _Object(input_type, nothing)
    return partial(_coerced_leaf, input_type.coerce_input_value, nothing)


def _coerced_leaf(coerce: Coercion, nothing: Any, value: Any) -> Any:
    if value is None:
        return nothing
    try:
        return coerce(value)
    except Exception:  # noqa: BLE001 (what is wrong with it, graphql-core says)
        return Undefined


def _coerced_list(coerce: Coercion, nothing: Any, value: Any) -> Any:
    if value is None:
        return nothing
    return _coerced_each(coerce, value if isinstance(value, list) else [value])


def _coerced_each(coerce: Coercion, values: list[Any]) -> Any:
    rows = coerce.rows(values) if isinstance(coerce, _Object) else None
    if rows is not None:
        return rows
    coerced = list(map(coerce, values))
    return Undefined if any(each is Undefined for each in coerced) else coerced


def _by_field(values: list[Any]) -> dict[str, list[Any]] | None:
    """Return the values of dicts by field, None unless all dicts have the same fields."""
    if {*map(type, values)} != {dict} or len({*map(len, values)}) != 1:
        return None
    try:
        return {name: [value[name] for value in values] for name in values[0]}
    except KeyError:
        return None


class _Input(NamedTuple):
    """A field of an input type. `takes_text`: texts are valid values of it, which need no coercion."""

    out_name: str
    takes_text: bool
    coerce: Coercion
    default: Any
    is_required: bool


class _Object:
    """Coerces objects of one input type. The fields are read at first use, since a type may hold itself."""

    def __init__(self, input_type: GraphQLInputObjectType, nothing: Any) -> None:
        self._type = input_type
        self._nothing = nothing

    def __call__(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return self._nothing if value is None else Undefined
        ways, coerced = self._ways, {}
        for name, given in value.items():
            if name not in ways:
                return Undefined
            out_name, takes_text, coerce = ways[name]
            if takes_text and type(given) is str:
                coerced[out_name] = given
                continue
            found = coerced[out_name] = coerce(given)
            if found is Undefined:
                return Undefined
        for name, each in self._expected:
            if name not in value:
                if each.is_required:
                    return Undefined
                coerced[each.out_name] = each.default
        if self._type.is_one_of and len(coerced) != 1:
            return Undefined
        return self._type.out_type(coerced)

    def rows(self, values: list[Any]) -> Rows[Any] | None:
        """Coerce many objects field by field; None where they have different fields or one does not fit."""
        given = _by_field(values)
        if given is None or given.keys() - self._ways.keys() or (self._type.is_one_of and len(given) != 1):
            return None
        columns: dict[str, Any] = {}
        for name, column in given.items():
            out_name, takes_text, coerce = self._ways[name]
            is_text = takes_text and {*map(type, column)} == {str}
            columns[out_name] = column if is_text else _coerced_each(coerce, column)
        for name, each in self._expected:
            if name not in given:
                columns[each.out_name] = Undefined if each.is_required else [each.default] * len(values)
        if any(each is Undefined for each in columns.values()):
            return None
        return Rows(self._type.out_type, columns, len(values))

    @cached_property
    def _ways(self) -> dict[str, tuple[str, bool, Coercion]]:
        """The parts of each field that are needed for every object."""
        return {name: (each.out_name, each.takes_text, each.coerce) for name, each in self._inputs.items()}

    @cached_property
    def _inputs(self) -> dict[str, _Input]:
        return {name: self._input(name, given) for name, given in self._type.fields.items()}

    def _input(self, name: str, given: GraphQLInputField) -> _Input:
        default = coerce_default_value(given)
        is_required = isinstance(given.type, GraphQLNonNull) and default is Undefined
        takes_text = str(get_nullable_type(given.type)) in _TEXTS
        coerce = coercion(given.type, nullable=not self._type.is_one_of)
        return _Input(given.out_name or name, takes_text, coerce, default, is_required)

    @cached_property
    def _expected(self) -> list[tuple[str, _Input]]:
        """The fields that need a default or an error where they are absent."""
        inputs = self._inputs.items()
        return [(name, each) for name, each in inputs if each.is_required or each.default is not Undefined]


# ------------------------------------------------------------------------------------------------ arguments


class Arguments:
    """The arguments of a selected field, as keyword arguments of its resolver; `fixed` if they are valid and depend on no variable."""

    def __init__(self, field: GraphQLField, node: FieldNode) -> None:
        self._field = field
        self._node = node
        self._names = {
            name: argument.extensions["strawberry-definition"].python_name for name, argument in field.args.items()
        }
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        varying = {name for name, value in given.items() if any(isinstance(at, VariableNode) for at in nodes_of(value))}
        self.fixed = None if varying else self._stated()
        self._variables = {
            self._names[name]: value.name.value for name, value in given.items() if isinstance(value, VariableNode)
        }
        self._others: dict[str, Any] | None = None
        self._are_variables = len(varying) == len(self._variables)

    def read(self, variables: VariableValues) -> dict[str, Any]:
        """Return the values for one request, which callers must not change. Raises GraphQLError."""
        if self.fixed is not None:
            return self.fixed
        own = {name: variables.coerced.get(variable) for name, variable in self._variables.items()}
        is_simple = self._are_variables and not any(map(is_, own.values(), repeat(None)))  # `in` would compare inputs
        if self._others is not None and is_simple:
            return self._others | own
        values = self._read(variables)
        if is_simple:  # then the others are literals and defaults
            self._others = {name: value for name, value in values.items() if name not in own}
        return values

    def _read(self, variables: VariableValues | None) -> dict[str, Any]:
        values = get_argument_values(self._field, self._node, variables, hide_suggestions=True)
        return {self._names[name]: value for name, value in values.items()}

    def _stated(self) -> dict[str, Any] | None:
        try:
            return self._read(None)
        except GraphQLError:
            return None  # raised anew in each request, where it has a place
