"""Searches on a cluster, where a person's events are on other nodes than the person.

A condition without a subquery, such as one that compares fields, is looked into on the nodes that have people and profiles. For any other, which Citus may not be
able to plan, people, what is kept of them, and their events are read, some people at a time, and given back to Postgres in a statement that reads no
table: so a search on events costs what reading them costs.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import IdentityGraphType
from gateway.domain.reading.conditions import Condition
from gateway.domain.reading.identities import is_primary
from gateway.domain.reading.over_events import EVENT, ROWS, events_by_person
from gateway.domain.reading.people import IS_VERSION
from gateway.domain.reading.search_statements import Look, Looked, among
from gateway.domain.reading.statements import Made
from gateway.domain.rules.scope import Permission, Scope
from gateway.errors import Timeout
from gateway.pql.inputs import Inputs
from gateway.pql.sql import at_instant, condition
from gateway.pql.typed import Expression
from gateway.projection.predicates import Predicate, Values
from gateway.storage.database import Reader
from gateway.storage.queries import Template, fill, part, query, template

FIND_EDGE = template("search.find_edge")
LIST = template("search.list_between")
COUNT = template("search.count_between")
COUNT_EVENTS = query("search.count_events")
READ_EVENTS = template("search.read_events").filled(event=EVENT)
FIND_GIVEN = template("search.find_given")

MAX_GIVEN: Final = 500
"""People whose events are read for one look."""
MAX_EVENTS: Final = 10_000
"""Events that are given to one statement: where people have more, fewer of them are looked at."""
MAX_EVENTS_OF_ONE: Final = 50_000
"""Events that are given of one person who is looked at alone."""

_GIVEN: Final = Inputs(
    "kept.document",
    fields={"identityMap": "g.identity_map"},
    events=fill(ROWS, events="g.events"),
)
_SUBQUERY: Final = "select "
_ID, _TO_GIVE = "k.{key} as id", part("search.person_to_give")


async def look_on_cluster(reader: Reader, scope: Scope, config: Configuration, look: Look) -> Looked:
    """Look at some people, at the nodes that have them or, with their events, where they are read. Needs `profile:read`.

    Raises Forbidden, BadPql, Unavailable; Timeout, also for a person with too many events.
    """
    scope.require(Permission.PROFILE_READ)
    looking = _Looking(reader, scope, config, look)
    is_simple = not look.where.attributes and _SUBQUERY not in look.where.predicate.sql
    looked = await (looking.at_nodes() if is_simple else looking.at_given_people())
    # Asked for after the rows were read: versions only grow, so that the policy had this one then, too.
    is_current = await reader.value(IS_VERSION, scope.sandbox_id, look.policy.policy_id, look.policy.version)
    return looked._replace(is_current=is_current)


@dataclass(frozen=True, slots=True)
class _Looking:
    reader: Reader
    scope: Scope
    config: Configuration
    look: Look

    @property
    def is_graph(self) -> bool:
        return self.look.graph is IdentityGraphType.PDG

    @property
    def direction(self) -> str:
        return "desc" if self.look.backward else "asc"

    async def at_nodes(self) -> Looked:
        """Have the nodes look at their people."""
        last, after, before = await self._reach()
        where = [self.look.where.predicate]
        if self.look.size is None:
            counted = await self._made(COUNT, where).row(self.reader, self.scope.sandbox_id, after, before)
            return Looked(True, last, total=counted["total"])
        made = self._made(LIST, where, columns=_ID, direction=self.direction)
        rows = await made.rows(self.reader, self.scope.sandbox_id, after, before, self.look.size)
        return Looked(True, last, [row["id"] for row in rows])

    async def at_given_people(self) -> Looked:
        """Read people with their events, and look at these."""
        look, count = self.look, min(self.look.people, MAX_GIVEN)
        made = self._made(LIST, [], columns=_TO_GIVE, direction=self.direction, reads_profiles=True)
        people = await made.rows(self.reader, self.scope.sandbox_id, look.after, look.before, count + 1)
        given = await self._with_few_events(people[:count])
        events = await self._events_of(given)
        last = given[-1]["id"] if len(given) < len(people) else None
        found = await self._among_given(given, events)
        return Looked(True, last, found if look.size is None else found[: look.size], len(found))

    async def _reach(self) -> tuple[UUID | None, UUID, UUID]:
        """Return the last person to be looked at, None where nobody is left behind, and the two ids between which those are who are looked at."""
        look = self.look
        if look.candidates is not None:
            return None, look.after, look.before
        table = "graph" if self.is_graph else "identity"
        statement = FIND_EDGE.filled(key=self._key, table=table, direction=self.direction)
        edge = await self.reader.rows(statement, self.scope.sandbox_id, look.after, look.before, look.people)
        if len(edge) < 2:
            return None, look.after, look.before
        last, bound = (row["id"] for row in edge)
        return (last, bound, look.before) if look.backward else (last, look.after, bound)

    @property
    def _reads_events(self) -> bool:
        return self.look.where.expression.reads_events or bool(self.look.where.attributes)

    async def _with_few_events(self, people: Sequence[Any]) -> Sequence[Any]:
        """Return the first of these people, as many as have no more events together than are given, if the condition reads any. Raises Timeout."""
        xids = _event_xids(people) if self._reads_events else []
        if not xids:
            return people
        rows = await self.reader.rows(COUNT_EVENTS, self.scope.sandbox_id, xids)
        events = {row["xid"]: row["events"] for row in rows}
        sums = list(accumulate(sum(events.get(xid, 0) for xid in person["event_xids"]) for person in people))
        if sums[0] > MAX_EVENTS_OF_ONE:
            raise Timeout("Somebody has more events than a search takes of one person.")
        return people[: max(1, bisect_right(sums, MAX_EVENTS))]

    async def _events_of(self, people: Sequence[Any]) -> list[str]:
        """Read the events of each person, as JSON; none if the condition reads none."""
        xids = _event_xids(people) if self._reads_events else []
        rows = await self.reader.rows(READ_EVENTS, self.scope.sandbox_id, xids) if xids else ()
        return events_by_person((person["event_xids"] for person in people), rows)

    async def _among_given(self, people: Sequence[Any], events: list[str]) -> list[UUID]:
        given = [*([person[name] for person in people] for name in ("id", "identity_map", "document")), events]
        values = Values(self.scope.sandbox_id, *given)
        conditions = values.conditions([_over_given(self.look.where)])
        made = Made.of(FIND_GIVEN.filled(where=conditions), values, len(FIND_GIVEN.parameters))
        found = {row["id"] for row in await made.rows(self.reader, self.scope.sandbox_id, *given)}
        return [each for each in given[0] if each in found]

    @property
    def _key(self) -> str:
        return "profile_id" if self.is_graph else "xid"

    def _made(self, query: Template, where: Sequence[Predicate], *, reads_profiles: bool = False, **gaps: str) -> Made:
        """Return a statement over the people between two ids, and the values behind its own parameters."""
        key, values = self._key, Values(*([None] * len(query.parameters)))
        conditions = values.conditions([*among(key, self.look.candidates), *where])
        profile = people = ""
        if reads_profiles or "kept." in conditions:
            profile = fill(part("search.profile_of_cluster"), key=key, policy=values.bind(self.look.policy.policy_id))
        if self.is_graph:
            people = part("search.graphs")
        else:
            codes = orjson.dumps({str(number): each.code for number, each in self.config.namespaces.items()}).decode()
            people = fill(part("search.primaries_of_cluster"), codes=values.bind(codes))
            conditions = f"and {is_primary('k')}{conditions}"
        filled = {name: fill(text, key=key) if name == "columns" else text for name, text in gaps.items()}
        return Made.of(
            query.filled(key=key, people=people, profile=profile, where=conditions, **filled),
            values,
            len(query.parameters),
        )


def _event_xids(people: Sequence[Any]) -> list[UUID]:
    return [xid for person in people for xid in person["event_xids"]]


def _over_given(where: Condition) -> Predicate:
    """Return a condition over people who are given, at its instant. Attributes of events are worked out of all their events."""
    predicate = _compiled(where.expression)
    return (
        predicate if where.instant is None else predicate._replace(values=at_instant(predicate.values, where.instant))
    )


@lru_cache(maxsize=64)
def _compiled(expression: Expression) -> Predicate:
    return condition(expression, _GIVEN)
