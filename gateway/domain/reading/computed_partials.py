"""Folding partials of computed attributes: the values that a person has at an instant, of few rows of its identities.

A row counts whole where all of its events lie in the window. A row that the window cuts is read from the events, so that values are exact.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from gateway.domain.config.configuration import Configuration, KeptPartial
from gateway.domain.rules.scope import Scope
from gateway.domain.views.computed_partials import by_size, columns_of, reach, table_of_document
from gateway.pql.partials import made, results
from gateway.storage.database import Session
from gateway.storage.queries import Query, fill, part, query

FOLD = query("computed_partials.fold")
OF_CUT = part("computed_partials.of_cut")


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
    since = [each.since(at) for each in partials]
    return await tx.rows(statement, scope.sandbox_id, *people, at, since, *reach(partials, at), config.version, *values)


@lru_cache(maxsize=64)
def folding(partials: tuple[KeptPartial, ...]) -> tuple[Query, tuple[Any, ...]]:
    """Return the statement that folds these partials, and the values of the parameters behind its own."""
    taken = columns_of(partials, len(FOLD.parameters))
    since = {each.slot: f"($6::timestamptz[])[{place}]" for place, each in enumerate(partials, start=1)}
    size = {each.slot: each.seconds for each in partials}

    def is_cut(row: str, slot: int) -> str:
        return f"({row}.last_at > $5 or ({row}.first_at < {since[slot]} and {row}.last_at >= {since[slot]}))"

    def counts_event(slot: int) -> str:
        return f"t.timestamp between {since[slot]} and $5 and {is_cut('t', slot)}"

    def counts_row(slot: int) -> str:
        is_whole = f"p.first_at >= {since[slot]} and p.last_at <= $5"
        return f"p.bucket_seconds = {size[slot]} and (p.is_cut or ({is_whole}))"

    cut = [
        fill(OF_CUT, seconds=str(seconds), **made(parts, counts_event)._asdict())
        for seconds, parts in by_size(partials).items()
    ]
    statement = FOLD.filled(
        columns=taken.sql,
        document=table_of_document(taken.sql),
        is_cut=" or ".join(f"(h.bucket_seconds = {size[slot]} and {is_cut('h', slot)})" for slot in size),
        cut=" union all ".join(cut),
        values=results({each.slot: each.partial for each in partials}, counts_row),
    )
    return statement, taken.values
