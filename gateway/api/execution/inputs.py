"""Inputs of an operation: its variables and the arguments of its fields, coerced as the GraphQL specification says (6.1.2, 6.4.1).

The coercion of valid values is compiled once for their type. Invalid values are coerced again by graphql-core, which raises the errors:
so all errors are graphql-core's, and cost nothing while there are none.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import MISSING, dataclass
from functools import cached_property, partial
from typing import Any, Final, NamedTuple

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    GraphQLArgument,
    GraphQLError,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    Node,
    OperationDefinitionNode,
    Undefined,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    get_argument_values,
    get_nullable_type,
    get_variable_values,
    visit,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryList, StrawberryObjectDefinition, StrawberryOptional, has_object_definition
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType

from gateway.api.execution.errors import VariablesRefused
from gateway.api.execution.limits import nodes_of
from gateway.api.execution.sizes import MAX_INPUT_VALUES, MAX_VALUES_INLINE, check_values, exceed, holds_many
from gateway.api.rows import Rows

Coercion = Callable[[Any], Any]
"""Returns the coerced value, or `Undefined` for one that does not fit."""

_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class _Variable:
    signature: GraphQLVariableSignature
    coerce: Coercion
    default: Any
    holds_many: bool

    @property
    def is_required(self) -> bool:
        return isinstance(self.signature.type, GraphQLNonNull)


class Variables:
    """The variables of an operation. Objects in them become the input types that resolvers take, but for variables in `inside`, which are
    used inside of other values."""

    def __init__(
        self, schema: GraphQLSchema, operation: OperationDefinitionNode, inside: Container[str], max_errors: int
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._definitions = operation.variable_definitions or ()
        self._max_errors = max_errors
        self._variables = [_variable(schema, definition, inside) for definition in self._definitions]
        self._nested = [each.signature.name for each in self._variables if each.holds_many]

    def are_many(self, given: Mapping[str, Any]) -> bool:
        """Return whether these values are so many that they are better read in a thread."""
        return any(map(given.__contains__, self._nested)) and exceed(
            self._schema, self._operation, given, MAX_VALUES_INLINE
        )

    def read(self, given: Mapping[str, Any]) -> VariableValues:
        """Return the coerced values of the variables for one request. Raises VariablesRefused, LimitExceeded."""
        values = VariableValues({}, {})
        for each in self._variables:
            name = each.signature.name
            value = given.get(name, _ABSENT)
            values.sources[name] = VariableValueSource(each.signature, Undefined if value is _ABSENT else value)
            if value is not _ABSENT:
                if each.holds_many or (type(value) is list and len(value) > MAX_INPUT_VALUES):
                    check_values(self._schema, self._operation, given)
                value = each.coerce(value)
                if value is Undefined:
                    return self._read_slowly(given)
                values.coerced[name] = value
            elif each.default is not Undefined:
                values.coerced[name] = each.default
            elif each.is_required:
                return self._read_slowly(given)
        return values

    def _read_slowly(self, given: Mapping[str, Any]) -> VariableValues:
        check_values(self._schema, self._operation, given)
        values = get_variable_values(
            self._schema, self._definitions, dict(given), self._max_errors, hide_suggestions=True
        )
        if isinstance(values, list):
            raise VariablesRefused(values)
        return values


def _variable(schema: GraphQLSchema, definition: VariableDefinitionNode, inside: Container[str]) -> _Variable:
    signature = get_variable_signature(schema, definition)
    if isinstance(signature, GraphQLError):
        raise signature  # the document was not validated
    coerce = coercion(signature.type, makes=signature.name not in inside)
    return _Variable(signature, coerce, coerce_default_value(signature), holds_many(signature.type))


# ------------------------------------------------------------------------------------------------ coercion


_TEXTS: Final = {"String", "ID"}
"""Scalars whose values are texts, which need no coercion."""


def coercion(input_type: Any, *, makes: bool, nullable: bool = True) -> Coercion:
    """Return a function that coerces a variable's value to a type, as graphql-core's `coerce_input_value` does.

    `makes`: input objects become the classes that resolvers take instead of dicts.
    """
    nothing = None if nullable else Undefined
    match input_type:
        case GraphQLNonNull():
            return coercion(input_type.of_type, makes=makes, nullable=False)
        case GraphQLList():
            return partial(_coerced_list, coercion(input_type.of_type, makes=makes), nothing)
        case GraphQLInputObjectType():
            return _Object(input_type, nothing, makes=makes)
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

    def __init__(self, input_type: GraphQLInputObjectType, nothing: Any, *, makes: bool) -> None:
        self._type = input_type
        self._nothing = nothing
        self._makes = makes

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
        return self._finish(coerced)

    def rows(self, values: list[Any]) -> Rows[Any] | None:
        """Coerce many objects field by field; None where they have different fields or one does not fit."""
        given = _by_field(values) if self._makes else None
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
        return None if any(each is Undefined for each in columns.values()) else Rows(self._finish, columns, len(values))

    @cached_property
    def _ways(self) -> dict[str, tuple[str, bool, Coercion]]:
        """The parts of each field that are needed for every object."""
        return {name: (each.out_name, each.takes_text, each.coerce) for name, each in self._inputs.items()}

    @cached_property
    def _finish(self) -> Callable[[dict[str, Any]], Any]:
        """A function that makes an input object of its values: the class that resolvers take, or a dict."""
        if not self._makes:
            return self._type.out_type
        definition = self._type.extensions["strawberry-definition"]
        implicit, kind = implicit_values(definition), definition.origin
        return (lambda given: kind(**{**implicit, **given})) if implicit else (lambda given: kind(**given))

    @cached_property
    def _inputs(self) -> dict[str, _Input]:
        names = {}
        if self._makes:
            fields = self._type.extensions["strawberry-definition"].fields
            names = dict(zip(self._type.fields, (each.python_name for each in fields), strict=True))
        return {name: self._input(names.get(name), name, given) for name, given in self._type.fields.items()}

    def _input(self, python_name: str | None, name: str, given: GraphQLInputField) -> _Input:
        default = coerce_default_value(given)
        is_required = isinstance(given.type, GraphQLNonNull) and default is Undefined
        takes_text = str(get_nullable_type(given.type)) in _TEXTS
        coerce = coercion(given.type, makes=self._makes, nullable=not self._type.is_one_of)
        return _Input(python_name or given.out_name or name, takes_text, coerce, default, is_required)

    @cached_property
    def _expected(self) -> list[tuple[str, _Input]]:
        """The fields that need a default or an error where they are absent."""
        inputs = self._inputs.items()
        return [(name, each) for name, each in inputs if each.is_required or each.default is not Undefined]


def implicit_values(definition: StrawberryObjectDefinition) -> dict[str, None]:
    """Return None for each field of an input type that has no default in Python, as the arguments where it is absent."""
    return {
        each.python_name: None
        for each in definition.fields
        if each.default_value is MISSING and each.default_factory is MISSING
    }


# ------------------------------------------------------------------------------------------------ arguments


class Arguments:
    """The arguments of a selected field, as keyword arguments of its resolver."""

    def __init__(self, schema: GraphQLSchema, field: GraphQLField, node: FieldNode) -> None:
        self._field = field
        self._node = node
        definition: StrawberryField = field.extensions["strawberry-definition"]
        self._takers = _takers(schema, definition)
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        self._sources = [(taker, _source(field.args[taker.name], given.get(taker.name))) for taker in self._takers]
        self._fixed = None if any(map(_has_variables, given.values())) else self._known()

    @property
    def is_fixed(self) -> bool:
        """Whether the arguments are valid and do not depend on variables."""
        return self._fixed is not None

    def read(self, variables: VariableValues) -> dict[str, Any]:
        """Return the values for one request, which callers must not change. Raises GraphQLError."""
        return self._fixed if self._fixed is not None else self._read(variables)

    def _known(self) -> dict[str, Any] | None:
        try:
            return self._read(None)
        except GraphQLError:
            return None  # raised anew in each request, where it has a place

    def _read(self, variables: VariableValues | None) -> dict[str, Any]:
        found = {}
        for taker, source in self._sources:
            value = source(variables)
            if value is Undefined:
                return self._read_slowly(variables)
            if value is not _ABSENT:
                found[taker.python_name] = taker.convert(value)
        return found

    def _read_slowly(self, variables: VariableValues | None) -> dict[str, Any]:
        values = get_argument_values(self._field, self._node, variables, hide_suggestions=True)
        return {taker.python_name: taker.convert(values[taker.name]) for taker in self._takers if taker.name in values}


@dataclass(frozen=True, slots=True)
class _ResolverArgument:
    """A resolver's parameter: its name in the schema and in Python, and the conversion of a coerced value to its type."""

    name: str
    python_name: str
    convert: Callable[[Any], Any]


