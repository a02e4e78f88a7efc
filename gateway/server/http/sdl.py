"""`/schema.graphql`: the schema as a file for code generators."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gateway.errors import GatewayError, Unavailable
from gateway.server.http.admission import address
from gateway.server.http.responses import error_response
from gateway.server.http.services import services


async def schema(request: Request) -> Response:
    """Respond with the SDL of the caller's sandbox; without credentials, of a new sandbox."""
    here, config = services(request), None
    if "authorization" in request.headers:
        try:
            config = await here.configurations.read(here.db, await here.scope(request))
        except GatewayError as error:
            return error_response(error)
    text = here.printed.cached(config)
    if text is None:
        try:
            async with here.admission.schemas.place(config.sandbox_id if config else address(request.scope)):
                text = await here.printed.print(config)
        except Unavailable as error:
            return error_response(error)
    return PlainTextResponse(text)
