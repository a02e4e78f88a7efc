"""`/schema.graphql`: the schema as a file for code generators, which want it without a query."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gateway.errors import GatewayError, Unavailable
from gateway.server.http.admission import address
from gateway.server.http.responses import refusal
from gateway.server.http.services import services


async def schema(request: Request) -> Response:
    """The SDL of the caller's sandbox; of a new one for who sends no credentials."""
    here, config = services(request), None
    if "authorization" in request.headers:
        try:
            config = await here.configurations.read(here.db, await here.scope(request))
        except GatewayError as error:
            return refusal(error)
    text = here.printed.kept(config)
    if text is None:
        try:
            async with here.admission.schemas.place(config.sandbox_id if config else address(request)):
                text = await here.printed.print(config)
        except Unavailable as error:
            return refusal(error)
    return PlainTextResponse(text)
