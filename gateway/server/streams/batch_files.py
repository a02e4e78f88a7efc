"""A file of JSON lines as one batch: what `gateway ingest` does.

The batch's key is derived from what the file holds, so sending it again after a crash goes on in the same batch, and once the batch is
complete does nothing at all. The documents that failed can be sent again, by themselves, in a batch of their own. What comes from a pipe
has no such key, unless it is given one, and goes to the dataset's rolling batch.
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
from gateway.domain.facts.batches import (
    COMPLETE_STATUSES,
    complete_batch,
    create_batch,
    find_batch,
    list_failed_indexes,
)
from gateway.domain.facts.documents import DocumentProblem
from gateway.domain.ingest.ingestion import MAX_DOCUMENTS, Chunk, ingest_stream
from gateway.domain.rules.scope import Scope
from gateway.domain.rules.versions import Mode
from gateway.errors import BadInput, GatewayError, NotFound
from gateway.server.streams.outcomes import StreamOutcome
from gateway.server.streams.sources import Source, in_front
from gateway.settings import Settings
from gateway.storage.database import Database

MAX_LISTED_FAILURES = 20


@dataclass(slots=True)
class Loaded:
    """What became of a file.

    `failed`: the first failures, each with its line, counted from 1. `was_there`: the batch was complete before, and nothing was sent.
    `broken`: why the file could not be read to its end; what came before that is in the tally.
    """

    tally: StreamOutcome = field(default_factory=StreamOutcome)
    failed: list[tuple[int, DocumentProblem]] = field(default_factory=list)
    was_there: bool = False
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
    """Take in a file and complete its batch; with `retry_failed`, the documents that failed when it was taken in before.

    `dataset` is an id or a name. Raises what ingestion raises before the first document has landed, and BadInput.
    """
    configurations = Configurations()
    config = await configurations.read(db, scope)
    dataset_id, key = _dataset(config, dataset), key or await _key(source, mode)
    loaded = Loaded()
    chunks = source.chunks(advance, settings.stream_bytes, partial(loaded.tally.check, settings.stream_failures))
    if (first := await anext(chunks, None)) is None:
        return loaded
    chunks, batch_id = in_front(first, chunks), None
    if retry_failed:
        batch_id, places = await _retry(db, scope, config, dataset_id, key)
        chunks = _only(chunks, places)
    elif key:
        batch = await create_batch(db, scope, config, dataset_id, key)
        if batch.status in COMPLETE_STATUSES:
            return Loaded(
                StreamOutcome(batch.batch_id, batch.record_count, failed_count=batch.failed_count), was_there=True
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
    """Send the chunks, and note what became of them. Raises GatewayError if nothing was sent before it."""
    sent = deque[Chunk]()

    async def noted() -> AsyncIterator[Chunk]:
        async for chunk in chunks:
            sent.append(chunk)
            yield chunk

    try:
        async for result in ingest_stream(*to, noted(), mode=mode, batch_id=batch_id):
            chunk = sent.popleft()
            loaded.tally.add(result)
            room = MAX_LISTED_FAILURES - len(loaded.failed)
            loaded.failed += [(chunk.lines[one.index - chunk.first_index], one) for one in result.failed[:room]]
    except GatewayError as error:
        if loaded.tally.batch_id is None:
            raise
        loaded.broken = error


async def _retry(
    db: Database, scope: Scope, config: Configuration, dataset_id: UUID, key: str | None
) -> tuple[UUID, Sequence[int]]:
    """The id of the batch in which the documents that failed are sent again, and their places in the file.

    What fails again can be sent again, too: each time goes into a batch of its own. Raises BadInput where there is nothing to send.
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


async def _only(chunks: AsyncIterator[Chunk], places: Sequence[int]) -> AsyncIterator[Chunk]:
    """The documents at these places of the stream, which come in order."""
    wanted, sent = set(places), 0
    found: list[tuple[object, int]] = []
    async for chunk in chunks:
        here = zip(count(chunk.first_index), chunk.documents, chunk.lines, strict=False)
        found += [(document, line) for index, document, line in here if index in wanted]
        while len(found) >= MAX_DOCUMENTS:
            yield _chunk(sent, found[:MAX_DOCUMENTS])
            found, sent = found[MAX_DOCUMENTS:], sent + MAX_DOCUMENTS
    if found:
        yield _chunk(sent, found)


def _chunk(first_index: int, found: Sequence[tuple[object, int]]) -> Chunk:
    return Chunk(first_index, [document for document, _ in found], [line for _, line in found])


def _dataset(config: Configuration, text: str) -> UUID:
    match read_id(text):
        case "Dataset", (dataset_id,):
            return config.dataset(dataset_id).dataset_id
    found = next((one.dataset_id for one in config.datasets.values() if one.name == text), None)
    if found is None:
        raise NotFound(f"There is no dataset with the id or name {text!r} in this sandbox.")
    return found


async def _key(source: Source, mode: Mode) -> str | None:
    """One key for the same content meant in the same way, whatever the file is called."""
    digest = await asyncio.to_thread(source.digest)
    return digest and f"sha256:{digest}:{mode}"
