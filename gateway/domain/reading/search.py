"""Searches: people who satisfy a condition in PQL, page by page.

Nobody knows beforehand how many people have to be looked at until a page is full. So a statement looks at a bounded number of them, a page
takes as many statements as there is time for, and one that ends before it is full says how far it came: the next begins there.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import IdentityGraphType, MergePolicy, PolicyStatus
from gateway.domain.reading.conditions import Condition
from gateway.domain.reading.identities import is_primary
from gateway.domain.reading.kept_values import at_one_moment, document_part, note_use, values_of
from gateway.domain.reading.people import FIRST, LAST
from gateway.domain.reading.people_statements import WHOLE
from gateway.domain.reading.profiles import Profile, project_profiles
from gateway.domain.reading.search_candidates import find_candidates, note_candidates
from gateway.domain.reading.statements import Made
from gateway.domain.rules.keyset import Page, Window, page_of_rows
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work.job_lists import read_jobs
from gateway.errors import BadInput, Timeout, Unavailable
from gateway.projection.predicates import Predicate, Values
from gateway.projection.tree import Projection
from gateway.storage.database import Database
from gateway.storage.queries import Query, fill, part, query

FIND = query("search.find_people")
COUNT = query("search.count_people")

MAX_VALUES: Final = 500_000
"""Values that one statement may compute, by the cost of its condition: about a second's."""
MAX_PEOPLE: Final = 10_000
"""People that one statement looks at."""

_SLOW: Final = (
    "Searching for these people took too long. A condition on fields of the profile is faster than one on events, "
    "and one on the events of some days than one on all; `checkExpression` tells what a condition costs."
)


class Search(NamedTuple):
    """A search for people who satisfy a condition under a policy. `seconds`: how long a page or a count may take."""

    policy: MergePolicy
    where: Condition
    seconds: float

    @property
    def people(self) -> int:
        """How many people one statement looks at."""
        return max(1, min(MAX_PEOPLE, MAX_VALUES // self.where.expression.cost))


async def check_search(db: Database, scope: Scope, policy: MergePolicy) -> None:
    """Check that people can be searched for under a policy.

    Raises BadInput for one that keeps no profiles, and Unavailable while they are being merged, which tells how far that is.
    """
    policy.require_kept("`where`")
    if policy.status is PolicyStatus.BUILDING:
        jobs = await read_jobs(db, scope, [policy.job_id]) if policy.job_id else []
        found = "".join(f" {each.done:,} of {each.total:,} people are done." for each in jobs if each and each.total)
        raise Unavailable(f"The profiles of this policy are still being merged.{found} Try again when it is ACTIVE.")
    if db.is_distributed:
        raise BadInput("`where` is not available on a cluster: events are on other nodes than the people they are of.")


async def find_profiles(
    db: Database, scope: Scope, config: Configuration, search: Search, asked: Window, *, projection: Projection = WHOLE
) -> Page[Profile]:
    """List a page of the people who are searched for by their ids, which are the keys, as `project_profiles` reads them.

    A page may end before it is full, and tells where; the list goes on behind it. People who are merged or split just now may be left out. Needs `profile:read`. Raises Forbidden, BadCursor, BadInput, Unavailable, Timeout.
    """
    scope.require(Permission.PROFILE_READ)
    await check_search(db, scope, search.policy)
    found, last = list[UUID](), None

    def missing() -> int:
        return asked.fetch - len(found)

    async for row in _rows(db, scope, config, search, asked=asked, missing=missing):
        found += row["ids"]
        last = row["last"] if missing() else None
    page = page_of_rows(found, asked)
    results = await project_profiles(db, scope, config, search.policy, page.items, projection=projection)
    pairs = zip(page.items, results, strict=True)
    same = [each.profile for xid, each in pairs if each.profile and each.profile.profile_id == xid]
    start, end = [((page.items[place],) if page.items else None) for place in (0, -1)]
    if last is None:
        return Page(same, page.has_next, page.has_previous, start, end)
    if asked.backward:
        return Page(same, page.has_next, has_previous=True, start=(last,), end=end)
    return Page(same, has_next=True, has_previous=page.has_previous, start=start, end=(last,))


async def count_profiles(db: Database, scope: Scope, config: Configuration, search: Search) -> int:
    """Count the people who are searched for. Needs `profile:read`. Raises Forbidden, BadInput, Unavailable, Timeout."""
    scope.require(Permission.PROFILE_READ)
    await check_search(db, scope, search.policy)
    count, last = 0, None
    async for row in _rows(db, scope, config, search, asked=Window()):
        count, last = count + row["count"], row["last"]
    if last is not None:
        raise Timeout(f"{_SLOW} Leave `totalCount` out, and go through the pages.")
    return count


# ------------------------------------------------------------------------------------------------


async def _rows(
    db: Database,
    scope: Scope,
    config: Configuration,
    search: Search,
    *,
    asked: Window,
    missing: Callable[[], int] | None = None,
) -> AsyncIterator[Any]:
    """Yield what one statement after the other finds, until nobody is left or the time is over.

    Each reads as many people as are `missing`; without that they count.
    """
    policy, clock, query = search.policy, asyncio.get_running_loop(), COUNT if missing is None else FIND
    where, graph = [search.where.predicate], policy.settings.identity_graph
    at = search.where.instant or datetime.now(UTC)  # without one, the condition is the same at any
    candidates = await find_candidates(db, scope, policy, search.where.expression, at)
    after, before = asked.bounds(UUID)
    after, before, due = after or FIRST, before or LAST, clock.time() + search.seconds
    for number in itertools.count():
        given = (policy.policy_id, policy.version, after, before, search.people)
        size = () if missing is None else (missing(),)
        async with at_one_moment(db, scope, config, policy, search.where.attributes) as known:
            kept = values_of(known)
            statement = statement_of(query, graph, where, candidates.profile_ids, kept, backward=asked.backward)
            try:
                row = await statement.row(known.reader, scope.sandbox_id, *given, *size)
            except Timeout as error:
                raise Timeout(_SLOW) from error
        if not row["is_current"]:
            raise Unavailable("The merge policy has just changed; try again.")
        if number == 0:
            await note_candidates(db, scope, policy, candidates, at)
            await note_use(db, scope, known, at)
        yield row
        if row["last"] is None or (missing and not missing()) or clock.time() > due:
            return
        after, before = (after, row["last"]) if asked.backward else (row["last"], before)


def statement_of(
    query: Query,
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
    among = Predicate(fill(part("search.among"), key=key, place="{0}"), (candidates,))
    conditions = values.conditions(where if candidates is None else [among, *where])
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
