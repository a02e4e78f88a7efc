"""Pages of other origins: which of them may call, and what browsers have to be told for that (CORS)."""

from collections.abc import Collection
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from gateway.errors import BadInput
from gateway.server.http.auth import HEADERS
from gateway.server.http.observability import HEADER
from gateway.server.http.responses import refusal

SENT = (*HEADERS, "content-encoding", "content-type", HEADER)
READ = ("retry-after", HEADER)


class ForeignPages(CORSMiddleware):
    """ASGI middleware that lets pages of these origins read every answer, refusals and faults too."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=SENT, expose_headers=READ
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer what a browser asks before it calls; what it may not do is said as every refusal is."""
        answer = super().preflight_response(request_headers)
        if answer.status_code == HTTPStatus.OK:
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=_without_body(answer))
        return refusal(BadInput(f"{bytes(answer.body).decode()}."), answer.status_code, _without_body(answer))


def _without_body(answer: Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in {"content-length", "content-type"}}
