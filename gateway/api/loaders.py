"""One lazily made loader for each `result_by_key`: what the fields of one level ask for goes to the domain in one call.

A `Loaders` lives as long as what it has read may be taken for current: one query, or one field of a mutation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from gateway.api.finished import PEOPLE_PER_PIECE, Budget
from gateway.api.loading import Kept, Loader, Shared, grouped
from gateway.domain.config import api_keys, datasets, identity_settings, sandboxes
from gateway.domain.config.api_keys import ApiKey
from gateway.domain.config.configuration import Configuration
from gateway.domain.facts import batch_lists, batches, ingest_errors
from gateway.domain.facts.batch_lists import BatchFilter, BatchPage
from gateway.domain.facts.batches import Batch
from gateway.domain.facts.ingest_errors import Codes, ErrorPage, IngestError
from gateway.domain.reading import events, identities, identity_graphs, profiles, record_versions, timelines
from gateway.domain.reading.events import Event, EventFilter, EventRequest
from gateway.domain.reading.identities import Identity, Sighting
from gateway.domain.reading.identity_graphs import IdentityGraph, Members
from gateway.domain.reading.profiles import (
    AnyProfile,
    AnyResult,
    InvalidKey,
    Origin,
    Profile,
    ProfileStatus,
    ResultText,
)
from gateway.domain.reading.record_versions import Input, RecordVersion, VersionKey
from gateway.domain.reading.shapes import Shape
from gateway.domain.reading.timelines import FinishedPage, Node, Timeline
from gateway.domain.rules.keyset import Page, Window
from gateway.domain.rules.merge import Fragment
from gateway.domain.rules.scope import Scope
from gateway.domain.work import job_lists
from gateway.domain.work.jobs import Job
from gateway.storage.database import Database

Xids: TypeAlias = tuple[UUID, ...]
"""The members of one person."""


class WantedPage(NamedTuple):
    """What a page of events shows of each, and whether it has a `PageInfo`, and cursors in that."""

    node: Node
    has_info: bool
    has_cursors: bool


Value: TypeAlias = Callable[[AnyProfile, Timeline | None], str]
"""JSON text of something in a profile, and in the page of its events that was asked for."""


class WantedText(NamedTuple):
    """A `Profile` or a `ProfileResult` as JSON text, where the store finishes all that is in it.

    `pattern` has a `%s` for each of the `values`. `without` is the text of a result that has no profile; a `Profile` that is not there has
    none. `timeline`, if there are events in it, reads from the values of the operation's variables which page of them it is, and may raise
    anything that is wrong with those.
    """

    pattern: str
    values: tuple[Value, ...]
    without: Mapping[ProfileStatus, str]
    timeline: Callable[[Any], Timeline] | None

    def of(self, result: AnyResult | InvalidKey, timeline: Timeline | None) -> str | None:
        """The text, None if there is no profile to tell of."""
        profile = result.profile
        if profile is None:
            return self.without.get(result.status)
        return self.pattern % tuple([value(profile, timeline) for value in self.values])


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """What a field wants of documents. It is the field's own, in every request, and equal to nothing else: so it is a key that costs nothing."""

    shape: Shape | None = None  # of each document; None is all of it
    is_glimpse: bool = False  # of profiles nothing else is wanted, and not the identity map
    page: WantedPage | None = None  # of events, where the store can finish it
    text: WantedText | None = None  # of profiles, where the store can finish them
    result: ResultText | None = None  # of results, where it can write them


EVERYTHING: Final = Wanted()


