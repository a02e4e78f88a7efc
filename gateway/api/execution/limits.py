"""The limits of one operation, and the measuring of documents.

A document is measured before it is validated, because rules of validation compare selections with each other: their time may grow with
the square of the text. Measuring takes a step for each selection and ends after `selections` of them, whatever fragments a document has.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    ListTypeNode,
    ListValueNode,
    Node,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
)
from graphql.language.ast import QUERY_DOCUMENT_KEYS

from gateway.errors import LimitExceeded


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one operation."""

    document_bytes: int = 100_000
    variables_bytes: int = 8_000_000  # 1,000 documents to ingest are about a tenth of it
    tokens: int = 2_000
    definitions: int = 100  # operations and fragments
    nesting: int = 50  # brackets of any kind in each other, those of fragments included
    selections: int = 3_000  # fields and fragments, wherever a fragment is spread
    pairs: int = 10_000  # of selections of one place in the answer under one key
    depth: int = 15  # levels of fields; a connection takes three
    introspection_depth: int = 20  # levels of fields in `__schema` and `__type`: tools ask for nine of `ofType`
    aliases: int = 30
    directives: int = 8
    cost: int = (
        100_000  # about as many objects: 1,000 people with 10 events each are a tenth to a half of it, see `costs`
    )
    answer_bytes: int = 32_000_000
    errors: int = 5  # of validation and of variables, in one answer
    seconds: float = 30

    @property
    def body_bytes(self) -> int:
        """The most bytes of a request whose document and variables are within their limits."""
        return self.document_bytes + self.variables_bytes


class Size(NamedTuple):
    """The size of a document: its nodes, and the selections of its operations, with those of a fragment each time it is spread."""

    nodes: int
    selections: int


def measure(document: DocumentNode, limits: Limits) -> Size:
    """Return the size of a document. Raises LimitExceeded if it is beyond a limit."""
    if len(document.definitions) > limits.definitions:
        raise LimitExceeded(
            f"The document has {len(document.definitions)} operations and fragments; at most {limits.definitions} are allowed."
        )
    nodes = _check_text(document, limits)
    ruler = _Ruler(document, limits)
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    for operation in operations:
        ruler.measure(operation.selection_set)
    for name in ruler.fragments.keys() - ruler.spread:  # validation refuses them only after comparing what is in them
        ruler.measure(ruler.fragments[name].selection_set)
    return Size(nodes, ruler.selections)


# ------------------------------------------------------------------------------------------------ what is written

_BRACKETS: Final = (SelectionSetNode, ListValueNode, ObjectValueNode, ListTypeNode)


def _check_text(document: DocumentNode, limits: Limits) -> int:
    """Return the number of nodes in the text. Raises LimitExceeded for too many directives or nested brackets."""
    count = directives = 0
    todo: list[tuple[Node, int]] = [(document, 0)]
    while todo:
        node, nesting = todo.pop()
        count += 1
        if isinstance(node, _BRACKETS):
            nesting += 1
            _check_nesting(nesting, limits)
        elif isinstance(node, DirectiveNode):
            directives += 1
        todo.extend((child, nesting) for child in children_of(node))
    if directives > limits.directives:
        raise LimitExceeded(f"The document has {directives} directives; at most {limits.directives} are allowed.")
    return count


def children_of(node: Node) -> Iterator[Node]:
    """Yield the children of a node, in the order of the text."""
    for key in QUERY_DOCUMENT_KEYS.get(node.kind, ()):
        child = getattr(node, key)
        if isinstance(child, Node):
            yield child
        elif child:
            yield from child


def nodes_of(document: Node) -> Iterator[Node]:
    """Yield a node and all nodes below it, in no order."""
    todo = [document]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(children_of(node))


def _check_nesting(nesting: int, limits: Limits) -> None:
    if nesting > limits.nesting:
        raise too_nested(limits)


def too_nested(limits: Limits) -> LimitExceeded:
    """Return the error of a document that is nested too deeply."""
    return LimitExceeded(
        f"The document nests brackets and fragments more than {limits.nesting} deep. Put values into variables, and fields into fewer fragments."
    )


