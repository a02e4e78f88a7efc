"""Makes an operation smaller that two executors answer differently, as long as they still do."""

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


async def reduced(text: str, differs: Callable[[str], Awaitable[bool]]) -> str:
    """The text without whatever it can do without."""
    text, goes_on = print_ast(parse(text)), True
    while goes_on:
        goes_on = False
        for smaller in _smaller(text):
            if len(smaller) < len(text) and await differs(smaller):
                text, goes_on = smaller, True
                break
    return text


def _smaller(text: str) -> Iterator[str]:
    """The document without one of its parts, the large ones first."""
    finder = _Parts()
    visit(parse(text), finder)
    for number in range(finder.count):
        without = visit(parse(text), _Parts(number))
        yield print_ast(_used(without))


class _Parts(Visitor):
    """Counts what can be left out: selections that have others beside them, arguments, directives; leaves one out."""

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
    """The document without fragments that are spread nowhere, and variables that are used nowhere."""
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
    """Finds what is used of fragments and variables."""

    def __init__(self) -> None:
        super().__init__()
        self.fragments: set[str] = set()
        self.variables: set[str] = set()

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        self.fragments.add(node.name.value)

    def enter_variable(self, node: VariableNode, _key: Any, parent: Any, *_: object) -> None:
        if not isinstance(parent, VariableDefinitionNode):
            self.variables.add(node.name.value)
