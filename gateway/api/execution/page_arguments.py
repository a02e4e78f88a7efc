"""Pages in an operation's arguments, which are checked before anything is read."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from graphql import DocumentNode, GraphQLSchema, OperationDefinitionNode, VariableNode

from gateway.api.execution.cost_terms import ArgumentReader
from gateway.api.execution.fields import SelectedField, fields_of
from gateway.api.pagination import check_page
from gateway.errors import BadInput

ARGUMENTS: Final = ("first", "last", "after", "before")


class _AskedPage(NamedTuple):
    """The page of a field: its key in the answer, a function for the value of each of ARGUMENTS, and whether one is a variable."""

    field: str
    arguments: tuple[Callable[[Mapping[str, Any]], Any], ...]
    is_varying: bool


class Pages:
    """The pages of all fields of an operation, those that `@skip` or `@include` leaves out included."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        given, fields = ArgumentReader(operation), fields_of(schema, document, operation)
        asked = [_asked(each, given) for each in fields if "first" in each.field.args]
        self._varying = [page for page in asked if page.is_varying]
        self._fault: BadInput | None = None
        try:
            for page in asked:
                if not page.is_varying:
                    _check(page, {})
        except BadInput as error:
            self._fault = error

    def check(self, variables: Mapping[str, Any]) -> None:
        """Check each page with these values of the variables.

        Raises BadInput for both `first` and `last` or a negative one, LimitExceeded for a page that is too large, BadCursor for a cursor
        of no list.
        """
        if self._fault is not None:
            raise self._fault
        for page in self._varying:
            _check(page, variables)


def _check(page: _AskedPage, variables: Mapping[str, Any]) -> None:
    try:
        check_page(*(value(variables) for value in page.arguments))
    except BadInput as error:
        raise type(error)(f"`{page.field}`: {error.message}") from error


def _asked(selected: SelectedField, given: ArgumentReader) -> _AskedPage:
    stated = {argument.name.value: argument.value for argument in selected.node.arguments or ()}
    nodes = [stated.get(name) for name in ARGUMENTS]
    is_varying = any(isinstance(node, VariableNode) for node in nodes)
    return _AskedPage(selected.key, tuple(map(given.value, nodes)), is_varying)
