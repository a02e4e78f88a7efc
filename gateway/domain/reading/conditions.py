"""Conditions in PQL over people and over events: checked once for a text and a sandbox's schemas, and written as SQL for statements."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, TypeAlias

import orjson

from gateway.domain.config.attribute_programs import in_order
from gateway.domain.config.configuration import Configuration
from gateway.errors import BadPql, StatementFailed, Unstorable
from gateway.pql.check import check
from gateway.pql.inputs import Inputs, event_inputs
from gateway.pql.problems import Problem
from gateway.pql.sql import at_instant, condition
from gateway.pql.typed import Expression
from gateway.pql.values import quoted
from gateway.projection.predicates import Predicate
from gateway.runtime.cache import WeightedCache
from gateway.runtime.threads import COMPUTATIONS
from gateway.storage.database import Reader
from gateway.storage.queries import query
from gateway.xdm.classes import XdmClass

READ_INSTANT = query("expressions.read_instant")

MAX_CACHED_CONDITION_CHARACTERS: Final = 4_000_000
"""Of the SQL of conditions; a typical one has 500."""

_NOT_SUPPORTED: Final = "0A000"
"""What Citus says of a statement that it cannot plan."""

PERSON: Final = Inputs("kept.document", xids="g.event_xids", fields={"identityMap": "g.identity_map"})
"""A person in statements of `people.sql`."""
EVENT: Final = event_inputs("e")
"""An event in statements of `events.sql`."""
EVENT_ON_NODES: Final = replace(EVENT, document="e.document", aside=None)
"""The same where its document is not read aside: Citus refuses a subquery within one."""


@dataclass(frozen=True, slots=True)
class Condition:
    """An expression that people or events satisfy only if it is true for them, and the predicate that it is in SQL; at an `instant`, once it has one.

    `attributes`: the names of those of events whose values the predicate reads of `computed.document`.
    """

    expression: Expression
    predicate: Predicate
    instant: datetime | None = None
    attributes: frozenset[str] = frozenset()

    def at(self, instant: datetime) -> "Condition":
        """Return the condition as it is at an instant."""
        values = at_instant(self.predicate.values, instant)
        return replace(self, predicate=self.predicate._replace(values=values), instant=instant)


ConditionKey: TypeAlias = tuple[XdmClass, str]
"""What a condition is over, and its text."""

_checked: WeightedCache[tuple[int, int, ConditionKey], Condition | tuple[Problem, ...]] = WeightedCache(
    MAX_CACHED_CONDITION_CHARACTERS
)


async def check_condition(config: Configuration, key: ConditionKey) -> Condition | tuple[Problem, ...]:
    """Return the condition of a text over profiles or events of the sandbox, or what is wrong with it. Looks at no data."""
    place = (config.sandbox_id, config.version, key)
    found = _checked.get(place)
    if found is None:
        found = await COMPUTATIONS.run(_check, config, key)
        _checked.put(place, found, len(found.predicate.sql) if isinstance(found, Condition) else len(key[1]))
    return found


async def now_in(db: Reader, found: Mapping[ConditionKey, Condition]) -> dict[ConditionKey, Condition]:
    """Return conditions as they are now, by one instant for all of them, which is read only if one of them has it, and as the store can plan them."""
    planned = {key: on_nodes(db, each) if key[0] is XdmClass.EXPERIENCE_EVENT else each for key, each in found.items()}
    if not any(each.expression.reads_time for each in found.values()):
        return planned
    instant = await read_instant(db)
    return {key: each.at(instant) for key, each in planned.items()}


def on_nodes(db: Reader, over_events: Condition) -> Condition:
    """Return a condition over events as the store can plan it. On a cluster one in which a subquery stands within another can be planned by none."""
    return (
        replace(over_events, predicate=_predicate_on_nodes(over_events.expression))
        if db.is_distributed
        else over_events
    )


@lru_cache(maxsize=64)
def _predicate_on_nodes(expression: Expression) -> Predicate:
    return condition(expression, EVENT_ON_NODES)


async def read_instant(db: Reader) -> datetime:
    """Return the time at which expressions are evaluated: the next whole millisecond, so that what is there by now lies in a window that ends then."""
    at: datetime = await db.value(READ_INSTANT)
    return at + timedelta(microseconds=-at.microsecond % 1_000)


@contextmanager
def within_range(what: str = "a condition computes") -> Iterator[None]:
    """Run what computes values of expressions in Postgres and parses them. `what` computes them, for the message. Raises BadPql."""
    try:
        yield
    except StatementFailed as error:
        if isinstance(error, Unstorable):
            raise BadPql(f"A value that {what} is out of range.") from error
        if error.sqlstate != _NOT_SUPPORTED:
            raise
        raise BadPql(f"A cluster has no plan for what {what}: a list is looked into inside another.") from error
    except orjson.JSONDecodeError as error:  # JSON has no number that large
        raise BadPql(f"A value that {what} is out of range.") from error


def _check(config: Configuration, key: ConditionKey) -> Condition | tuple[Problem, ...]:
    xdm_class, text = key
    checked = check(text, config.input_type(xdm_class), is_condition=True)
    if checked.expression is None:
        return checked.errors
    if xdm_class is XdmClass.EXPERIENCE_EVENT:
        return Condition(checked.expression, condition(checked.expression, EVENT))
    attributes = _attributes_in(config, checked.expression)
    inputs = replace(PERSON, computed={name: f"(computed.document -> {quoted(name)})" for name in attributes})
    return Condition(checked.expression, condition(checked.expression, inputs), attributes=attributes)


def _attributes_in(config: Configuration, expression: Expression) -> frozenset[str]:
    """Return the names of the attributes of events that an expression over a profile reads, directly or in another one."""
    prefix = config.unions.prefix
    names = {path.removeprefix(prefix).split(".")[0] for path in expression.paths if path.startswith(prefix)}
    return frozenset(each.name for each in in_order(config.programs.programs, names) if each.is_of_events)
