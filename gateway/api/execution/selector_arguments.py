"""Selectors in an operation's arguments, which are parsed before anything is read."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from graphql import DocumentNode, GraphQLSchema, OperationDefinitionNode, StringValueNode, VariableNode

from gateway.api.execution.fields import SelectedField, fields_of
from gateway.api.selectors import ARGUMENT
from gateway.domain.config.configuration import Configuration
from gateway.domain.rules.selectors import MAX_SELECTOR_LENGTH, Selector, parse
from gateway.errors import BadSelector, LimitExceeded
from gateway.runtime.threads import DOCUMENTS
from gateway.xdm.classes import XdmClass

MAX_CHARACTERS_INLINE: Final = 2_000
"""The most characters of an operation's selectors that are parsed on the event loop, which takes a millisecond."""


class Selection(NamedTuple):
    """A selector in an operation: the key of its field in the answer, and its text, which the variable replaces if there is one."""

    field: str
    xdm_class: XdmClass
    variable: str | None
    text: Any


class Selectors:
    """The selectors of all fields of an operation, those that `@skip` or `@include` leaves out included."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        fields = fields_of(schema, document, operation)
        self._found = [each for asked in fields for each in _selections(schema, asked, operation)]

    async def parsed(self, given: Mapping[str, Any], config: Configuration) -> dict[str, Selector]:
        """Return the parsed selectors by their texts, for these values of the variables; long ones are parsed in a thread.

        Raises BadSelector for one that cannot be parsed or names a field that no document of the sandbox can have, LimitExceeded where
        they are too long together, Unavailable.
        """
        if not self._found:
            return {}
        asked: dict[tuple[XdmClass, str], Selection] = {}
        for selection in self._found:
            text = selection.text if selection.variable is None else given.get(selection.variable, selection.text)
            if isinstance(text, str):  # else it is null, or refused with the other variables
                asked.setdefault((selection.xdm_class, text), selection)
        length = sum(len(text) for _, text in asked)
        if length > MAX_SELECTOR_LENGTH:
            raise LimitExceeded(
                f"The selectors have {length:,} characters together; an operation may have at most {MAX_SELECTOR_LENGTH:,}."
            )
        work = partial(_parsed, asked, config)
        return work() if length <= MAX_CHARACTERS_INLINE else await DOCUMENTS.run(work)


def _parsed(asked: Mapping[tuple[XdmClass, str], Selection], config: Configuration) -> dict[str, Selector]:
    found: dict[str, Selector] = {}
    for (xdm_class, text), selection in asked.items():
        try:
            found[text] = parse(text, config.full_union(xdm_class))
        except BadSelector as error:
            message = f"The selector of `{selection.field}`: {error.message}"
            raise BadSelector(message, line=error.line, column=error.column) from error
    return found


def _selections(schema: GraphQLSchema, asked: SelectedField, operation: OperationDefinitionNode) -> Iterator[Selection]:
    """Yield the selector among the arguments of a field, if there is one and the type around it has documents of a class."""
    definition = schema.type_map[asked.parent].extensions.get("strawberry-definition")
    xdm_class = getattr(definition and definition.origin, "documents", None)
    if xdm_class is None:
        return
    key = asked.key
    for argument in asked.node.arguments or ():
        if argument.name.value != ARGUMENT:
            continue
        match argument.value:
            case StringValueNode(value=text):
                yield Selection(key, xdm_class, None, text)
            case VariableNode(name=name):
                yield Selection(key, xdm_class, name.value, _default(operation, name.value))


def _default(operation: OperationDefinitionNode, variable: str) -> Any:
    """Return the default text of a variable, None where it has none."""
    for definition in operation.variable_definitions or ():
        if definition.variable.name.value == variable and isinstance(definition.default_value, StringValueNode):
            return definition.default_value.value
    return None
