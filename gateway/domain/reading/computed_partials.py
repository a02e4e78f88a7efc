"""Folding partials of computed attributes: the values that a person has at an instant, of few rows of its identities.

A row counts whole where all of its events lie in the window. A row that the window cuts is read from the events, so that values are exact.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final

from gateway.domain.config.configuration import Configuration, KeptPartial
from gateway.domain.rules.durations import Duration
from gateway.domain.rules.scope import Scope
from gateway.domain.views.computed_partials import columns_of, table_of_document
from gateway.pql.partials import of_one, results, values_of
from gateway.pql.ranges import BEYOND_DOUBLE
from gateway.pql.sql import Compiled
from gateway.pql.values import quoted
from gateway.projection.sql import Source
from gateway.storage.database import Session
from gateway.storage.queries import Query, fill, part, query

FOLD = query("computed_partials.fold")
FOLDED = part("computed_partials.folded")
DOCUMENT = part("computed_partials.document")
WHOLE, CUT = part("computed_partials.whole"), part("computed_partials.cut")
MOMENT, BEFORE = part("computed_partials.moment"), part("computed_partials.before")
IS_KNOWN = part("computed_partials.is_known")

MAX_INLINE_CHARACTERS: Final = 6_000
"""Of the values of a person that are folded in the statement which reads them; a map with more keys than are told has more."""


@dataclass(frozen=True, slots=True)
class Foldable:
    """The attributes of these names, whose values a statement folds of partials, at a version of a sandbox's configuration."""

    sandbox_id: int
    version: int
    names: tuple[str, ...]
    partials: tuple[KeptPartial, ...] = field(hash=False)  # the others tell most of them apart, and sooner


@lru_cache(maxsize=256)
def foldable(config: Configuration, names: tuple[str, ...]) -> Foldable | None:
    """Return how the values of attributes are folded; None if partials do not tell those of all."""
    known = {each.name: each for each in config.partials if each.is_complete}
    chosen = [known.get(name) for name in names]
    partials = tuple(each for each in chosen if each is not None)
    if not partials or len(partials) < len(chosen):
        return None
    return Foldable(config.sandbox_id, config.version, names, partials)


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
    since = [each.since(at) for each in _by_window(partials).values()]
    return await tx.rows(statement, scope.sandbox_id, *people, at, since, config.version, *values)


@lru_cache(maxsize=64)
def folding(partials: tuple[KeptPartial, ...]) -> tuple[Query, tuple[Any, ...]]:
    """Return the statement that folds these partials, and the values of the parameters behind its own."""
    folded = _folded(partials, "moment.xids", len(FOLD.parameters), results)
    return FOLD.filled(folded=folded.sql, is_known=fill(IS_KNOWN, version="$7")), folded.values


def sources_of(partials: Iterable[KeptPartial]) -> dict[str, Source]:
    """Return where a statement that joins `document_part` has what is known of each value, by the names of attributes."""
    windows = _windows(partials)
    return {each.name: Source("", derived=_columns(each, windows[each.seconds, each.lookback])) for each in partials}


def _columns(of: KeptPartial, window: int) -> dict[str, str]:
    """Return the columns of a `ComputedValue`."""
    return {
        "value": f"to_jsonb(folded.v{of.slot})",
        "value_at": f"folded.a{of.slot}",
        "as_of": "moment.at",
        "window_start": "null::timestamptz" if of.lookback is None else _since(window),
        "window_end": "moment.at",
        "events_counted": f"folded.n{of.slot}",
        "is_complete": "true",
    }


def document_part(partials: tuple[KeptPartial, ...], xids: str, parameters: int, looked_at: str) -> Compiled:
    """Return SQL to join that gives the values of the person with these xids at this moment as `computed.document`, and as `checked.is_told`
    whether they may be given so; of what `sources_of` names that which is `looked_at` by this SQL. And the values of its parameters, which
    come behind those of the statement."""

    def is_wanted(name: str) -> bool:
        return f"folded.{name}" in looked_at

    folded = _folded(partials, xids, parameters, partial(values_of, is_wanted=is_wanted))
    pairs = ", ".join(f"{quoted(each.name)}, folded.v{each.slot}" for each in partials)
    sql = fill(
        DOCUMENT,
        moment=_moment(partials),
        folded=folded.sql,
        values=pairs,
        are_whole=" and ".join(
            ["true", *(f"folded.v{each.slot} is not null" for each in partials if each.partial.items)]
        ),
        most=str(MAX_INLINE_CHARACTERS),
        beyond=str(BEYOND_DOUBLE),
    )
    return Compiled(sql, folded.values)


# ------------------------------------------------------------------------------------------------


def _by_window(partials: Iterable[KeptPartial]) -> dict[tuple[int, Duration | None], KeptPartial]:
    """Return a partial for each window that some have, by the size of its buckets and how far it looks back."""
    return {(each.seconds, each.lookback): each for each in partials}


def _windows(partials: Iterable[KeptPartial]) -> dict[tuple[int, Duration | None], int]:
    """Return the place of each window in `moment.since`, as `_by_window` has them."""
    return {window: place for place, window in enumerate(_by_window(partials), start=1)}


def _folded(partials: tuple[KeptPartial, ...], xids: str, parameters: int, values: Callable[..., str]) -> Compiled:
    """Return the SQL that folds partials for one person."""
    windows = _windows(partials)
    parts = {each.slot: each.partial for each in partials}
    window_of = {each.slot: windows[each.seconds, each.lookback] for each in partials}
    begins: dict[int, list[str]] = {}
    for (seconds, _), place in windows.items():
        begins.setdefault(seconds, []).append(_since(place))

    def of_each(flag: str, sql: str) -> str:
        return ", ".join(
            f"{fill(sql, seconds=str(seconds), since=_since(place))} as {flag}{place}"
            for (seconds, _), place in windows.items()
        )

    taken = columns_of(partials, parameters)
    sql = fill(
        FOLDED,
        xids=xids,
        sizes=",".join(map(str, begins)),
        oldest=" ".join(f"when {seconds} then least({', '.join(times)})" for seconds, times in begins.items()),
        whole=of_each("w", WHOLE),
        cut=of_each("x", CUT),
        counted=", ".join(
            f"h.x{place} and t.timestamp between {_since(place)} and moment.at" for place in windows.values()
        ),
        columns=taken.sql,
        document=table_of_document(taken.sql),
        is_cut=" or ".join(f"h.x{place}" for place in windows.values()),
        flags=", ".join(f"w{place}" for place in windows.values()),
        values=values(parts, lambda slot: f"part.w{window_of[slot]}"),
        **of_one(parts)._asdict(),
    )
    return Compiled(sql, taken.values)


def _since(place: int) -> str:
    return f"moment.since[{place}]"


def _moment(partials: Iterable[KeptPartial]) -> str:
    return fill(MOMENT, since=", ".join(_before(each.lookback) for each in _by_window(partials).values()))


def _before(lookback: Duration | None) -> str:
    if lookback is None:
        return "'-infinity'"
    months, seconds = lookback.parts
    return fill(BEFORE, months=str(months), seconds=str(seconds))
