"""Probes of an edge: whether it is ready, and its metrics. It is ready without a hub."""

import asyncio

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from gateway.domain.edges.centers import check_store
from gateway.errors import SchemaError, Timeout, Unavailable
from gateway.server.edge.services import services
from gateway.server.http.probes import READY_TIMEOUT_SECONDS, not_ready
from gateway.server.http.responses import json_answer


async def ready(request: Request) -> Response:
    """Respond with 200 only if requests can be served: the store answers, and has the schema that this code expects."""
    try:
        async with asyncio.timeout(READY_TIMEOUT_SECONDS):
            await check_store(services(request).db)
    except (TimeoutError, Timeout):
        return not_ready("the store does not answer")
    except (SchemaError, Unavailable) as error:
        return not_ready(error.message)
    return json_answer({"status": "ready"})


async def metrics(request: Request) -> Response:
    """Respond with the metrics for Prometheus."""
    return Response(services(request).metrics.scrape(), media_type=CONTENT_TYPE_LATEST)
