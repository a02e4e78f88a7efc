"""The fields that an operation selects, for checks of their arguments before anything runs."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
)


class SelectedField(NamedTuple):
    """A field that a document selects: the name of its parent type, its node, its definition in the schema, and its path in the answer.

    A fragment may stand in several places; the path is one of them.
    """

    parent: str
    node: FieldNode
    field: GraphQLField
    path: tuple[str, ...]

    @property
    def key(self) -> str:
        """The field's name in the answer."""
        return self.path[-1]


def fields_of(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> Iterator[SelectedField]:
    """Yield every field of a valid operation and of the fragments that it spreads, each fragment once; introspection is left out."""
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    root = schema.get_root_type(operation.operation)
    todo: list[tuple[Any, SelectionSetNode, tuple[str, ...]]] = [(root, operation.selection_set, ())]
    while todo:
        parent, below, path = todo.pop()
        for node in below.selections:
            match node:
                case FieldNode() if field := getattr(parent, "fields", {}).get(node.name.value):
                    here = (*path, (node.alias or node.name).value)
                    yield SelectedField(parent.name, node, field, here)
                    if node.selection_set:
                        todo.append((get_named_type(field.type), node.selection_set, here))
                case InlineFragmentNode():
                    condition = node.type_condition
                    kind = schema.get_type(condition.name.value) if condition else parent
                    todo.append((kind, node.selection_set, path))
                case FragmentSpreadNode() if fragment := fragments.pop(node.name.value, None):
                    todo.append((schema.get_type(fragment.type_condition.name.value), fragment.selection_set, path))
