"""Pages without scripts, made of Markdown."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

PAGE: Final = Path(__file__).with_name("page.html").read_text("utf-8")
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS: Final = {"content-security-policy": POLICY, "vary": "Accept", "cache-control": "no-cache"}


def render_page(text: str, pages: Sequence[tuple[str, str]] = (), current: str = "") -> str:
    """Return the page of a text in Markdown, which begins with a heading. `pages` are addresses and titles of it and those beside it."""
    markdown = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")
    tokens = markdown.parse(text)
    headings = name_headings(tokens)
    sections = [(f"#{slug}", heading) for tag, slug, heading in headings if tag == "h2"]
    return PAGE.format(
        title=escape(headings[0][2]),
        alone="" if pages else " hidden",
        pages=_links(pages, current),
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
