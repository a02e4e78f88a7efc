"""Loads the demo through the verbs of the domain, like any other data.

A load may be repeated: one that was interrupted goes on in its batches, where documents that were sent before change nothing, and a
dataset whose batch is complete is skipped.
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
from gateway.domain.facts.batch_lists import BatchPage, list_batches_of_datasets
from gateway.domain.facts.batches import BatchStatus, complete_batch, create_batch
from gateway.domain.ingest.ingestion import MAX_DOCUMENTS, Chunk, ingest_stream
from gateway.domain.rules.keyset import MAX_PAGE_SIZE, Window
from gateway.domain.rules.scope import Scope
from gateway.storage.database import Database

BATCH, FULL_BATCH = "demo", "demo --full"  # keys of batches; the full one contains the other


async def load_demo(db: Database, scope: Scope, bar: Progress, *, full: bool) -> None:
    """Load the datasets of the demo that are not complete yet; with `full`, all purchase lines.

    Raises BadInput where the source is not installed; Conflict, Invalid or Taken where the sandbox has something else under the demo's names.
    """
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
        made = documents(journey, dataset.key, full=full, tenant=scope.organization.code)
        async for result in ingest_stream(*to, _chunks(made), batch_id=batch.batch_id):
            bar.advance(task, result.accepted + result.duplicates)
        await complete_batch(db, scope, batch.batch_id)
    await db.refresh_statistics()


async def _renewed(db: Database, scope: Scope) -> Scope:
    """Return the scope with its sandbox read again: `set_up` has changed the configuration."""
    sandbox = await read_sandbox(db, scope.organization.organization_id, scope.sandbox.name)
    return replace(scope, sandbox=sandbox or scope.sandbox)


async def _loaded(db: Database, scope: Scope, dataset_ids: list[UUID], *, full: bool) -> set[UUID]:
    sufficient = {FULL_BATCH} if full else {BATCH, FULL_BATCH}
    pages = await list_batches_of_datasets(db, scope, BatchPage(Window(MAX_PAGE_SIZE)), dataset_ids)
    return {
        batch.dataset_id
        for page in pages
        for batch in page.items
        if batch.key in sufficient and batch.status is BatchStatus.ACTIVE
    }


async def _chunks(made: Iterator[Document]) -> AsyncIterator[Chunk]:
    for first in numbers(step=MAX_DOCUMENTS):
        chunk = list(islice(made, MAX_DOCUMENTS))
        if not chunk:
            return
        yield Chunk(first, chunk)
