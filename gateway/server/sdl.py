"""`/schema.graphql`: the schema as a file for code generators, which want it without a query."""

import asyncio

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gateway.api.schema import print_sdl
from gateway.errors import GatewayError
from gateway.server.answers import refusal
from gateway.server.services import services


async def schema(request: Request) -> Response:
    """The SDL of the caller's sandbox; of a new one for who sends no credentials."""
    here, config = services(request), None
    if "authorization" in request.headers:
        try:
            config = await here.configurations.read(here.db, await here.scope(request))
        except GatewayError as error:
            return refusal(error)
    return PlainTextResponse(await asyncio.to_thread(print_sdl, config))
