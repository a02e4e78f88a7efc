"""What is stored about one person, for an export about them: the rows of every store that holds something of people, as JSON texts.

A row names its `store`; identities, datasets and what else a row names by a key are written out. Rows are the person's as far as an erasure would
take them. What they name of others stays as it was sent, in documents; elsewhere others have an xid alone.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from gateway.domain.config.configuration import Configuration
from gateway.domain.config.policies import MergePolicy
from gateway.domain.operations.erasure_people import find_to_erase, read_stored
from gateway.domain.operations.export_jobs import EVENT, ExportState
from gateway.domain.operations.export_withdrawal import HOLDS, WITH_IDENTITIES
from gateway.domain.reading.attribute_documents import with_values_of_people
from gateway.domain.reading.computed_attributes import published_attributes
from gateway.domain.reading.profiles import read_profiles
from gateway.domain.rules.scope import Scope
from gateway.domain.work import leases
from gateway.domain.work.leases import JobFails, LeasedJob
from gateway.runtime.slices import in_time_slices
from gateway.runtime.uuids import NIL
from gateway.storage.database import Database
from gateway.storage.queries import Query, part, query, template

ROWS_PER_READ: Final = 1_000
FEW_ROWS: Final = 20
"""Rows of a store that are read before it is known how long they are."""
CHARACTERS_PER_READ: Final = 8_000_000
"""Of rows that are read at once, about."""

ENTITY: Final = "entity"
"""Of the merged profile, which is in no store as it is read: with the values of computed attributes."""

FIRST_TIME: Final = datetime(1, 1, 1, tzinfo=UTC)


class Stored(NamedTuple):
    """How the rows of a store are read: the statement, and a key in front of the first one."""

    statement: Query
    first: tuple[Any, ...]


def _stored(name: str, *first: Any, **parts: str) -> Stored:
    own = f"export_subjects.{name}"
    return Stored(template(own).filled(**parts) if parts else query(own), first)


STORED: Final[Mapping[str, Stored]] = {
    "identity": _stored("list_identities", NIL),
    "graph": _stored("list_graphs", NIL),
    "tie": _stored("list_ties", NIL, NIL, NIL),
    "unlinked_pair": _stored("list_unlinked_pairs", NIL, NIL),
    "record": _stored("list_records", NIL, NIL, -1),
    "fragment": _stored("list_fragments", NIL, NIL),
    "profile": _stored("list_profiles", NIL, NIL),
    "computed_partial": _stored("list_partials", NIL, -1, FIRST_TIME),
    "kept_value": _stored("list_kept_values", "", NIL, NIL),
    EVENT: _stored("list_events", NIL, NIL, ""),
    "event_resend": _stored("list_resends", NIL, NIL, "", NIL, NIL, tied=part("erasure.tied")),
    "change": _stored("list_changes", -1, -1),
    "ingest_error": _stored("list_errors", NIL, -1),
    "ingestion_warning": _stored("list_warnings", NIL),
    "job": _stored("list_jobs", NIL),
    "export_person": _stored("list_spooled", NIL, NIL, -1, with_identities=WITH_IDENTITIES),
    "export_identity": _stored("list_exports", NIL, with_identities=WITH_IDENTITIES),
    "export_file": _stored("list_export_files", NIL, "", holds=HOLDS),
    "edge": _stored("list_edges", ""),
}
"""By the name of each table that holds something of people; `edge`: the data centres that are delivered to. Identities come first: other rows name them."""


@dataclass(slots=True)
class ExportSubject:
    """The person of an export about one: the identities, the one that was asked for first, and the policy of the merged profile.

    `known`: the namespaces and values of the identities, as far as they were read.
    """

    scope: Scope
    config: Configuration
    policy: MergePolicy
    xids: Sequence[UUID]
    known: dict[UUID, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def key(self) -> UUID:
        """By which rows are kept."""
        return self.xids[0]

    @property
    def by_namespace(self) -> dict[str, int]:
        """The namespaces in which the person has identities, each once."""
        return {each["namespace"]: 1 for each in self.known.values() if each["namespace"]}

    def identity(self, xid: UUID) -> Mapping[str, Any]:
        """Return what is shown of an identity: of others, the xid."""
        return {"xid": xid, **self.known.get(xid, {})}

    def dataset(self, dataset_id: UUID | None) -> Mapping[str, Any] | None:
        """Return what is shown of a dataset."""
        found = None if dataset_id is None else self.config.datasets.find(dataset_id)
        return None if dataset_id is None else {"id": dataset_id, "name": found and found.name}

    def policy_name(self, policy_id: UUID) -> str | None:
        """Return the name of a policy."""
        found = self.config.policies.find(policy_id)
        return None if found is None else found.settings.name

    def attribute_name(self, attribute_id: UUID) -> str | None:
        """Return the name of a computed attribute."""
        found = self.config.attributes.find(attribute_id)
        return None if found is None else found.name

    def batch(self, batch_id: UUID) -> UUID | None:
        """Return the id of a batch, None for what somebody did by hand."""
        return None if batch_id == NIL else batch_id


async def find_person(db: Database, scope: Scope, config: Configuration, xid: UUID) -> list[UUID]:
    """Return the identities of a person, the given one first: those that an erasure would take which was never asked for before.

    What an earlier one has marked and not taken may be of somebody else by now, unless the data still join it to the person.
    """
    async with db.snapshot() as tx:
        known = await read_stored(tx, scope, [xid])
        found = await find_to_erase(tx, scope, config, known, is_whole=True)
    return [xid, *sorted(one for one, member in found.members.items() if one != xid and member.marked_at is None)]


async def keep_subject(
    db: Database, still: Database, job: LeasedJob, subject: ExportSubject, state: ExportState, *, most: int
) -> ExportState:
    """Keep everything that is stored about a person at one moment, and return how far the export is. What is kept is committed piece by piece: `still`
    would read it as something about the person.

    The export holds all others that rows name, too: its files go with any of them. `most`: bytes that the rows may have together. Raises
    JobFails, LeaseLost.
    """
    key, by_store = (subject.scope.sandbox_id, job.job_id), dict.fromkeys([*STORED, ENTITY], 0)
    named, held, size = set(subject.xids), set[UUID](), 0
    async for store, rows in _rows(still, subject):
        place = sum(by_store.values())
        texts = await in_time_slices(partial(_text, subject, store), rows)
        people = [(*key, subject.key, number, text) for number, text in enumerate(texts, place)]
        named.update(*map(_named, rows))
        identities = [(*key, xid, subject.key) for xid in named - held]
        async with db.transaction(subject.scope.sandbox_id) as tx:
            await tx.copy("export_person", ("sandbox_id", "job_id", "profile_id", "place", "document"), people)
            await tx.copy("export_identity", ("sandbox_id", "job_id", "xid", "profile_id"), identities)
            await leases.advance(tx, job, None, done=place + len(rows), may_rest=False)
        held |= named
        by_store[store] += len(rows)
        size += sum(len(text.encode()) for text in texts)
        if size > most:
            raise JobFails(
                f"What is stored about the person is more than the {most:,} bytes that `GATEWAY_EXPORT_SPOOL_GB` allows."
            )
    return replace(state, people=sum(by_store.values()), by_store=by_store, by_namespace=subject.by_namespace)


# ------------------------------------------------------------------------------------------------ rows


async def _rows(db: Database, subject: ExportSubject) -> AsyncIterator[tuple[str, Sequence[Any]]]:
    """Yield what each store holds of a person, some rows at a time, and then the merged profiles."""
    for store in STORED:
        async for rows in _stored_rows(db, subject, *STORED[store]):
            if store == "identity":
                subject.known |= {row["xid"]: _identity(subject.config, row) for row in rows}
            yield store, rows
    yield ENTITY, await _merged(db, subject)


async def _stored_rows(
    db: Database, subject: ExportSubject, statement: Query, after: tuple[Any, ...]
) -> AsyncIterator[Sequence[Any]]:
    place, size = (subject.scope.sandbox_id, subject.xids), min(FEW_ROWS, ROWS_PER_READ)
    while rows := await db.rows(statement, *place, *after, size):
        yield rows
        after = tuple(rows[-1])[: len(after)]
        length = sum(len(value) for row in rows for value in row if isinstance(value, str))
        size = max(1, min(ROWS_PER_READ, len(rows) * CHARACTERS_PER_READ // max(1, length)))


def _identity(config: Configuration, row: Any) -> Mapping[str, Any]:
    namespace = config.namespaces.get(row["namespace_id"])
    return {"namespace": namespace and namespace.code, "value": row["identity_value"]}


async def _merged(db: Database, subject: ExportSubject) -> list[Mapping[str, Any]]:
    """Return the merged profiles that the identities lead to, with the values of computed attributes."""
    place = db, subject.scope, subject.config
    found = [each.profile for each in await read_profiles(*place, subject.policy, subject.xids) if each.profile]
    profiles = {each.profile_id: each for each in found}
    names = [each.name for each in published_attributes(subject.config, None)]
    documents = [each.document for each in profiles.values()]
    if names:
        documents = await with_values_of_people(*place, names, list(profiles.values()))
    shared = {"policy_id": subject.policy.policy_id}
    return [{**shared, "profile_id": key, "document": each} for key, each in zip(profiles, documents, strict=True)]


def _text(subject: ExportSubject, store: str, row: Any) -> str:
    """Return a row of a store as JSON."""
    shown = {"store": store, **dict(_members(subject, row))}
    return orjson.dumps(shown, default=str, option=orjson.OPT_UTC_Z).decode()


def _members(subject: ExportSubject, row: Any) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if name in _JSON and isinstance(value, str):
            yield _camel(name), orjson.Fragment(value)
        elif name in _WRITTEN:
            shown, write = _WRITTEN[name]
            yield shown, [write(subject, one) for one in value] if isinstance(value, list) else write(subject, value)
        elif name not in _HIDDEN:
            yield _camel(name), value


def _named(row: Any) -> set[UUID]:
    """Return the identities that a row names."""
    named = set[UUID]()
    for name in _NAMING.intersection(row.keys()):
        named.update(row[name] if isinstance(row[name], list) else (row[name],))
    return named


_NAMING: Final = frozenset({"xid", "xids", "other_xid", "origin", "named_xids"})
_JSON: Final = frozenset({"document", "as_sent", "paths", "numbers", "items", "value", "sample"})
_HIDDEN: Final = frozenset({"namespace_id", "identity_value", "member"})
"""Columns that are shown with every identity, or are keys alone."""

_WRITTEN: Final[Mapping[str, tuple[str, Callable[[ExportSubject, Any], Any]]]] = {
    "xid": ("identity", ExportSubject.identity),
    "xids": ("identities", ExportSubject.identity),
    "other_xid": ("otherIdentity", ExportSubject.identity),
    "origin": ("origin", ExportSubject.identity),
    "named_xids": ("identities", ExportSubject.identity),
    "dataset_id": ("dataset", ExportSubject.dataset),
    "sources": ("sources", ExportSubject.dataset),
    "policy_id": ("mergePolicy", ExportSubject.policy_name),
    "attribute_id": ("attribute", ExportSubject.attribute_name),
    "batch_id": ("batchId", ExportSubject.batch),
}
"""Columns that are keys: under which names they are shown, and as what."""


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)
