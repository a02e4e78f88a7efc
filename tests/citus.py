"""A Citus cluster for tests: the same database is made on each of its nodes, and a copy of it is a copy of all."""

import asyncio
import os
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self
from urllib.parse import urlsplit

import asyncpg
import pytest

CLUSTER_URL = os.environ.get("GATEWAY_TEST_DATABASE_URL")
"""The address of a Citus coordinator, a superuser's; all tests that touch a store run there then."""
needs_cluster = pytest.mark.needs_cluster
WAYS = (True,) if CLUSTER_URL else (False, True)
"""How a test may read that reads as from one Postgres and as from a cluster (`Database.is_distributed`): a cluster is read in one way only."""
STATEMENTS = "it names the statements of one Postgres"
PLANS = "it is about the plans of one Postgres"
FIXTURES = {
    "own_cluster": "it stops a server of its own for a while",
    "demo": "`gateway demo` has a Postgres of its own",
    "generic_plan": PLANS,
}
"""Fixtures that no test on a cluster can have, and why."""

ON_A_SHARD = re.compile(r"gateway\.\w+_\d{6}\b")
PREPARED = "select sum(result::int) from run_command_on_workers('select count(*) from pg_prepared_xacts where database = current_database()')"
CLOSE = "select count(pg_terminate_backend(pid, 1000)) from pg_stat_activity where datname = $1"
IS_ENCRYPTED = "select current_setting('ssl')::boolean and current_setting('citus.node_conninfo') !~ 'sslmode=disable'"
LEFT = "select datname from pg_database where datname like '%\\_' || $1"
SHARDS = 8
"""Into so many each table is cut: golden files tell how many of them are asked."""
MOST_LEFT = 6
"""So many databases may wait to be dropped: a test waits for none, but all of them take room."""


def why_skipped(item: pytest.Item) -> str | None:
    """Return why a test is not run on a cluster, or on one Postgres, if it is not.

    A mark tells: `one_postgres(reason)` or `needs_cluster`; and so do its fixtures.
    """
    if not CLUSTER_URL:
        return "GATEWAY_TEST_DATABASE_URL names no Citus cluster" if item.get_closest_marker("needs_cluster") else None
    if mark := item.get_closest_marker("one_postgres"):
        return f"one Postgres only: {mark.args[0]}"
    fixtures = FIXTURES.keys() & set(getattr(item, "fixturenames", ()))
    return f"one Postgres only: {FIXTURES[min(fixtures)]}" if fixtures else None


def own(name: str) -> str:
    """Return the name of a database that no other process of tests uses."""
    return name if name == "postgres" or name.endswith(f"_{os.getpid()}") else f"{name}_{os.getpid()}"


class CitusCluster:
    """The coordinator at an address, a superuser's, and its workers: databases on all of them.

    A copy of a database has its metadata, too, which name nodes and no databases: so the copies on all nodes are a cluster again. The names
    that tests give are kept apart by process.
    """

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._nodes: dict[tuple[str, int], Any] = {}
        self._drops: deque[asyncio.Task[None]] = deque()

    async def __aenter__(self) -> Self:
        first = await asyncpg.connect(self._url.geturl())
        nodes = await first.fetch(
            "select nodename, nodeport from pg_dist_node where noderole = 'primary' order by groupid"
        )
        await first.close()
        for node in nodes:
            self._nodes[tuple(node)] = await asyncpg.create_pool(self._at(*node, "postgres"), min_size=1, max_size=4)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._drops)
        for row in await next(iter(self._nodes.values())).fetch(LEFT, f"{os.getpid()}"):
            await self.drop_database(row["datname"])
        for pool in self._nodes.values():
            await pool.close()

    def dsn(self, database: str) -> str:
        """Return the address of a database on the coordinator."""
        return self._at(*next(iter(self._nodes)), own(database))

    async def create_database(self, name: str, *, template: str | None = None) -> None:
        """Create a cluster's database without tables, or as a copy of another."""
        await self.drop_database(name)
        if template is not None:
            copied = own(template)
            await self._everywhere(f"create database {own(name)} template {copied} strategy file_copy", alone=copied)
            return
        await self._everywhere(f"create database {own(name)}")
        for node in self._nodes:
            connection = await asyncpg.connect(self._at(*node, own(name)))
            await connection.execute("create extension citus")
            await connection.close()
        coordinator = await asyncpg.connect(self.dsn(name))
        await coordinator.execute(f"alter database {own(name)} set citus.shard_count = {SHARDS}")
        (first, *others) = self._nodes
        await coordinator.execute("select citus_set_coordinator_host($1, $2)", *first)
        for node in others:
            await coordinator.execute("select citus_add_node($1, $2)", *node)
        await coordinator.close()

    async def settle(self, name: str) -> None:
        """Forget how transactions of a database ended, before it is copied: in a copy, nodes would be waited for that have nothing to commit."""
        connection = await asyncpg.connect(self.dsn(name))
        await connection.execute("select recover_prepared_transactions()")
        await connection.close()

    async def drop_database(self, name: str) -> None:
        """Drop a database if it exists, closing its connections."""
        await self._everywhere(f"drop database if exists {own(name)} with (force)", alone=own(name))

    async def drop_later(self, name: str) -> None:
        """Drop a database while the tests go on."""
        self._drops.append(asyncio.create_task(self.drop_database(name)))
        while len(self._drops) > MOST_LEFT:
            await self._drops.popleft()

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
        return f"postgresql://{self._url.netloc.rpartition('@')[0]}@/{database}?host={host}&port={port}"


