"""Versions of records: what each source sent about a person, and what of it counts now."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import strawberry

from gateway.api.batches import BatchType, batch_of
from gateway.api.context import Info, for_all, plain, resolved_by
from gateway.api.datasets import DatasetType, dataset_of
from gateway.api.identities import IdentityNode, identity_of
from gateway.api.loaders import Loaders, Xids
from gateway.api.pagination import Listing, Slice
from gateway.api.scalars import JSON
from gateway.domain.reading.record_versions import RecordVersion
from gateway.domain.rules.merge import Document
from gateway.domain.rules.versions import Mode
from gateway.runtime.slices import in_time_slices

VERSIONS: Final[Listing[RecordVersion]] = Listing("record versions", lambda version: version.place)


async def versions_of(loaders: Loaders, xids: Xids, **page: Any) -> Slice[RecordVersion]:
    """Read one page of the versions of a person's records. Raises Forbidden, BadCursor, BadInput, LimitExceeded."""
    read = await loaders.record_versions_by_people.load((VERSIONS.window(**page), xids))
    return VERSIONS.paged(read, lambda: loaders.record_version_count_by_people.load(xids))


async def _inputs(versions: Sequence[RecordVersion], info: Info) -> list[Document | None]:
    found = await info.context.loaders.input_by_version.load_many([version.key for version in versions])
    return await in_time_slices(lambda sent: None if sent is None else sent.document, found)


@for_all(_inputs)
async def _input(version: strawberry.Parent[RecordVersion], info: Info) -> Document | None:
    return (await _inputs([version], info))[0]


@strawberry.type(
    name="RecordVersion",
    description="One sending of a record. The record's fragment is what its live versions add up to, in the order in which they came in.",
)
class RecordVersionType:
    identity: IdentityNode = resolved_by(identity_of, "The primary identity, under which the record is stored.")
    dataset: DatasetType = resolved_by(dataset_of, "The dataset that it was sent to.")
    batch: BatchType | None = resolved_by(batch_of, "The batch that brought it.")
    mode: Mode = plain("What it does with the versions before it.")
    input: JSON | None = resolved_by(
        _input,
        "What the source sent, in its own spelling of times and numbers, which everywhere else have one form; without identities that were erased, and of a deletion without all but its own. Null where it was removed meanwhile.",
    )
    ingested_at: datetime = plain("When it came in.")
    is_live: bool = plain(
        "Whether it takes part in what the record says now: no newer version replaces or deletes the record."
    )
