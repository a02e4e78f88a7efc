"""Searches: people who satisfy a condition in PQL, page by page.

Nobody knows beforehand how many people have to be looked at until a page is full. So a statement looks at a bounded number of them, a page
takes as many statements as there is time for, and one that ends before it is full says how far it came: the next begins there.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import MergePolicy, PolicyStatus
from gateway.domain.reading.conditions import Condition
from gateway.domain.reading.kept_values import at_one_moment, note_use
from gateway.domain.reading.people import FIRST, LAST
from gateway.domain.reading.people_statements import WHOLE
from gateway.domain.reading.profiles import Profile, project_profiles
from gateway.domain.reading.search_candidates import find_candidates, note_candidates
from gateway.domain.reading.search_of_cluster import look_on_cluster
from gateway.domain.reading.search_statements import Look, Looked, look_at_once
from gateway.domain.rules.keyset import Page, Window, page_of_rows
from gateway.domain.rules.scope import Permission, Scope
from gateway.domain.work.job_lists import read_jobs
from gateway.errors import Timeout, Unavailable
from gateway.projection.tree import Projection
from gateway.storage.database import Database

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

    async for looked in _look(db, scope, config, search, asked=asked, missing=missing):
        found += looked.ids
        last = looked.last if missing() else None
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
    async for looked in _look(db, scope, config, search, asked=Window()):
        count, last = count + looked.total, looked.last
    if last is not None:
        raise Timeout(f"{_SLOW} Leave `totalCount` out, and go through the pages.")
    return count


# ------------------------------------------------------------------------------------------------


async def _look(
    db: Database,
    scope: Scope,
    config: Configuration,
    search: Search,
    *,
    asked: Window,
    missing: Callable[[], int] | None = None,
) -> AsyncIterator[Looked]:
    """Yield what is found among some people after the other, until nobody is left or the time is over.

    Each time as many people are read as are `missing`; without that they are counted.
    """
    policy, clock = search.policy, asyncio.get_running_loop()
    at = search.where.instant or datetime.now(UTC)  # without one, the condition is the same at any
    candidates = await find_candidates(db, scope, policy, search.where.expression, at)
    after, before = asked.bounds(UUID)
    look = Look(
        policy,
        search.where,
        candidates.profile_ids,
        after or FIRST,
        before or LAST,
        search.people,
        None,
        asked.backward,
    )
    due = clock.time() + search.seconds
    names = (
        frozenset[str]() if db.is_distributed else search.where.attributes
    )  # a cluster works values out with the condition
    for number in itertools.count():
        look = look._replace(size=missing and missing())
        async with at_one_moment(db, scope, config, policy, names) as known:
            try:
                looking = (
                    look_on_cluster(db, scope, config, look) if db.is_distributed else look_at_once(known, scope, look)
                )
                looked = await looking
            except Timeout as error:
                raise Timeout(_SLOW) from error
        if not looked.is_current:
            raise Unavailable("The merge policy has just changed; try again.")
        if number == 0:
            await note_candidates(db, scope, policy, candidates, at)
            await note_use(db, scope, known, at)
        yield looked
        if looked.last is None or (missing and not missing()) or clock.time() > due:
            return
        look = look._replace(before=looked.last) if asked.backward else look._replace(after=looked.last)
