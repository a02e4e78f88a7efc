"""A Citus cluster for tests: the same database is made on each of its nodes, and a copy of it is a copy of all."""

import asyncio
import os
from typing import Any, Self
from urllib.parse import urlsplit

import asyncpg

CLOSE = "select count(pg_terminate_backend(pid, 1000)) from pg_stat_activity where datname = $1"


def own(name: str) -> str:
    """Return the name of a database that no other process of tests uses."""
    return name if name == "postgres" else f"{name}_{os.getpid()}"


class CitusCluster:
    """The coordinator at an address, a superuser's, and its workers: databases on all of them.

    A copy of a database has its metadata, too, which name nodes and no databases: so the copies on all nodes are a cluster again. The names
    that tests give are kept apart by process.
    """

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._nodes: dict[tuple[str, int], Any] = {}

    async def __aenter__(self) -> Self:
        first = await asyncpg.connect(self._url.geturl())
        nodes = await first.fetch(
            "select nodename, nodeport from pg_dist_node where noderole = 'primary' order by groupid"
        )
        await first.close()
        for node in nodes:
            self._nodes[tuple(node)] = await asyncpg.connect(self._at(*node, "postgres"))
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._nodes.values():
            await connection.close()

    def dsn(self, database: str) -> str:
        """Return the address of a database on the coordinator."""
        return self._at(*next(iter(self._nodes)), own(database))

    async def create_database(self, name: str, *, template: str | None = None) -> None:
        """Create a cluster's database without tables, or as a copy of another."""
        await self.drop_database(name)
        if template is not None:
            copied = own(template)
            await self._everywhere(f"create database {own(name)} template {copied} strategy wal_log", alone=copied)
            return
        await self._everywhere(f"create database {own(name)}")
        for node in self._nodes:
            connection = await asyncpg.connect(self._at(*node, own(name)))
            await connection.execute("create extension citus")
            await connection.close()
        coordinator = await asyncpg.connect(self.dsn(name))
        (first, *others) = self._nodes
        await coordinator.execute("select citus_set_coordinator_host($1, $2)", *first)
        for node in others:
            await coordinator.execute("select citus_add_node($1, $2)", *node)
        await coordinator.close()

    async def drop_database(self, name: str) -> None:
        """Drop a database if it exists, closing its connections."""
        await self._everywhere(f"drop database if exists {own(name)} with (force)", alone=own(name))

    async def _everywhere(self, statement: str, alone: str = "") -> None:
        """Run a statement on every node, after closing all connections to the database that it wants `alone`, Citus' own included."""
        await asyncio.gather(*(self._run(node, statement, alone) for node in self._nodes.values()))

    async def _run(self, node: Any, statement: str, alone: str) -> None:
        while True:
            await node.execute(CLOSE, alone)
            try:
                await node.execute(statement)
            except asyncpg.ObjectInUseError:
                continue
            return

    def _at(self, host: str, port: int, database: str) -> str:
        login = self._url.netloc.rpartition("@")[0]
        return self._url._replace(netloc=f"{login}@{host}:{port}", path=f"/{database}").geturl()
