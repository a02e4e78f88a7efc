"""Values of arguments before they are coerced, of any types: those that do not fit are refused elsewhere."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from graphql import OperationDefinitionNode, ValueNode, VariableNode, value_from_ast_untyped

Variables: TypeAlias = Mapping[str, Any]


class ArgumentReader:
    """Reads values of arguments of an operation: a literal gives its own, a variable that of the request, else its default."""

    def __init__(self, operation: OperationDefinitionNode) -> None:
        self._defaults = {
            each.variable.name.value: value_from_ast_untyped(each.default_value) if each.default_value else None
            for each in operation.variable_definitions or ()
        }

    def value(self, node: ValueNode) -> Callable[[Variables], Any]:
        """Return a function of the values of the variables that returns the value of an argument, None for an absent one."""
        if isinstance(node, VariableNode):
            name = node.name.value
            default = self._defaults.get(name)
            return lambda variables: variables.get(name, default)
        value = value_from_ast_untyped(node)
        return lambda _: value
