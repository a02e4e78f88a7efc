"""Which media type and coding a caller wants, and which one it sends (RFC 9110, 8.3, 12.5.1 and 12.5.3).

Headers come from strangers: one that does not follow the grammar means nothing here, and never raises.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

JSON = "application/json"
HTML = "text/html"
MARKDOWN = "text/markdown"
GRAPHQL = "application/graphql-response+json"
NDJSON = "application/x-ndjson"
JSON_LINES: Final = {NDJSON, "application/ndjson", "application/jsonl", "application/x-jsonlines"}
"""The names under which senders know JSON lines; none is registered."""

UTF8 = {"utf-8", "utf8"}

# A name of a parameter with `*` belongs to an encoding (RFC 8187) that no media type of ours has.
_TYPE = re.compile(r"[ \t]*([!#$%&'*+.^_`|~\w-]+/[!#$%&'*+.^_`|~\w-]+)", re.ASCII)
_PARAMETER = re.compile(
    r"""[ \t]*;[ \t]*(?:([!#$%&'+.^_`|~\w-]+)=([!#$%&'*+.^_`|~\w-]+|"(?:[^"\\]|\\.)*"))?""", re.ASCII | re.DOTALL
)
_QUALITY = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII)


class Codings(NamedTuple):
    """In which form a caller takes an answer: packed by gzip, as it is, either or neither."""

    gzip: bool
    identity: bool


def wanted(accept: str | None) -> str | None:
    """The media type to answer a GraphQL request with, or None where the caller takes neither.

    Who names both as equally good gets GraphQL's own; who takes anything gets plain JSON, as older clients expect it.
    """
    if accept is None or not accept.strip():
        return JSON
    ranges = dict(_qualities(accept))
    ratings = {offer: _rating(offer, ranges) for offer in (GRAPHQL, JSON)}
    best = max(ratings, key=lambda offer: (*ratings[offer], (offer == GRAPHQL) == (ratings[offer][1] == 2)))
    return best if ratings[best][0] > 0 else None


def prefers_html(accept: str | None) -> bool:
    """Whether a page is wanted rather than JSON: by browsers, who name it."""
    qualities = dict(_qualities(accept or ""))
    return qualities.get(HTML, 0) > qualities.get(JSON, 0)


def prefers_markdown(accept: str | None) -> bool:
    """Whether a document is wanted as Markdown rather than as a page: by those who name it."""
    qualities = dict(_qualities(accept or ""))
    return qualities.get(MARKDOWN, 0) > qualities.get(HTML, 0)


def codings(accept_encoding: str | None) -> Codings:
    """How an answer may be coded. Packed is wanted only by who rates it as high as the plain answer, or higher."""
    if not accept_encoding:
        return Codings(gzip=False, identity=True)
    qualities = dict(_qualities(accept_encoding))
    others = qualities.get("*", 0.0)
    gzip = max(qualities.get("gzip", others), qualities.get("x-gzip", 0.0))  # RFC 9110, 8.4.1.3: one coding, two names
    identity = qualities.get("identity")
    if identity is None:
        return Codings(gzip=gzip > 0, identity="*" not in qualities or others > 0)
    return Codings(gzip=gzip > 0 and gzip >= identity, identity=identity > 0)


def is_json(content_type: str | None) -> bool:
    """Whether a body of this content type is JSON in UTF-8."""
    return _text_type(content_type) == JSON


def is_ndjson(content_type: str | None) -> bool:
    """Whether a body of this content type is a stream of JSON lines in UTF-8."""
    return _text_type(content_type) in JSON_LINES


def _text_type(content_type: str | None) -> str | None:
    """The media type in lower case; None where the header is malformed or names another charset than UTF-8."""
    text = content_type or ""
    matched = _TYPE.match(text)
    if matched is None:
        return None
    at, charset = matched.end(), None
    while (parameter := _PARAMETER.match(text, at)) is not None:
        at, (name, value) = parameter.end(), parameter.groups()
        if name is not None and name.lower() == "charset":
            if charset is not None:
                return None
            charset = value.strip('"').lower()
    if text[at:].strip(" \t") or charset not in {None, *UTF8}:
        return None
    return matched[1].lower()


def _rating(offer: str, ranges: dict[str, float]) -> tuple[float, int]:
    """How good the most specific range that covers the offer makes it, and how specific that is."""
    covers = (offer, "application/*", "*/*")
    return next(((ranges[name], 2 - place) for place, name in enumerate(covers) if name in ranges), (0, 0))


def _qualities(header: str) -> Iterator[tuple[str, float]]:
    """What a list names, in lower case, with its quality from 0 to 1; one that is no quality counts as 0."""
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        given = next((one[2:].strip() for one in parameters if one.startswith("q=")), "1")
        yield name, float(given) if _QUALITY.fullmatch(given) else 0
