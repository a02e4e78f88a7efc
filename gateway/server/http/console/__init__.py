"""GraphiQL, served by the gateway itself: no address outside, a strict policy, and a link that carries working headers."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

HERE = Path(__file__).parent
BUILT = HERE / "static"
NOT_BUILT = HERE / "not_built.html"

SECURITY_HEADERS = {
    # GraphiQL carries its fonts and icons in its stylesheet and its editor writes inline styles; nothing else is looser than 'self'.
    "content-security-policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
}

# The short names of the request headers in a link; the page turns them back.
LINK_NAMES = {"authorization": "token", "x-api-key": "apiKey", "x-gw-ims-org-id": "org", "x-sandbox-name": "sandbox"}


class ConsoleFiles(StaticFiles):
    """The files of the built page, with the security headers. Browsers keep files with a hash in their name for a year."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the file's response with security headers and caching."""
        response = await super().get_response(path, scope)
        response.headers.update(SECURITY_HEADERS)
        hashed = Path(path).parts[:1] == ("assets",)
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if hashed else "no-cache"
        return response


def console_routes(built: Path = BUILT) -> list[BaseRoute]:
    """Return the routes of /graphiql: the built page, or instructions if it was not built."""
    if not (built / "index.html").is_file():
        return [Route("/graphiql{rest:path}", say_not_built)]
    return [Route("/graphiql", add_slash), Mount("/graphiql", ConsoleFiles(directory=built, html=True))]


def console_link(base_url: str, headers: Mapping[str, str]) -> str:
    """Return the address that opens GraphiQL with these headers. They stand in its fragment, which browsers never send to a server."""
    given = {LINK_NAMES[name.lower()]: value for name, value in headers.items() if name.lower() in LINK_NAMES}
    if "token" in given:
        given["token"] = given["token"].removeprefix("Bearer ")
    return f"{base_url.rstrip('/')}/graphiql#{urlencode(given, quote_via=quote)}"


async def add_slash(_: Request) -> Response:
    """Redirect to the page by a relative address, which is right behind any prefix. The browser keeps the fragment."""
    return RedirectResponse("graphiql/")


async def say_not_built(_: Request) -> Response:
    """Return the page that says how to build GraphiQL, with status 503."""
    return HTMLResponse(NOT_BUILT.read_text("utf-8"), HTTPStatus.SERVICE_UNAVAILABLE, SECURITY_HEADERS)