class Sight(NamedTuple):
    """How profiles are looked at: by which policy, and what is wanted of them. Events are there where a text has some."""

    policy_id: UUID
    wanted: Wanted = EVERYTHING
    timeline: Timeline | None = None

    @property
    def text(self) -> WantedText | None:
        """How the profiles are told, if they are not looked into."""
        text = self.wanted.text
        return None if text is None or (text.timeline is not None and self.timeline is None) else text

    @property
    def result(self) -> ResultText | None:
        """How the store writes the results, if it can."""
        return None if self.text is None else self.wanted.result

    def told(self, results: Sequence[AnyResult | InvalidKey]) -> list[str | None] | None:
        """The results as text, None where there is no profile to tell of; None if they are looked into."""
        text, timeline = self.text, self.timeline
        if text is None:
            return None
        if len(results) == 1:
            return [text.of(results[0], timeline)]
        told = {id(result): text.of(result, timeline) for result in results}  # of equal keys once
        return [told[id(result)] for result in results]


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
    """Loaders of all requests that a caller has in hand at the same moment. They keep nothing: whoever asks is answered by a statement
    that begins afterwards."""

    def __init__(self, db: Database, scope: Scope, config: Configuration) -> None:
        self._db = db
        self.scope = scope
        self.config = config

    @cached_property
    def profiles_by_xids(self) -> Shared[Sight, UUID, AnyResult]:
        return Shared(self.read_profiles, people_at_once)

    @cached_property
    def events_by_people(self) -> Shared[EventRequest, Xids, Page[Event]]:
        return Shared(self.read_events, _timelines_at_once)

    @cached_property
    def timelines_by_people(self) -> Shared[Timeline, Xids, FinishedPage]:
        return Shared(self.read_timelines, _nodes_at_once)

    async def read_profiles(self, sight: Sight, xids: Sequence[UUID]) -> Sequence[AnyResult]:
        policy = self.config.policy(sight.policy_id)
        shape, timeline = sight.wanted.shape, sight.timeline
        if shape is not None and (sight.wanted.is_glimpse or timeline is not None):
            return await profiles.glimpse_profiles(
                self._db, self.scope, self.config, policy, xids, wanted=shape, timeline=timeline
            )
        return await profiles.read_profiles(self._db, self.scope, self.config, policy, xids, wanted=shape)

    async def read_events(self, asked: EventRequest, people: Sequence[Xids]) -> list[Page[Event]]:
        return await events.list_events(self._db, self.scope, people, asked)

    async def read_timelines(self, timeline: Timeline, people: Sequence[Xids]) -> list[FinishedPage]:
        return await timelines.list_timelines(self._db, self.scope, people, timeline)


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

    # -------------------------------------------------------------------------------------------- jobs

    @cached_property
    def job_by_id(self) -> Loader[UUID, Job | None]:
        return Loader(partial(job_lists.read_jobs, self._db, self._scope))

    # -------------------------------------------------------------------------------------------- identities

    @cached_property
    def identity_by_xid(self) -> Loader[UUID, Identity | None]:
        return Loader(partial(identities.read_identities, self._db, self._scope))

    @cached_property
    def primary_by_xid(self) -> Loader[UUID, bool]:
        return Loader(partial(identities.read_primaries, self._db, self._scope))

    @cached_property
    def sighting_by_xid(self) -> Loader[UUID, Sighting | None]:
        return Loader(partial(identities.read_sightings, self._db, self._scope))

    @cached_property
    def members_by_xid(self) -> Loader[UUID, Members | None]:
        return Loader(partial(identity_graphs.find_members, self._db, self._scope, self._config))

    @cached_property
    def graph_by_members(self) -> Loader[Members, IdentityGraph]:
        read, budget = partial(identity_graphs.read_graphs, self._db, self._scope, self._config), self.budget
        return Loader(lambda members: budget.read(members, read, _size_of_graph))

    # -------------------------------------------------------------------------------------------- profiles and events

    @cached_property
    def profiles_by_xids(self) -> Kept[Sight, UUID, AnyResult]:
        """By how they are looked at, and the xids of all that a field asks for."""
        return Kept(self._shared.profiles_by_xids, self.budget, _size_of_result)

    @cached_property
    def origin_by_profile(self) -> Loader[Profile, Origin]:
        return Loader(partial(profiles.read_origins, self._db, self._scope))

    @cached_property
    def fragments_by_members(self) -> Loader[tuple[UUID, ...], list[Fragment]]:
        read, budget = partial(profiles.read_fragments, self._db, self._scope), self.budget
        return Loader(lambda members: budget.read(members, read, _size_of_fragments, FRAGMENTS_AT_ONCE))

    @cached_property
    def record_versions_by_people(self) -> Loader[tuple[Window, Xids], Page[RecordVersion]]:
        """By the page that is asked for, and the members of each person."""
        read, budget = partial(_list_versions, self._db, self._scope), self.budget

        async def read_pieces(window: Window, people: Sequence[Xids]) -> list[Page[RecordVersion]]:
            piece = max(1, VERSIONS_AT_ONCE // max(1, window.size))
            return await budget.read(people, partial(read, window), _size_of_versions, piece)

        return Loader(grouped(read_pieces))

    @cached_property
    def record_version_count_by_people(self) -> Loader[Xids, int]:
        return Loader(partial(record_versions.count_record_versions, self._db, self._scope))

    @cached_property
    def input_by_version(self) -> Loader[VersionKey, Input | None]:
        read, budget = partial(record_versions.read_inputs, self._db, self._scope), self.budget
        return Loader(lambda keys: budget.read(keys, read, _size_of_input, INPUTS_AT_ONCE))

    @cached_property
    def events_by_people(self) -> Kept[EventRequest, Xids, Page[Event]]:
        """By what is asked for, and the members of each person."""
        return Kept(self._shared.events_by_people, self.budget, _size_of_page)

    @cached_property
    def timelines_by_people(self) -> Kept[Timeline, Xids, FinishedPage]:
        """The same as finished JSON."""
        return Kept(self._shared.timelines_by_people, self.budget, _size_of_nodes)

    @cached_property
    def event_count_by_members(self) -> Loader[tuple[EventFilter, Xids], int]:
        return Loader(grouped(partial(_count_events, self._db, self._scope)))


# ------------------------------------------------------------------------------------------------ sizes


def size_of_profile(profile: AnyProfile) -> int:
    """Bytes of what was read of a profile, about."""
    timeline = len(profile.timeline.nodes) if profile.timeline else 0
    if profile.entity is not None:
        return timeline + len(profile.entity)
    return timeline + profile.size


def _size_of_result(result: AnyResult) -> int:
    return size_of_profile(result.profile) if result.profile else 0


def people_at_once(sight: Sight) -> int:
    """How many people one statement reads where many are asked for."""
    return (
        PEOPLE_PER_PIECE if sight.timeline is None else min(PEOPLE_PER_PIECE, _timelines_at_once(sight.timeline.asked))
    )


def _size_of_page(page: Page[Event]) -> int:
    return sum(len(event.text) + len(event.entity or "") for event in page.items)


def _size_of_nodes(page: FinishedPage) -> int:
    return len(page.nodes)


def _timelines_at_once(asked: EventRequest) -> int:
    return max(1, EVENTS_AT_ONCE // max(1, asked.window.size))


def _nodes_at_once(timeline: Timeline) -> int:
    return _timelines_at_once(timeline.asked)


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


async def _count_events(db: Database, scope: Scope, passing: EventFilter, people: Sequence[Xids]) -> list[int]:
    return await events.count_events(db, scope, people, passing)
