"""Conditions in PQL among an operation's arguments, which are checked before anything is read."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLSchema,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    ValueNode,
    get_nullable_type,
)

from gateway.api.conditions import NO_CONDITIONS, Conditions, class_of
from gateway.api.execution.fields import SelectedField, fields_of
from gateway.api.execution.raw_arguments import ArgumentReader
from gateway.domain.config.configuration import Configuration
from gateway.domain.reading.conditions import Condition, check_condition, now_in
from gateway.errors import LimitExceeded
from gateway.pql.parser import MAX_EXPRESSION_LENGTH
from gateway.pql.problems import Problem
from gateway.storage.database import Database
from gateway.xdm.classes import XdmClass

Place = tuple[str, ...]
"""Names from an argument down to a field of its input."""


class ConditionsRefused(Exception):
    """A condition has mistakes, each an error with a code of its own."""

    code = None

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


class AskedCondition(NamedTuple):
    """A condition among the arguments of a field: what it is over, where it stands, and the value that it is, or has at `below`."""

    xdm_class: XdmClass
    place: Place
    argument: ArgumentNode
    value: ValueNode
    below: Place

    def read_by(self, given: ArgumentReader) -> Callable[[Mapping[str, Any]], Any]:
        """Return a function of the values of the variables that returns the text; of values that do not fit their types, anything."""
        read = given.value(self.value)

        def text(variables: Mapping[str, Any]) -> Any:
            value = read(variables)
            for name in self.below:
                value = value.get(name) if isinstance(value, Mapping) else None
            return value

        return text


class AskedConditions:
    """The conditions of all fields of an operation, those that `@skip` or `@include` leaves out included."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        given = ArgumentReader(operation)
        self._asked = [
            (selected, each, each.read_by(given))
            for selected in fields_of(schema, document, operation)
            for each in conditions_of(selected.field, selected.node)
        ]

    async def checked(self, db: Database, config: Configuration, given: Mapping[str, Any]) -> Conditions:
        """Return the conditions for these values of the variables, as they are now.

        Raises ConditionsRefused for one that is none, or names a field that the sandbox's documents cannot have; LimitExceeded where they
        are too long together; Unavailable, Timeout.
        """
        if not self._asked:
            return NO_CONDITIONS
        asked: dict[tuple[XdmClass, str], tuple[SelectedField, AskedCondition]] = {}
        for selected, each, read in self._asked:
            text = read(given)
            if isinstance(text, str):  # else it is null, or refused with the other variables
                asked.setdefault((each.xdm_class, text), (selected, each))
        length = sum(len(text) for _, text in asked)
        if length > MAX_EXPRESSION_LENGTH:
            raise LimitExceeded(
                f"The conditions have {length:,} characters together; an operation may have at most {MAX_EXPRESSION_LENGTH:,}."
            )
        found: dict[tuple[XdmClass, str], Condition] = {}
        for key, place in asked.items():
            condition = await check_condition(config, key)
            if not isinstance(condition, Condition):
                raise ConditionsRefused([_refused(*place, problem) for problem in condition])
            found[key] = condition
        return await now_in(db, found)


def conditions_of(field: GraphQLField, node: FieldNode) -> Iterator[AskedCondition]:
    """Yield the conditions among the arguments of a field, as far as that is known without the values of variables."""
    for argument in node.arguments or ():
        name = argument.name.value
        for place, xdm_class in _declared(field.args[name]):
            found = _stated(argument.value, place)
            if found is not None:
                yield AskedCondition(xdm_class, (name, *place), argument, *found)


def _declared(declared: Any) -> Iterator[tuple[Place, XdmClass]]:
    """Yield where conditions are in an argument, or in the fields of its input, and what they are over."""
    xdm_class, of = class_of(declared), get_nullable_type(declared.type)
    if xdm_class is not None:
        yield (), xdm_class
    elif isinstance(of, GraphQLInputObjectType):
        for name, below in of.fields.items():
            if (xdm_class := class_of(below)) is not None:
                yield (name,), xdm_class


def _stated(value: ValueNode, place: Place) -> tuple[ValueNode, Place] | None:
    """Return the value at a place of another, or the variable in which it is, with the place there; None where it is left out or null."""
    for step, name in enumerate(place):
        if not isinstance(value, ObjectValueNode):
            return value, place[step:]
        found = next((each.value for each in value.fields if each.name.value == name), None)
        if found is None:
            return None
        value = found
    return None if isinstance(value, NullValueNode) else (value, ())


def _refused(selected: SelectedField, asked: AskedCondition, problem: Problem) -> GraphQLError:
    error, place = problem.error, ".".join(asked.place)
    return GraphQLError(
        f"`{selected.key}`: `{place}`: {error.message}", asked.argument, path=selected.path, original_error=error
    )
