"""One lazily made loader for each `result_by_key`: what the fields of one level ask for goes to the domain in one call.

A `Loaders` lives as long as what it has read may be taken for current: one query, or one field of a mutation.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import cached_property, partial
from typing import Generic, TypeVar
from uuid import UUID

from aiodataloader import DataLoader

from gateway.domain import batches, datasets, events, identities, links, namespaces, profiles
from gateway.domain.batches import Batch, IngestError
from gateway.domain.configuration import Configuration
from gateway.domain.events import Event, EventFilter, EventRequest
from gateway.domain.identities import Identity, Sighting
from gateway.domain.links import IdentityGraph, Members
from gateway.domain.merge import Fragment
from gateway.domain.namespaces import Namespace
from gateway.domain.pages import Page, Window
from gateway.domain.profiles import Origin, Profile, ProfileResult
from gateway.domain.tenants import Scope
from gateway.storage.database import Database

G = TypeVar("G", bound=Hashable)
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Loader(DataLoader[K, V], Generic[K, V]):
    """Collects keys until nothing else can run, then reads them all: `read` answers in the order of the keys, each asked for once."""

    def __init__(self, read: Callable[[Sequence[K]], Awaitable[Sequence[V]]]) -> None:
        self._read = read
        super().__init__()

    async def batch_load_fn(self, keys: list[K]) -> list[V]:
        return list(await self._read(keys))


def grouped(
    read: Callable[[G, Sequence[K]], Awaitable[Sequence[V]]],
) -> Callable[[Sequence[tuple[G, K]]], Awaitable[Sequence[V]]]:
    """For fields with arguments: reads pairs of arguments and key, one call for each set of arguments in the document."""

    async def read_groups(pairs: Sequence[tuple[G, K]]) -> list[V]:
        groups: dict[G, list[K]] = {}
        for arguments, key in pairs:
            groups.setdefault(arguments, []).append(key)
        found: dict[tuple[G, K], V] = {}
        for arguments, keys in groups.items():
            values = await read(arguments, keys)
            found |= {(arguments, key): value for key, value in zip(keys, values, strict=True)}
        return [found[pair] for pair in pairs]

    return read_groups


class Loaders:
    """The loaders of one request."""

    def __init__(self, db: Database, scope: Scope, config: Configuration) -> None:
        self._db = db
        self._scope = scope
        self._config = config

    # -------------------------------------------------------------------------------------------- sandboxes

    @cached_property
    def settings_by_sandbox(self) -> Loader[int, list[Namespace]]:
        return Loader(partial(namespaces.read_settings, self._db, self._scope))

    # -------------------------------------------------------------------------------------------- datasets and batches

    @cached_property
    def record_count_by_dataset(self) -> Loader[UUID, int]:
        return Loader(partial(datasets.record_counts, self._db, self._scope))

    @cached_property
    def batch_by_id(self) -> Loader[UUID, Batch | None]:
        return Loader(partial(batches.read_batches, self._db, self._scope))

    @cached_property
    def batches_by_dataset(self) -> Loader[tuple[Window, UUID], Page[Batch]]:
        async def read(window: Window, dataset_ids: Sequence[UUID]) -> list[Page[Batch]]:
            return await batches.list_batches(self._db, self._scope, dataset_ids, window)

        return Loader(grouped(read))

    @cached_property
    def batch_count_by_dataset(self) -> Loader[UUID, int]:
        return Loader(partial(batches.count_batches, self._db, self._scope))

    @cached_property
    def errors_by_batch(self) -> Loader[tuple[Window, UUID], Page[IngestError]]:
        async def read(window: Window, batch_ids: Sequence[UUID]) -> list[Page[IngestError]]:
            return await batches.list_errors(self._db, self._scope, batch_ids, window)

        return Loader(grouped(read))

    @cached_property
    def error_count_by_batch(self) -> Loader[UUID, int]:
        return Loader(partial(batches.count_errors, self._db, self._scope))

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
    def graph_by_xid(self) -> Loader[UUID, IdentityGraph | None]:
        return Loader(partial(links.find_graphs, self._db, self._scope, self._config))

    @cached_property
    def graph_by_members(self) -> Loader[Members, IdentityGraph]:
        return Loader(partial(links.read_graphs, self._db, self._scope, self._config))

    # -------------------------------------------------------------------------------------------- profiles and events

    @cached_property
    def profile_by_xid(self) -> Loader[tuple[UUID, UUID], ProfileResult]:
        """By the policy's id and the xid."""

        async def read(policy_id: UUID, xids: Sequence[UUID]) -> list[ProfileResult]:
            policy = self._config.policy(policy_id)
            return await profiles.read_profiles(self._db, self._scope, self._config, policy, xids)

        return Loader(grouped(read))

    @cached_property
    def origin_by_profile(self) -> Loader[Profile, Origin]:
        return Loader(partial(profiles.read_origins, self._db, self._scope))

    @cached_property
    def fragments_by_members(self) -> Loader[tuple[UUID, ...], list[Fragment]]:
        return Loader(partial(profiles.read_fragments, self._db, self._scope))

    @cached_property
    def events_by_members(self) -> Loader[tuple[EventRequest, tuple[UUID, ...]], Page[Event]]:
        async def read(asked: EventRequest, people: Sequence[tuple[UUID, ...]]) -> list[Page[Event]]:
            return await events.list_events(self._db, self._scope, people, asked)

        return Loader(grouped(read))

    @cached_property
    def event_count_by_members(self) -> Loader[tuple[EventFilter, tuple[UUID, ...]], int]:
        async def read(passing: EventFilter, people: Sequence[tuple[UUID, ...]]) -> list[int]:
            return await events.count_events(self._db, self._scope, people, passing)

        return Loader(grouped(read))
