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

from gateway.domain.config.tokens import new_token
from gateway.domain.rules.scope import Permission
from gateway.server.client_headers import request_headers
from gateway.server.deployment import Deployment, open_deployment
from gateway.server.http.app import create_app
from gateway.settings import Settings, read_settings

CREATE_SCHEMA = """mutation Create($input: CreateSchemaInput!) {
  createSchema(input: $input) { schema { id } userErrors { message path } }
}"""
CREATE_DATASET = """mutation Create($input: CreateDatasetInput!) {
  createDataset(input: $input) { dataset { id } userErrors { message path } }
}"""


@dataclass
class Gateway:
    """A gateway and a client of it that has no credentials of its own."""

    settings: Settings
    app: Starlette
    store: Deployment
    http: httpx.AsyncClient

    async def run(self, query: str, variables: Any = None, **headers: Any) -> Any:
        """The `data` of an operation that goes well."""
        given = await self.headers(**headers)
        answer = await self.http.post("/graphql", json={"query": query, "variables": variables}, headers=given)
        body = answer.json()
        assert "errors" not in body, body
        return body["data"]

    async def dataset(self, xdm_class: str = "INDIVIDUAL_PROFILE", name: str = "crm") -> str:
        """The id of a new dataset, of records under an e-mail address or of events that name who they are of."""
        identities = [{"path": "personalEmail.address", "namespace": "Email", "isPrimary": True}]
        records = {"fieldGroups": ["profile-person-details", "profile-personal-contact"], "identities": identities}
        events = {"fieldGroups": ["experienceevent-web"]}
        chosen = records if xdm_class == "INDIVIDUAL_PROFILE" else events
        made = await self.run(CREATE_SCHEMA, {"input": {"title": name, "class": xdm_class, **chosen}})
        assert made["createSchema"]["schema"], made
        schema_id = made["createSchema"]["schema"]["id"]
        made = await self.run(CREATE_DATASET, {"input": {"name": name, "schemaId": schema_id}})
        dataset_id: str = made["createDataset"]["dataset"]["id"]
        return dataset_id

    async def headers(self, permissions: Any = Permission, sandbox: str | None = None, **more: Any) -> dict[str, str]:
        return await request_headers(
            self.store, await self.store.sandbox(sandbox), new_token("ann", permissions, **more)
        )


@asynccontextmanager
async def running(dsn: str, data_dir: Path, **settings: Any) -> AsyncIterator[Gateway]:
    given = read_settings(database_url=dsn, data_dir=data_dir, **settings)
    async with open_deployment(given) as store:
        app = create_app(given, dsn, store.signing_keys)
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000")
        async with app.router.lifespan_context(app), client as http:
            yield Gateway(given, app, store, http)


@pytest.fixture
def start_gateway(dsn: str, tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Gateway]]:
    """Starts a gateway with other settings over the test's database."""
    return partial(running, dsn, tmp_path)


@pytest.fixture(scope="module")
async def module_gateway(module_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway for all tests of a module that change nothing there that another would notice."""
    async with running(module_dsn, tmp_path_factory.mktemp("gateway")) as started:
        yield started


@pytest.fixture
async def gateway(start_gateway: Callable[..., AbstractAsyncContextManager[Gateway]]) -> AsyncIterator[Gateway]:
    async with start_gateway() as started:
        yield started