# ------------------------------------------------------------------------------------------------ what is selected


class _Place(NamedTuple):
    """A selection set in an operation, with the number of brackets and the names of the fragments around it."""

    selections: SelectionSetNode
    nesting: int
    inside: frozenset[str]


class _Level(NamedTuple):
    """All selection sets of one place in the answer, and the number of fields above it. Introspection has levels of its own."""

    places: list[_Place]
    depth: int
    is_introspection: bool


class _Ruler:
    """Measures operations level by level, as an answer shows them: selections of one place under one key belong together."""

    def __init__(self, document: DocumentNode, limits: Limits) -> None:
        self._limits = limits
        self.selections = 0
        self._pairs = 0
        self.fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self.spread = set[str]()

    def measure(self, selections: SelectionSetNode) -> None:
        """Measure an operation or a fragment. Raises LimitExceeded if it, or all that was measured so far, is beyond a limit."""
        aliases, depths = 0, {False: 0, True: 0}
        levels = [_Level([_Place(selections, 1, frozenset())], 0, is_introspection=False)]
        while levels:
            level = levels.pop()
            below: dict[tuple[str, bool], list[_Place]] = {}
            keys: dict[str, int] = {}
            for field, place in self._fields(level.places):
                key = (field.alias or field.name).value
                keys[key] = keys.get(key, 0) + 1
                aliases += field.alias is not None
                if field.selection_set:
                    is_introspection = level.is_introspection or field.name.value.startswith("__")
                    inner = _Place(field.selection_set, place.nesting + 1, place.inside)
                    below.setdefault((key, is_introspection), []).append(inner)
            self._compare(keys.values())
            if keys:
                depths[level.is_introspection] = max(depths[level.is_introspection], level.depth + 1)
            levels += [_Level(places, level.depth + 1, inner) for (_, inner), places in below.items()]
        self._check(aliases, depths)

    def _fields(self, places: list[_Place]) -> Iterator[tuple[FieldNode, _Place]]:
        """Yield the fields of a level, those of fragments included. A fragment inside itself, which validation refuses, is skipped."""
        spreads = 0
        todo = list(places)
        while todo:
            place = todo.pop()
            _check_nesting(place.nesting, self._limits)
            self._step(len(place.selections.selections))
            for node in place.selections.selections:
                match node:
                    case FieldNode():
                        yield node, place
                    case FragmentSpreadNode():
                        spreads += 1
                        todo += self._of_fragment(node.name.value, place)
                    case _:
                        todo.append(place._replace(selections=node.selection_set, nesting=place.nesting + 1))  # type: ignore[attr-defined]  # an inline fragment: there is no other kind
        self._compare([spreads])

    def _of_fragment(self, name: str, place: _Place) -> list[_Place]:
        self.spread.add(name)
        fragment = self.fragments.get(name)
        if fragment is None or name in place.inside:
            return []
        return [_Place(fragment.selection_set, place.nesting + 1, place.inside | {name})]

    def _step(self, count: int) -> None:
        self.selections += count
        if self.selections > self._limits.selections:
            raise LimitExceeded(
                f"The document selects more than {self._limits.selections:,} fields and fragments, what is in a fragment counted wherever it is spread."
            )

    def _compare(self, counts: Iterable[int]) -> None:
        """Add the pairs that validation compares for these counts of fields or fragments in one place. Raises LimitExceeded."""
        self._pairs += sum(count * (count - 1) // 2 for count in counts)
        if self._pairs > self._limits.pairs:
            raise LimitExceeded(
                f"The document selects fields again and again under the same key: more than {self._limits.pairs:,} pairs would have to be compared. Select a field once in each place."
            )

    def _check(self, aliases: int, depths: dict[bool, int]) -> None:
        limits = self._limits
        for depth, most in ((depths[False], limits.depth), (depths[True], limits.introspection_depth)):
            if depth > most:
                raise LimitExceeded(f"The operation goes {depth} fields deep; at most {most} are allowed.")
        if aliases > limits.aliases:
            raise LimitExceeded(f"The operation has {aliases} aliases; at most {limits.aliases} are allowed.")
