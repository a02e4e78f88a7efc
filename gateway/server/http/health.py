"""Probes of a hub: whether it is ready, and its metrics."""

import asyncio
from contextlib import suppress

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from gateway.domain.work.job_lists import count_open_jobs
from gateway.errors import SchemaError, Timeout, Unavailable
from gateway.server.http.probes import READY_TIMEOUT_SECONDS, not_ready
from gateway.server.http.responses import json_answer
from gateway.server.http.services import services
from gateway.storage.migrations import check_schema
from gateway.telemetry import observe

BROKEN = "{} rows of configuration that were read cannot be used; the log and `gateway verify` name them"
STALLED = "{} jobs of type {} do not get on; `gateway jobs list` tells why"


async def ready(request: Request) -> Response:
    """Respond with 200 only if requests can be served: the database answers, and has the schema that this code expects.

    `warnings` has the numbers of rows of configuration that cannot be used, and of jobs that fail again and again. The route needs no
    credentials, so the rows and the jobs are named elsewhere.
    """
    try:
        async with asyncio.timeout(READY_TIMEOUT_SECONDS):
            await check_schema(services(request).db)
            counted = await count_open_jobs(services(request).db)
    except (TimeoutError, Timeout):
        return not_ready("the database does not answer")
    except (SchemaError, Unavailable) as error:
        return not_ready(error.message)
    broken = services(request).configurations.broken_rows
    warnings = [BROKEN.format(broken)] if broken else []
    warnings += [STALLED.format(one.stalled, one.kind) for one in counted if one.stalled]
    return json_answer({"status": "ready"} | ({"warnings": warnings} if warnings else {}))


async def metrics(request: Request) -> Response:
    """Respond with the metrics for Prometheus. Jobs are as they were counted last where the database does not answer."""
    own = services(request)
    if not own.metrics.is_fresh:
        with suppress(TimeoutError, Timeout, Unavailable):
            async with asyncio.timeout(READY_TIMEOUT_SECONDS):
                for counted in await count_open_jobs(own.db):
                    observe(counted)
    return Response(own.metrics.scrape(), media_type=CONTENT_TYPE_LATEST)
