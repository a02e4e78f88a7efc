"""A file of JSON lines as one batch: what `gateway ingest` does.

The batch's key is derived from what the file holds, so sending it again after a crash goes on in the same batch, and once the batch is
complete does nothing at all. What comes from a pipe has no such key, unless it is given one, and goes to the dataset's rolling batch.
"""

import asyncio
import hashlib
import os
import stat
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from uuid import UUID

from gateway.api.ids import read_id
from gateway.domain.batches import BatchStatus, complete_batch, create_batch
from gateway.domain.configuration import Configuration, Configurations
from gateway.domain.ingestion import Chunk, ingest_stream
from gateway.domain.records import Mode
from gateway.domain.tenants import Scope
from gateway.errors import BadInput, NotFound
from gateway.server.lines import Gunzip, Plain, Stream
from gateway.server.tally import Tally
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.queries import query

ANALYZE = query("maintenance.analyze")
PIECE_BYTES = 1 << 18
GZIP = b"\x1f\x8b"  # no JSON begins like this


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a file; `was_there`: its batch was complete before, and nothing was sent."""

    tally: Tally
    was_there: bool = False


class Source:
    """Bytes of a file or a pipe. `size` is how many there are, None where only the end will tell."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        status = os.fstat(file.fileno())
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else None

    def digest(self) -> str | None:
        """What tells the content from any other; None for a pipe."""
        if self.size is None:
            return None
        digest = hashlib.file_digest(self._file, "sha256").hexdigest()
        self._file.seek(0)
        return digest

    async def chunks(
        self, advance: Callable[[int], None], limit: int, check: Callable[[], None]
    ) -> AsyncIterator[Chunk]:
        """Its lines, unpacked if they are packed; `advance` is told how many bytes were read, of which there may be `limit`. `check` is
        called before each chunk. Raises BadInput, LimitExceeded, and what `check` raises."""
        pieces = self._pieces(advance)
        head = await _head(pieces)
        stream = Stream(Gunzip() if head.startswith(GZIP) else Plain(), limit)
        async for chunk in stream.chunks(_from_head(head, pieces), check):
            yield chunk

    async def _pieces(self, advance: Callable[[int], None]) -> AsyncIterator[bytes]:
        descriptor = self._file.fileno()
        while True:
            if self.size is None:
                await _readable(descriptor)  # so that an interrupt need not wait for who writes into the pipe
            piece = os.read(descriptor, PIECE_BYTES)
            if not piece:
                return
            advance(len(piece))
            yield piece


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """The file, or standard input for `-`. Raises BadInput where it cannot be read."""
    if str(path) == "-":
        with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as file:
            yield Source(file)
        return
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror}.") from error
    with file:
        yield Source(file)


async def load_file(
    db: Database,
    scope: Scope,
    source: Source,
    dataset: str,
    *,
    mode: Mode,
    key: str | None,
    advance: Callable[[int], None],
    settings: Settings,
) -> Loaded:
    """Take in a file, and complete its batch. `dataset` is an id or a name. Raises what ingestion raises, and BadInput; LimitExceeded where
    the file has more bytes or failures than the settings allow a stream."""
    configurations = Configurations()
    config = await configurations.read(db, scope)
    dataset_id = _dataset(config, dataset)
    key = key or await _key(source, mode)
    batch = await create_batch(db, scope, config, dataset_id, key) if key else None
    if batch is not None and batch.status is BatchStatus.ACTIVE:
        return Loaded(Tally(batch.batch_id, batch.record_count, failed_count=batch.failed_count), was_there=True)
    tally, to = Tally(), (db, scope, configurations, dataset_id)
    batch_id = batch.batch_id if batch is not None else None
    chunks = source.chunks(advance, settings.stream_bytes, partial(tally.check, settings.stream_failures))
    async for result in ingest_stream(*to, chunks, mode=mode, batch_id=batch_id):
        tally.add(result)
    if batch is not None:
        await complete_batch(db, scope, batch.batch_id)
    await refresh_statistics(db)
    return Loaded(tally)


async def refresh_statistics(db: Database) -> None:
    """After a load, let Postgres count anew: until it does so by itself, it plans for empty tables."""
    async with db.transaction() as tx:
        await tx.execute(ANALYZE)


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


async def _head(pieces: AsyncIterator[bytes]) -> bytes:
    """As many pieces as show what the file is; all of them where there are too few."""
    head = b""
    async for piece in pieces:
        head += piece
        if len(head) >= len(GZIP):
            break
    return head


async def _from_head(head: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if head:
        yield head
    async for piece in pieces:
        yield piece


async def _readable(descriptor: int) -> None:
    loop, something = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, something.set)
    try:
        await something.wait()
    finally:
        loop.remove_reader(descriptor)
