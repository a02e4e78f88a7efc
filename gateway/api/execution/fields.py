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
    """A field that a document selects: the name of its parent type, its node, and its definition in the schema."""

    parent: str
    node: FieldNode
    field: GraphQLField

    @property
    def key(self) -> str:
        """The field's name in the answer."""
        return (self.node.alias or self.node.name).value


def fields_of(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> Iterator[SelectedField]:
    """Yield every field of a valid operation and of the fragments that it spreads, each fragment once; introspection is left out."""
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    todo: list[tuple[Any, SelectionSetNode]] = [(schema.get_root_type(operation.operation), operation.selection_set)]
    while todo:
        parent, below = todo.pop()
        for node in below.selections:
            match node:
                case FieldNode() if field := getattr(parent, "fields", {}).get(node.name.value):
                    yield SelectedField(parent.name, node, field)
                    if node.selection_set:
                        todo.append((get_named_type(field.type), node.selection_set))
                case InlineFragmentNode():
                    condition = node.type_condition
                    todo.append((schema.get_type(condition.name.value) if condition else parent, node.selection_set))
                case FragmentSpreadNode() if fragment := fragments.pop(node.name.value, None):
                    todo.append((schema.get_type(fragment.type_condition.name.value), fragment.selection_set))
