"""Buckets: spans of time, equally long and one behind the other, by which what is counted of events is kept."""

from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.domain.rules.durations import Duration

_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
ALL_TIMES: Final = 0
"""The size of the one bucket that has no bounds."""

SIZES: Final = tuple(
    int(timedelta(**{unit: count}).total_seconds())
    for unit, count in (("minutes", 5), ("hours", 1), ("days", 1), ("weeks", 1), ("days", 30), ("days", 90))
)
"""The sizes of others, in seconds."""

MAX_WHOLE_BUCKETS: Final = 32
"""How many buckets lie in a window, at most."""


def begin_of_bucket(at: datetime, size: int) -> datetime:
    """Return when the bucket of this size begins that a time lies in; the time itself, if there is one bucket for all times."""
    if size == ALL_TIMES:
        return at
    return _FIRST + (at - _FIRST) // timedelta(seconds=size) * timedelta(seconds=size)


def size_of_buckets(lookback: Duration | None) -> int:
    """Return how large the buckets are by which a look-back is kept, in seconds: as small as so few of them allow."""
    if lookback is None:
        return ALL_TIMES
    longest = timedelta(days=lookback.most_days).total_seconds()
    return next(size for size in SIZES if longest <= size * MAX_WHOLE_BUCKETS)
