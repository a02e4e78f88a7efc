"""`/schema.graphql`: the schema as a file for code generators."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gateway.server.http.admission import address
from gateway.server.http.services import services


async def schema(request: Request) -> Response:
    """Respond with the SDL of the caller's sandbox; without credentials, of a new sandbox. Raises Unauthenticated, Forbidden, Unavailable, Timeout."""
    here, config = services(request), None
    if "authorization" in request.headers:
        config = await here.configurations.read(here.db, await here.scope(request))
    place = here.admission.schemas.place(config.sandbox_id if config else address(request.scope))
    return PlainTextResponse(await here.printed.read(config, place))
