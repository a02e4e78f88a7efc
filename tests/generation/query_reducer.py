"""Reduction of an operation to the smallest one for which two executors still respond differently."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from graphql import (
    REMOVE,
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    Node,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    parse,
    print_ast,
    visit,
)


async def reduce_operation(text: str, differs: Callable[[str], Awaitable[bool]]) -> str:
    """Remove parts of an operation as long as it still differs. Return its text."""
    text, goes_on = print_ast(parse(text)), True
    while goes_on:
        goes_on = False
        for smaller in _smaller(text):
            if len(smaller) < len(text) and await differs(smaller):
                text, goes_on = smaller, True
                break
    return text


def _smaller(text: str) -> Iterator[str]:
    """Yield the document without one of its parts, large parts first."""
    finder = _Parts()
    visit(parse(text), finder)
    for number in range(finder.count):
        without = visit(parse(text), _Parts(number))
        yield print_ast(_used(without))


class _Parts(Visitor):
    """Counts the parts that can be left out (selections of several, arguments, directives), and leaves out one of them."""

    def __init__(self, left_out: int | None = None) -> None:
        super().__init__()
        self.count = 0
        self._left_out = left_out

    def enter(self, node: Node, _key: Any, parent: Any, *_: object) -> Any:
        is_part = node.kind in {"argument", "directive", "object_field"}
        is_one_of_several = (
            isinstance(parent, tuple | list)
            and len(parent) > 1
            and node.kind in {"field", "inline_fragment", "fragment_spread"}
        )
        if is_part or is_one_of_several:
            self.count += 1
            if self.count - 1 == self._left_out:
                return REMOVE
        return None


def _used(document: DocumentNode) -> DocumentNode:
    """Return the document without unused fragments and variables."""
    finder = _Uses()
    visit(document, finder)
    definitions: list[Any] = []
    for each in document.definitions:
        if isinstance(each, FragmentDefinitionNode):
            if each.name.value in finder.fragments:
                definitions.append(each)
            continue
        variables = [
            known for known in each.variable_definitions or () if known.variable.name.value in finder.variables
        ]
        changes = {key: getattr(each, key) for key in each.keys if key != "loc"} | {
            "variable_definitions": tuple(variables)
        }
        definitions.append(type(each)(**changes))
    return DocumentNode(definitions=tuple(definitions))


class _Uses(Visitor):
    """Finds the fragments and variables that are used."""

    def __init__(self) -> None:
        super().__init__()
        self.fragments: set[str] = set()
        self.variables: set[str] = set()

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        self.fragments.add(node.name.value)

    def enter_variable(self, node: VariableNode, _key: Any, parent: Any, *_: object) -> None:
        if not isinstance(parent, VariableDefinitionNode):
            self.variables.add(node.name.value)
