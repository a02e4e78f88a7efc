"""What the commands of the command line do, once their arguments are settings and values. What they say is said in `cli`."""

import asyncio
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.progress import Progress, TaskID

from gateway.api.console import console_link
from gateway.api.schema import print_sdl
from gateway.domain.configuration import Configurations
from gateway.domain.records import Mode
from gateway.domain.tenants import Permission, list_sandboxes, permissions
from gateway.domain.verification import Difference
from gateway.domain.verification import verify as verify_sandbox
from gateway.server import serving
from gateway.server.demo.loader import load_demo
from gateway.server.files import Loaded, load_file, open_source
from gateway.server.logs import log_observation
from gateway.server.store import Store, database_address, open_store
from gateway.server.tokens import EVERY_SANDBOX
from gateway.server.worker import working
from gateway.settings import Settings
from gateway.storage.migrations import Migrated
from gateway.storage.migrations import migrate as migrate_database
from gateway.telemetry import listen

Announce = Callable[[str, str | None], None]
"""Is told the base URL once requests are answered, and a link to GraphiQL if only this machine can reach it."""


async def serve(settings: Settings, announce: Announce) -> None:
    """Serve until told to stop."""
    with serving.bind(settings) as port:
        async with open_store(settings) as store:
            await _serve(settings, store, port, announce)


async def serve_demo(settings: Settings, announce: Announce, bar: Progress, *, full: bool) -> None:
    """Load the demo as far as it is not there, then serve."""
    with serving.bind(settings) as port:
        async with open_store(settings) as store:
            with bar:
                await load_demo(store.db, await store.scope(), bar, full=full)
            await _serve(settings, store, port, announce)


async def _serve(settings: Settings, store: Store, port: serving.Port, announce: Announce) -> None:
    url, link = serving.base_url(port), None
    if settings.console and settings.is_loopback:
        link = console_link(url, store.headers(await store.sandbox(None), Permission))
    await serving.serve(settings, store, port, partial(announce, url, link))


async def work(settings: Settings, announce: Callable[[], None]) -> None:
    """Do jobs until told to stop; `announce` is called once that is so."""
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stopped.set)
    async with open_store(settings) as store, working(store.db, Configurations()):
        end = listen(log_observation)
        announce()
        await stopped.wait()
        end()


async def headers(settings: Settings, scopes: str, sandbox: str | None) -> dict[str, str]:
    """The four headers, with a token for one sandbox or for all. Raises Invalid for a scope nobody knows, NotFound."""
    allowed = permissions(scopes.split())
    async with open_store(settings) as store:
        found = await store.sandbox(sandbox)
        return store.headers(found, sorted(allowed), [found.name] if sandbox else [EVERY_SANDBOX])


async def migrate(settings: Settings) -> Migrated:
    """Bring the database to the newest schema. Raises SchemaError, Unavailable."""
    async with database_address(settings) as dsn:
        return await migrate_database(dsn)


async def ingest(
    settings: Settings, file: Path, bar: Progress, *, dataset: str, sandbox: str | None, mode: Mode, key: str | None
) -> Loaded:
    """Take in a file."""
    with open_source(file) as source, bar:
        task = bar.add_task("Ingesting", total=source.size)
        async with open_store(settings) as store:
            scope = await store.scope(sandbox)
            advance = partial(bar.advance, task)
            return await load_file(store.db, scope, source, dataset, mode=mode, key=key, advance=advance)


async def verify(
    settings: Settings, sandbox: str | None, sample: int | None, bar: Progress
) -> list[tuple[str, Difference]]:
    """What differs, each with the name of its sandbox."""
    found: list[tuple[str, Difference]] = []
    async with open_store(settings) as store:
        every = await list_sandboxes(store.db, await store.scope())
        for name in [sandbox] if sandbox else [one.name for one in every]:
            task = bar.add_task(name, total=sample)
            compared = partial(_tell, bar, task)
            scope = await store.scope(name)
            found += [(name, one) for one in await verify_sandbox(store.db, scope, Configurations(), sample, compared)]
    return found


async def sdl(settings: Settings, sandbox: str | None) -> str:
    """The schema of a sandbox as SDL; of a new one without a name, for which no database is needed."""
    if sandbox is None:
        return print_sdl()
    async with open_store(settings) as store:
        return print_sdl(await Configurations().read(store.db, await store.scope(sandbox)))


def _tell(bar: Progress, task: TaskID, compared: int) -> None:
    bar.update(task, completed=compared)
