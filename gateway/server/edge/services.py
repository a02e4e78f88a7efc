"""The services that all routes of an edge's process share."""

import asyncio
from dataclasses import dataclass

from starlette.requests import Request

from gateway.server.edge.lookups import Lookups
from gateway.server.http.admission import Admissions
from gateway.server.metrics import Metrics
from gateway.storage.database import Database


@dataclass(frozen=True, slots=True)
class EdgeServices:
    """Services that are made when the process starts and closed when it ends. `drained` is done when running requests have to end."""

    db: Database
    lookups: Lookups
    admission: Admissions
    metrics: Metrics
    drained: "asyncio.Future[None]"


def services(request: Request) -> EdgeServices:
    """Return the services of the process that serves a request."""
    found: EdgeServices = request.app.state.services
    return found
