"""Partial reads, while a node of a cluster is away: everybody without rows on that node is read."""

from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import TypeAlias, TypeVar
from uuid import UUID

from gateway.domain.config.configuration import Configuration
from gateway.domain.reading.identities import read_known_identities
from gateway.domain.reading.people import read_people
from gateway.domain.reading.profiles import AWAY, ProfileResult, ProfileStatus
from gateway.domain.rules.scope import Scope
from gateway.errors import Unavailable
from gateway.storage.database import Database
from gateway.storage.distribution import keys_on, nodes_away

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Owners: TypeAlias = Callable[[Sequence[K]], Awaitable[Mapping[K, Collection[UUID]]]]
"""Tells of each key by which identities or people the rows are kept that are read for it."""


async def read_available(
    db: Database,
    keys: Sequence[K],
    *,
    read: Callable[[Sequence[K]], Awaitable[Sequence[V]]],
    owners: Iterable[Owners[K]],
    stand_in: Callable[[K], V],
) -> Sequence[V]:
    """Return what `read` gives for each key, and what stands in for keys with rows on a node that is away.

    Where nothing is away, that is one call of `read`. Otherwise, of several keys, some are left out by the first of `owners`; if the others cannot be read, either,
    by the second as well, and so on. Raises what `read` raises; Unavailable for one key, and where no node is away.
    """
    try:
        return await read(keys)
    except Unavailable:
        if not db.is_distributed or len(keys) == 1 or not (away := await nodes_away(db)):
            raise
        available = list(dict.fromkeys(keys))
        for owners_of in owners:
            owned = await owners_of(available)
            lost = await keys_on(db, away, set(chain.from_iterable(owned.values())))
            available = [key for key in available if lost.isdisjoint(owned[key])]
            with suppress(Unavailable):
                found = dict(zip(available, await read(available) if available else (), strict=True))
                return [found[key] if key in found else stand_in(key) for key in keys]
        raise


def unavailable(xid: UUID) -> ProfileResult:
    """Return the result for an xid whose person cannot be read now, since a node of a cluster is away."""
    return ProfileResult(xid, None, ProfileStatus.UNAVAILABLE, None)


def owners_of_people(db: Database, scope: Scope, config: Configuration) -> Iterable[Owners[UUID]]:
    """Yield who owns what is read of the people that xids lead to: the identity; the person, by whose id graph and profile are kept; all members."""

    async def themselves(xids: Sequence[UUID]) -> dict[UUID, Collection[UUID]]:
        return {xid: (xid,) for xid in xids}

    async def people(xids: Sequence[UUID]) -> dict[UUID, Collection[UUID]]:
        leads = await read_known_identities(db, scope, xids)
        return {xid: (leads[xid].profile_id or xid,) if xid in leads else () for xid in xids}

    async def members(xids: Sequence[UUID]) -> dict[UUID, Collection[UUID]]:
        found = await read_people(db, scope, config, xids)
        return {xid: each.person.xids if each.person else () for xid, each in zip(xids, found, strict=True)}

    return themselves, people, members


def failing_per_key(
    db: Database, read: Callable[[Sequence[K]], Awaitable[Sequence[V]]], xids_of: Callable[[K], Collection[UUID]]
) -> Callable[[Sequence[K]], Awaitable[Sequence[V | Unavailable]]]:
    """Return a function that reads as `read` does, and gives an error for each key that has one of its xids on a node that is away."""

    async def owners(keys: Sequence[K]) -> dict[K, Collection[UUID]]:
        return {key: xids_of(key) for key in keys}

    async def read_each(keys: Sequence[K]) -> Sequence[V | Unavailable]:
        return await read_available(db, keys, read=read, owners=(owners,), stand_in=lambda _: Unavailable(AWAY))

    return read_each
