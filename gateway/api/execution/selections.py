"""Selectors in an operation's arguments: whether they can be read is found out before anything else is, whoever is found then."""

from collections.abc import Mapping
from typing import Any, Final

from graphql import (
    ArgumentNode,
    DocumentNode,
    FragmentDefinitionNode,
    OperationDefinitionNode,
    StringValueNode,
    VariableNode,
    Visitor,
    visit,
)

from gateway.domain.selectors import parse

ARGUMENT: Final = "select"
"""The name of every argument that takes a selector, and of no other."""


class Selectors:
    """The selectors of an operation, fields that it leaves out included: literals, and variables by their names."""

    def __init__(self, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        finder = _Finder()
        for definition in document.definitions:
            if definition is operation or isinstance(definition, FragmentDefinitionNode):
                visit(definition, finder)
        self._texts, self._are_checked = finder.texts, False
        self._defaults = {
            each.variable.name.value: getattr(each.default_value, "value", None)
            for each in operation.variable_definitions or ()
            if each.variable.name.value in finder.names
        }

    def check(self, given: Mapping[str, Any]) -> None:
        """Raise BadSelector for one that cannot be read, with these values of the variables."""
        if not self._are_checked:
            for text in self._texts:
                parse(text)
            self._are_checked = True
        for name, default in self._defaults.items():
            value = given.get(name, default)
            if isinstance(value, str):  # else it is null, or refused with the other variables
                parse(value)


class _Finder(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.names: set[str] = set()

    def enter_argument(self, node: ArgumentNode, *_: object) -> None:
        if node.name.value != ARGUMENT:
            return
        if isinstance(node.value, StringValueNode):
            self.texts.append(node.value.value)
        elif isinstance(node.value, VariableNode):
            self.names.add(node.value.name.value)
