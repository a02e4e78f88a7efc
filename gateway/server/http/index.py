"""`GET /`: what is where, for callers who have nothing but the address."""

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gateway.server.http.negotiation import prefers_html
from gateway.server.http.pages import HEADERS, render_page
from gateway.server.http.responses import json_answer

TITLE: Final = "Profile gateway"

Place = tuple[str, str, str]
"""An address, its methods, and what it is."""

FOR_OPERATORS: Final[tuple[Place, ...]] = (
    ("healthz", "GET", "200 while the process runs"),
    ("readyz", "GET", "200 while requests can be answered"),
    ("metrics", "GET", "counts and durations for Prometheus"),
)

# Addresses are relative, so that they are right behind any prefix.
CONSOLE: Final[Place] = ("graphiql", "GET", "GraphiQL: the schema, and queries to try")
PLACES: Final[tuple[Place, ...]] = (
    ("graphql", "POST, GET", "GraphQL: every read and every change, with four headers that `gateway token` prints"),
    ("ingest/{datasetId}", "POST", "records or events as a stream of JSON lines"),
    ("exports/{exportId}/{path}", "GET", "a file of an export"),
    ("schema.graphql", "GET", "the schema as a file, for code generators"),
    ("docs", "GET", "documents: how to use it, how to run it"),
    ("docs/{page}", "GET", "one of them, as a page or as `text/markdown`"),
    *FOR_OPERATORS,
)
TEXT: Final = """# {title}

A real-time customer profile service: {what}. Version {version}.

| Address | Methods | What it is |
|---|---|---|
{rows}
"""


class Index:
    """What the page and its JSON tell, which never changes while the process runs."""

    def __init__(self, places: Sequence[Place], what: str = "one GraphQL graph over Postgres") -> None:
        self._places, self._what = places, what
        self._version = version("profile-gateway")

    async def answer(self, request: Request) -> Response:
        """Tell what is where: a page for browsers, JSON for everybody else."""
        if prefers_html(request.headers.get("accept")):
            return HTMLResponse(self._page, headers=HEADERS)
        places = [
            {"path": f"/{path}", "methods": methods.split(", "), "what": what} for path, methods, what in self._places
        ]
        return json_answer({"name": TITLE, "version": self._version, "places": places}, headers=[(b"vary", b"Accept")])

    @cached_property
    def _page(self) -> str:
        rows = "\n".join(_row(*place) for place in self._places)
        return render_page(TEXT.format(title=TITLE, what=self._what, version=self._version, rows=rows))


def _row(path: str, methods: str, what: str) -> str:
    is_link = "GET" in methods and path != "graphql" and "{" not in path  # a query is wanted, or a name
    shown = f"`/{path}`"
    return f"| {f'[{shown}]({path})' if is_link else shown} | {methods} | {what} |"
