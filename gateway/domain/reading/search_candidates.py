"""Candidates of a search: the people that an index finds for one part of its condition, before the whole of it decides.

A search that an index could have served, had there been one, asks for it, in a sandbox with many people. Candidates are read before the
search reads: who comes to match between the two is left out, as somebody is who came just after the search.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from gateway.domain.config.policies import IdentityGraphType, MergePolicy
from gateway.domain.config.search_indexes import SearchIndex, list_search_indexes, request_search_index
from gateway.domain.reading.identities import read_known_identities
from gateway.domain.rules.limits import SEARCH_INDEXES
from gateway.domain.rules.scope import Permission, Scope
from gateway.pql.indexes import Access, accesses, condition_of, order_of
from gateway.pql.inputs import Inputs
from gateway.pql.sql import written
from gateway.pql.typed import Expression
from gateway.storage.database import Database, Reader
from gateway.storage.queries import Query, fill, part, query, template

FIND_PEOPLE = template("search_candidates.find_people")
FIND_BY_EVENTS = template("search_candidates.find_by_events")
HAS_PEOPLE = query("search_candidates.has_people")
NOTE_USE = query("search_indexes.note_use")

MAX_CANDIDATES: Final = 5_000
"""People, or events of people, that are taken from an index. Where there are more, a search goes through everybody in the order of its page."""

MANY_PEOPLE: Final = 10_000
"""From how many people on a search asks for an index: fewer are gone through as fast."""

_IDENTITY, _OF_SANDBOX, _OF_POLICY = (
    part(f"search_candidates.{name}") for name in ("identity", "of_sandbox", "of_policy")
)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Candidates:
    """`profile_ids`: some people, and all those among them for which the condition holds; None if no index tells. `used`: the index that did.

    `missing`: a way that an index would have served, which there is not.
    """

    profile_ids: list[UUID] | None
    used: SearchIndex | None = None
    missing: Access | None = None


async def find_candidates(
    db: Reader, scope: Scope, policy: MergePolicy, expression: Expression, at: datetime
) -> Candidates:
    """Find the people that may meet a condition on profiles at a time, by the indexes that there are. Needs `profile:read`.

    Under a policy without a graph the ids are xids. Raises Forbidden.
    """
    scope.require(Permission.PROFILE_READ)
    ways = accesses(expression)
    if not ways:
        return Candidates(None)
    kept = await list_search_indexes(db, scope)
    missing = None
    for way in ways:
        index = next((each for each in kept if each.is_over(policy.policy_id, way.leaf)), None)
        if index is None:
            missing = missing or way
        elif index.is_ready:
            found = await _found_by(db, scope, policy, expression, way, at=at)
            if found is not None:
                return Candidates(found, index)
    return Candidates(None, missing=missing if len(kept) < SEARCH_INDEXES else None)


async def note_candidates(db: Database, scope: Scope, policy: MergePolicy, found: Candidates, at: datetime) -> None:
    """Note that an index was used at a time, once a day; ask for one that was missing, where a search goes through many people. Needs no permission."""
    if found.used is not None and found.used.used_at < at - _DAY:
        async with db.transaction(scope.sandbox_id) as tx:
            await tx.execute(NOTE_USE, scope.sandbox_id, found.used.index_id)
    if found.missing is not None and await db.value(HAS_PEOPLE, scope.sandbox_id, MANY_PEOPLE):
        await request_search_index(db, scope, policy, found.missing.leaf)


def owner_of(scope: Scope, policy_id: UUID | None) -> str:
    """Return SQL of whose rows an index has: those of the sandbox, under this policy or, without one, its events."""
    if policy_id is None:
        return fill(_OF_SANDBOX, sandbox=f"{scope.sandbox_id:d}")
    return fill(_OF_POLICY, sandbox=f"{scope.sandbox_id:d}", policy=str(policy_id))


def statement_of(
    scope: Scope, policy: MergePolicy, expression: Expression, way: Access, *, by_identity: bool = False
) -> tuple[Query, Sequence[Any]]:
    """Return the statement that reads the people of an access, and the values behind its own parameters.

    Under a policy without a graph, or `by_identity`, the people of an access to events are identities.
    """
    statement = FIND_BY_EVENTS if way.leaf.is_of_events else FIND_PEOPLE
    inputs = Inputs("null", "$2::timestamptz", len(statement.parameters))
    condition = written(expression, inputs, lambda source: condition_of(way, source))
    of = owner_of(scope, None if way.leaf.is_of_events else policy.policy_id)
    gaps = {"of": of, "condition": condition.sql, "in_order": order_of(way)}
    if way.leaf.is_of_events:
        has_graph = policy.settings.identity_graph is IdentityGraphType.PDG and not by_identity
        gaps |= {"subject": "i.profile_id" if has_graph else "c.xid", "identity": _IDENTITY if has_graph else ""}
    return statement.filled(**gaps), condition.values


async def _found_by(
    db: Reader, scope: Scope, policy: MergePolicy, expression: Expression, way: Access, *, at: datetime
) -> list[UUID] | None:
    """Return the ids of the people that an access finds; None if there may be more."""
    has_graph = policy.settings.identity_graph is IdentityGraphType.PDG
    by_identity = db.is_distributed and has_graph and way.leaf.is_of_events  # whose person is on another node
    statement, values = statement_of(scope, policy, expression, way, by_identity=by_identity)
    rows = await db.rows(statement, scope.sandbox_id, at, MAX_CANDIDATES + 1, *values)
    if not way.leaf.is_of_events:
        return [row["profile_id"] for row in rows] if len(rows) <= MAX_CANDIDATES else None
    if rows and rows[0]["looked_at"] > MAX_CANDIDATES:
        return None
    events = Counter[UUID]()
    known = await read_known_identities(db, scope, [row["profile_id"] for row in rows]) if by_identity else {}
    for subject, count, _ in rows:
        identity = known.get(subject)
        profile_id = identity and identity.profile_id if by_identity else subject
        if profile_id is not None:
            events[profile_id] += count
    return [profile_id for profile_id, count in events.items() if count >= way.least]
