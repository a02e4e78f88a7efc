"""What every request passes before it comes to a route, in the order in which it does."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from gateway.errors import BadInput, GatewayError
from gateway.server.http.cors import ForeignPages
from gateway.server.http.front_door import FrontDoor
from gateway.server.http.hosts import HostNames
from gateway.server.http.observability import Observability
from gateway.server.http.responses import error_response, method_refused
from gateway.settings import Settings


def layered(router: Router, settings: Settings, find: Callable[[str], Route | None]) -> ASGIApp:
    """Return the application around the routes. `find` returns the route of a path that needs no looking for, None for others.

    Starlette's own outermost layer is left out: Observability does its work.
    """
    routes = ExceptionMiddleware(router, handlers={HTTPException: _refuse, GatewayError: _refuse})
    door = FrontDoor(routes, HostNames(settings.hosts), find)
    if not settings.cors_origins:
        return Observability(door)
    foreign_pages = partial(ForeignPages, origins=settings.cors_origins)
    return Observability(foreign_pages(door), around=foreign_pages)


async def _refuse(request: Request, error: Exception) -> Response:
    """Return the response to an error of ours, or to a request that Starlette refuses: an unknown route, or a method that a route lacks."""
    if not isinstance(error, HTTPException):
        return error_response(error)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return method_refused(request.method, (error.headers or {})["Allow"])
    message = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND:
        message = "There is nothing at this address; `GET /` tells what is where."
    return error_response(BadInput(message), error.status_code)
