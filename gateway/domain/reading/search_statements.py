"""The statement of a search on one Postgres: how far it looks, and who is found there, in one."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from gateway.domain.config.policies import IdentityGraphType, MergePolicy
from gateway.domain.reading.conditions import Condition
from gateway.domain.reading.identities import is_primary
from gateway.domain.reading.kept_values import KnownValues, document_part, values_of
from gateway.domain.reading.statements import Made
from gateway.domain.rules.scope import Permission, Scope
from gateway.projection.predicates import Predicate, Values
from gateway.storage.queries import Template, fill, part, template

FIND = template("search.find_people")
COUNT = template("search.count_people")


class Look(NamedTuple):
    """One look of a search: at the first `people` people between two ids, from the one or from the other, or at all `candidates` there.

    It finds the ids of up to `size` people who satisfy the condition; without a size, how many they are.
    """

    policy: MergePolicy
    where: Condition
    candidates: list[UUID] | None
    after: UUID
    before: UUID
    people: int
    size: int | None
    backward: bool

    @property
    def graph(self) -> IdentityGraphType:
        """The kind of graph whose people are looked at."""
        return self.policy.settings.identity_graph


class Looked(NamedTuple):
    """What a look found: the `ids` of people, or their `total`; `last` is the last one looked at, None where nobody is left behind.

    `is_current`: the policy still had the version that was asked for.
    """

    is_current: bool
    last: UUID | None
    ids: Sequence[UUID] = ()
    total: int = 0


async def look_at_once(known: KnownValues, scope: Scope, look: Look) -> Looked:
    """Look at some people in one statement, not on a cluster. Needs `profile:read`. Raises Forbidden, BadPql, Timeout, Unavailable."""
    scope.require(Permission.PROFILE_READ)
    query, size = (COUNT, ()) if look.size is None else (FIND, (look.size,))
    where = [look.where.predicate]
    statement = statement_of(query, look.graph, where, look.candidates, values_of(known), backward=look.backward)
    policy = look.policy
    given = (policy.policy_id, policy.version, look.after, look.before, look.people)
    return Looked(**dict(await statement.row(known.reader, scope.sandbox_id, *given, *size)))


def statement_of(
    query: Template,
    graph: IdentityGraphType,
    where: Sequence[Predicate],
    candidates: list[UUID] | None = None,
    kept: Sequence[Any] = (),
    *,
    backward: bool,
) -> Made:
    """Return a statement that searches all people of a kind of graph, and the values behind its own parameters.

    With `candidates` it looks at these people alone, and at all of them at once. `kept`: what `values_of` gives for conditions on attributes.
    """
    values = Values(*([None] * len(query.parameters)))
    is_graph = graph is IdentityGraphType.PDG
    key, table = ("profile_id", "graph") if is_graph else ("xid", "identity")
    conditions = values.conditions([*among(key, candidates), *where])
    direction, end = ("desc", "$4") if backward else ("asc", "$5")
    computed = document_part(key).format(*map(values.bind, kept)) if kept else ""
    gaps = {
        "is_kept": part("people.is_current"),
        "people": part("search.graphs" if is_graph else "search.primaries"),
        "profile": part("people.profile") if "kept." in conditions else "",
        "computed": computed,
        "key": key,
        "low": "reach.bound" if backward else "$4",
        "high": "$5" if backward else "reach.bound",
        "where": conditions if is_graph else f"and {is_primary('k')}{conditions}",
        "direction": direction,
        "reach": fill(
            part("search.reach" if candidates is None else "search.whole"),
            key=key,
            table=table,
            end=end,
            direction=direction,
        ),
    }
    return Made.of(query.filled(**gaps), values, len(query.parameters))


def among(key: str, candidates: list[UUID] | None) -> list[Predicate]:
    """Return the condition that somebody is one of the candidates that an index has found; none without candidates."""
    return [] if candidates is None else [Predicate(fill(part("search.among"), key=key, place="{0}"), (candidates,))]
