"""How much one operation may ask for, and the measuring of documents.

A document is measured before it is validated, in time linear to its text: a fragment counts wherever it is spread, but is walked once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    Visitor,
    visit,
)

from gateway.errors import LimitExceeded


@dataclass(frozen=True, slots=True)
class Limits:
    """What one operation may use. Fields of introspection count towards nothing but tokens and bytes."""

    document_bytes: int = 100_000
    variables_bytes: int = 8_000_000  # 1,000 documents to ingest are about a tenth of it
    tokens: int = 2_000
    depth: int = 15  # levels of fields; a connection takes three
    aliases: int = 30
    directives: int = 8
    cost: int = (
        100_000  # about as many objects: 1,000 people with 10 events each are a tenth to a half of it, see `costs`
    )
    errors: int = 5  # of validation and of variables, told at once
    seconds: float = 30

    @property
    def body_bytes(self) -> int:
        """The longest request that can hold a document and variables within their limits."""
        return self.document_bytes + self.variables_bytes


@dataclass(frozen=True, slots=True)
class Measure:
    """What the selections below some place ask for, fragments included."""

    depth: int = 0
    aliases: int = 0


def check(document: DocumentNode, limits: Limits) -> None:
    """Raise LimitExceeded if the document goes beyond a limit."""
    directives = _directives(document)
    if directives > limits.directives:
        raise LimitExceeded(f"The document has {directives} directives; at most {limits.directives} are allowed.")
    ruler = _Ruler(document)
    for measure in ruler.operations():
        if measure.depth > limits.depth:
            raise LimitExceeded(f"The operation goes {measure.depth} fields deep; at most {limits.depth} are allowed.")
        if measure.aliases > limits.aliases:
            raise LimitExceeded(f"The operation has {measure.aliases} aliases; at most {limits.aliases} are allowed.")


class _Ruler:
    """Measures selections; remembers fragments. One that spreads itself, which validation refuses, counts nothing inside itself."""

    def __init__(self, document: DocumentNode) -> None:
        self._definitions = document.definitions
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._measured: dict[str, Measure] = {}

    def operations(self) -> Iterator[Measure]:
        for node in self._definitions:
            if isinstance(node, OperationDefinitionNode):
                yield self._below(node.selection_set)

    def _below(self, selections: SelectionSetNode | None) -> Measure:
        parts = [self._selection(node) for node in selections.selections] if selections else []
        return Measure(max((part.depth for part in parts), default=0), sum(part.aliases for part in parts))

    def _selection(self, node: SelectionNode) -> Measure:
        match node:
            case FieldNode():
                below = Measure() if node.name.value.startswith("__") else self._below(node.selection_set)
                return Measure(below.depth + 1, below.aliases + (node.alias is not None))
            case FragmentSpreadNode():
                return self._fragment(node.name.value)
        return self._below(node.selection_set)  # type: ignore[attr-defined]  # an inline fragment: there is no other kind

    def _fragment(self, name: str) -> Measure:
        if name not in self._measured:
            self._measured[name] = Measure()
            fragment = self._fragments.get(name)
            self._measured[name] = self._below(fragment.selection_set if fragment else None)
        return self._measured[name]


def _directives(document: DocumentNode) -> int:
    counter = _Directives()
    visit(document, counter)
    return counter.count


class _Directives(Visitor):
    count = 0

    def enter_directive(self, *_: object) -> None:
        self.count += 1
