"""Loads the demo through the domain's own verbs, like anybody's data.

It may be done again: a load that was cut off goes on in its batches, where what was sent before changes nothing, and a dataset whose
batch is complete is passed over, so that a second start is a matter of one look.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import count as numbers
from itertools import islice
from uuid import UUID

from rich.progress import Progress

from gateway.demo.catalogue import count, documents
from gateway.demo.configuration import DATASETS
from gateway.demo.setup import set_up
from gateway.demo.source import Document, Journey
from gateway.domain.config.configuration import Configurations
from gateway.domain.config.tenants import read_sandbox
from gateway.domain.facts.batches import BatchStatus, complete_batch, create_batch, list_batches
from gateway.domain.ingest.ingestion import DOCUMENTS, Chunk, ingest_stream
from gateway.domain.rules.keyset import MAX_SIZE, Window
from gateway.domain.rules.scope import Scope
from gateway.server.streams.batch_files import refresh_statistics
from gateway.storage.database import Database

BATCH, FULL_BATCH = "demo", "demo --full"  # keys; the full load holds the default one


async def load_demo(db: Database, scope: Scope, bar: Progress, *, full: bool) -> None:
    """The demo is there, all of it with `full`. Raises BadInput where the source is not installed; Conflict, Invalid or Taken
    where the sandbox holds something else under the demo's names."""
    configurations = Configurations()
    dataset_ids = await set_up(db, scope, configurations)
    scope = await _renewed(db, scope)
    loaded = await _loaded(db, scope, list(dataset_ids.values()), full=full)
    missing = [dataset for dataset in DATASETS if dataset_ids[dataset.key] not in loaded]
    if not missing:
        return
    journey, config = Journey.installed(), await configurations.read(db, scope)
    for dataset in missing:
        to = (db, scope, configurations, dataset_ids[dataset.key])
        batch = await create_batch(db, scope, config, dataset_ids[dataset.key], FULL_BATCH if full else BATCH)
        task = bar.add_task(dataset.name, total=count(journey, dataset.key, full=full))
        sent = documents(journey, dataset.key, full=full, tenant=scope.organization.code)
        async for result in ingest_stream(*to, _chunks(sent), batch_id=batch.batch_id):
            bar.advance(task, result.accepted + result.duplicates)
        await complete_batch(db, scope, batch.batch_id)
    await refresh_statistics(db)


async def _renewed(db: Database, scope: Scope) -> Scope:
    """The scope as it is now: setting up has changed the sandbox's configuration."""
    sandbox = await read_sandbox(db, scope.organization.organization_id, scope.sandbox.name)
    return replace(scope, sandbox=sandbox or scope.sandbox)


async def _loaded(db: Database, scope: Scope, dataset_ids: list[UUID], *, full: bool) -> set[UUID]:
    """The datasets that hold all that is wanted."""
    enough = {FULL_BATCH} if full else {BATCH, FULL_BATCH}
    pages = await list_batches(db, scope, dataset_ids, Window(MAX_SIZE))
    return {
        batch.dataset_id
        for page in pages
        for batch in page.items
        if batch.key in enough and batch.status is BatchStatus.ACTIVE
    }


async def _chunks(sent: Iterator[Document]) -> AsyncIterator[Chunk]:
    for first in numbers(step=DOCUMENTS):
        chunk = list(islice(sent, DOCUMENTS))
        if not chunk:
            return
        yield Chunk(first, chunk)
