"""The composition root of an edge: settings → a Starlette application over the store at an address."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.routing import Route

from gateway.errors import Timeout, Unavailable
from gateway.server.database import connect
from gateway.server.edge.callers import EdgeCallers
from gateway.server.edge.graphql import EdgeGraphQL
from gateway.server.edge.health import metrics, ready
from gateway.server.edge.lookups import Lookups
from gateway.server.edge.projections import Projections
from gateway.server.edge.received import Received
from gateway.server.edge.services import EdgeServices
from gateway.server.http.admission import Admissions, admitted
from gateway.server.http.index import FOR_OPERATORS, Index
from gateway.server.http.layers import layered
from gateway.server.http.probes import alive
from gateway.server.logs import log_observation
from gateway.server.metrics import Metrics
from gateway.settings import Settings
from gateway.telemetry import listen

PLACES: Final = (
    ("projections/{configuration}/{namespace}/{value}", "GET, HEAD", "what a configuration says of one person"),
    ("projections/{configuration}", "POST", "of up to 1,000 people"),
    ("graphql", "POST", "both by GraphQL"),
    *FOR_OPERATORS,
)


def create_edge(settings: Settings, dsn: str, counts: Path | None = None) -> Starlette:
    """Return the application over the store at `dsn`, whose schema is the newest. It connects when its lifespan begins.

    `counts` is the directory of the metrics of several processes.
    """
    measured = Metrics(counts)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        endings = [listen(measured), listen(log_observation)]
        db = await connect(settings, dsn)
        received, admissions = Received(db), Admissions(settings)
        lookups = Lookups(
            db,
            received,
            EdgeCallers(received),
            admissions,
            most_bytes=settings.answer_bytes,
            wait_seconds=settings.edge_wait_seconds,
        )
        drained = asyncio.get_running_loop().create_future()
        app.state.services = EdgeServices(db, lookups, admissions, measured, drained)
        with suppress(Unavailable, Timeout):  # then the first request does so
            await received.refresh()
        try:
            yield
        finally:
            await db.close()
            for end in endings:
                end()

    projections = Projections(settings.request_seconds)
    routes = [
        Route("/", Index(PLACES, "what a data centre holds of people, at its edge").answer),
        Route("/healthz", alive),
        Route("/readyz", admitted(ready)),
        Route("/metrics", admitted(metrics)),
    ]
    graphql = Route("/graphql", EdgeGraphQL(settings.request_seconds))
    app = Starlette(routes=routes, lifespan=lifespan)
    app.middleware_stack = layered(
        app.router, settings, lambda path: graphql if path == graphql.path else projections.find(path)
    )
    return app
