"""What those who run the gateway ask it: does it live, can it answer, what has it been doing."""

import asyncio
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import SchemaError, Timeout, Unavailable
from gateway.server.http.responses import json_answer
from gateway.server.http.services import services
from gateway.storage.migrations import check_schema

BROKEN = "{} rows of configuration that were read cannot be used; the log and `gateway verify` name them"
PATIENCE = 3  # seconds: who asks whether we are ready will not wait longer


async def alive(_: Request) -> Response:
    """The process runs. Nothing else is looked at: to start it anew would not bring a lost database back."""
    return json_answer({"status": "alive"})


async def ready(request: Request) -> Response:
    """200 only if a request would be answered: the database is there, and its schema is the one this code knows.

    Rows of configuration that cannot be used are counted in `warnings`. Anybody may ask, so the log names them.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            await check_schema(services(request).db)
    except (TimeoutError, Timeout):
        return _not_ready("the database does not answer")
    except (SchemaError, Unavailable) as error:
        return _not_ready(error.message)
    broken = services(request).configurations.broken_rows
    return json_answer({"status": "ready"} | ({"warnings": [BROKEN.format(broken)]} if broken else {}))


async def metrics(request: Request) -> Response:
    return Response(services(request).metrics.scrape(), media_type=CONTENT_TYPE_LATEST)


def _not_ready(reason: str) -> Response:
    return json_answer({"status": "not ready", "reason": reason}, HTTPStatus.SERVICE_UNAVAILABLE)
