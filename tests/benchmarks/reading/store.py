"""The embedded Postgres with people in it, who came in as anybody's do."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from ingestion import Server, written

from gateway.postgres.cluster import Cluster
from reading.people import Population


@contextmanager
def postgres(data_dir: Path) -> Iterator[str]:
    """The address of a directory's Postgres, which runs at least as long as the block."""
    cluster = Cluster(data_dir)
    asyncio.run(cluster.start())
    try:
        yield cluster.dsn()
    finally:
        asyncio.run(cluster.stop())


def ingest(home: Path, crowd: Population) -> None:
    """Send everything about the crowd to a gateway, which is gone afterwards: the one that is measured has taken nothing in."""
    with Server(home / "data") as server:
        people, visits = server.dataset("INDIVIDUAL_PROFILE"), server.dataset("EXPERIENCE_EVENT")
        made = server.graphql("query ($id: ID!) { dataset(id: $id) { schema { id } } }", id=people)
        server.stream(people, written(home / "records", crowd.records()))
        loyalty = dataset(server, "Loyalty", made["dataset"]["schema"]["id"])
        server.stream(loyalty, written(home / "memberships", crowd.memberships()))
        server.stream(visits, written(home / "visits", crowd.visits()))


def dataset(server: Server, name: str, schema_id: str) -> str:
    """The id of a new dataset."""
    made = server.graphql(
        "mutation ($input: CreateDatasetInput!) { createDataset(input: $input) { dataset { id } } }",
        input={"name": name, "schemaId": schema_id},
    )
    return str(made["createDataset"]["dataset"]["id"])


def tidy(dsn: str) -> None:
    """Vacuum and analyze, as autovacuum would later."""
    execute(dsn, "vacuum (analyze)")


def execute(dsn: str, statements: str) -> None:
    asyncio.run(_execute(dsn, statements))


def version(dsn: str) -> str:
    return asyncio.run(_version(dsn))


async def _execute(dsn: str, statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


async def _version(dsn: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        return str(await connection.fetchval("show server_version"))
    finally:
        await connection.close()
