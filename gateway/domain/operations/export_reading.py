"""What an export reads at its instant: everybody who is wanted, page by page, with what is taken of them.

Where a policy keeps profiles, one statement reads them and keeps them (`export_keeping`); else people are read by those that answer reads and searches.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import MergePolicy
from gateway.domain.operations.export_jobs import Asked, ExportEvents
from gateway.domain.reading.attribute_documents import with_values_of_people
from gateway.domain.reading.events import EventFilter, count_events
from gateway.domain.reading.people_statements import ORIGIN, PERSON, Way
from gateway.domain.reading.profiles import Profile, read_origins, search_profiles, way_kept
from gateway.domain.reading.search import Search, find_profiles
from gateway.domain.reading.subsets import subset
from gateway.domain.rules import selectors
from gateway.domain.rules.keyset import Window
from gateway.domain.rules.scope import Scope
from gateway.projection.tree import Document, Leaf, Node, Projection, computed_in
from gateway.runtime.slices import in_time_slices
from gateway.storage.database import Database
from gateway.xdm.classes import XdmClass

PAGE_SECONDS: Final = 10.0
"""How long a search goes on for one page."""


class People(NamedTuple):
    """Some people: their ids, a JSON text of each on a line, their identity maps; all their identities with the owner of each; and how many events of
    theirs are exported, by the identities under which they are stored."""

    profile_ids: Sequence[UUID]
    lines: str
    identity_maps: Sequence[Mapping[str, Any]]
    xids: Sequence[UUID]
    owners: Sequence[UUID]
    events: Mapping[UUID, int]


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads for an export: in a snapshot of its instant, as a policy sees people, what was asked for."""

    db: Database
    scope: Scope
    config: Configuration
    policy: MergePolicy
    asked: Asked

    @property
    def node(self) -> Node:
        """What is taken of documents."""
        if self.asked.selector is None:
            return Leaf("JSON")
        return subset(self.asked.selector, self.config.full_union(XdmClass.INDIVIDUAL_PROFILE))

    @property
    def way(self) -> Way | None:
        """How a statement reads what is taken of everybody who is wanted; None where people are read one by one."""
        if self.asked.where is not None:
            return None
        return way_kept(self.db, self.config, self.policy, Projection((Document(self.node),), frozenset({ORIGIN})))

    async def people(self, size: int) -> AsyncGenerator[People]:
        """Yield everybody who is wanted, of up to `size` people at a time, read one by one. Raises Unavailable, Timeout."""
        projection, place = Projection((Document(self.node),), frozenset({PERSON, ORIGIN})), (self.db, self.scope)
        window = Window(size)
        while True:
            if self.asked.where is None:
                page = await search_profiles(*place, self.config, self.policy, window, projection=projection)
            else:
                search = Search(self.policy, self.asked.where, PAGE_SECONDS)
                page = await find_profiles(*place, self.config, search, window, projection=projection)
            yield await self._people(await self._wanted(page.items))
            end = page.end or tuple(each.profile_id for each in page.items[-1:])
            if not (page.has_next and end):
                return
            window = window._replace(after=end)

    async def _wanted(self, profiles: Sequence[Profile]) -> list[Profile]:
        """Return those of these people who have records, or may have none, and were last modified when they should."""
        request = self.asked.request
        found = [each for each in profiles if request.empty_profiles or each.person.merged is not None]
        since, until = request.from_ingested_at, request.to_ingested_at
        if since is None and until is None:
            return found
        origins = await read_origins(self.db, self.scope, found)
        return [
            profile
            for profile, origin in zip(found, origins, strict=True)
            if (since is None or origin.modified_at >= since) and (until is None or origin.modified_at < until)
        ]

    async def _people(self, profiles: Sequence[Profile]) -> People:
        """Return what is taken of people: of their documents as it was read, or by the selector of whole ones."""
        if all(profile.parts for profile in profiles):
            lines = [(profile.parts or ())[0] or "{}" for profile in profiles]
        else:
            place, selector = (self.db, self.scope, self.config), self.asked.selector or {}
            documents = await with_values_of_people(*place, computed_in(self.node) or (), profiles)
            lines = await in_time_slices(lambda each: orjson.dumps(selectors.apply(selector, each)).decode(), documents)
        persons = [profile.person for profile in profiles]
        members = [(xid, each.profile_id) for each in persons for xid in each.xids]
        return People(
            [each.profile_id for each in persons],
            "\n".join(lines),
            [orjson.loads(each.identity_map) for each in persons],
            [xid for xid, _ in members],
            [owner for _, owner in members],
            await self._count_events([xid for each in persons for xid in each.event_xids]),
        )

    async def _count_events(self, xids: Sequence[UUID]) -> dict[UUID, int]:
        if self.asked.request.events is None:
            return {}
        members = [(xid,) for xid in xids]
        return dict(zip(xids, await count_events(self.db, self.scope, members, events_of(self.asked)), strict=True))


def events_of(asked: Asked, at: datetime | None = None) -> EventFilter:
    """Return which events of people an export holds that took this instant; without one, of those that are there at it."""
    events, end = asked.request.events or ExportEvents(), at and at + timedelta(microseconds=1)
    return EventFilter(
        ingested_since=events.from_ingested_at,
        ingested_until=min(filter(None, (events.to_ingested_at, end)), default=None),
        where=None if asked.event_where is None else asked.event_where.predicate,
    )
