"""`GET /docs`: the documents that come with the package, as pages for people or as the Markdown that they are written in.

They hold no secret and are the same for everybody. A page is rendered once in a process, beside the event loop.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

import gateway
from gateway.runtime.threads import Once, Thread
from gateway.server.http.index import POLICY
from gateway.server.http.negotiation import prefers_markdown

DIRECTORY: Final = Path(gateway.__file__).parent / "docs"
NAMES: Final = (
    "tutorial",
    "identity-and-merge",
    "ingest",
    "admin",
    "pql",
    "frontend",
    "operations",
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
HEADERS: Final = {"content-security-policy": f"{POLICY}; img-src 'self'", "vary": "Accept", "cache-control": "no-cache"}
PAGE: Final = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>{title}</title>
    <style>
      :root {{ color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); --shade: color-mix(in srgb, currentColor 7%, transparent); }}
      body {{ font: 1rem/1.55 system-ui, sans-serif; max-width: 52rem; margin: 0 auto; padding: 1rem; overflow-wrap: break-word; }}
      nav {{ font-size: 0.9rem; padding: 0.5rem 0; border-bottom: 1px solid var(--line); }}
      nav a {{ display: inline-block; padding: 0.25rem 0.75rem 0.25rem 0; }}
      nav [aria-current] {{ font-weight: 600; color: inherit; text-decoration: none; }}
      h1, h2, h3 {{ line-height: 1.25; margin: 2rem 0 0.75rem; }}
      h1 a, h2 a, h3 a {{ margin-left: 0.4rem; opacity: 0.4; text-decoration: none; }}
      code {{ font: 0.9em ui-monospace, monospace; background: var(--shade); border-radius: 3px; padding: 0.1em 0.25em; overflow-wrap: anywhere; }}
      pre {{ background: var(--shade); border-radius: 6px; padding: 0.75rem; overflow-x: auto; line-height: 1.4; }}
      pre code {{ background: none; padding: 0; }}
      table {{ display: block; overflow-x: auto; border-collapse: collapse; }}
      th, td {{ border-bottom: 1px solid var(--line); padding: 0.35rem 1rem 0.35rem 0; text-align: left; vertical-align: top; overflow-wrap: normal; }}
      img {{ max-width: 100%; height: auto; }}
    </style>
  </head>
  <body>
    <nav aria-label="Documents">{documents}</nav>
    <nav aria-label="On this page"{hidden}>{sections}</nav>
    <main>
{content}
    </main>
  </body>
</html>
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
            self._pages[name] = await self._rendering.do(name, lambda: self._thread.run(render_page, name))
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


def render_page(name: str) -> str:
    """Render a document as a page without scripts; the list of all of them where the name is empty."""
    text = read_document(name).text if name else overview_text()
    markdown = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")
    tokens = markdown.parse(text)
    headings = name_headings(tokens)
    sections = [(f"#{slug}", heading) for tag, slug, heading in headings if tag == "h2"]
    return PAGE.format(
        title=escape(headings[0][2]),
        documents=_links(_addresses(name), current=name or "docs"),
        hidden="" if sections else " hidden",
        sections=_links(sections),
        content=markdown.renderer.render(tokens, markdown.options, {}),
    )


def name_headings(tokens: Sequence[Token]) -> list[tuple[str, str, str]]:
    """Give each heading an id of its own, as GitHub does; the tag, id and text of each."""
    found: list[tuple[str, str, str]] = []
    seen: Counter[str] = Counter()
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(part.content for part in inline.children or ())
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            seen[slug] += 1
            slug += f"-{seen[slug] - 1}" if seen[slug] > 1 else ""
            opening.attrSet("id", slug)
            found.append((opening.tag, slug, text))
    return found


def _addresses(name: str) -> Iterable[tuple[str, str]]:
    """Addresses and titles of all pages, as the page of this name links to them."""
    here = "" if name else "docs/"
    yield "../docs" if name else "docs", "Documents"
    for each in map(read_document, NAMES):
        yield f"{here}{each.name}", each.title


def _links(targets: Iterable[tuple[str, str]], current: str = "") -> str:
    mark = {current: ' aria-current="page"'}
    return "\n".join(f'<a href="{target}"{mark.get(target, "")}>{escape(title)}</a>' for target, title in targets)


class _Renderer(RendererHTML):
    """HTML whose headings link to themselves, and whose links between documents lead to their pages."""

    def heading_close(self, tokens: Sequence[Token], at: int, *_: Any) -> str:
        slug = tokens[at - 2].attrGet("id")
        return f'<a href="#{slug}" aria-label="Link to this section">#</a></{tokens[at].tag}>\n'

    def link_open(self, tokens: Sequence[Token], at: int, *more: Any) -> str:
        address = str(tokens[at].attrGet("href"))
        tokens[at].attrSet("href", re.sub(r"^([\w-]+)\.md(?=#|$)", r"\1", address))
        return self.renderToken(tokens, at, *more)
