"""`POST /ingest/{datasetId}`: a stream of JSON lines of any length, committed chunk by chunk; the response counts all of it.

    mode       REPLACE (default), MERGE or DELETE, of records
    batchId    a batch that is LOADING
    batchKey   the batch of this key, created if there is none: a stream that is sent again after a crash has the same key
               neither: the dataset's rolling batch

Lines are committed a thousand at a time, and after a moment when no more come. When a stream breaks off, its complete lines are committed;
to send all of it again changes nothing that is stored. Before each commit the credentials are checked again: a stream ends when its token
expires or is revoked, or its key is.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
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
from gateway.server.http.paced_body import Pace, paced_pieces
from gateway.server.http.request_body import announced_size, check_size
from gateway.server.http.responses import error_response, json_answer
from gateway.server.http.services import Services, services
from gateway.server.streams.ndjson import Gunzip, Plain, Stream
from gateway.server.streams.outcomes import StreamOutcome

PARAMETERS = {"mode", "batchId", "batchKey"}


async def ingest(request: Request) -> Response:
    """Ingest a stream and respond with its outcome."""
    outcome = StreamOutcome()
    try:
        if (refused := _unsupported(request)) is not None:
            return refused
        here = services(request)
        scope = await here.scope(request)
        async with here.admission.streams.place(scope.sandbox_id):
            async for result in await _results(request, here, scope, outcome):
                outcome.add(result)
    except GatewayError as error:
        return error_response(error, **outcome.as_json())
    except asyncio.CancelledError:
        if not services(request).drained.done():
            raise
        return error_response(
            Unavailable("The server is going down; send what is not counted here again."), **outcome.as_json()
        )
    return json_answer(outcome.as_json())


def _unsupported(request: Request) -> Response | None:
    encoding = request.headers.get("content-encoding", "identity").lower()
    if is_ndjson(request.headers.get("content-type")) and encoding in {"identity", "gzip"}:
        return None
    error = BadInput("Send `content-type: application/x-ndjson` in UTF-8, as it is or with `content-encoding: gzip`.")
    return error_response(error, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


async def _results(
    request: Request, here: Services, scope: Scope, outcome: StreamOutcome
) -> AsyncIterator[IngestResult]:
    """Return the results of the stream, chunk by chunk; `outcome` has their sum so far. Raises BadInput, LimitExceeded, Forbidden."""
    parameters = request.query_params
    if unknown := sorted(set(parameters) - PARAMETERS):
        raise BadInput(f"There is no parameter `{unknown[0]}`; there are {', '.join(sorted(PARAMETERS))}.")
    dataset_id = input_id(request.path_params["dataset_id"], "Dataset", "datasetId")
    to = (here.db, scope, here.configurations, dataset_id)
    mode, batch_id = _mode(parameters), await _batch(here, scope, dataset_id, parameters)
    check_size(announced_size(request.headers), here.settings.stream_bytes)
    admit = partial(_admit, request, here, scope)
    return ingest_stream(*to, _chunks(request, here, outcome), mode=mode, batch_id=batch_id, admit=admit)


async def _admit(request: Request, here: Services, scope: Scope) -> Callable[[], None]:
    """Wait until a chunk may be ingested. Raises Unauthenticated, Forbidden if the token or the key is no longer valid."""
    leave = await here.admission.chunks.admit(scope.sandbox_id)
    try:
        await here.scope(request)
    except BaseException:
        leave()
        raise
    return leave


def _mode(parameters: Mapping[str, str]) -> Mode:
    try:
        return Mode(parameters.get("mode", Mode.REPLACE))
    except ValueError:
        raise BadInput(f"`mode` is one of {', '.join(Mode)}.") from None


async def _batch(here: Services, scope: Scope, dataset_id: UUID, parameters: Mapping[str, str]) -> UUID | None:
    if "batchId" in parameters and "batchKey" in parameters:
        raise BadInput("Name a batch by `batchId` or by `batchKey`, not by both.")
    if "batchId" in parameters:
        known: UUID = input_id(parameters["batchId"], "Batch", "batchId")
        return known
    if "batchKey" not in parameters:
        return None
    config = await here.configurations.read(here.db, scope)
    return (await create_batch(here.db, scope, config, dataset_id, parameters["batchKey"])).batch_id


async def _chunks(request: Request, here: Services, outcome: StreamOutcome) -> AsyncIterator[Chunk]:
    settings, is_packed = here.settings, request.headers.get("content-encoding", "").lower() == "gzip"
    stream = Stream(Gunzip() if is_packed else Plain(), settings.stream_bytes)
    pace = Pace(settings.stream_commit_seconds, settings.request_seconds, here.drained)
    async for chunk in stream.chunks(
        paced_pieces(request, stream.lines, pace), partial(outcome.check, settings.stream_failures)
    ):
        yield chunk
