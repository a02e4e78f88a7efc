"""Redaction of what documents of others say of erased identities: in every version of their records, in events and in resends.

A document that names an identity beside its primary one has made a tie, so the ties lead to the documents. They are looked at page by page. A
page takes as many pieces as its documents need, and its ties lose the identities in the last one.

A record with more versions than a piece takes is redacted over several, the newest versions first, and folded anew by each: what is read of it
between two is what its versions say then, the mentions that went, and those that older versions still make. A piece that was done is not
done again: of what it has redacted nothing is left to be found.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.facts.documents import event_type_of
from gateway.domain.ingest.redaction import redact, redact_as_sent
from gateway.domain.ingest.validation import Reader
from gateway.domain.rules.merge import Document
from gateway.domain.rules.scope import Scope
from gateway.domain.views.fact_change import FactChange
from gateway.domain.views.fragments import read_known
from gateway.domain.views.graph_component import EXCLUDED
from gateway.domain.views.graph_union import READ_MEMBERS
from gateway.runtime.slices import in_time_slices
from gateway.runtime.uuids import NIL
from gateway.storage.database import Session
from gateway.storage.queries import part, query, template
from gateway.xdm.classes import XdmClass

LIST_TIES = query("erasure_redaction.list_ties")
READ_VERSIONS, READ_VERSIONS_OF_CLUSTER = (
    template("erasure_redaction.read_versions").filled(versions=part(f"erasure_redaction.{name}"))
    for name in ("by_record", "of_cluster")
)
READ_EVENTS = query("erasure_redaction.read_events")
READ_EVENTS_OF_CLUSTER = query("erasure_redaction.read_events_of_cluster")
READ_RESENDS = query("erasure_redaction.read_resends")
REDACT_VERSIONS = query("erasure_redaction.redact_versions")
REDACT_EVENTS = query("erasure_redaction.redact_events")
REDACT_RESENDS = query("erasure_redaction.redact_resends")
TAKE_OUT_OF_TIES = query("erasure_redaction.take_out_of_ties")

TIES_PER_PAGE: Final = 500
"""How many ties lead to the documents of a page."""

RECORDS_AT_ONCE: Final = 100
SPANS_AT_ONCE: Final = 50
"""Of how many records the versions are read together, and of how many spans the events."""

VERSIONS_PER_PIECE: Final = 2_000
BYTES_PER_PIECE: Final = 4_000_000
EVENTS_PER_PIECE: Final = 500
"""How many versions one piece reads, of how many bytes where they are stored; and how many events, or resends."""

_LAST: Final = (UUID(int=2**128 - 1), UUID(int=2**128 - 1), 2**63 - 1)
"""A key after those of all versions."""


class _Span(NamedTuple):
    """The events of an identity in a dataset from one time to another: of the first time, those after an `_id`."""

    xid: UUID
    dataset_id: UUID
    first_at: datetime
    after_id: str
    last_at: datetime


@dataclass(slots=True)
class _Found:
    """Rows of documents that may name erased identities."""

    versions: Sequence[Any] = ()
    events: Sequence[Any] = ()
    resends: Sequence[Any] = ()


class _Page:
    """Ties that name erased identities, and the documents of others to which they lead. Making one raises Misconfigured."""

    def __init__(
        self, scope: Scope, config: Configuration, xids: Sequence[UUID], at: datetime, ties: Sequence[Any]
    ) -> None:
        self._scope, self._xids, self._at, self.ties = scope, xids, at, ties
        spans = dict[tuple[UUID, UUID], _Span]()
        for tie in ties:
            if tie["dataset_id"] is not None:  # else tied by hand
                key = (tie["origin"], tie["dataset_id"])
                known = spans.get(key, _Span(*key, tie["first_at"], "", tie["last_at"]))
                spans[key] = _Span(*key, min(known.first_at, tie["first_at"]), "", max(known.last_at, tie["last_at"]))
        schema_ids = {dataset_id: config.dataset(dataset_id).schema_id for _, dataset_id in spans}
        of_events = {d for d, s in schema_ids.items() if config.schemas[s].xdm_class is XdmClass.EXPERIENCE_EVENT}
        self._records = sorted(key for key in spans if key[1] not in of_events)
        self._spans = [span for key, span in sorted(spans.items()) if key[1] in of_events]
        self._members = sorted({xid for tie in ties if tie["dataset_id"] in of_events for xid in tie["xids"]})
        self._last_version, self._last_resend = _LAST, (NIL, NIL, "", NIL, NIL)

    @property
    def is_last(self) -> bool:
        """Whether there is no page after it."""
        return len(self.ties) < TIES_PER_PAGE

    @property
    def is_read(self) -> bool:
        """Whether all documents were read."""
        return not (self._records or self._spans or self._members)

    async def read(self, tx: Session) -> _Found:
        """Read the next documents: versions of records, or events, or resends."""
        if self._records and (versions := await self._read_versions(tx)):
            return _Found(versions=versions)
        if self._spans and (events := await self._read_events(tx)):
            return _Found(events=events)
        return _Found(resends=await self._read_resends(tx) if self._members else ())

    async def _read_versions(self, tx: Session) -> Sequence[Any]:
        """Read versions of the next records, the newest first: what is read of a record loses its mentions with them."""
        size = VERSIONS_PER_PIECE, BYTES_PER_PIECE
        while self._records:
            keys = map(list, zip(*self._records[:RECORDS_AT_ONCE], strict=True))
            read = READ_VERSIONS_OF_CLUSTER if tx.is_distributed else READ_VERSIONS
            rows = await tx.rows(read, self._scope.sandbox_id, *keys, self._at, *self._last_version, *size)
            if rows:
                self._last_version = tuple(rows[-1])[:3]
                return rows
            self._records, self._last_version = self._records[RECORDS_AT_ONCE:], _LAST
        return ()

    async def _read_events(self, tx: Session) -> Sequence[Any]:
        events = list[Any]()
        while self._spans and len(events) < EVENTS_PER_PIECE:
            asked, rest = self._spans[:SPANS_AT_ONCE], self._spans[SPANS_AT_ONCE:]
            spans, size = map(list, zip(*asked, strict=True)), EVENTS_PER_PIECE - len(events)
            read = READ_EVENTS_OF_CLUSTER if tx.is_distributed else READ_EVENTS
            rows = await tx.rows(read, self._scope.sandbox_id, *spans, self._at, size)
            self._spans = [*_left(asked, rows), *rest] if len(rows) == size else rest
            events += rows
        return events

    async def _read_resends(self, tx: Session) -> Sequence[Any]:
        named = (self._members, self._xids, self._at, *self._last_resend)
        resends = await tx.rows(READ_RESENDS, self._scope.sandbox_id, *named, EVENTS_PER_PIECE)
        self._last_resend = tuple(resends[-1])[:5] if resends else self._last_resend
        self._members = self._members if len(resends) == EVENTS_PER_PIECE else []
        return resends


def _left(spans: Sequence[_Span], events: Sequence[Any]) -> list[_Span]:
    """Return what is left of spans after these first events of theirs."""
    last = events[-1]
    begun = spans[last["span"] - 1]
    return [begun._replace(first_at=last["timestamp"], after_id=last["event_id"]), *spans[last["span"] :]]


class _Editor:
    """Takes identities out of rows of documents; `mentions` counts the places at which they stood."""

    def __init__(self, config: Configuration, scope: Scope, xids: Collection[UUID]) -> None:
        self._config, self._scope, self._xids = config, scope, frozenset(xids)
        self._readers = dict[UUID, Reader]()
        self.mentions = 0

    def version(self, row: Any) -> tuple[Any, ...] | None:
        """Return the row of a version as it is to be written; None if it stays as it is."""
        body, paths = self._redacted(row["dataset_id"], row["input"])
        if not paths:
            return None
        as_sent = redact_as_sent(row["as_sent"], paths)
        return row["xid"], row["dataset_id"], row["ordinal"], orjson.dumps(body).decode(), as_sent

    def event(self, row: Any) -> tuple[Any, ...] | None:
        """Return the row of an event as it is to be written; None if it stays as it is."""
        body, paths = self._redacted(row["dataset_id"], row["document"])
        if not paths:
            return None
        return row["xid"], row["dataset_id"], row["event_id"], event_type_of(body), orjson.dumps(body).decode()

    def resend(self, row: Any) -> tuple[Any, ...]:
        """Return the row of a resend as it is to be written."""
        document = row["document"]
        if document is not None:
            body, _ = self._redacted(row["dataset_id"], document)
            document = orjson.dumps(body).decode()
        key = (row["xid"], row["dataset_id"], row["event_id"], row["batch_id"], row["origin"])
        return *key, [xid for xid in row["named_xids"] if xid not in self._xids], document

    def _redacted(self, dataset_id: UUID, text: str) -> tuple[Document, Sequence[str]]:
        """Return a document without the identities, and the paths at which they stood."""
        if dataset_id not in self._readers:
            dataset = self._config.dataset(dataset_id)
            self._readers[dataset_id] = Reader(self._config, self._scope.sandbox, dataset)
        body, places = redact(self._readers[dataset_id], orjson.loads(text), self._xids)
        self.mentions += len(places)
        return body, [path for _, path in places]


class RedactedPiece(NamedTuple):
    """What went in a piece: mentions from documents, and whole ties."""

    mentions: int
    ties: int


@dataclass(slots=True)
class Redaction:
    """The redaction of documents that came in up to a time, of mentions of these identities. No facts are stored under these any more.

    It `is_over` once nothing is left.
    """

    scope: Scope
    xids: Sequence[UUID]
    at: datetime
    is_over: bool = False
    _page: _Page | None = None
    _last: tuple[UUID, UUID, UUID] = (NIL, NIL, NIL)

    async def redact_some(self, change: FactChange) -> RedactedPiece:
        """Take the identities out of some documents and ties, and add to the change what views need. Return what went. Not for one that `is_over`."""
        if self._page is None:
            self._page = await self._next(change.tx, change.config)
        page, ties = self._page, 0
        mentions = await self._redact(change, await page.read(change.tx))
        if page.is_read:
            self._page, self.is_over = None, page.is_last
            ties = await self._take_out(change, page)
        return RedactedPiece(mentions, ties)

    async def count(self, tx: Session, config: Configuration) -> int:
        """Count the mentions, and change nothing."""
        editor, seen = _Editor(config, self.scope, self.xids), set[tuple[Any, ...]]()
        while not self.is_over:
            page = await self._next(tx, config)
            while not page.is_read:
                found = await page.read(tx)
                for edit, rows, key in (
                    (editor.version, found.versions, 3),
                    (editor.event, found.events, 3),
                    (editor.resend, found.resends, 5),
                ):
                    new = {tuple(row)[:key]: row for row in rows if tuple(row)[:key] not in seen}
                    seen.update(new)
                    await in_time_slices(edit, new.values())
            self.is_over = page.is_last
        return editor.mentions

    async def _next(self, tx: Session, config: Configuration) -> _Page:
        ties = await tx.rows(LIST_TIES, self.scope.sandbox_id, self.xids, self.at, *self._last, TIES_PER_PAGE)
        if ties:
            self._last = (ties[-1]["xid"], ties[-1]["tie_id"], ties[-1]["batch_id"])
        return _Page(self.scope, config, self.xids, self.at, ties)

    async def _redact(self, change: FactChange, found: _Found) -> int:
        """Write these documents without the identities. Return how many mentions went."""
        tx, sandbox_id, editor = change.tx, self.scope.sandbox_id, _Editor(change.config, self.scope, self.xids)
        versions = await _edited(editor.version, found.versions)
        events = await _edited(editor.event, found.events)
        resends = await _edited(editor.resend, found.resends)
        await read_known(change, {row[0] for row in versions})
        for statement, rows in ((REDACT_VERSIONS, versions), (REDACT_EVENTS, events), (REDACT_RESENDS, resends)):
            keys = (list({row[place] for row in rows}) for place in range(3))
            await tx.update_rows(statement, sandbox_id, *keys, rows=rows)
        change.refolded |= {(row[0], row[1]) for row in versions}
        change.event_xids |= {row[0] for row in events}
        change.seeds |= {row[0] for row in versions}
        return editor.mentions

    async def _take_out(self, change: FactChange, page: _Page) -> int:
        """Take the identities out of the ties of a page. Return how many ties are gone.

        An identity that joins nobody since it has too many neighbours joins nobody until it has none: at the end it is grouped anew.
        """
        keys = ([tie[name] for tie in page.ties] for name in ("xid", "tie_id", "batch_id"))
        rows = await change.tx.rows(TAKE_OUT_OF_TIES, self.scope.sandbox_id, self.xids, self.at, *keys)
        erased = await change.tx.rows(READ_MEMBERS, self.scope.sandbox_id, self.xids)
        change.seeds |= {row["xid"] for row in rows} - set(self.xids)
        change.seeds |= {row["xid"] for row in erased if page.is_last or row["degree_limit"] > EXCLUDED}
        return sum(row["is_gone"] for row in rows)


async def _edited(edit: Callable[[Any], tuple[Any, ...] | None], rows: Sequence[Any]) -> list[tuple[Any, ...]]:
    return sorted(filter(None, await in_time_slices(edit, rows)), key=lambda row: row[:3])
