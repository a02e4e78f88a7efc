"""Ingestion of up to 1,000 documents a call, with a result for each."""

from typing import Any
from uuid import UUID

import strawberry

from gateway.api.batches import BatchType
from gateway.api.context import Context, Info, plain, resolved_by
from gateway.api.ids import input_id
from gateway.api.ingest_errors import IngestErrorType
from gateway.api.mutations import MutationResult, UserError, mutation, user_errors
from gateway.api.scalars import JSON, described
from gateway.domain.facts.batches import Batch
from gateway.domain.ingest import ingestion
from gateway.domain.ingest.ingestion import IngestResult
from gateway.domain.rules.scope import Permission
from gateway.domain.rules.versions import Mode

described(
    Mode,
    "IngestMode",
    "What a record does with the one before it: the same dataset's last word on the same identity.",
    REPLACE="It takes the other's place.",
    MERGE="It changes the fields it names, all others stay; null removes a field.",
    DELETE="It removes the other; only its identities are read.",
)


@strawberry.input(description="Records to take in.")
class IngestRecordsInput:
    dataset_id: strawberry.ID = plain("A dataset of class INDIVIDUAL_PROFILE.")
    documents: list[JSON] = plain("The records, at most 1,000: documents of the dataset's schema.")
    mode: Mode = plain("What each record does with the one before it.", default=Mode.REPLACE)
    batch_id: strawberry.ID | None = plain(
        "A loading batch of the dataset to put them in; without one, a batch that such calls share.", default=None
    )


@strawberry.input(description="Events to take in.")
class IngestEventsInput:
    dataset_id: strawberry.ID = plain("A dataset of class EXPERIENCE_EVENT.")
    documents: list[JSON] = plain(
        "The events, at most 1,000: documents of the dataset's schema, each with its `_id` and `timestamp`."
    )
    batch_id: strawberry.ID | None = plain(
        "A loading batch of the dataset to put them in; without one, a batch that such calls share.", default=None
    )


def _result(name: str, where_refused: Any, description: str) -> Any:
    """Return the field of a payload that shows this part of the result, or a value where nothing was done."""

    def resolve(answer: strawberry.Parent[MutationResult]) -> Any:
        return where_refused if answer.changed is None else getattr(answer.changed, name)

    return resolved_by(resolve, description)


async def _batch(answer: strawberry.Parent[MutationResult], info: Info) -> Batch | None:
    return answer.changed and await info.context.loaders.batch_by_id.load(answer.changed.batch_id)


@strawberry.type(
    description="What became of each document. Accepted, duplicates and failed are together as many as were sent."
)
class IngestPayload:
    batch: BatchType | None = resolved_by(_batch, "The batch that the documents are in; null where nothing was done.")
    accepted: int = _result(
        "accepted", 0, "How many documents say something new and were stored; reads see them from now on."
    )
    duplicates: int = _result("duplicates", 0, "How many documents were there already and changed nothing.")
    failed: list[IngestErrorType] = _result(
        "failed",
        (),
        "The documents that were refused, each with all the rules it breaks; they are kept with the batch.",
    )
    warnings: list[IngestErrorType] = _result(
        "warnings", (), "What was stored but not used as sent, such as an identity that names nobody."
    )
    user_errors: list[UserError] = user_errors()


async def _records(context: Context, given: IngestRecordsInput) -> IngestResult:
    return await ingestion.ingest_records(
        context.db,
        context.scope,
        context.configurations,
        input_id(given.dataset_id, "Dataset", "datasetId"),
        given.documents,
        mode=given.mode,
        batch_id=_batch_id(given.batch_id),
    )


async def _events(context: Context, given: IngestEventsInput) -> IngestResult:
    return await ingestion.ingest_events(
        context.db,
        context.scope,
        context.configurations,
        input_id(given.dataset_id, "Dataset", "datasetId"),
        given.documents,
        batch_id=_batch_id(given.batch_id),
    )


def _batch_id(given: strawberry.ID | None) -> UUID | None:
    return input_id(given, "Batch", "batchId") if given is not None else None


@strawberry.type(description="Mutations of ingestion.")
class IngestionMutation:
    ingest_records: IngestPayload = mutation(
        _records,
        Permission.PROFILE_WRITE,
        "Takes records in, up to 1,000; each is answered for, and sending one again changes nothing. Needs the scope `profile:write`.",
    )
    ingest_events: IngestPayload = mutation(
        _events,
        Permission.PROFILE_WRITE,
        "Takes events in, up to 1,000; each is answered for, and sending one again changes nothing. Needs the scope `profile:write`.",
    )
