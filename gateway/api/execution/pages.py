"""Pages in an operation's arguments: whether each can be one is found out before anything is read, whoever is found then."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from graphql import DocumentNode, GraphQLSchema, OperationDefinitionNode, ValueNode, VariableNode

from gateway.api.execution.amounts import Given
from gateway.api.execution.fields import SelectedField, fields_of
from gateway.api.pagination import check_page
from gateway.errors import BadInput

ARGUMENTS: Final = ("first", "last", "after", "before")


class _AskedPage(NamedTuple):
    """A page: the name of its field in the answer, and what stands for each of ARGUMENTS."""

    field: str
    arguments: tuple[ValueNode | None, ...]


class Pages:
    """The pages that an operation asks for, those of fields that it leaves out included."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        self._given = Given(operation)
        asked = [_asked(each) for each in fields_of(schema, document, operation) if "first" in each.field.args]
        self._varying = [page for page in asked if any(isinstance(value, VariableNode) for value in page.arguments)]
        self._fault: BadInput | None = None
        try:
            for page in asked:
                if page not in self._varying:
                    self._check(page, {})
        except BadInput as error:
            self._fault = error

    def check(self, variables: Mapping[str, Any]) -> None:
        """Return if each can be a page with these values of the variables.

        Raises BadInput where both `first` and `last` are given or one of them is below zero, LimitExceeded where a page is too large,
        BadCursor where a place is none of any list.
        """
        if self._fault is not None:
            raise self._fault
        for page in self._varying:
            self._check(page, variables)

    def _check(self, page: _AskedPage, variables: Mapping[str, Any]) -> None:
        try:
            check_page(*(self._given.value(node, variables) for node in page.arguments))
        except BadInput as error:
            raise type(error)(f"`{page.field}`: {error.message}") from error


def _asked(selected: SelectedField) -> _AskedPage:
    given = {argument.name.value: argument.value for argument in selected.node.arguments or ()}
    return _AskedPage(selected.key, tuple(map(given.get, ARGUMENTS)))
