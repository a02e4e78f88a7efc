"""Folding partials of computed attributes: the values that a person has at an instant, of few rows of its identities.

A row counts whole where all of its events lie in the window. A row that the window cuts is read from the events, so that values are exact.
The bucket of all times alone is not: where it has an event of a time to come, its values are left out. What is taken of single events makes a
statement long, though hardly any person has such events, and Postgres prepares all of it each time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeAlias

from gateway.domain.config.configuration import Configuration, KeptPartial
from gateway.domain.rules.buckets import size_of_buckets
from gateway.domain.rules.durations import Duration
from gateway.domain.rules.scope import Scope
from gateway.domain.views.partial_statements import table_of_document, taken_of
from gateway.pql.partials import Within, columns_mentioned, results
from gateway.pql.sql import Compiled
from gateway.storage.database import Session
from gateway.storage.queries import Query, fill, part, template

FOLD = template("computed_partials.fold")
FOLDED, OF_EVENTS = part("computed_partials.folded"), part("computed_partials.of_events")
OF_SIZES = part("computed_partials.of_sizes")
IN_WINDOW = part("computed_partials.in_window")
IS_KNOWN = part("computed_partials.is_known")

Windows: TypeAlias = Mapping[Duration | None, int]
"""How far windows look back, and the number of each."""


async def fold(
    tx: Session,
    scope: Scope,
    config: Configuration,
    partials: tuple[KeptPartial, ...],
    *,
    people: tuple[Any, Any, Any],
    at: datetime,
) -> Sequence[Sequence[str | None]]:
    """Return what partials come to, a row for each person with a column for each attribute, as `pql.aggregates.explained` has it in JSON; None
    for what has to be computed from events, since not all of it is kept.

    `people`: slices of xids. `at`: where windows end. `partials`: some of the configuration's; no rows if that is not the present one: writers
    may add nothing to them any more, and others may stand at their slots.
    """
    statement, values = folding(partials)
    since = [each.since(at) for each in {each.lookback: each for each in partials}.values()]
    return await tx.rows(statement, scope.sandbox_id, *people, at, since, config.version, *values)


@lru_cache(maxsize=64)
def folding(partials: tuple[KeptPartial, ...]) -> tuple[Query, tuple[Any, ...]]:
    """Return the statement that folds these partials, and the values of the parameters behind its own."""
    windows = windows_of(each.lookback for each in partials)
    found = folded(partials, windows, results, xids="moment.xids", parameters=len(FOLD.parameters))
    since = "".join(f", ($6::timestamptz[])[{window}] as since{window}" for window in windows.values())
    return FOLD.filled(folded=found.sql, since=since, is_known=fill(IS_KNOWN, version="$7")), found.values


# ------------------------------------------------------------------------------------------------ SQL


def windows_of(lookbacks: Iterable[Duration | None]) -> dict[Duration | None, int]:
    """Return a number for each window that looks back so far."""
    return {lookback: number for number, lookback in enumerate(dict.fromkeys(lookbacks), start=1)}


def begin_of(window: int) -> str:
    """Return where a statement has when the window of this number begins."""
    return f"moment.since{window}"


def folded(
    partials: tuple[KeptPartial, ...],
    windows: Windows,
    values: Callable[..., str],
    *,
    xids: str,
    parameters: int,
    has_others: bool = True,
) -> Compiled:
    """Return SQL that folds partials for the person with these xids, whose columns `values` gives of what `pql.partials` takes. `has_others`: there may be
    buckets of other sizes."""
    parts = {each.slot: each.partial for each in partials}
    window_of = {each.slot: windows[each.lookback] for each in partials}
    own = {lookback: windows[lookback] for lookback in windows if windows[lookback] in window_of.values()}
    sliding = {window: lookback for lookback, window in own.items() if lookback is not None}
    begins: dict[int, list[str]] = {}
    for window, lookback in sliding.items():
        begins.setdefault(size_of_buckets(lookback), []).append(begin_of(window))
    oldest = "".join(f" when {seconds} then least({', '.join(times)})" for seconds, times in begins.items())

    def within(slot: int) -> Within:
        rows = f"part.k{window_of[slot]}"
        return Within(rows, None if window_of[slot] in sliding else f"bool_and({rows}) is false")

    def counted(window: int) -> str:
        is_within = f"not h.k{window} and t.timestamp between {begin_of(window)} and moment.at"
        return is_within if window in sliding else "null::boolean"

    wanted = values(parts, within)
    taken = taken_of((each for each in partials if each.lookback is not None), parameters)
    mentioned = columns_mentioned(wanted, taken)
    events = fill(
        OF_EVENTS,
        of_event=", ".join([mentioned.of_event, *map(counted, own.values())]),
        columns=taken.sql,
        document=table_of_document(taken.sql),
        is_cut=" or ".join(f"not h.k{window}" for window in sliding),
    )
    sql = fill(
        FOLDED,
        xids=xids,
        among=f" {fill(OF_SIZES, sizes=','.join(map(str, sorted(set(map(size_of_buckets, own))))))}"
        if has_others
        else "",
        reached=f" and o.last_at >= case o.bucket_seconds{oldest} else '-infinity' end" if sliding else "",
        windows=", ".join(_in_window(window, lookback, begins) for lookback, window in own.items()),
        names=", ".join([mentioned.names, *(f"k{window}" for window in own.values())]),
        kept=mentioned.kept,
        of_events=f" {events}" if sliding else "",
        values=wanted,
    )
    return Compiled(sql, taken.values)


def _in_window(window: int, lookback: Duration | None, begins: Mapping[int, Sequence[str]]) -> str:
    """Return a column about a window: whether a row lies in it with all of its events; false for a row that the window cuts, NULL for any other."""
    size, begin = size_of_buckets(lookback), begin_of(window)
    is_reached = f" and o.last_at >= {begin}" if len(begins.get(size, ())) > 1 else ""
    is_whole = "" if lookback is None else f" and o.first_at >= {begin}"
    return f"{fill(IN_WINDOW, seconds=str(size), is_reached=is_reached, is_whole=is_whole)} as k{window}"