def _takers(schema: GraphQLSchema, definition: StrawberryField) -> list[_ResolverArgument]:
    config = schema._strawberry_schema.config  # type: ignore[attr-defined]  # noqa: SLF001 (it has no public name)
    return [
        _ResolverArgument(config.name_converter.from_argument(each), str(each.python_name), _conversion(schema, each))
        for each in definition.arguments
    ]


def _source(argument: GraphQLArgument, node: ValueNode | None) -> Callable[[VariableValues | None], Any]:
    """Return a function for the coerced value: _ABSENT where the resolver's default counts, `Undefined` where it does not fit."""
    default = coerce_default_value(argument)
    missing = default if default is not Undefined else _ABSENT
    is_required = isinstance(argument.type, GraphQLNonNull) and missing is _ABSENT
    match node:
        case None:
            return lambda _: Undefined if is_required else missing
        case VariableNode():
            return partial(_variable_source, node.name.value, argument.type, Undefined if is_required else missing)
    if _has_variables(node):
        return lambda variables: coerce_input_literal(node, argument.type, variables)
    value = coerce_input_literal(node, argument.type)
    return lambda _: value


def _variable_source(name: str, argument_type: Any, missing: Any, variables: VariableValues) -> Any:
    value = variables.coerced.get(name, missing)
    return Undefined if value is None and isinstance(argument_type, GraphQLNonNull) else value


