"""Fragments, which profiles are merged from, and provenance: why a field has its value."""

from datetime import datetime

import strawberry

from gateway.api.attribute_explanations import ComputedProvenanceType
from gateway.api.batches import BatchType, batch_of
from gateway.api.context import plain, resolved_by
from gateway.api.datasets import DatasetType, dataset_of
from gateway.api.identities import IdentityNode, identity_of
from gateway.api.scalars import JSON, described
from gateway.domain.reading.attribute_explanations import ComputedProvenance
from gateway.domain.rules.merge import MergeRule, Provenance

described(
    MergeRule,
    "MergeRule",
    "What decided between the records that have a field. Datasets that the policy does not list are no candidates.",
    ONLY_CANDIDATE="No other record has the field.",
    NEWEST="The record with the latest `at` won.",
    DATASET_ORDER="The records are of several datasets, and the one that stands first in the policy's `order` won: of its records the newest, as under NEWEST and TIE_BREAK.",
    TIE_BREAK="Several records have the latest `at`: of these the one that came in last won, of those that came in one call the later one in it.",
    COMPUTED="A computed attribute: no record has it. `computed` says what it is of.",
    UNION="Nothing is lost: the segments of all records are kept, so that no record won. Of one segment that several records tell, the first candidate is shown, which is the newest whatever the policy says.",
)


@strawberry.type(
    name="ProfileFragment", description="What one dataset says of one identity: the record that is stored there now."
)
class ProfileFragmentType:
    identity: IdentityNode = resolved_by(identity_of, "The primary identity, under which the record is stored.")
    dataset: DatasetType = resolved_by(dataset_of, "The dataset that the record was sent to.")
    batch: BatchType | None = resolved_by(batch_of, "The batch that last changed what it says.")
    document: JSON = plain("What the record says, as it was sent or adds up from what was sent.")
    ingested_at: datetime = plain("When what it says now came in.")
    observed_at: datetime | None = plain(
        "When its source last changed it, by `extSourceSystemAudit.lastUpdatedDate`; null where it does not say."
    )


@strawberry.type(name="FieldCandidate", description="A record that has a value for a field of the profile.")
class FieldCandidateType:
    is_loaded = False

    value: JSON | None = plain("The value that the record has there, whole.")
    identity: IdentityNode = resolved_by(identity_of, "The primary identity, under which the record is stored.")
    dataset: DatasetType = resolved_by(dataset_of, "The dataset that the record was sent to.")
    batch: BatchType | None = resolved_by(batch_of, "The batch that last changed what the record says.")
    at: datetime = plain(
        "The time that rules compare, to the microsecond: when the record's source last changed it, or where it does not say, when the record came in."
    )
    ingested_at: datetime = plain("When what the record says now came in, which decides where `at` is equal.")


def _computed(explained: strawberry.Parent[Provenance | ComputedProvenance]) -> ComputedProvenance | None:
    return explained if isinstance(explained, ComputedProvenance) else None


@strawberry.type(
    name="FieldProvenance",
    description="Why a field of a profile has its value: who gave it, by which rule, and who else had one.",
)
class FieldProvenanceType:
    is_loaded = False

    path: list[str] = plain("Names from the document's root down to the field.")
    value: JSON | None = plain("The value in the profile, the same as in `entityJson`.")
    winner: FieldCandidateType | None = plain(
        "The record that the value is from; null where the rule is UNION or COMPUTED."
    )
    rule: MergeRule = plain("What decided between the records.")
    candidates: list[FieldCandidateType] = plain(
        "The records that lost, best first; where the rule is UNION, all of them."
    )
    computed: ComputedProvenanceType | None = resolved_by(
        _computed, "What a computed value is of; null unless the rule is COMPUTED."
    )
