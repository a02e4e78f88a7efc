"""Checks of an operation's arguments against its sandbox, before anything is read: filters of events and ids of merge policies."""

from collections.abc import Iterator
from typing import Final

from graphql import DocumentNode, GraphQLError, GraphQLSchema, OperationDefinitionNode, get_named_type
from graphql.execution.values import VariableValues

from gateway.api.events import check_filter
from gateway.api.execution.fields import SelectedField, fields_of
from gateway.api.execution.inputs import Arguments
from gateway.api.identities import policy_in
from gateway.domain.config.configuration import Configuration
from gateway.errors import BadInput, Misconfigured

EVENT_FILTER: Final = "EventFilter"
"""The type of the argument that filters events, and of no other."""
POLICY_ID: Final = "mergePolicyId"
"""The name of every argument that names a merge policy."""


class Preconditions:
    """The filters and policies of all fields of an operation, those that `@skip` or `@include` leaves out included.

    The policy of a root field is not among them: its resolver always checks it, and an error there leaves the other root fields.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        root = schema.get_root_type(operation.operation)
        self._fields = [
            (each.key, Arguments(schema, each.field, each.node))
            for each in fields_of(schema, document, operation)
            if _has_filter(each) or (POLICY_ID in _stated(each) and each.parent != getattr(root, "name", None))
        ]

    def __bool__(self) -> bool:
        return bool(self._fields)

    def check(self, variables: VariableValues, config: Configuration) -> None:
        """Check each of them with these values of the variables. Raises BadInput, which names the field by its key in the answer."""
        for key, arguments in self._fields:
            try:
                given = arguments.read(variables)
                check_filter(given.get("given"), config)
                policy_in(config, given.get("merge_policy_id"))
            except (GraphQLError, Misconfigured):
                continue  # the field itself raises the error of a wrong type or a broken configuration
            except BadInput as error:
                raise BadInput(f"`{key}`: {error.message}") from error


def _has_filter(selected: SelectedField) -> bool:
    types = (get_named_type(selected.field.args[name].type) for name in _stated(selected))
    return any(each.name == EVENT_FILTER for each in types)


def _stated(selected: SelectedField) -> Iterator[str]:
    return (argument.name.value for argument in selected.node.arguments or ())