@contextmanager
def asked_shards(connection: Any) -> Iterator[list[str]]:
    """A context in which each command to a shard is noted that the coordinator sends, if it tells them (`citus.log_remote_commands`)."""
    sent: list[str] = []

    def note(_: Any, message: Any) -> None:
        if message.message.startswith("issuing ") and ON_A_SHARD.search(message.message):
            sent.append(message.message)

    connection.add_log_listener(note)
    try:
        yield sent
    finally:
        connection.remove_log_listener(note)


class WorkerLine:
    """The line between a database's coordinator and one of its workers, which can be interrupted before a command goes through.

    `held` is set once a command waits that contains the text given to `hold`; `release` lets it through, `cut` ends every connection. From `leave` on
    the worker is away for the coordinator, until it has `come_back`.
    """

    def __init__(self, coordinator: asyncpg.Connection) -> None:
        self._coordinator = coordinator
        self._waits_for: bytes | None = None
        self._may_go = asyncio.Event()
        self._writers = set[asyncio.StreamWriter]()
        self.held = asyncio.Event()

    async def __aenter__(self) -> Self:
        if await self._coordinator.fetchval(IS_ENCRYPTED):
            pytest.fail(
                "The nodes speak TLS, in which no command can be seen: set citus.node_conninfo to sslmode=disable."
            )
        find = "select nodeid, nodename, nodeport from pg_dist_node where groupid > 0 order by groupid limit 1"
        self._node, *self._worker = await self._coordinator.fetchrow(find)
        self._server = await asyncio.start_server(self._joined, "localhost", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        await self._coordinator.execute("select citus_update_node($1, 'localhost', $2)", self._node, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()  # first: a call that is held has locks that the update waits for
        await self._coordinator.execute("select citus_update_node($1, $2, $3)", self._node, *self._worker)
        await self.recover()  # a database cannot be dropped in which a transaction is prepared
        self._server.close()

    def hold(self, text: bytes) -> None:
        """Let no command through that contains this text."""
        self._waits_for = text
        self.held.clear()
        self._may_go.clear()

    def release(self) -> None:
        """Let everything through."""
        self._waits_for = None
        self._may_go.set()

    def cut(self) -> None:
        """End every connection; what was held never arrives. New ones are let through."""
        self._waits_for = None
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        self._may_go.set()

    def leave(self) -> None:
        """End every connection, and let no new one be made."""
        self._server.close()
        self.cut()

    async def come_back(self) -> None:
        """Take connections again."""
        self._server = await asyncio.start_server(self._joined, "localhost", self._port)

    async def recover(self) -> None:
        """Bring every prepared transaction to the end that the coordinator knows of."""
        while await self._coordinator.fetchval(PREPARED):
            await self._coordinator.execute("select recover_prepared_transactions()")

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_worker, to_worker = await asyncio.open_connection(*self._worker)
        self._writers |= {writer, to_worker}
        await asyncio.gather(self._pass(reader, to_worker, may_hold=True), self._pass(from_worker, writer))

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, may_hold: bool = False
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                if may_hold and self._waits_for is not None and self._waits_for in data:
                    self.held.set()
                    await self._may_go.wait()
                if writer.is_closing():
                    return
                writer.write(data)
                await writer.drain()
        writer.close()
