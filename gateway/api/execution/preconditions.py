"""Checks of an operation's arguments before anything is read: of pages, and against its sandbox what declarations say (`Precondition`)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from graphql import DocumentNode, GraphQLError, GraphQLSchema, OperationDefinitionNode
from graphql.execution.values import VariableValues
from strawberry.types.arguments import StrawberryArgument

from gateway.api.context import PRECONDITION, Precondition
from gateway.api.execution.fields import SelectedField, fields_of
from gateway.api.execution.inputs import Arguments
from gateway.api.pagination import check_page
from gateway.domain.config.configuration import Configuration
from gateway.errors import BadInput, Misconfigured

PAGE: Final = ("first", "last", "after", "before")
"""The arguments that say which page of a list is wanted, by their names in the schema and as parameters."""

Check: TypeAlias = Callable[[Configuration, Mapping[str, Any]], object]
"""Checks values of a field's arguments by the names of the resolver's parameters. Raises BadInput, Misconfigured."""


class Preconditions:
    """Preconditions of all fields that an operation selects, those that `@skip` or `@include` leaves out included."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        root = getattr(schema.get_root_type(operation.operation), "name", None)
        self._fields = [
            (each.key, checks, Arguments(each.field, each.node))
            for each in fields_of(schema, document, operation)
            if (checks := list(_checks(each, is_root=each.parent == root)))
        ]

    def __bool__(self) -> bool:
        return bool(self._fields)

    def check(self, variables: VariableValues, config: Configuration) -> None:
        """Check each of them with these values of the variables.

        Raises BadInput, which names the field by its key in the answer: for a page LimitExceeded where it is too large, BadCursor for a
        cursor of no list.
        """
        for key, checks, arguments in self._fields:
            try:
                given = arguments.read(variables)
                for check in checks:
                    check(config, given)
            except (GraphQLError, Misconfigured):
                continue  # the field itself raises the error of a wrong type or a broken configuration
            except BadInput as error:
                raise type(error)(f"`{key}`: {error.message}") from error


def _checks(selected: SelectedField, *, is_root: bool) -> Iterator[Check]:
    """Yield what has to hold of the arguments that a field is given."""
    stated = {argument.name.value for argument in selected.node.arguments or ()}
    if not stated.isdisjoint(PAGE):
        yield _check_page
    for name in stated:
        definition: StrawberryArgument = selected.field.args[name].extensions["strawberry-definition"]
        precondition = definition.metadata.get(PRECONDITION)
        if precondition is not None and (precondition.at_root or not is_root):
            yield _declared(precondition, str(definition.python_name))


def _check_page(_: Configuration, given: Mapping[str, Any]) -> None:
    check_page(*map(given.get, PAGE))


def _declared(precondition: Precondition, name: str) -> Check:
    return lambda config, given: precondition.check(config, given.get(name))
