"""The composition root: settings → a Starlette application. Its routes and the order of its middleware are here on one page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from gateway.api.console import console_routes
from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Operations
from gateway.api.schema import build_schema
from gateway.domain.configuration import Configurations
from gateway.errors import BadInput
from gateway.server import health
from gateway.server.answers import GZIP_FROM, refusal
from gateway.server.auth import Callers
from gateway.server.graphql import graphql
from gateway.server.ingest import ingest
from gateway.server.logs import log_observation
from gateway.server.metrics import Metrics
from gateway.server.sdl import schema
from gateway.server.services import Services
from gateway.server.shortcut import Shortcut
from gateway.server.store import connect
from gateway.server.token_reader import TokenReader
from gateway.server.watch import HEADER, Watch
from gateway.server.worker import working
from gateway.settings import Settings
from gateway.telemetry import listen

GRAPHQL = Route("/graphql", graphql, methods=["GET", "POST"])
REQUEST_HEADERS = ["authorization", "content-type", "x-api-key", "x-gw-ims-org-id", "x-sandbox-name", HEADER]


def create_app(settings: Settings, dsn: str, jwt_secret: str, counts: Path | None = None) -> Starlette:
    """The gateway over the database at `dsn`, whose schema is the newest. It connects when its lifespan begins.

    `counts` is the directory in which several processes count together.
    """
    metrics, base = Metrics(counts), build_schema()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        endings = [listen(metrics), listen(log_observation)]
        db = await connect(settings, dsn)
        configurations, limits = Configurations(), Limits(seconds=settings.request_seconds)
        operations = Operations(db, configurations, base, limits, explains=settings.is_loopback)
        callers = Callers(db, TokenReader(jwt_secret, settings.jwt_issuers, settings.jwt_leeway_seconds))
        app.state.services = Services(settings, db, callers, configurations, operations, limits, metrics)
        try:
            async with working(db, configurations) if settings.run_jobs else nullcontext():
                yield
        finally:
            await db.close()
            for end in endings:
                end()

    return _Gateway(
        routes=_routes(settings),
        middleware=_middleware(settings),
        exception_handlers={HTTPException: _refuse},
        lifespan=lifespan,
    )


class _Gateway(Starlette):
    def build_middleware_stack(self) -> ASGIApp:
        """Without what Starlette puts around it all to answer what breaks: that is watched for here."""
        watch: ASGIApp = super().build_middleware_stack().app  # type: ignore[attr-defined]
        return watch


def _routes(settings: Settings) -> list[BaseRoute]:
    return [
        GRAPHQL,
        Route("/ingest/{dataset_id}", ingest, methods=["POST"]),
        Route("/schema.graphql", schema),
        Route("/healthz", health.alive),
        Route("/readyz", health.ready),
        Route("/metrics", health.metrics),
        *(console_routes() if settings.console else []),
    ]


def _middleware(settings: Settings) -> list[Middleware]:
    """The first one is the outermost."""
    foreign_pages = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST"],
        allow_headers=REQUEST_HEADERS,
        expose_headers=[HEADER],
    )
    packed = partial(GZipMiddleware, minimum_size=GZIP_FROM, compresslevel=5)
    return [
        Middleware(Watch),
        Middleware(Shortcut, route=GRAPHQL, hosts=settings.hosts, packed=packed, cors=bool(settings.cors_origins)),
        Middleware(TrustedHostMiddleware, allowed_hosts=settings.hosts, www_redirect=False),
        *([foreign_pages] if settings.cors_origins else []),
        Middleware(packed),
    ]


async def _refuse(_: Request, error: Exception) -> Response:
    """What Starlette refuses by itself: an unknown route, a method that a route does not know."""
    if not isinstance(error, HTTPException):
        raise error
    return refusal(BadInput(error.detail), error.status_code, error.headers)
