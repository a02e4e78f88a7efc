"""One lazily made loader for each `result_by_key`: what the fields of one level ask for goes to the domain in one call.

A `Loaders` lives as long as what it has read may be taken for current: one query, or one field of a mutation.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from operator import attrgetter
from typing import Final, TypeAlias, TypeVar
from uuid import UUID

import orjson

from gateway.api.finished import PEOPLE_PER_PIECE, Budget
from gateway.api.loading import Alike, Kept, Loader, Shared, grouped
from gateway.domain.config import api_keys, datasets, identity_settings, sandboxes, search_indexes
from gateway.domain.config.api_keys import ApiKey
from gateway.domain.config.configuration import Configuration
from gateway.domain.config.search_indexes import SearchIndex
from gateway.domain.facts import batch_lists, batches, ingest_errors
from gateway.domain.facts.batch_lists import BatchFilter, BatchPage
from gateway.domain.facts.batches import Batch
from gateway.domain.facts.ingest_errors import Codes, ErrorPage, IngestError
from gateway.domain.operations import export_jobs, projection_centers
from gateway.domain.operations.export_jobs import ExportJob
from gateway.domain.reading import events, identities, identity_graphs, profiles, record_versions
from gateway.domain.reading.events import Event, EventFilter, EventRequest
from gateway.domain.reading.identities import Identity, Sighting
from gateway.domain.reading.identity_graphs import IdentityGraph, Members
from gateway.domain.reading.partial_reads import failing_per_key, owners_of_people, read_available, unavailable
from gateway.domain.reading.profiles import Origin, Profile, ProfileResult
from gateway.domain.reading.record_versions import Input, RecordVersion, VersionKey
from gateway.domain.reading.statements import kinds_of
from gateway.domain.rules.keyset import Page, Window
from gateway.domain.rules.merge import Fragment
from gateway.domain.rules.scope import Scope
from gateway.domain.work import job_lists
from gateway.domain.work.jobs import Job
from gateway.errors import Unavailable
from gateway.projection.evaluate import evaluate
from gateway.projection.tree import Page as PageNode
from gateway.projection.tree import Projection
from gateway.storage.database import Database

V = TypeVar("V")

Xids: TypeAlias = tuple[UUID, ...]
"""The members of one person."""


ProfileQuery: TypeAlias = tuple[UUID, Projection]
"""How profiles are read: by the policy with this id, and what of each."""

EventQuery: TypeAlias = tuple[EventRequest, Projection]
"""Which page of events is read, and what of each event."""


EVENTS_AT_ONCE: Final = 2_500
"""Events that one statement reads for one request; one has up to 10 kB."""

FRAGMENTS_AT_ONCE: Final = 50
"""People whose records one statement reads where many are asked for; each has some, of up to 100 kB."""


VERSIONS_AT_ONCE: Final = 2_500
"""Versions of records that one statement lists for one request, without what was sent."""

INPUTS_AT_ONCE: Final = 250
"""Versions of records of which one statement reads what was sent; each has up to 100 kB."""

LINK_BYTES, VERSION_BYTES = 200, 200
"""Bytes of a link, and of a version without what was sent, in an answer, about."""


class CoalescedLoaders:
    """Loaders of all requests that a caller has in hand at the same moment. They keep nothing: each is answered by a statement
    that begins afterwards."""

    def __init__(self, db: Database, scope: Scope, config: Configuration) -> None:
        self._db = db
        self.scope = scope
        self.config = config

    @cached_property
    def profiles_by_xids(self) -> Shared[ProfileQuery, UUID, ProfileResult | str | None]:
        return Shared(self.read_profiles, people_at_once, Alike(_kind_of_profiles, self.read_profiles_alike))

    @cached_property
    def events_by_people(self) -> Shared[EventQuery, Xids, Page[Event] | Unavailable]:
        return Shared(self.read_events, lambda asked: _pages_at_once(asked[0].window.size))

    @cached_property
    def event_lists_by_people(self) -> Shared[PageNode, Xids, str | Unavailable]:
        return Shared(self.read_event_lists, lambda page: _pages_at_once(page.rows.size))

    async def read_profiles(self, asked: ProfileQuery, xids: Sequence[UUID]) -> Sequence[ProfileResult | str | None]:
        """Read what is asked for of the profile of each xid; a result without a profile for people on a node of a cluster that is away."""
        policy, projection = self.config.policy(asked[0]), asked[1]
        project = profiles.project_texts if projection.is_text else profiles.project_profiles
        place = self._db, self.scope, self.config

        async def read(some: Sequence[UUID]) -> Sequence[ProfileResult | str | None]:
            return await project(*place, policy, some, projection=projection)

        return await read_available(self._db, xids, read=read, owners=owners_of_people(*place), stand_in=unavailable)

    async def read_profiles_alike(
        self, groups: Sequence[tuple[ProfileQuery, Sequence[UUID]]]
    ) -> list[list[ProfileResult | str | None]] | None:
        """Read profiles by projections that differ in values of conditions alone, such as cursors; None where one statement cannot."""
        policy = self.config.policy(groups[0][0][0])
        asked = [(xid, projection) for (_, projection), xids in groups for xid in xids]
        texts = await profiles.project_texts_alike(self._db, self.scope, self.config, policy, asked)
        rest = iter(texts or ())
        return None if texts is None else [list(islice(rest, len(xids))) for _, xids in groups]

    async def read_events(self, asked: EventQuery, people: Sequence[Xids]) -> Sequence[Page[Event] | Unavailable]:
        """Read the page that is asked for of each person's events."""

        async def read(some: Sequence[Xids]) -> list[Page[Event]]:
            return await events.list_events(self._db, self.scope, some, *asked)

        return await failing_per_key(self._db, read, _members)(people)

    async def read_event_lists(self, page: PageNode, people: Sequence[Xids]) -> Sequence[str | Unavailable]:
        """Read a page of each person's events as JSON."""

        async def read(some: Sequence[Xids]) -> list[str]:
            lists = await events.read_lists(self._db, self.scope, some, [page])
            return [orjson.dumps(evaluate(page, None, each)).decode() for each in lists]

        return await failing_per_key(self._db, read, _members)(people)


