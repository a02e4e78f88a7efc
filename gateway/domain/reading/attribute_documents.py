"""Documents with the values of computed attributes, as if these were fields of them."""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final

from gateway.domain.config.configuration import Configuration
from gateway.domain.reading.attribute_results import value_of
from gateway.domain.reading.attribute_times import timed
from gateway.domain.reading.computed_attributes import compute_values, published_attributes, with_values
from gateway.domain.reading.conditions import within_range
from gateway.domain.reading.events import Event
from gateway.domain.reading.profiles import Profile
from gateway.domain.rules.merge import Document
from gateway.domain.rules.scope import Permission, Scope
from gateway.pql.columns import as_columns
from gateway.pql.inputs import Inputs
from gateway.pql.sql import Compiled, compiled
from gateway.pql.typed import Expression
from gateway.storage.database import Database
from gateway.storage.queries import Query, template

OF_EACH_EVENT = template("computed_attributes.compute_of_each_event")

EVENTS_AT_ONCE: Final = 200
"""Events whose values one statement computes."""


async def with_values_of_people(
    db: Database, scope: Scope, config: Configuration, names: Sequence[str], profiles: Sequence[Profile]
) -> list[Document]:
    """Return the documents of profiles with the values of the published attributes of people of these names.

    Needs `profile:read`. Raises Forbidden.
    """
    attributes = published_attributes(config, names)
    found = await compute_values(db, scope, config, attributes, profiles)
    return [
        with_values(config, profile.document, _as_stored({each.attribute.name: each.value for each in values}))
        for profile, values in zip(profiles, found, strict=True)
    ]


async def with_values_of_events(
    db: Database, scope: Scope, config: Configuration, names: Sequence[str], events: Sequence[Event]
) -> list[Document]:
    """Return the documents of events with the values of the published attributes of events of these names.

    Needs `profile:read`. Raises Forbidden.
    """
    scope.require(Permission.PROFILE_READ)
    documents = list[Document]()
    for start in range(0, len(events), EVENTS_AT_ONCE):
        some = events[start : start + EVENTS_AT_ONCE]
        for event, values in zip(some, await _values_of(db, scope, config, names, some), strict=True):
            told = _as_stored(dict(zip(names, values, strict=True)))
            documents.append(with_values(config, event.document, told))
    return documents


async def _values_of(
    db: Database, scope: Scope, config: Configuration, names: Sequence[str], events: Sequence[Event]
) -> list[list[Any]]:
    """Compute the values that each event has of the attributes, one statement for all."""
    if not names:
        return [[] for _ in events]
    expressions = {name: config.programs.events[name] for name in names}
    statement, values = _statement(tuple(expressions.values()))
    given = [event.text for event in events], [event.timestamp for event in events]
    costs = tuple((name, expression.cost) for name, expression in expressions.items())
    with timed(scope, costs, len(events)), within_range("a computed attribute has"):
        rows = await db.rows(statement, scope.sandbox_id, *given, *values)
        return [[value_of(text) for text in row] for row in rows]


@lru_cache(maxsize=64)
def _statement(expressions: tuple[Expression, ...]) -> tuple[Query, tuple[Any, ...]]:
    """Return the statement that computes expressions of each event, one column for each, and the values of the parameters behind its own."""

    def column(expression: Expression, parameters: int) -> Compiled:
        return compiled(expression, Inputs("e.document", parameters=parameters, fields={"timestamp": "e.timestamp"}))

    made = as_columns((partial(column, each) for each in expressions), len(OF_EACH_EVENT.parameters))
    return OF_EACH_EVENT.filled(columns=made.sql), made.values


def _as_stored(value: Any) -> Any:
    """Return a value as a stored document would have it: nothing in it is null."""
    match value:
        case Mapping():
            return {key: _as_stored(each) for key, each in value.items() if each is not None}
        case list():
            return [_as_stored(each) for each in value if each is not None]
    return value
