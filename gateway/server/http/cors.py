"""Cross-origin requests (CORS): origins whose pages may call, and the headers that browsers need for that."""

from collections.abc import Collection
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from gateway.errors import BadInput
from gateway.server.http.auth import HEADERS
from gateway.server.http.observability import HEADER
from gateway.server.http.responses import error_response

REQUEST_HEADERS = (*HEADERS, "content-encoding", "content-type", "if-none-match", HEADER)
RESPONSE_HEADERS = ("age", "etag", "retry-after", HEADER)


class ForeignPages(CORSMiddleware):
    """ASGI middleware that lets pages of these origins read every response, errors included."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=REQUEST_HEADERS,
            expose_headers=RESPONSE_HEADERS,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Respond to a preflight request; refuse one in the shape of other errors."""
        answer = super().preflight_response(request_headers)
        kept = [one for one in answer.raw_headers if one[0] not in {b"content-length", b"content-type"}]
        if answer.status_code == HTTPStatus.OK:
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=Headers(raw=kept))
        return error_response(BadInput(f"{bytes(answer.body).decode()}."), answer.status_code, kept)
