"""Statements that write and compare partials, made of the SQL of their attributes and kept by these."""

import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from gateway.domain.config.configuration import KeptPartial
from gateway.domain.rules.buckets import ALL_TIMES
from gateway.pql.inputs import document_of
from gateway.pql.partials import NUMBERS, Packed, Parts, Taken, added, count_place, made, normal_items, replaced, taken
from gateway.storage.queries import Query, Template, fill, part, template

ADD_EVENTS = template("computed_partials.add_events")
MAKE_HELD = template("computed_partials.make_held")
MAKE_SOME = template("computed_partials.make_some")
COMPARE = template("computed_partials.compare")

OF_SIZE = part("computed_partials.of_size")
OF_XIDS = part("computed_partials.of_xids")
WITHIN: Final = fill(part("computed_partials.within"), since="$3", until="$4")
_DOCUMENT: Final = document_of("e")
_EPOCH: Final = "'epoch'::timestamptz"


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
    statement: Template, partials: tuple[KeptPartial, ...], counts: Callable[[int], str] | None = None
) -> tuple[str, tuple[Any, ...]]:
    found = taken_of(partials, len(statement.parameters))
    within, document = WITHIN if "until" in statement.parameters else "", table_of_document(found.sql)
    of_all = _made(partials, found, counts=counts)
    limit = "limit $5::bigint + 1" if "most" in statement.parameters else "offset 0"
    return fill(OF_XIDS, columns=found.sql, document=document, within=within, limit=limit, made=of_all), found.values


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


def compared(partials: Iterable[KeptPartial], row: Any, stored: str) -> list[Any] | None:
    """Return what a row says of attributes that count some of its events; None if none of them does."""
    numbers, items = row[f"{stored}numbers"] or (), row[f"{stored}items"] or ()
    found = []
    for each in partials:
        own = list(numbers[NUMBERS * each.slot : NUMBERS * (each.slot + 1)])
        if each.seconds == row["bucket_seconds"] and own and own[0]:
            text = items[each.slot] if each.partial.items else None
            found.append((each.slot, own, text and json.loads(text, parse_float=Decimal)))
    return found or None
