"""`POST /ingest/{datasetId}`: a stream of JSON lines of any length, committed chunk by chunk, answered for at its end.

    mode       REPLACE (default), MERGE or DELETE, of records
    batchId    a batch that is LOADING
    batchKey   the batch of this key, made if there is none: who sends a stream again after a crash sends the same key
               neither: the dataset's rolling batch

What was committed stays when the stream breaks off; sending all of it again changes nothing that is there.
"""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.ids import global_id, input_id
from gateway.domain.batches import create_batch
from gateway.domain.configuration import Configuration, Configurations
from gateway.domain.documents import Failure
from gateway.domain.ingestion import Chunk, IngestResult, ingest_stream
from gateway.domain.records import Mode
from gateway.domain.tenants import Permission, Scope
from gateway.errors import BadInput, GatewayError, Timeout
from gateway.server.answers import json_answer, refusal
from gateway.server.bodies import pieces
from gateway.server.lines import Gunzip, Lines
from gateway.server.media import is_ndjson
from gateway.server.services import services
from gateway.storage.database import Database
from gateway.xdm.classes import XdmClass

TOLD = 1_000  # failures, and warnings, in an answer; all failures are kept with their batch
PARAMETERS = {"mode", "batchId", "batchKey"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a stream goes, and how its documents are meant."""

    db: Database
    scope: Scope
    configurations: Configurations
    dataset_id: UUID
    mode: Mode = Mode.REPLACE
    batch_id: UUID | None = None

    def take(self, chunks: AsyncIterable[Chunk]) -> AsyncIterator[IngestResult]:
        """Commit the chunks, and tell what became of each, in their order."""
        return ingest_stream(
            *(self.db, self.scope, self.configurations, self.dataset_id, chunks), mode=self.mode, batch_id=self.batch_id
        )


@dataclass(slots=True)
class Tally:
    """What became of a stream so far."""

    batch_id: UUID | None = None
    accepted: int = 0
    duplicates: int = 0
    failed_count: int = 0
    failed: list[Failure] = field(default_factory=list)
    warnings: list[Failure] = field(default_factory=list)

    def add(self, result: IngestResult) -> None:
        self.batch_id = result.batch_id
        self.accepted += result.accepted
        self.duplicates += result.duplicates
        self.failed_count += len(result.failed)
        self.failed += result.failed[: TOLD - len(self.failed)]
        self.warnings += result.warnings[: TOLD - len(self.warnings)]

    def told(self) -> dict[str, Any]:
        """As JSON; of the documents themselves nothing."""
        return {
            "batchId": global_id("Batch", self.batch_id) if self.batch_id else None,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "failedCount": self.failed_count,
            "failed": [_told(failure) for failure in self.failed],
            "warnings": [_told(warning) for warning in self.warnings],
        }


async def ingest(request: Request) -> Response:
    """Take in a stream."""
    tally = Tally()
    try:
        if (refused := _unsupported(request)) is not None:
            return refused
        target = await _target(request)
        async for result in target.take(_chunks(request)):
            tally.add(result)
    except Timeout as error:
        return refusal(error, HTTPStatus.REQUEST_TIMEOUT, **tally.told())
    except GatewayError as error:
        return refusal(error, **tally.told())
    return json_answer(tally.told())


async def target_of(
    db: Database,
    scope: Scope,
    configurations: Configurations,
    dataset_id: UUID,
    *,
    mode: Mode,
    batch_key: str | None = None,
    batch_id: UUID | None = None,
) -> Target:
    """The way into a dataset. Raises Forbidden; NotFound for the dataset; BadInput for a mode that its documents cannot have."""
    scope.require(Permission.PROFILE_WRITE)
    config = await configurations.read(db, scope)
    if mode is not Mode.REPLACE and _class_of(config, dataset_id) is XdmClass.EXPERIENCE_EVENT:
        raise BadInput("Events are appended: `mode` is for records.")
    if batch_key is not None:
        batch_id = (await create_batch(db, scope, config, dataset_id, batch_key)).batch_id
    return Target(db, scope, configurations, dataset_id, mode, batch_id)


def _unsupported(request: Request) -> Response | None:
    encoding = request.headers.get("content-encoding", "identity").lower()
    if is_ndjson(request.headers.get("content-type")) and encoding in {"identity", "gzip"}:
        return None
    fault = BadInput("Send `content-type: application/x-ndjson` in UTF-8, as it is or with `content-encoding: gzip`.")
    return refusal(fault, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


async def _target(request: Request) -> Target:
    here, asked = services(request), request.query_params
    scope = await here.scope(request)
    if unknown := sorted(set(asked) - PARAMETERS):
        raise BadInput(f"There is no parameter `{unknown[0]}`; there are {', '.join(sorted(PARAMETERS))}.")
    if "batchId" in asked and "batchKey" in asked:
        raise BadInput("Name a batch by `batchId` or by `batchKey`, not by both.")
    return await target_of(
        *(here.db, scope, here.configurations),
        input_id(request.path_params["dataset_id"], "Dataset", "datasetId"),
        mode=_mode(asked),
        batch_key=asked.get("batchKey"),
        batch_id=input_id(asked["batchId"], "Batch", "batchId") if "batchId" in asked else None,
    )


def _mode(asked: Mapping[str, str]) -> Mode:
    try:
        return Mode(asked.get("mode", Mode.REPLACE))
    except ValueError:
        raise BadInput(f"`mode` is one of {', '.join(Mode)}.") from None


def _class_of(config: Configuration, dataset_id: UUID) -> XdmClass:
    return config.schemas[config.dataset(dataset_id).schema_id].xdm_class


async def _chunks(request: Request) -> AsyncIterator[Chunk]:
    lines = Lines()
    async for piece in _unpacked(request):
        for chunk in lines.feed(piece):
            yield chunk
    for chunk in lines.end():
        yield chunk


async def _unpacked(request: Request) -> AsyncIterator[bytes]:
    body = pieces(request, services(request).settings.request_seconds)
    if request.headers.get("content-encoding", "").lower() != "gzip":
        async for piece in body:
            yield piece
        return
    gunzip = Gunzip()
    async for piece in body:
        for unpacked in gunzip.feed(piece):
            yield unpacked
    gunzip.end()


def _told(failure: Failure) -> dict[str, Any]:
    return {"index": failure.index, "path": failure.path, "code": failure.code, "message": failure.message}
