"""What profiles are merged of, and why each of their leaves has the value that it has."""

from datetime import datetime

import strawberry

from gateway.api.batches import BatchType
from gateway.api.context import Info, resolved_by
from gateway.api.datasets import DatasetType
from gateway.api.identities import IdentityNode
from gateway.api.scalars import JSON, described
from gateway.domain.config.datasets import Dataset
from gateway.domain.facts.batches import Batch
from gateway.domain.reading.identities import Identity
from gateway.domain.rules.merge import Candidate, Fragment, MergeRule

described(
    MergeRule,
    "MergeRule",
    "What decided between the records that have a field. Datasets that the policy does not list are no candidates.",
    ONLY_CANDIDATE="No other record has the field.",
    NEWEST="The record with the latest `at` won.",
    DATASET_ORDER="The records are of several datasets, and the one that stands first in the policy's `order` won: of its records the newest, as under NEWEST and TIE_BREAK.",
    TIE_BREAK="Several records have the latest `at`: of these the one that came in last won, of those that came in one call the later one in it.",
    UNION="Nothing is lost: the segments of all records are kept, so that no record won. Of one segment that several records tell, the first candidate is shown, which is the newest whatever the policy says.",
)


async def _identity(source: strawberry.Parent[Fragment | Candidate], info: Info) -> Identity | None:
    return await info.context.loaders.identity_by_xid.load(source.xid)


def _dataset(source: strawberry.Parent[Fragment | Candidate], info: Info) -> Dataset:
    return info.context.config.datasets[source.dataset_id]


async def _batch(source: strawberry.Parent[Fragment | Candidate], info: Info) -> Batch | None:
    return await info.context.loaders.batch_by_id.load(source.batch_id)


@strawberry.type(
    name="ProfileFragment", description="What one dataset says of one identity: the record that is stored there now."
)
class ProfileFragmentType:
    identity: IdentityNode = resolved_by(_identity, "The primary identity, under which the record is stored.")
    dataset: DatasetType = resolved_by(_dataset, "The dataset that the record was sent to.")
    batch: BatchType | None = resolved_by(_batch, "The batch that last changed what it says.")
    document: JSON = strawberry.field(description="What the record says, as it was sent or adds up from what was sent.")
    ingested_at: datetime = strawberry.field(description="When what it says now came in.")
    observed_at: datetime | None = strawberry.field(
        description="When its source last changed it, by `extSourceSystemAudit.lastUpdatedDate`; null where it does not say."
    )


@strawberry.type(name="FieldCandidate", description="A record that has a value for a field of the profile.")
class FieldCandidateType:
    value: JSON | None = strawberry.field(description="The value that the record has there, whole.")
    identity: IdentityNode = resolved_by(_identity, "The primary identity, under which the record is stored.")
    dataset: DatasetType = resolved_by(_dataset, "The dataset that the record was sent to.")
    batch: BatchType | None = resolved_by(_batch, "The batch that last changed what the record says.")
    at: datetime = strawberry.field(
        description="The time that rules compare, to the microsecond: when the record's source last changed it, or where it does not say, when the record came in."
    )
    ingested_at: datetime = strawberry.field(
        description="When what the record says now came in, which decides where `at` is equal."
    )


@strawberry.type(
    name="FieldProvenance",
    description="Why a field of a profile has its value: who gave it, by which rule, and who else had one.",
)
class FieldProvenanceType:
    path: list[str] = strawberry.field(description="Names from the document's root down to the field.")
    value: JSON | None = strawberry.field(description="The value in the profile, the same as in `entityJson`.")
    winner: FieldCandidateType | None = strawberry.field(
        description="The record that the value is from; null where the rule is UNION."
    )
    rule: MergeRule = strawberry.field(description="What decided between the records.")
    candidates: list[FieldCandidateType] = strawberry.field(
        description="The records that lost, best first; where the rule is UNION, all of them."
    )
