"""The services that all routes of a process share."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import Request

from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Operations
from gateway.domain.config.configuration import Configurations
from gateway.domain.rules.scope import Scope
from gateway.server.http.admission import Admissions, Tenant, address
from gateway.server.http.auth import Caller, Callers
from gateway.server.http.printed_schemas import PrintedSchemas
from gateway.server.metrics import Metrics
from gateway.settings import Settings
from gateway.storage.database import Database


@dataclass(frozen=True, slots=True)
class Services:
    """Services that are made when the process starts and closed when it ends. `drained` is done when running requests have to end."""

    settings: Settings
    db: Database
    callers: Callers
    configurations: Configurations
    operations: Operations
    limits: Limits
    metrics: Metrics
    drained: "asyncio.Future[None]"
    admission: Admissions
    printed: PrintedSchemas = field(default_factory=PrintedSchemas)

    async def meet(self, headers: Mapping[str, str], client: Tenant) -> Caller:
        """Return the caller at an address who sends these headers for the first time. Raises Unauthenticated, Forbidden, Unavailable, Timeout."""
        async with self.admission.strangers.place(client):
            return await self.callers.meet(headers)

    async def scope(self, request: Request) -> Scope:
        """Return the scope of the caller. Raises Unauthenticated, Forbidden, Unavailable, Timeout."""
        caller = self.callers.known(request.headers)
        if caller is not None:
            return await self.callers.confirm(caller)
        return (await self.meet(request.headers, address(request.scope))).scope


def services(request: Request) -> Services:
    """Return the services of the process that serves a request."""
    found: Services = request.app.state.services
    return found
