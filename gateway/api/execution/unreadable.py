"""Values that JSON can write and nothing can store: half of a surrogate pair, a number beyond all doubles.

An ingested document with such a value is refused by itself, so a request may have them there, and nowhere else.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson
from graphql import (
    DocumentNode,
    ListValueNode,
    ObjectFieldNode,
    OperationDefinitionNode,
    TypeNode,
    ValueNode,
    VariableNode,
    Visitor,
    visit,
)

DOCUMENTS: Final = "documents"
"""The field of TAKING that has the documents, and of no other input type."""
TAKING: Final = {"IngestRecordsInput", "IngestEventsInput"}
JSON: Final = "JSON"


def is_readable(value: Any) -> bool:
    """Return whether the value can be written as JSON in UTF-8."""
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


def without_documents(
    document: DocumentNode, operation: OperationDefinitionNode, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of the variables without the documents to ingest."""
    uses = _Uses()
    visit(document, uses)
    kinds = {each.variable.name.value: _named(each.type) for each in operation.variable_definitions or ()}
    only_documents = {name for name in uses.in_documents - uses.elsewhere if kinds.get(name) == JSON}
    return {
        name: _without_documents(value) if kinds.get(name) in TAKING else value
        for name, value in given.items()
        if name not in only_documents
    }


def _without_documents(value: Any) -> Any:
    return {name: part for name, part in value.items() if name != DOCUMENTS} if isinstance(value, dict) else value


def _named(kind: TypeNode) -> str:
    while hasattr(kind, "type"):
        kind = kind.type
    return str(kind.name.value)  # type: ignore[attr-defined]


class _Uses(Visitor):
    """Finds the variables used as documents or as a list of them, and the variables used anywhere else."""

    def __init__(self) -> None:
        super().__init__()
        self.in_documents: set[str] = set()
        self.elsewhere: set[str] = set()

    def enter_object_field(self, node: ObjectFieldNode, *_: object) -> Any:
        if node.name.value != DOCUMENTS:
            return None
        self.in_documents |= {each.name.value for each in _whole(node.value) if isinstance(each, VariableNode)}
        for each in _whole(node.value):
            if not isinstance(each, VariableNode):
                visit(each, self)
        return False

    def enter_variable_definition(self, *_: object) -> bool:
        return False

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.elsewhere.add(node.name.value)


def _whole(value: ValueNode) -> Iterator[ValueNode]:
    if isinstance(value, ListValueNode):
        yield from value.values
    else:
        yield value
