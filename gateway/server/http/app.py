"""The composition root: settings → a Starlette application with its routes."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Operations
from gateway.api.schema import build_schema
from gateway.domain.config.configuration import Configurations
from gateway.server.credentials import read_signing_keys
from gateway.server.database import connect
from gateway.server.http import health
from gateway.server.http.admission import Admissions, admitted
from gateway.server.http.auth import Callers
from gateway.server.http.console import console_routes
from gateway.server.http.docs import Documents
from gateway.server.http.exports import export_file
from gateway.server.http.graphql import GraphQL
from gateway.server.http.index import CONSOLE, PLACES, Index
from gateway.server.http.ingest import ingest
from gateway.server.http.layers import layered
from gateway.server.http.probes import alive
from gateway.server.http.process_limits import PROCESS_LIMITS
from gateway.server.http.sdl import schema
from gateway.server.http.services import Services
from gateway.server.logs import log_observation
from gateway.server.metrics import Metrics
from gateway.server.signing_keys import SigningKeys
from gateway.server.token_reader import TokenReader
from gateway.server.tokens import sign_token
from gateway.server.worker import locations_of, spool_of, working
from gateway.settings import Settings
from gateway.telemetry import listen


def create_app(settings: Settings, dsn: str, keys: SigningKeys, counts: Path | None = None) -> Starlette:
    """Return the application over the database at `dsn`, whose schema is the newest. It connects when its lifespan begins.

    `keys` sign tokens; those of the data directory are read again when others replace them. `counts` is the directory of the metrics of several processes.
    """
    metrics, base = Metrics(counts), build_schema()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        endings = [listen(metrics), listen(log_observation)]
        db = await connect(settings, dsn)
        configurations = Configurations()
        limits = Limits(seconds=settings.request_seconds, answer_bytes=settings.answer_bytes)
        process_limits = (*settings.service_limits, *PROCESS_LIMITS)
        reread = (lambda: None) if settings.jwt_secret else partial(read_signing_keys, settings.data_dir)
        operations = Operations(
            db,
            configurations,
            base,
            limits,
            process_limits=process_limits,
            revert_days=settings.revert_days,
            most_attributes=settings.computed_attributes,
            sign=lambda organization_id, token: sign_token((reread() or keys).current, organization_id, token),
            locations=locations_of(settings),
            most_spooled=spool_of(settings),
        )
        tokens = TokenReader(keys, settings.jwt_issuers, settings.jwt_leeway_seconds, reread)
        callers = Callers(db, tokens, seconds=settings.request_seconds)
        drained = asyncio.get_running_loop().create_future()
        app.state.services = Services(
            settings, db, callers, configurations, operations, limits, metrics, drained, Admissions(settings)
        )
        try:
            async with working(db, configurations, settings) if settings.run_jobs else nullcontext():
                yield
        finally:
            await db.close()
            for end in endings:
                end()

    graphql = Route("/graphql", GraphQL(settings.request_seconds))
    app = Application(routes=_routes(settings, graphql), lifespan=lifespan)
    app.middleware_stack = layered(app.router, settings, {graphql.path: graphql}.get)
    return app


class Application(Starlette):
    """Starlette's application, which hands each request on instead of waiting for it: a coroutine that only waits takes time each time it goes on."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        scope["app"] = self
        handled: Any = self.middleware_stack
        return handled(scope, receive, send)  # type: ignore[no-any-return]


def _routes(settings: Settings, graphql: Route) -> list[BaseRoute]:
    return [
        Route("/", Index((PLACES[0], CONSOLE, *PLACES[1:]) if settings.console else PLACES).answer),
        graphql,
        Route("/ingest/{dataset_id}", ingest, methods=["POST"]),
        Route("/exports/{export_id}/{path}", export_file),
        Route("/schema.graphql", schema),
        *Documents().routes(),
        Route("/healthz", alive),
        Route("/readyz", admitted(health.ready)),
        Route("/metrics", admitted(health.metrics)),
        *(console_routes() if settings.console else []),
    ]
