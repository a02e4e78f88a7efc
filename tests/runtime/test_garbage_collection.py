"""Garbage of requests is freed after so many bytes, however few objects hold them, and a little at a time; documents in use are left alone."""

import gc
import weakref
from uuid import uuid4

import pytest
from world import World, record

from gateway.domain.ingest.ingestion import Chunk, ingest_records, ingest_stream
from gateway.errors import NotFound
from gateway.runtime.garbage_collection import (
    COLLECT_AFTER_BYTES,
    COLLECT_AFTER_OBJECTS,
    GARBAGE,
    MAX_OBJECTS,
    OBJECTS_OF_A_DOCUMENT,
    Garbage,
)
from gateway.storage.database import Database
from gateway.telemetry import listen


class Circle:
    """Holds itself, so that a collection alone frees it."""

    __slots__ = ("__weakref__", "itself")

    def __init__(self):
        self.itself = self


@pytest.fixture
def lost():
    """Whether what nobody holds any more is still there, as long as the interpreter does not collect by itself."""
    gc.disable()
    here = weakref.ref(Circle())
    yield here
    gc.enable()


@pytest.fixture
def freed():
    """How many objects each collection has freed since the test began, with its generation."""
    seen = []

    def note(phase, about):
        if phase == "stop":
            seen.append((about["generation"], about["collected"]))

    gc.collect()
    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)


def test_garbage_is_collected_after_so_many_bytes(lost):
    garbage = Garbage()
    garbage.pass_through(COLLECT_AFTER_BYTES - 1)
    assert lost() is not None
    garbage.pass_through(1)
    assert lost() is None


def test_a_collection_frees_no_more_objects_than_take_a_few_hundredths_of_a_second(freed):
    for _ in range(20 * COLLECT_AFTER_OBJECTS):
        Circle()
    assert len(freed) >= 19
    assert max(number for _, number in freed) <= COLLECT_AFTER_OBJECTS + 100


def test_garbage_that_was_in_use_at_one_collection_or_two_is_freed_before_there_is_much_of_it(freed):
    kept = []
    for _ in range(20):
        kept = [Circle() for _ in range(COLLECT_AFTER_OBJECTS)]  # those before are lost once these are there
    assert kept
    young, old = (max(number for generation, number in freed if generation in some) for some in ({0}, {1, 2}))
    assert young <= COLLECT_AFTER_OBJECTS
    assert old <= 5 * COLLECT_AFTER_OBJECTS


def test_objects_of_documents_in_use_are_not_looked_through(freed):
    with GARBAGE.in_use(100), GARBAGE.in_use(200):
        kept = [Circle() for _ in range(COLLECT_AFTER_OBJECTS + 300 * OBJECTS_OF_A_DOCUMENT - 100)]
        assert freed == []
    more = [Circle()]
    assert (len(freed), len(more)) == (1, 1)
    del kept
    with GARBAGE.in_use(1_000_000):
        for _ in range(3 * MAX_OBJECTS):
            Circle()
    assert len(freed) >= 3


async def test_documents_are_in_use_until_their_call_or_chunk_is_stored(template_world: World, db: Database):
    world, seen = template_world.inside_of(db), set()
    stop = listen(lambda _: seen.add(gc.get_threshold()[0]))
    people = [record(("Email", f"p{number}@example.com")) for number in range(3)]
    await world.records(*people)
    with pytest.raises(NotFound):
        await ingest_records(db, world.scope, world.configurations, uuid4(), people)
    stream = chunked(people, people * 2)
    async for _ in ingest_stream(db, world.scope, world.configurations, world.crm.dataset_id, stream):
        pass
    stop()
    assert seen <= {COLLECT_AFTER_OBJECTS + number * OBJECTS_OF_A_DOCUMENT for number in (0, 3, 6, 9)}
    assert max(seen) >= COLLECT_AFTER_OBJECTS + 6 * OBJECTS_OF_A_DOCUMENT
    assert gc.get_threshold()[0] == COLLECT_AFTER_OBJECTS


async def chunked(*chunks):
    for documents in chunks:
        yield Chunk(0, documents)
