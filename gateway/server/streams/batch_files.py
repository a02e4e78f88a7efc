"""Ingests a file of JSON lines as one batch, for `gateway ingest`.

The batch's key is derived from the file's content: a second run after a crash goes on in the same batch, and one after the batch is
complete does nothing. The documents that failed can be sent again, in a batch of their own. A pipe has no key unless the caller gives one,
and goes to the dataset's rolling batch.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from uuid import UUID

from gateway.api.ids import read_id
from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.facts.batches import COMPLETE_STATUSES, complete_batch, create_batch, find_batch
from gateway.domain.facts.documents import DocumentProblem
from gateway.domain.facts.ingest_errors import list_failed_indexes
from gateway.domain.ingest.ingestion import MAX_DOCUMENTS, Chunk, ingest_stream
from gateway.domain.rules.scope import Scope
from gateway.domain.rules.versions import Mode
from gateway.errors import BadInput, GatewayError, NotFound
from gateway.server.streams.outcomes import StreamOutcome
from gateway.server.streams.sources import Source, prepend
from gateway.settings import Settings
from gateway.storage.database import Database

MAX_LISTED_FAILURES = 20


@dataclass(slots=True)
class Loaded:
    """The outcome of ingesting a file.

    `failed`: the first failures, each with its line, counted from 1. `was_complete`: the batch was complete before, and nothing was sent.
    `broken`: why the file could not be read to its end; `outcome` counts the documents before that.
    """

    outcome: StreamOutcome = field(default_factory=StreamOutcome)
    failed: list[tuple[int, DocumentProblem]] = field(default_factory=list)
    was_complete: bool = False
    broken: GatewayError | None = None


async def load_file(
    db: Database,
    scope: Scope,
    source: Source,
    dataset: str,
    *,
    mode: Mode,
    key: str | None,
    retry_failed: bool,
    advance: Callable[[int], None],
    settings: Settings,
) -> Loaded:
    """Ingest a file and complete its batch; with `retry_failed`, only the documents that failed when it was ingested before.

    `dataset` is an id or a name; `advance` is called with counts of bytes read. Raises BadInput, NotFound, and errors of ingestion before
    the first document is committed; later ones are in `Loaded.broken`.
    """
    configurations = Configurations()
    config = await configurations.read(db, scope)
    dataset_id, key = find_dataset(config, dataset), key or await _key(source, mode)
    loaded = Loaded()
    chunks = source.chunks(advance, settings.stream_bytes, partial(loaded.outcome.check, settings.stream_failures))
    if (first := await anext(chunks, None)) is None:
        return loaded
    chunks, batch_id = prepend(first, chunks), None
    if retry_failed:
        batch_id, places = await _retry(db, scope, config, dataset_id, key)
        chunks = _only(chunks, places)
    elif key:
        batch = await create_batch(db, scope, config, dataset_id, key)
        if batch.status in COMPLETE_STATUSES:
            return Loaded(
                StreamOutcome(batch.batch_id, batch.record_count, failed_count=batch.failed_count), was_complete=True
            )
        batch_id = batch.batch_id
    await _send((db, scope, configurations, dataset_id), chunks, loaded, mode, batch_id)
    if batch_id is not None and loaded.broken is None:
        await complete_batch(db, scope, batch_id)
    await db.refresh_statistics()
    return loaded


async def _send(
    to: tuple[Database, Scope, Configurations, UUID],
    chunks: AsyncIterator[Chunk],
    loaded: Loaded,
    mode: Mode,
    batch_id: UUID | None,
) -> None:
    """Ingest the chunks and add their outcome to `loaded`. Raises GatewayError if nothing was committed before it."""
    sent = deque[Chunk]()

    async def noted() -> AsyncIterator[Chunk]:
        async for chunk in chunks:
            sent.append(chunk)
            yield chunk

    try:
        async for result in ingest_stream(*to, noted(), mode=mode, batch_id=batch_id):
            chunk = sent.popleft()
            loaded.outcome.add(result)
            room = MAX_LISTED_FAILURES - len(loaded.failed)
            loaded.failed += [(chunk.lines[one.index - chunk.first_index], one) for one in result.failed[:room]]
    except GatewayError as error:
        if loaded.outcome.batch_id is None:
            raise
        loaded.broken = error


async def _retry(
    db: Database, scope: Scope, config: Configuration, dataset_id: UUID, key: str | None
) -> tuple[UUID, Sequence[int]]:
    """Return the id of a batch for the documents that failed, and their indexes in the file.

    Documents that fail again can be retried again, each time in a new batch. Raises BadInput where there is nothing to send.
    """
    batch = await find_batch(db, scope, dataset_id, key) if key else None
    if key is None:
        raise BadInput(
            "What comes through a pipe is known again only by `--batch-key`: give the one that it came with."
        )
    if batch is None or batch.status not in COMPLETE_STATUSES:
        raise BadInput(
            "This file has not been taken in as a whole before, into this dataset and in this mode: send it without `--retry-failed`."
        )
    places = await list_failed_indexes(db, scope, batch.batch_id)
    for number in count(1):
        if not places:
            raise BadInput("Nothing is left to be sent again: no document of this file fails any more.")
        batch = await create_batch(db, scope, config, dataset_id, f"{key}:retry:{number}")
        if batch.status not in COMPLETE_STATUSES:
            return batch.batch_id, places
        places = [places[index] for index in await list_failed_indexes(db, scope, batch.batch_id)]
    raise AssertionError  # `count` has no end


async def _only(chunks: AsyncIterator[Chunk], indexes: Sequence[int]) -> AsyncIterator[Chunk]:
    """Yield chunks of the documents at these indexes of the stream, which are in order."""
    selected, sent = set(indexes), 0
    found: list[tuple[object, int]] = []
    async for chunk in chunks:
        here = zip(count(chunk.first_index), chunk.documents, chunk.lines, strict=False)
        found += [(document, line) for index, document, line in here if index in selected]
        while len(found) >= MAX_DOCUMENTS:
            yield _chunk(sent, found[:MAX_DOCUMENTS])
            found, sent = found[MAX_DOCUMENTS:], sent + MAX_DOCUMENTS
    if found:
        yield _chunk(sent, found)


def _chunk(first_index: int, found: Sequence[tuple[object, int]]) -> Chunk:
    return Chunk(first_index, [document for document, _ in found], [line for _, line in found])


def find_dataset(config: Configuration, text: str) -> UUID:
    """Return the key of the dataset with this id or this name. Raises NotFound."""
    match read_id(text):
        case "Dataset", (dataset_id,):
            return config.dataset(dataset_id).dataset_id
    found = next((one.dataset_id for one in config.datasets.values() if one.name == text), None)
    if found is None:
        raise NotFound(f"There is no dataset with the id or name {text!r} in this sandbox.")
    return found


async def _key(source: Source, mode: Mode) -> str | None:
    digest = await asyncio.to_thread(source.digest)
    return digest and f"sha256:{digest}:{mode}"
