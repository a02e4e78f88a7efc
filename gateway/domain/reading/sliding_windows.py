"""When windows of computed attributes slide: a value may be another then, though no event came or went."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from gateway.domain.config.computed_attributes import ComputedAttribute
from gateway.domain.reading.events import slices
from gateway.domain.rules.durations import EARLIEST
from gateway.domain.rules.scope import Scope
from gateway.storage.database import Reader
from gateway.storage.queries import query

EDGES = query("kept_values.read_edges")
EDGES_OF_CLUSTER = query("kept_values.read_edges_of_cluster")

_DAY: Final = timedelta(days=1)


async def read_next_changes(
    tx: Reader,
    scope: Scope,
    attribute: ComputedAttribute,
    people: Sequence[tuple[UUID, ...]],
    times: Sequence[datetime],
    *,
    leaps: bool = True,
    only_slides: bool = False,
) -> list[datetime | None]:
    """Return for each person, given as xids, when the value at a time may be another without any change of events. Needs no permission.

    Without `leaps`, the days on which months change their length are left out, when a value is computed anew to be sure. With `only_slides`,
    so are events that happened later.
    """
    lookback = attribute.settings.lookback
    if not people or (only_slides and lookback is None):
        return [None] * len(people)
    since = [EARLIEST if lookback is None else lookback.before(at) for at in times]
    leap = [lookback.next_leap(at) if leaps and lookback is not None else None for at in times]
    # a leap may set a window back, by a day at most
    near = [begin if each is None else begin - _DAY for begin, each in zip(since, leap, strict=True)]
    rows = await _read_edges(tx, scope, people, times, since, near)
    found = list[datetime | None]()
    for (first, nearest, following), at, leaping in zip(rows, times, leap, strict=True):
        ends = [following] if following and not only_slides else []
        if lookback is not None and first is not None:
            ends.append(lookback.left_behind(first, at))
        if leaping is not None and nearest is not None:
            ends.append(leaping)
        found.append(min(ends, default=None))
    return found


async def _read_edges(
    tx: Reader, scope: Scope, people: Sequence[tuple[UUID, ...]], *bounds: Sequence[datetime]
) -> Sequence[Sequence[datetime | None]]:
    """Read the first events within the bounds of each person, and behind them."""
    if not tx.is_distributed:
        rows: Sequence[Any] = await tx.rows(EDGES, scope.sandbox_id, *slices(people), *bounds)
        return rows
    members = [
        (xid, place, *each) for place, (xids, *each) in enumerate(zip(people, *bounds, strict=True)) for xid in xids
    ]
    if not members:
        return [(None, None, None)] * len(people)
    read = await tx.rows(EDGES_OF_CLUSTER, scope.sandbox_id, *map(list, zip(*members, strict=True)))
    found = {place: edges for place, *edges in read}
    return [found.get(place, (None, None, None)) for place in range(len(people))]
