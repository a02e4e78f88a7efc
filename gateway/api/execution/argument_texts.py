"""Texts among an operation's arguments that are checked before anything is read: selectors, and conditions in PQL."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

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
from gateway.api.execution.errors import ConditionsRefused
from gateway.api.execution.fields import SelectedField, fields_of
from gateway.api.execution.raw_arguments import ArgumentReader
from gateway.api.selectors import ARGUMENT
from gateway.domain.config.configuration import Configuration
from gateway.domain.reading.conditions import Condition, check_condition, now_in
from gateway.domain.rules.selectors import MAX_SELECTOR_LENGTH, Selector, parse
from gateway.errors import BadSelector, LimitExceeded
from gateway.pql.parser import MAX_EXPRESSION_LENGTH
from gateway.pql.problems import Problem
from gateway.runtime.threads import DOCUMENTS
from gateway.storage.database import Database
from gateway.xdm.classes import XdmClass

MAX_CHARACTERS_INLINE: Final = 2_000
"""The most characters of an operation's selectors that are parsed on the event loop, which takes a millisecond."""

Place = tuple[str, ...]
"""Names from an argument down to a field of its input."""


class AskedText(NamedTuple):
    """A text among the arguments of a field: what it is over, where it stands, and the value that it is, or has at `below`."""

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


Asked: TypeAlias = Mapping[tuple[XdmClass, str], tuple[SelectedField, AskedText]]
"""Texts by what they are over, each with a place where it stands."""


class _Texts:
    """The texts of one kind in all fields of an operation, those that `@skip` or `@include` leaves out included."""

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        texts_of: Callable[[SelectedField], Iterator[AskedText]],
    ) -> None:
        given = ArgumentReader(operation)
        self._asked = [
            (selected, each, each.read_by(given))
            for selected in fields_of(schema, document, operation)
            for each in texts_of(selected)
        ]

    def __bool__(self) -> bool:
        return bool(self._asked)

    def read(self, given: Mapping[str, Any], kind: str, most: int) -> tuple[Asked, int]:
        """Return the texts for these values of the variables, and how many characters they have together. Raises LimitExceeded for too many."""
        asked: dict[tuple[XdmClass, str], tuple[SelectedField, AskedText]] = {}
        for selected, each, read in self._asked:
            text = read(given)
            if isinstance(text, str):  # else it is null, or refused with the other variables
                asked.setdefault((each.xdm_class, text), (selected, each))
        length = sum(len(text) for _, text in asked)
        if length > most:
            raise LimitExceeded(
                f"The {kind} have {length:,} characters together; an operation may have at most {most:,}."
            )
        return asked, length


# ------------------------------------------------------------------------------------------------ selectors


class AskedSelectors:
    """The selectors in an operation."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        self._texts = _Texts(schema, document, operation, partial(_selectors_of, schema))

    def __bool__(self) -> bool:
        return bool(self._texts)

    async def parsed(self, given: Mapping[str, Any], config: Configuration) -> dict[str, Selector]:
        """Return the parsed selectors by their texts, for these values of the variables; long ones are parsed in a thread.

        Raises BadSelector for one that cannot be parsed or names a field that no document of the sandbox can have, LimitExceeded where
        they are too long together, Unavailable.
        """
        asked, length = self._texts.read(given, "selectors", MAX_SELECTOR_LENGTH)
        if length > MAX_CHARACTERS_INLINE:
            return await DOCUMENTS.run(_parsed, asked, config)
        return _parsed(asked, config)


def _selectors_of(schema: GraphQLSchema, selected: SelectedField) -> Iterator[AskedText]:
    """Yield the selector among the arguments of a field, if there is one and the type around it has documents of a class."""
    definition = schema.type_map[selected.parent].extensions.get("strawberry-definition")
    xdm_class = getattr(definition and definition.origin, "documents", None)
    for argument in selected.node.arguments or ():
        if xdm_class is not None and argument.name.value == ARGUMENT:
            yield AskedText(xdm_class, (ARGUMENT,), argument, argument.value, ())


def _parsed(asked: Asked, config: Configuration) -> dict[str, Selector]:
    found: dict[str, Selector] = {}
    for (xdm_class, text), (selected, _) in asked.items():
        try:
            found[text] = parse(text, config.with_codes(config.full_union(xdm_class)))
        except BadSelector as error:
            message = f"The selector of `{selected.key}`: {error.message}"
            raise BadSelector(message, line=error.line, column=error.column) from error
    return found


# ------------------------------------------------------------------------------------------------ conditions


class AskedConditions:
    """The conditions in an operation."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        self._texts = _Texts(schema, document, operation, lambda asked: conditions_of(asked.field, asked.node))

    def __bool__(self) -> bool:
        return bool(self._texts)

    async def checked(self, db: Database, config: Configuration, given: Mapping[str, Any]) -> Conditions:
        """Return the conditions for these values of the variables, as they are now.

        Raises ConditionsRefused for one that is none, or names a field that the sandbox's documents cannot have; LimitExceeded where they
        are too long together; Unavailable, Timeout.
        """
        asked, _ = self._texts.read(given, "conditions", MAX_EXPRESSION_LENGTH)
        if not asked:
            return NO_CONDITIONS
        found: dict[tuple[XdmClass, str], Condition] = {}
        for key, place in asked.items():
            condition = await check_condition(config, key)
            if not isinstance(condition, Condition):
                raise ConditionsRefused([_refused(*place, problem) for problem in condition])
            found[key] = condition
        return await now_in(db, found)


def conditions_of(field: GraphQLField, node: FieldNode) -> Iterator[AskedText]:
    """Yield the conditions among the arguments of a field, as far as that is known without the values of variables."""
    for argument in node.arguments or ():
        name = argument.name.value
        for place, xdm_class in _declared(field.args[name]):
            found = _stated(argument.value, place)
            if found is not None:
                yield AskedText(xdm_class, (name, *place), argument, *found)


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


def _refused(selected: SelectedField, asked: AskedText, problem: Problem) -> GraphQLError:
    error, place = problem.error, ".".join(asked.place)
    return GraphQLError(
        f"`{selected.key}`: `{place}`: {error.message}", asked.argument, path=selected.path, original_error=error
    )
