"""Events as lines of JSON, put together by Postgres: for who passes on very many of them and looks into none."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from gateway.domain.reading.events import SOURCE, UNPACKED, EventFilter, EventKey
from gateway.domain.reading.statements import Made
from gateway.domain.rules.scope import Permission, Scope
from gateway.projection.predicates import Values
from gateway.projection.sql import columns
from gateway.projection.tree import Document, Node
from gateway.storage.database import Reader
from gateway.storage.queries import template

LIST = template("events.list_lines")


class Lines(NamedTuple):
    """Lines of the events of an identity, each without its first brace, and how many they are. `end`: the key of the last, None if there are no more behind it."""

    xid: UUID
    namespace_id: int
    value: str | None
    rows: int
    lines: bytes
    end: EventKey | None


async def list_lines(
    db: Reader, scope: Scope, xids: Sequence[UUID], after: EventKey, size: int, *, filter_: EventFilter, of: Node
) -> list[Lines]:
    """List up to `size` of the next events of each of some identities behind a key, for those with any: `of` their documents, an object that is never empty.

    Events that pass a filter, in the order of keys. Needs `profile:read`. Raises Forbidden, BadPql for a value that the filter computes and that is out
    of range.
    """
    scope.require(Permission.PROFILE_READ)
    own = scope.sandbox_id, list(xids), *after, size
    values = Values(*own)
    (taken,) = columns([Document(of)], SOURCE, values)
    statement = LIST.filled(taken=taken, where=values.conditions(filter_.predicates), unpacked=UNPACKED)
    rows = await Made.of(statement, values, len(own)).rows(db, *own)
    return sorted(
        Lines(
            row["xid"],
            row["namespace_id"],
            row["value"],
            row["rows"],
            row["lines"],
            row["event_id"] and (row["xid"], row["dataset_id"], row["event_id"]),
        )
        for row in rows
    )