class Loaders:
    """The loaders of one request."""

    def __init__(
        self, db: Database, scope: Scope, config: Configuration, shared: CoalescedLoaders, answer_bytes: int
    ) -> None:
        self._db = db
        self._scope = scope
        self._config = config
        self._shared = shared
        self.budget = Budget(answer_bytes)
        self.profiles_by_xids: Kept[ProfileQuery, UUID, ProfileResult | str | None] = Kept(
            shared.profiles_by_xids, self.budget, size_of_profile, attrgetter("bytes")
        )
        """By how they are read, and the xids of all that a field asks for; JSON texts where the projection is one. Most requests ask for it."""

    def give_up(self) -> None:
        """Cancel what is being read, unless other requests wait for it, too."""
        for each in vars(self).values():
            if isinstance(each, Loader | Kept):
                each.give_up()

    # -------------------------------------------------------------------------------------------- sandboxes and keys

    @cached_property
    def settings_by_sandbox(self) -> Loader[int, identity_settings.IdentitySettings | None]:
        return Loader(partial(identity_settings.read_identity_settings, self._db, self._scope))

    @cached_property
    def expiry_by_sandbox(self) -> Loader[int, sandboxes.PseudonymousExpiry | None]:
        return Loader(partial(sandboxes.read_expiries, self._db, self._scope))

    @cached_property
    def api_key_by_id(self) -> Loader[UUID, ApiKey | None]:
        return Loader(partial(api_keys.read_api_keys, self._db, self._scope))

    # -------------------------------------------------------------------------------------------- datasets and batches

    @cached_property
    def record_count_by_dataset(self) -> Loader[UUID, int]:
        return Loader(partial(datasets.count_records, self._db, self._scope))

    @cached_property
    def batch_by_id(self) -> Loader[UUID, Batch | None]:
        return Loader(partial(batches.read_batches, self._db, self._scope))

    @cached_property
    def batches_by_dataset(self) -> Loader[tuple[BatchPage, UUID], Page[Batch]]:
        return Loader(grouped(partial(batch_lists.list_batches_of_datasets, self._db, self._scope)))

    @cached_property
    def batch_count_by_dataset(self) -> Loader[tuple[BatchFilter, UUID], int]:
        return Loader(grouped(partial(batch_lists.count_batches_of_datasets, self._db, self._scope)))

    @cached_property
    def errors_by_batch(self) -> Loader[tuple[ErrorPage, UUID], Page[IngestError]]:
        return Loader(grouped(partial(ingest_errors.list_errors, self._db, self._scope)))

    @cached_property
    def error_count_by_batch(self) -> Loader[tuple[Codes, UUID], int]:
        return Loader(grouped(partial(ingest_errors.count_errors, self._db, self._scope)))

    @cached_property
    def delivery_errors_by_projection(self) -> Loader[UUID, Mapping[str, str]]:
        return Loader(partial(projection_centers.read_delivery_errors, self._db, self._scope))

    # -------------------------------------------------------------------------------------------- jobs

    @cached_property
    def job_by_id(self) -> Loader[UUID, Job | None]:
        return Loader(partial(job_lists.read_jobs, self._db, self._scope))

    @cached_property
    def export_job_by_id(self) -> Loader[UUID, ExportJob | None]:
        return Loader(partial(export_jobs.read_export_jobs, self._db, self._scope))

    # -------------------------------------------------------------------------------------------- indexes for searches

    @cached_property
    def search_index_by_id(self) -> Loader[UUID, SearchIndex | None]:
        return Loader(partial(search_indexes.read_search_indexes, self._db, self._scope))

    # -------------------------------------------------------------------------------------------- identities

    @cached_property
    def identity_by_xid(self) -> Loader[UUID, Identity | None]:
        return Loader(failing_per_key(self._db, partial(identities.read_identities, self._db, self._scope), _alone))

    @cached_property
    def primary_by_xid(self) -> Loader[UUID, bool]:
        return Loader(failing_per_key(self._db, partial(identities.read_primaries, self._db, self._scope), _alone))

    @cached_property
    def sighting_by_xid(self) -> Loader[UUID, Sighting | None]:
        return Loader(failing_per_key(self._db, partial(identities.read_sightings, self._db, self._scope), _alone))

    @cached_property
    def members_by_xid(self) -> Loader[UUID, Members | None]:
        return Loader(partial(identity_graphs.find_members, self._db, self._scope, self._config))

    @cached_property
    def graph_by_members(self) -> Loader[Members, IdentityGraph]:
        """By the members of each person."""
        read = failing_per_key(
            self._db, partial(identity_graphs.read_graphs, self._db, self._scope, self._config), attrgetter("xids")
        )
        budget = self.budget
        return Loader(lambda members: budget.read(members, read, _unless_away(_size_of_graph)))

    # -------------------------------------------------------------------------------------------- profiles and events

    @cached_property
    def origin_by_profile(self) -> Loader[Profile, Origin]:
        return Loader(
            failing_per_key(self._db, partial(profiles.read_origins, self._db, self._scope), attrgetter("person.xids"))
        )

    @cached_property
    def fragments_by_members(self) -> Loader[tuple[UUID, ...], list[Fragment]]:
        """By the members of each person."""
        read = failing_per_key(self._db, partial(profiles.read_fragments, self._db, self._scope), _members)
        budget = self.budget
        return Loader(lambda members: budget.read(members, read, _unless_away(_size_of_fragments), FRAGMENTS_AT_ONCE))

    @cached_property
    def record_versions_by_people(self) -> Loader[tuple[Window, Xids], Page[RecordVersion]]:
        """By the page that is asked for, and the members of each person."""
        db, read, budget = self._db, partial(_list_versions, self._db, self._scope), self.budget

        async def read_pieces(window: Window, people: Sequence[Xids]) -> list[Page[RecordVersion] | Unavailable]:
            piece = max(1, VERSIONS_AT_ONCE // max(1, window.size))
            reading = failing_per_key(db, partial(read, window), _members)
            return await budget.read(people, reading, _unless_away(_size_of_versions), piece)

        return Loader(grouped(read_pieces))

    @cached_property
    def record_version_count_by_people(self) -> Loader[Xids, int]:
        return Loader(
            failing_per_key(self._db, partial(record_versions.count_record_versions, self._db, self._scope), _members)
        )

    @cached_property
    def input_by_version(self) -> Loader[VersionKey, Input | None]:
        """By the keys of versions."""
        read, budget = partial(record_versions.read_inputs, self._db, self._scope), self.budget
        return Loader(lambda keys: budget.read(keys, read, _size_of_input, INPUTS_AT_ONCE))

    @cached_property
    def events_by_people(self) -> Kept[EventQuery, Xids, Page[Event] | Unavailable]:
        """By what is asked for, and the members of each person."""
        return Kept(self._shared.events_by_people, self.budget, _unless_away(_size_of_page))

    @cached_property
    def event_lists_by_people(self) -> Kept[PageNode, Xids, str | Unavailable]:
        """Whole connections as JSON, by the page and the members of each person."""
        return Kept(self._shared.event_lists_by_people, self.budget, _unless_away(len))

    @cached_property
    def event_count_by_members(self) -> Loader[tuple[EventFilter, Xids], int]:
        return Loader(grouped(partial(_count_events, self._db, self._scope)))


# ------------------------------------------------------------------------------------------------ whose rows are read for a key


def _alone(xid: UUID) -> Xids:
    return (xid,)


def _members(xids: Xids) -> Xids:
    return xids


# ------------------------------------------------------------------------------------------------ sizes


def size_of_profile(read: ProfileResult | Profile | str | None) -> int:
    """Return the bytes of what was read of a profile, about."""
    if read is None or isinstance(read, str):
        return len(read or "")
    profile = read.profile if isinstance(read, ProfileResult) else read
    return sum(map(_size_of_part, read.parts)) if read.parts is not None else profile.size if profile else 0


def _unless_away(size: Callable[[V], int]) -> Callable[[V | Unavailable], int]:
    """Return the function that gives the size of a value, and none of an error in its place."""
    return lambda value: 0 if isinstance(value, Unavailable) else size(value)


def _size_of_part(part: str | None) -> int:
    return 0 if part is None else len(part)


def people_at_once(asked: ProfileQuery) -> int:
    """Return how many people one statement reads where many are asked for."""
    return _pages_at_once(max(asked[1].page_size, EVENTS_AT_ONCE // PEOPLE_PER_PIECE))


def _kind_of_profiles(asked: ProfileQuery) -> Hashable:
    """Return what is equal for projections that one statement can read: only values of conditions differ among these."""
    policy_id, projection = asked
    kinds = kinds_of(projection) if projection.is_text else ()
    return (policy_id, projection.structure[0], kinds) if kinds else asked


def _pages_at_once(size: int) -> int:
    return EVENTS_AT_ONCE // (size or 1) or 1


def _size_of_page(page: Page[Event]) -> int:
    return sum(len(event.text) + sum(map(len, event.parts or ())) for event in page.items)


def _size_of_graph(graph: IdentityGraph) -> int:
    return LINK_BYTES * (len(graph.links) + len(graph.refused_links))


def _size_of_versions(page: Page[RecordVersion]) -> int:
    return VERSION_BYTES * len(page.items)


def _size_of_input(sent: Input | None) -> int:
    return 0 if sent is None else sent.size


def _size_of_fragments(fragments: Sequence[Fragment]) -> int:
    return sum(fragment.size for fragment in fragments)


# A loader must not hold the `Loaders` that it belongs to: each request would leave a circle for the garbage collector to find.


async def _list_versions(
    db: Database, scope: Scope, window: Window, people: Sequence[Xids]
) -> list[Page[RecordVersion]]:
    return await record_versions.list_record_versions(db, scope, people, window)


async def _count_events(
    db: Database, scope: Scope, passing: EventFilter, people: Sequence[Xids]
) -> Sequence[int | Unavailable]:
    async def read(some: Sequence[Xids]) -> list[int]:
        return await events.count_events(db, scope, some, passing)

    return await failing_per_key(db, read, _members)(people)
