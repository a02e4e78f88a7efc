"""Expressions over the events of people, one statement for many people.

On a cluster the events of a person lie on several nodes, and no statement there computes a value of all of them. So they are read first, each node
its own, and the statement that computes has them as a parameter, and asks no node.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeAlias
from uuid import UUID

from gateway.domain.reading.events import slices
from gateway.domain.rules.scope import Scope
from gateway.pql.columns import as_columns
from gateway.pql.inputs import Inputs
from gateway.pql.sql import Compiled
from gateway.storage.database import Session
from gateway.storage.queries import Query, fill, part, template

OF_EVENTS = template("computed_attributes.compute_of_events")
EVENT: Final = part("over_events.event")
"""An event as JSON, as it is given back to a statement."""
READ_GIVEN = template("over_events.read_events").filled(event=EVENT)
ROWS, OF_PERSON = part("search.given_events"), part("over_events.of_person")

MAX_EVENTS_GIVEN: Final = 20_000
"""Events that a statement is given on a cluster; of a person with more within the longest window, no value is computed from events there."""

Column: TypeAlias = Callable[[Inputs], Compiled]
"""Writes a column over the events of a person."""


def person_inputs(place: int, parameters: int) -> Inputs:
    """Return what a column at this place is over: a person, with the events of the window at this place among those given."""
    return Inputs("person.document", "person.at", parameters, "person.xids", f"person.since[{place}]")


def over_events(columns: Iterable[Column], *, are_given: bool) -> tuple[Query, tuple[Any, ...]]:
    """Return the statement of these columns, and the values of the parameters behind its own. `are_given`: it has the events in one more parameter."""

    def column(place: int, write: Column, parameters: int) -> Compiled:
        inputs = person_inputs(place, parameters)
        return write(over_given(inputs, "person") if are_given else inputs)

    own = len(OF_EVENTS.parameters)
    made = as_columns((partial(column, *each) for each in enumerate(columns, start=1)), own)
    events = given_in(own + len(made.values) + 1, "slice.place") if are_given else ""
    return OF_EVENTS.filled(columns=made.sql, events=events), made.values


async def compute_over_events(
    tx: Session,
    scope: Scope,
    statement: tuple[Query, tuple[Any, ...]],
    people: Sequence[tuple[UUID, ...]],
    *,
    at: datetime,
    since: Sequence[datetime],
) -> list[Sequence[Any] | None]:
    """Return the columns of a statement of `over_events`, which are given on a cluster alone, for each person, given as xids; None for one with too
    many events to be given. `since`: when the window of each column begins; all end `at` one time."""
    made, values = statement
    if not tx.is_distributed:
        return list(await tx.rows(made, scope.sandbox_id, *slices(people), at, since, *values))
    found: list[Sequence[Any] | None] = [None] * len(people)
    async for some, events in given_events(tx, scope, people, since=min(since), until=at):
        found[some] = await tx.rows(made, scope.sandbox_id, *slices(people[some]), at, since, *values, events)
    return found


# ------------------------------------------------------------------------------------------------ events as a parameter


def over_given(inputs: Inputs, person: str) -> Inputs:
    """Return the inputs of a person, a row of this name, whose events are those that it has in a column of JSON, as `given_events` reads them."""
    return replace(inputs, events=fill(ROWS, events=f"{person}.events"))


def given_in(parameter: int, place: str) -> str:
    """Return a column of the events of a person, who is at this place of an array in this parameter."""
    return fill(OF_PERSON, parameter=str(parameter), place=place)


async def given_events(
    tx: Session, scope: Scope, people: Sequence[tuple[UUID, ...]], *, since: datetime, until: datetime
) -> AsyncIterator[tuple[slice, list[str]]]:
    """Yield the events of people within a time, as JSON of each person, for some people after the other, so that they are never very many at once.

    A person who alone has too many is left out.
    """
    waiting = [slice(0, len(people))]
    while waiting:
        some = waiting.pop()
        xids = [xid for each in people[some] for xid in each]
        rows = await tx.rows(READ_GIVEN, scope.sandbox_id, xids, since, until, MAX_EVENTS_GIVEN + 1) if xids else ()
        middle = (some.start + some.stop) // 2
        if len(rows) <= MAX_EVENTS_GIVEN:
            yield some, events_by_person(people[some], rows)
        elif middle > some.start:
            waiting += [slice(middle, some.stop), slice(some.start, middle)]


def events_by_person(people: Iterable[Sequence[UUID]], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Return the events of each person, given as xids, as a JSON array, of rows of an xid and an event as JSON."""
    found = defaultdict[UUID, list[str]](list)
    for xid, event in rows:
        found[xid].append(event)
    return [f"[{','.join(event for xid in dict.fromkeys(each) for event in found.get(xid, ()))}]" for each in people]