def variables_inside(document: DocumentNode) -> set[str]:
    """Return the names of variables that are used inside a list, an object or a directive."""
    visitor = _Inside()
    visit(document, visitor)
    return visitor.names


class _Inside(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, _key: Any, parent: Any, _path: Any, ancestors: list[Any]) -> None:
        is_whole = isinstance(parent, ArgumentNode) and isinstance(ancestors[-2], FieldNode)
        if not is_whole and not isinstance(parent, VariableDefinitionNode):
            self.names.add(node.name.value)


def _has_variables(node: Node) -> bool:
    return any(isinstance(each, VariableNode) for each in nodes_of(node))


# ------------------------------------------------------------------------------------------------ conversion


def _conversion(schema: GraphQLSchema, argument: StrawberryArgument) -> Callable[[Any], Any]:
    """Return a function that makes Python values of an argument's dicts and lists, as Strawberry does."""
    return _Conversions(schema).of(argument.type)


def _same(value: Any) -> Any:
    return value


class _Conversions:
    """Compiles Strawberry's `convert_argument` for one type. Raises TypeError for input types that convert themselves."""

    def __init__(self, schema: GraphQLSchema) -> None:
        strawberry_schema = schema._strawberry_schema  # type: ignore[attr-defined]  # noqa: SLF001
        self._config = strawberry_schema.config

    def of(self, kind: Any) -> Callable[[Any], Any]:
        """Return the conversion to a type; None and absent values stay as they are."""
        match kind:
            case StrawberryOptional():
                return self.of(kind.of_type)
            case StrawberryList():
                return partial(_converted_list, self.of(kind.of_type))
            case LazyType():
                return self.of(kind.resolve_type())
        return self._object(kind) if has_object_definition(kind) else _same

    def _object(self, kind: Any) -> Callable[[Any], Any]:
        definition = kind.__strawberry_definition__
        if definition.from_input is not None:
            raise TypeError(f"{definition.name} makes itself, which is not known here")
        names = {
            self._config.name_converter.from_field(each): (
                each.python_name,
                self.of(each.resolve_type(type_definition=definition)),
            )
            for each in definition.fields
        }
        implicit = implicit_values(definition)

        def convert(value: Any) -> Any:
            if not isinstance(value, dict):
                return value  # null, or made already
            given = implicit.copy()
            for name, inner in value.items():
                python_name, converted = names[name]
                given[python_name] = inner if converted is _same else converted(inner)
            return kind(**given)

        return convert


def _converted_list(convert: Callable[[Any], Any], values: Any) -> Any:
    return values if values is None or isinstance(values, Rows) else [convert(value) for value in values]
