"""Sizes of an operation's variables, which are counted before they are coerced, as that takes time for each value.

Values inside of `JSON` do not count, since they are not coerced.
"""

from collections.abc import Mapping
from typing import Any, Final

from graphql import (
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    get_nullable_type,
    is_leaf_type,
    type_from_ast,
)

from gateway.errors import LimitExceeded

MAX_INPUT_VALUES: Final = 20_000
"""The most items of lists and fields of input objects in all variables. The largest request, a simulation of 1,000 events, has 16,000."""

MAX_VALUES_INLINE: Final = 500
"""The most of these values that are read on the event loop, which takes a millisecond or two."""


def check_values(schema: GraphQLSchema, operation: OperationDefinitionNode, given: Mapping[str, Any]) -> None:
    """Raise LimitExceeded if the variables of an operation hold too many values."""
    if exceed(schema, operation, given, MAX_INPUT_VALUES):
        raise LimitExceeded(
            f"The variables hold more than {MAX_INPUT_VALUES:,} values in lists and input objects. Send them in several requests."
        )


def exceed(schema: GraphQLSchema, operation: OperationDefinitionNode, given: Mapping[str, Any], most: int) -> bool:
    """Return whether the variables of an operation hold more than `most` values; counting ends there."""
    todo: list[tuple[Any, Any]] = [
        (type_from_ast(schema, definition.type), given.get(definition.variable.name.value))
        for definition in operation.variable_definitions or ()
    ]
    count = 0
    while todo:
        input_type, value = todo.pop()
        match get_nullable_type(input_type):
            case GraphQLList(of_type=item) if isinstance(value, list):
                count += len(value)
                if count <= most and not is_leaf_type(get_nullable_type(item)):
                    todo += [(item, each) for each in value]
            case GraphQLInputObjectType(fields=fields) if isinstance(value, dict):
                count += len(value)
                if count <= most:
                    todo += [(fields[name].type, each) for name, each in value.items() if name in fields]
        if count > most:
            return True
    return False


def holds_many(input_type: Any) -> bool:
    """Return whether a value of this type may hold lists inside of lists or input objects."""
    seen = set[str]()
    todo = [(input_type, False)]
    while todo:
        kind, inside = todo.pop()
        match kind:
            case GraphQLNonNull(of_type=inner):
                todo.append((inner, inside))
            case GraphQLList(of_type=inner):
                if inside:
                    return True
                todo.append((inner, True))
            case GraphQLInputObjectType() if kind.name not in seen:
                seen.add(kind.name)
                todo += [(field.type, True) for field in kind.fields.values()]
    return False
