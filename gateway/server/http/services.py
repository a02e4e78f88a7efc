"""What the routes of one process share."""

import asyncio
from dataclasses import dataclass

from starlette.requests import Request

from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Operations
from gateway.domain.config.configuration import Configurations
from gateway.domain.rules.scope import Scope
from gateway.server.http.admission import Admissions, address
from gateway.server.http.auth import Callers
from gateway.server.http.printed_schemas import PrintedSchemas
from gateway.server.metrics import Metrics
from gateway.settings import Settings
from gateway.storage.database import Database


@dataclass(frozen=True, slots=True)
class Services:
    """Made when the process starts, closed when it ends. `drained` is done when what still runs has to end, because the process does."""

    settings: Settings
    db: Database
    callers: Callers
    configurations: Configurations
    operations: Operations
    limits: Limits
    metrics: Metrics
    drained: "asyncio.Future[None]"
    admission: Admissions
    printed: PrintedSchemas

    async def scope(self, request: Request) -> Scope:
        """Who asks, and where. Raises Unauthenticated, Forbidden, Unavailable."""
        caller = self.callers.known(request.headers)
        if caller is not None:
            return await self.callers.confirm(caller)
        async with self.admission.strangers.place(address(request)):
            return await self.callers.scope_of(request.headers)


def services(request: Request) -> Services:
    """Those of the process that serves this request."""
    found: Services = request.app.state.services
    return found
