"""Checks of an operation's arguments against its sandbox before anything is read, as their declarations say (`Precondition`)."""

from collections.abc import Iterator

from graphql import DocumentNode, GraphQLError, GraphQLSchema, OperationDefinitionNode
from graphql.execution.values import VariableValues
from strawberry.types.arguments import StrawberryArgument

from gateway.api.context import PRECONDITION, Precondition
from gateway.api.execution.fields import SelectedField, fields_of
from gateway.api.execution.inputs import Arguments
from gateway.domain.config.configuration import Configuration
from gateway.errors import BadInput, Misconfigured


class Preconditions:
    """Preconditions of all fields that an operation selects, those that `@skip` or `@include` leaves out included."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        root = schema.get_root_type(operation.operation)
        self._fields = [
            (each.key, declared, Arguments(each.field, each.node))
            for each in fields_of(schema, document, operation)
            if (declared := dict(_declared(each, is_root=each.parent == getattr(root, "name", None))))
        ]

    def __bool__(self) -> bool:
        return bool(self._fields)

    def check(self, variables: VariableValues, config: Configuration) -> None:
        """Check each of them with these values of the variables. Raises BadInput, which names the field by its key in the answer."""
        for key, declared, arguments in self._fields:
            try:
                given = arguments.read(variables)
                for name, precondition in declared.items():
                    precondition.check(config, given.get(name))
            except (GraphQLError, Misconfigured):
                continue  # the field itself raises the error of a wrong type or a broken configuration
            except BadInput as error:
                raise BadInput(f"`{key}`: {error.message}") from error


def _declared(selected: SelectedField, *, is_root: bool) -> Iterator[tuple[str, Precondition]]:
    """Yield the preconditions of the arguments that a field is given, by the names of the resolver's parameters."""
    for argument in selected.node.arguments or ():
        definition: StrawberryArgument = selected.field.args[argument.name.value].extensions["strawberry-definition"]
        precondition = definition.metadata.get(PRECONDITION)
        if precondition is not None and (precondition.at_root or not is_root):
            yield definition.python_name, precondition
