"""`GET /docs`: the documents that come with the package, as pages for people or as the Markdown that they are written in.

They hold no secret and are the same for everybody. A page is rendered once in a process, beside the event loop.
"""

from pathlib import Path
from typing import Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

import gateway
from gateway.runtime.threads import Once, Thread
from gateway.server.http.negotiation import prefers_markdown
from gateway.server.http.pages import HEADERS, render_page

DIRECTORY: Final = Path(gateway.__file__).parent / "docs"
NAMES: Final = (
    "tutorial",
    "identity-and-merge",
    "ingest",
    "admin",
    "pql",
    "exports",
    "frontend",
    "edges",
    "operations",
    "cluster",
    "internals",
    "figures",
)
"""The documents in the order in which they are listed."""
PICTURE: Final = "picture.svg"
OVERVIEW: Final = """# Documents of the profile gateway

What it is, how to use it, and how to run it. Every example in these pages is executed by the tests.

![Facts of many sources come in and are kept; identity graphs and profiles are made of them; one GraphQL graph answers.]({picture})

{entries}
"""


class Document(NamedTuple):
    """One document: its name in addresses, its first heading, its first paragraph, its whole text in Markdown."""

    name: str
    title: str
    summary: str
    text: str


class Documents:
    """The routes of `/docs`, and the pages that were asked for before."""

    def __init__(self) -> None:
        self._pages: dict[str, str] = {}
        self._thread = Thread("pages")
        self._rendering: Once[str, str] = Once()

    def routes(self) -> list[BaseRoute]:
        """Give the routes of the list and of each document."""
        return [Route("/docs", self.overview), Route("/docs/{page}", self.page)]

    async def overview(self, request: Request) -> Response:
        """List the documents."""
        return await self._answer(request, "")

    async def page(self, request: Request) -> Response:
        """Answer with one document or with the picture. Raises HTTPException (404) where there is none of this name."""
        name = request.path_params["page"]
        if name == PICTURE:
            return Response((DIRECTORY / PICTURE).read_bytes(), headers=HEADERS, media_type="image/svg+xml")
        if name not in NAMES:
            raise HTTPException(404)
        return await self._answer(request, name)

    async def _answer(self, request: Request, name: str) -> Response:
        if prefers_markdown(request.headers.get("accept")):
            text = read_document(name).text if name else overview_text()
            return Response(text, headers=HEADERS, media_type="text/markdown")
        if name not in self._pages:
            self._pages[name] = await self._rendering.do(name, lambda: self._thread.run(render_document, name))
        return HTMLResponse(self._pages[name], headers=HEADERS)


def read_document(name: str) -> Document:
    """Read the document of this name, one of `NAMES`, from the package."""
    text = (DIRECTORY / f"{name}.md").read_text("utf-8")
    heading, summary, *_ = text.split("\n\n", 2)
    return Document(name, heading.removeprefix("# "), " ".join(summary.split()), text)


def overview_text() -> str:
    """Write the list of all documents in Markdown, with addresses that are right for `/docs`, behind any prefix."""
    documents = map(read_document, NAMES)
    entries = "\n".join(f"- [{each.title}](docs/{each.name}): {each.summary}" for each in documents)
    return OVERVIEW.format(picture=f"docs/{PICTURE}", entries=entries)


def render_document(name: str) -> str:
    """Render a document as a page; the list of all of them where the name is empty."""
    text = read_document(name).text if name else overview_text()
    others = [("" if name else "docs/") + each for each in NAMES]  # relative, as all addresses are
    titles = [read_document(each).title for each in NAMES]
    pages = [("../docs" if name else "docs", "Documents"), *zip(others, titles, strict=True)]
    return render_page(text, pages, current=name or "docs")
