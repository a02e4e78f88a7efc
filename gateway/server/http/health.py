"""Probes for operators: whether the process lives, whether it is ready, and its metrics."""

import asyncio
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import SchemaError, Timeout, Unavailable
from gateway.server.http.responses import json_answer
from gateway.server.http.services import services
from gateway.storage.migrations import check_schema

WARNING = "{} rows of configuration that were read cannot be used; the log and `gateway verify` name them"
READY_TIMEOUT_SECONDS = 3  # probes do not wait longer


async def alive(_: Request) -> Response:
    """Respond that the process runs. Nothing else is checked, as a restart would not bring a lost database back."""
    return json_answer({"status": "alive"})


async def ready(request: Request) -> Response:
    """Respond with 200 only if requests can be served: the database answers, and has the schema that this code expects.

    `warnings` has the number of rows of configuration that cannot be used. The route needs no credentials, so only the log names them.
    """
    try:
        async with asyncio.timeout(READY_TIMEOUT_SECONDS):
            await check_schema(services(request).db)
    except (TimeoutError, Timeout):
        return _not_ready("the database does not answer")
    except (SchemaError, Unavailable) as error:
        return _not_ready(error.message)
    broken = services(request).configurations.broken_rows
    return json_answer({"status": "ready"} | ({"warnings": [WARNING.format(broken)]} if broken else {}))


async def metrics(request: Request) -> Response:
    """Respond with the metrics for Prometheus."""
    return Response(services(request).metrics.scrape(), media_type=CONTENT_TYPE_LATEST)


def _not_ready(reason: str) -> Response:
    return json_answer({"status": "not ready", "reason": reason}, HTTPStatus.SERVICE_UNAVAILABLE)
