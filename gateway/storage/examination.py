"""What keeps the data, and what is amiss with it. Nothing is changed."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.errors import SchemaError
from gateway.storage.connections import open_to_alter
from gateway.storage.database import Database
from gateway.storage.distribution import Spreading, read_spreading
from gateway.storage.faults import OPENING, opening_failed
from gateway.storage.migrations import check_schema, expected_version
from gateway.storage.queries import query

RELEASE = query("maintenance.read_release")

SECONDS = 30


@dataclass(frozen=True, slots=True)
class Examined:
    """The kind of store, such as `one Postgres 18.6`; the schema that this gateway wants; and what is amiss, a sentence each.

    `is_current`: the store has that schema.
    """

    kind: str
    schema: str
    amiss: tuple[str, ...]
    is_current: bool


async def examine(db: Database, dsn: str, listen_dsn: str | None) -> Examined:
    """Look at the database at an address, and at that to listen on where it is another. Raises DatabaseRefused, Unavailable, Timeout."""
    release = await db.value(RELEASE)
    amiss: list[str] = []
    is_current = True
    try:
        await check_schema(db)
    except SchemaError as error:
        amiss.append(error.message)
        is_current = False
    try:
        connection = await open_to_alter(listen_dsn or dsn, seconds=SECONDS, statement_seconds=SECONDS, wait_seconds=1)
    except OPENING as error:
        raise opening_failed(error) from error
    if connection is None:
        amiss.append(
            "The address is that of a pooler, through which no gateway hears of changes of others at once: set GATEWAY_LISTEN_URL."
        )
        return Examined(f"Postgres {release} behind a pooler", expected_version(), tuple(amiss), is_current)
    spreading = await read_spreading(connection)
    await connection.close()
    if spreading is None:
        return Examined(f"one Postgres {release}", expected_version(), tuple(amiss), is_current)
    workers = sum(node.is_worker for node in spreading.nodes)
    kind = (
        f"Citus {spreading.release} over Postgres {release}: {workers} workers, {spreading.shards} shards of each table"
    )
    return Examined(kind, expected_version(), (*amiss, *amiss_with(spreading, workers)), is_current)


def amiss_with(spreading: Spreading, workers: int) -> Iterator[str]:
    """Say what is amiss with a cluster of so many workers."""
    if spreading.missing:
        yield f"Not spread over the nodes yet: {', '.join(spreading.missing)}. Run `gateway migrate`."
    if not workers:
        yield "No worker takes shards: add some by citus_add_node."
    elif 0 < spreading.shards < workers:
        yield f"Each table has {spreading.shards} shards, so that some of the {workers} workers hold none: split them, or have fewer workers."
    if spreading.unnamed:
        yield f"Without a replica identity, so that no shard can be moved while writers write: {', '.join(spreading.unnamed)}."
    for node in spreading.nodes:
        if node.prepared is None:
            yield f"The node {node.address} does not answer: its people are unavailable."
        elif not node.is_active:
            yield f"The node {node.address} is not active: its people are unavailable until citus_activate_node."
        elif not node.prepared:
            yield f"The node {node.address} has no room for transactions over several nodes: set its max_prepared_transactions to its max_connections."
