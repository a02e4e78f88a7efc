"""The whole gateway in this process, over a database of its own: requests go through every middleware, and no port is opened."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from gateway.domain.tenants import Permission
from gateway.server.app import create_app
from gateway.server.store import Store, open_store
from gateway.settings import Settings, read_settings


@dataclass
class Gateway:
    """A gateway and a client of it that has no credentials of its own."""

    settings: Settings
    app: Starlette
    store: Store
    http: httpx.AsyncClient

    async def headers(self, permissions: Any = Permission, sandbox: str | None = None, **more: Any) -> dict[str, str]:
        return self.store.headers(await self.store.sandbox(sandbox), permissions, **more)


@asynccontextmanager
async def running(dsn: str, data_dir: Path, **settings: Any) -> AsyncIterator[Gateway]:
    given = read_settings(database_url=dsn, data_dir=data_dir, **settings)
    async with open_store(given) as store:
        app = create_app(given, dsn, store.jwt_secret)
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000")
        async with app.router.lifespan_context(app), client as http:
            yield Gateway(given, app, store, http)


@pytest.fixture
def start_gateway(dsn: str, tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Gateway]]:
    """Starts a gateway with other settings over the test's database."""
    return partial(running, dsn, tmp_path)


@pytest.fixture
async def gateway(start_gateway: Callable[..., AbstractAsyncContextManager[Gateway]]) -> AsyncIterator[Gateway]:
    async with start_gateway() as started:
        yield started
