"""Partials of computed attributes: what each makes of the events of one identity in one bucket of time, so that values are folded of few rows.

Facts do not move between identities, so that nothing is to be done where people merge or split. Events that come are added to the rows of
their buckets; where events went, the partials of their identities are made anew. Either way a row is locked until the end of the
transaction, rows in the order of their keys: of two that write one row the second waits, and loses nothing.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

from gateway.domain.config.configuration import KeptPartial
from gateway.domain.rules.buckets import ALL_TIMES, begin_of_bucket
from gateway.domain.rules.durations import EARLIEST, LATEST
from gateway.domain.rules.scope import Scope
from gateway.domain.views.check import Check, Piece
from gateway.domain.views.fact_change import FactChange
from gateway.pql.inputs import document_of
from gateway.pql.partials import NUMBERS, Packed, Parts, Taken, added, count_place, made, normal_items, replaced, taken
from gateway.runtime.uuids import NIL
from gateway.storage.database import Session
from gateway.storage.queries import Query, fill, part, query

READ_INSTANT = query("expressions.read_instant")
ADD_EVENTS = query("computed_partials.add_events")
HOLD = query("computed_partials.hold")
MAKE_HELD = query("computed_partials.make_held")
GIVE_UP_SLOTS = query("computed_partials.give_up_slots")
FORGET = query("computed_partials.forget")
MAKE_SOME = query("computed_partials.make_some")
EMPTY_CHANGED = query("computed_partials.empty_changed")
COMPARE = query("computed_partials.compare")
LIST = query("computed_partials.list_partials")

OF_SIZE = part("computed_partials.of_size")
OF_XIDS = part("computed_partials.of_xids")
WITHIN: Final = fill(part("computed_partials.within"), since="$3", until="$4")
_DOCUMENT: Final = document_of("e")
_EPOCH: Final = "'epoch'::timestamptz"


class ComputedPartials:
    """The view of partials."""

    name = "partials"
    tables = ("computed_partial",)

    async def refresh(self, change: FactChange) -> None:
        """Add the events that came, and make the partials of identities anew under which events went."""
        tx, scope, partials = change.tx, change.scope, change.config.partials
        if change.event_xids and (faulty := change.config.faulty_attributes):  # their partials fall behind from now on
            await tx.execute(GIVE_UP_SLOTS, scope.sandbox_id, faulty)
        if change.event_xids and not change.added:
            await make_anew(tx, scope, partials, change.event_xids)
        elif change.event_xids and partials:
            keys = [(dataset_id, each.xid, each.body["_id"]) for dataset_id, new in change.added for each in new]
            statement, values = adding(partials)
            oldest = [begin_of_bucket(since, size) for size, since in zip(*reach(partials, change.at), strict=True)]
            await tx.execute(statement, scope.sandbox_id, *map(list, zip(*keys, strict=True)), oldest, *values)

    async def verify(self, check: Check, piece: Piece) -> None:
        """Compare partials with what the events make, but not those of attributes whose history is still being read."""
        kept = tuple(each for each in check.config.partials if each.is_complete)
        if not kept:
            return
        statement, values = comparing(kept)
        at = await check.tx.value(READ_INSTANT)
        since = [begin_of_bucket(each.since(at), each.seconds) for each in kept]
        for row in await check.tx.rows(statement, check.scope.sandbox_id, list(piece.xids), since, *values):
            key = (row["xid"], row["bucket_seconds"], row["bucket"])
            check.compared[self.name] += 1
            check.make("computed_partial", [key])
            end = key[2] + timedelta(seconds=key[1])
            # What no window reaches may be missing: it is on its way out.
            read = [each for each in kept if each.since(at) < end]
            made = _compared(read, row, "")
            if made != _compared(read, row, "stored_") or (made and not _spans(row)):
                check.differs("computed_partial", key, "is not what its events make")

    async def verify_rest(self, check: Check) -> None:
        """Report partials under identities that no fact names."""
        after: tuple[Any, ...] = (NIL, ALL_TIMES, EARLIEST)
        sizes = {each.seconds for each in check.config.partials if each.is_complete}
        for key in await check.strays("computed_partial", LIST, *after):
            if key[1] in sizes:
                check.differs("computed_partial", key, "no fact names its identity")


COMPUTED_PARTIALS = ComputedPartials()


async def make_anew(tx: Session, scope: Scope, partials: Sequence[KeptPartial], xids: Collection[UUID]) -> None:
    """Make these partials of identities from their events, beside writers who add some, and remove all others of theirs."""
    asked, kept = (scope.sandbox_id, sorted(xids)), tuple(partials)
    if not kept:
        await tx.execute(FORGET, *asked)
        return
    await tx.execute(HOLD, *asked, list(by_size(kept)))
    statement, values = making_held(kept)
    await tx.execute(statement, *asked, EARLIEST, LATEST, *values)


async def make_one(
    tx: Session,
    scope: Scope,
    partials: Sequence[KeptPartial],
    made: KeptPartial,
    xids: Collection[UUID],
    *,
    since: datetime,
    until: datetime,
) -> None:
    """Make the partials `made` of identities from their events within a time, at whose ends buckets begin, beside writers who add some.

    The transaction holds the shared lock of the facts from before its first statement on. Events are read first and rows locked then, so that
    writers do not wait for the reading: identities that others changed meanwhile, as the journal says, are read once more, with their rows locked.
    """
    asked = scope.sandbox_id, sorted(xids)
    statement, values = making((made,))
    snapshot = await tx.value(statement, *asked, since, until, *values)
    changed = [row["xid"] for row in await tx.rows(EMPTY_CHANGED, *asked, snapshot)]
    if changed:
        statement, values = making_held(tuple(each for each in partials if each.seconds == made.seconds))
        await tx.execute(statement, scope.sandbox_id, changed, since, until, *values)


# ------------------------------------------------------------------------------------------------ statements


def reach(partials: Iterable[KeptPartial], at: datetime) -> tuple[list[int], list[datetime]]:
    """Return the sizes of buckets, and of each when the longest window begins that ends at an instant: older ones are read no more."""
    oldest: dict[int, datetime] = {}
    for each in sorted(partials, key=attrgetter("seconds")):
        since = each.since(at)
        oldest[each.seconds] = min(since, oldest.get(each.seconds, since))
    return list(oldest), list(oldest.values())


def by_size(partials: Iterable[KeptPartial]) -> dict[int, Parts]:
    """Return what stands in the rows of each size."""
    found: dict[int, dict[int, Any]] = {}
    for each in partials:
        found.setdefault(each.seconds, {})[each.slot] = each.partial
    return dict(sorted(found.items()))


def table_of_document(columns: str) -> str:
    """Return the document of an event `e` as a table beside it, if these columns mention it."""
    return f" cross join {_DOCUMENT.sql}" if _DOCUMENT.is_in(columns) else ""


def taken_of(partials: Iterable[KeptPartial], parameters: int) -> Taken:
    """Return the columns that partials take of an event `e`, and the values of the parameters behind those of the statement."""
    found = taken({each.slot: each.partial for each in partials}, "e", parameters)
    aside, stored = f"{_DOCUMENT.name}.document", "e.document"
    is_read_once = found.sql.count(aside) == 1 and "select" not in found.sql
    return found._replace(sql=found.sql.replace(aside, stored)) if is_read_once else found


@lru_cache(maxsize=64)
def adding(partials: tuple[KeptPartial, ...]) -> tuple[Query, tuple[Any, ...]]:
    """Return the statement that adds events, and the values of the parameters behind its own."""
    found = taken_of(partials, len(ADD_EVENTS.parameters))
    statement = ADD_EVENTS.filled(
        columns=found.sql,
        document=table_of_document(found.sql),
        made=_made(partials, found, "$5"),
        **_of_each_size({seconds: added(parts, "p", "excluded") for seconds, parts in by_size(partials).items()}),
    )
    return statement, found.values


@lru_cache(maxsize=64)
def making(partials: tuple[KeptPartial, ...]) -> tuple[Query, tuple[Any, ...]]:
    """Return the statement that makes some partials of a row, and the values of the parameters behind its own."""
    made, values = _of_xids(MAKE_SOME, partials)
    is_used = (f"(p.bucket_seconds = {each.seconds} and p.numbers[{count_place(each.slot)}] <> 0)" for each in partials)
    together = {seconds: replaced(parts, "p", "excluded") for seconds, parts in by_size(partials).items()}
    return MAKE_SOME.filled(of_xids=made, is_used=" or ".join(is_used), **_of_each_size(together)), values


@lru_cache(maxsize=64)
def making_held(partials: tuple[KeptPartial, ...]) -> tuple[Query, tuple[Any, ...]]:
    """Return the statement that makes the partials of rows which are held, and the values of the parameters behind its own."""
    made, values = _of_xids(MAKE_HELD, partials)
    return MAKE_HELD.filled(of_xids=made), values


@lru_cache(maxsize=64)
def comparing(partials: tuple[KeptPartial, ...]) -> tuple[Query, tuple[Any, ...]]:
    """Return the statement that compares partials with those stored, and the values of the parameters behind its own."""
    begins = {each.slot: f"($3::timestamptz[])[{place}]" for place, each in enumerate(partials, start=1)}
    made, values = _of_xids(COMPARE, partials, lambda slot: f"t.timestamp >= {begins[slot]}")
    parts = {each.slot: each.partial for each in partials}
    items, stored = (normal_items(parts, row) for row in ("made", "p"))
    return COMPARE.filled(of_xids=made, items=items, stored_items=stored), values


def _of_xids(
    statement: Query, partials: tuple[KeptPartial, ...], counts: Callable[[int], str] | None = None
) -> tuple[str, tuple[Any, ...]]:
    found = taken_of(partials, len(statement.parameters))
    within, document = WITHIN if "until" in statement.parameters else "", table_of_document(found.sql)
    of_all = _made(partials, found, counts=counts)
    return fill(OF_XIDS, columns=found.sql, document=document, within=within, made=of_all), found.values


def _of_each_size(rows: Mapping[int, Packed]) -> dict[str, str]:
    """Return the arrays of a row, each by the size of its bucket."""
    return {
        name: " ".join(f"when {seconds} then {getattr(row, name)}" for seconds, row in rows.items())
        for name in Packed._fields
    }


def _made(
    partials: Iterable[KeptPartial],
    of: Taken,
    oldest: str | None = None,
    counts: Callable[[int], str] | None = None,
) -> str:
    """Return a statement that gives the rows which the events in `taken` make, from the `oldest` time of each size on, a parameter; for a slot of
    those alone for which a condition `counts`."""
    selects = []
    for place, (seconds, parts) in enumerate(by_size(partials).items(), start=1):
        since = f" and t.timestamp >= ({oldest}::timestamptz[])[{place}]" if oldest else ""
        packed = made(parts, of, counts)
        bucket = _EPOCH if seconds == ALL_TIMES else f"date_bin(interval '{seconds} seconds', t.timestamp, {_EPOCH})"
        each = (f"({of.of('c', slot)} and {counts(slot)})" if counts else of.of("c", slot) for slot in parts)
        some = " or ".join(dict.fromkeys(each))
        selects.append(fill(OF_SIZE, seconds=str(seconds), bucket=bucket, counts=some, since=since, **packed._asdict()))
    return " union all ".join(selects)


def _compared(partials: Iterable[KeptPartial], row: Any, stored: str) -> list[Any] | None:
    """Return what a row says of attributes that count some of its events; None if none of them does."""
    numbers, items = row[f"{stored}numbers"] or (), row[f"{stored}items"] or ()
    found = []
    for each in partials:
        own = list(numbers[NUMBERS * each.slot : NUMBERS * (each.slot + 1)])
        if each.seconds == row["bucket_seconds"] and own and own[0]:
            text = items[each.slot] if each.partial.items else None
            found.append((each.slot, own, text and json.loads(text, parse_float=Decimal)))
    return found or None


def _spans(row: Any) -> bool:
    """Return whether the times of a stored row enclose its events, those of attributes that are switched off by now perhaps among others."""
    return bool(row["stored_first_at"] <= row["first_at"] and row["last_at"] <= row["stored_last_at"])
