"""One embedded server per session, template databases with our schema, and a clone of one for each test that asks for a database.

A clone takes a few hundredths of a second and, unlike a rolled-back transaction, lets a test use several connections, commit and listen.
The data directory is made for the server's own user: pytest's tmp_path lies below a directory that only root can enter.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import count
from pathlib import Path
from traceback import format_exception
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
import structlog
import uvloop
from citus import CLUSTER_URL, CitusCluster, why_skipped
from crashes import BESIDE
from data_directories import initialize
from distribution import Distribution, in_order
from hypothesis import settings
from places import reachable_directory
from program import Server, server
from repeatable import beginning_at, take_over
from world import World
from xdist.scheduler import LoadScopeScheduling

from gateway import telemetry
from gateway.cli.program import COMMANDS
from gateway.postgres.cluster import Cluster
from gateway.runtime.garbage_collection import collect_rarely
from gateway.storage.database import Database
from gateway.storage.migrations import migrate, spread
from gateway.telemetry import FaultMasked, Observation, StatementRan, listen

# The same examples and ids every time, so that a red test is red for everybody; `--hypothesis-profile explore` looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("repeatable")
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # the loop that servers run on

# What a test writes need not survive a power cut. Nobody tidies up meanwhile: plans and the order of rows would change by chance.
UNSAFE_AND_FAST = {
    "autovacuum": "off",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "256MB",
    "shared_buffers": "256MB",
}
SMALL_DEMO = [sys.executable, str(Path(__file__).with_name("small_demo.py"))]
TEMPLATE, FURNISHED = "gateway_template", "gateway_furnished"

_numbers = count(1)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--hypothesis-profile") != "explore":
        take_over()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = in_order(items)
    for item in items:
        if reason := why_skipped(item):
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    for command in COMMANDS:
        import_module(f"gateway.cli.{command}")  # hypothesis draws constants of all modules that are imported by then
    collect_rarely()  # as our own processes do: what was imported is looked through no more


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    with beginning_at(item.nodeid):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Iterator[Any]:
    shared = fixturedef.scope != "function"  # made during whichever test comes first
    with beginning_at(f"{request.node.nodeid} {fixturedef.argname} {request.param_index}") if shared else nullcontext():
        return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return Distribution(config, log)


@pytest.fixture(autouse=True)
def process_left_as_found() -> Iterator[None]:
    """Fail a test that leaves something of the process otherwise than it found it: others run in the same one, in any order."""
    before = _of_the_process()
    yield
    assert _of_the_process() == before


def _of_the_process() -> dict[str, Any]:
    root = logging.getLogger()
    return {
        "context": dict(copy_context()),
        "environment": {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        "directory": Path.cwd(),
        "signals": {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)},
        "garbage": (gc.isenabled(), gc.get_threshold()),
        "listeners": list(telemetry._listeners),
        "lines": structlog.get_config(),
        "log": (root.level, [each for each in root.handlers if not type(each).__module__.startswith("_pytest.")]),
    }


@pytest.fixture(autouse=True)
def masked_faults(process_left_as_found: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """Tell what was behind each INTERNAL of this process, should the test fail."""

    def tell(seen: Observation) -> None:
        if isinstance(seen, FaultMasked):
            request.node.add_report_section("call", "masked fault", "".join(format_exception(seen.error)))

    stop = listen(tell)
    yield
    stop()


@pytest.fixture(scope="session")
async def cluster() -> AsyncIterator[Cluster | CitusCluster]:
    """A running server with the template database in it: the Citus cluster that `GATEWAY_TEST_DATABASE_URL` names, if any."""
    if CLUSTER_URL:
        async with CitusCluster(CLUSTER_URL) as nodes:
            await nodes.create_database(TEMPLATE)
            await migrate(nodes.dsn(TEMPLATE))
            await spread(nodes.dsn(TEMPLATE), lambda _: None)
            yield nodes
        return
    with reachable_directory() as home:
        initialize(home / "data")
        async with Cluster(home / "data", settings=UNSAFE_AND_FAST) as server:
            await server.create_database(TEMPLATE)
            await migrate(server.dsn(TEMPLATE))
            yield server


@pytest.fixture(scope="session")
async def template_world(cluster: Cluster) -> World:
    """A sandbox of the template that a test gets a copy of who asks for this, as it is when it is made."""
    await cluster.create_database(FURNISHED, template=TEMPLATE)
    database = await Database.connect(cluster.dsn(FURNISHED), size=1)
    world = await World.create(database)
    await database.close()
    return world


@pytest.fixture(scope="session")
async def administrator(cluster: Cluster | CitusCluster) -> AsyncIterator[asyncpg.Connection]:
    """A connection that makes and drops databases: one for each of them would take as long as that."""
    connection = await asyncpg.connect(cluster.dsn("postgres"))
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def own_cluster() -> AsyncIterator[Cluster]:
    """Another server with our schema in its database, for a file's tests that stop it for a while."""
    with reachable_directory() as path:
        initialize(path / "data")
        async with Cluster(path / "data", settings=UNSAFE_AND_FAST) as server:
            await migrate(server.dsn())
            yield server


