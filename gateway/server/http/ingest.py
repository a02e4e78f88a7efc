"""`POST /ingest/{datasetId}`: a stream of JSON lines of any length, committed chunk by chunk, answered for at its end.

    mode       REPLACE (default), MERGE or DELETE, of records
    batchId    a batch that is LOADING
    batchKey   the batch of this key, made if there is none: who sends a stream again after a crash sends the same key
               neither: the dataset's rolling batch

Lines are committed a thousand at a time, and after a moment when no more come. What came whole lands when the stream breaks off; sending
all of it again changes nothing that is there.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from functools import partial
from http import HTTPStatus
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.ids import input_id
from gateway.domain.facts.batches import create_batch
from gateway.domain.ingest.ingestion import Chunk, IngestResult, ingest_stream
from gateway.domain.rules.scope import Scope
from gateway.domain.rules.versions import Mode
from gateway.errors import BadInput, GatewayError, Unavailable
from gateway.server.http.negotiation import is_ndjson
from gateway.server.http.request_body import Pace, check_announced, paced
from gateway.server.http.responses import json_answer, refusal
from gateway.server.http.services import Services, services
from gateway.server.streams.ndjson import Gunzip, Plain, Stream
from gateway.server.streams.outcomes import StreamOutcome

PARAMETERS = {"mode", "batchId", "batchKey"}


async def ingest(request: Request) -> Response:
    """Take in a stream."""
    tally = StreamOutcome()
    try:
        if (refused := _unsupported(request)) is not None:
            return refused
        here = services(request)
        scope = await here.scope(request)
        async with here.admission.streams.place(scope.sandbox_id):
            async for result in await _results(request, here, scope, tally):
                tally.add(result)
    except GatewayError as error:
        return refusal(error, **tally.told())
    except asyncio.CancelledError:
        if not services(request).drained.done():
            raise
        return refusal(Unavailable("The server is going down; send what is not counted here again."), **tally.told())
    return json_answer(tally.told())


def _unsupported(request: Request) -> Response | None:
    encoding = request.headers.get("content-encoding", "identity").lower()
    if is_ndjson(request.headers.get("content-type")) and encoding in {"identity", "gzip"}:
        return None
    fault = BadInput("Send `content-type: application/x-ndjson` in UTF-8, as it is or with `content-encoding: gzip`.")
    return refusal(fault, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


async def _results(request: Request, here: Services, scope: Scope, tally: StreamOutcome) -> AsyncIterator[IngestResult]:
    """What becomes of the stream, chunk by chunk; `tally` is what became of it so far."""
    asked = request.query_params
    if unknown := sorted(set(asked) - PARAMETERS):
        raise BadInput(f"There is no parameter `{unknown[0]}`; there are {', '.join(sorted(PARAMETERS))}.")
    dataset_id = input_id(request.path_params["dataset_id"], "Dataset", "datasetId")
    to = (here.db, scope, here.configurations, dataset_id)
    mode, batch_id = _mode(asked), await _batch(here, scope, dataset_id, asked)
    check_announced(request.headers, here.settings.stream_bytes)
    admit = partial(here.admission.chunks.admit, scope.sandbox_id)
    return ingest_stream(*to, _chunks(request, here, tally), mode=mode, batch_id=batch_id, admit=admit)


def _mode(asked: Mapping[str, str]) -> Mode:
    try:
        return Mode(asked.get("mode", Mode.REPLACE))
    except ValueError:
        raise BadInput(f"`mode` is one of {', '.join(Mode)}.") from None


async def _batch(here: Services, scope: Scope, dataset_id: UUID, asked: Mapping[str, str]) -> UUID | None:
    if "batchId" in asked and "batchKey" in asked:
        raise BadInput("Name a batch by `batchId` or by `batchKey`, not by both.")
    if "batchId" in asked:
        known: UUID = input_id(asked["batchId"], "Batch", "batchId")
        return known
    if "batchKey" not in asked:
        return None
    config = await here.configurations.read(here.db, scope)
    return (await create_batch(here.db, scope, config, dataset_id, asked["batchKey"])).batch_id


async def _chunks(request: Request, here: Services, tally: StreamOutcome) -> AsyncIterator[Chunk]:
    settings, is_packed = here.settings, request.headers.get("content-encoding", "").lower() == "gzip"
    stream = Stream(Gunzip() if is_packed else Plain(), settings.stream_bytes)
    pace = Pace(settings.stream_commit_seconds, settings.request_seconds, here.drained)
    async for chunk in stream.chunks(
        paced(request, stream.lines, pace), partial(tally.check, settings.stream_failures)
    ):
        yield chunk