@pytest.fixture(scope="session")
def demo() -> Iterator[Server]:
    """`gateway demo`, really started and loaded, with a tenth of its purchases: leave its data as they are."""
    with reachable_directory() as path, server(path / "data", command="demo", program=SMALL_DEMO) as started:
        yield started


@asynccontextmanager
async def cloned(cluster: Cluster, administrator: asyncpg.Connection, template: str = TEMPLATE) -> AsyncIterator[str]:
    """The address of a copy of the template, for as long as it is needed."""
    name = f"gateway_test_{next(_numbers)}"
    if isinstance(cluster, CitusCluster):
        await cluster.create_database(name, template=template)
        yield cluster.dsn(name)
        await cluster.drop_later(name)
        return
    # By files, a small template is copied twice as fast as through the log.
    await administrator.execute(f"create database {name} template {template} strategy file_copy")
    yield cluster.dsn(name)
    await administrator.execute(f"drop database if exists {name} with (force)")


@pytest.fixture
async def dsn(
    cluster: Cluster, administrator: asyncpg.Connection, request: pytest.FixtureRequest
) -> AsyncIterator[str]:
    """The address of a fresh database with our schema, gone after the test."""
    template = FURNISHED if "template_world" in request.fixturenames else TEMPLATE
    async with cloned(cluster, administrator, template) as address:
        yield address


@pytest.fixture(scope="module")
async def module_dsn(cluster: Cluster, administrator: asyncpg.Connection) -> AsyncIterator[str]:
    """A database for all tests of a module that change nothing there that another would notice."""
    async with cloned(cluster, administrator) as address:
        yield address


@pytest.fixture(scope="module")
async def module_db(module_dsn: str) -> AsyncIterator[Database]:
    """A pool of connections to it."""
    database = await Database.connect(module_dsn, size=4)
    yield database
    await database.close()


@pytest.fixture(scope="module")
async def generic_plan(module_dsn: str) -> AsyncIterator[Callable[[str, int], Awaitable[str]]]:
    """Return the plan that a prepared statement settles on, for its SQL and the number of its parameters."""
    settings = {"jit": "off", "plan_cache_mode": "force_generic_plan"}
    connection = await asyncpg.connect(module_dsn, server_settings=settings)

    async def explain(sql: str, parameters: int) -> str:
        given = f"({', '.join(['null'] * parameters)})" if parameters else ""
        await connection.execute(f"prepare examined as {sql}")
        try:
            return "\n".join(row[0] for row in await connection.fetch(f"explain (costs off) execute examined{given}"))
        finally:
            await connection.execute("deallocate examined")

    yield explain
    await connection.close()


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Database]:
    """A pool of connections to a fresh database."""
    database = await Database.connect(dsn, size=4)
    yield database
    await database.close()


@pytest.fixture
async def later(dsn: str) -> AsyncIterator[Callable[[timedelta], Awaitable[Database]]]:
    """Opens a pool of connections on which it is later: time stands still there."""
    opened: list[Database] = []

    async def connect(passed: timedelta) -> Database:
        moment = quote((datetime.now(UTC) + passed).isoformat())
        opened.append(await Database.connect(f"{dsn}&gateway.now={moment}", size=2))
        return opened[-1]

    yield connect
    for database in opened:
        await database.close()


@pytest.fixture
def statements() -> Callable[[], AbstractContextManager[list[str]]]:
    """A context in which the names of all statements are noted, in the order in which they came back; without notifications of others."""

    @contextmanager
    def noted() -> Iterator[list[str]]:
        names: list[str] = []

        def note(seen: Observation) -> None:
            if isinstance(seen, StatementRan) and seen.name != BESIDE:
                names.append(seen.name)

        stop = listen(note)
        try:
            yield names
        finally:
            stop()

    return noted
