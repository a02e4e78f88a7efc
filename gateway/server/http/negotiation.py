"""Content negotiation: media types and codings that a caller accepts, and the one that it sends (RFC 9110, 8.3, 12.5.1 and 12.5.3).

Headers are untrusted: one that does not follow the grammar is ignored, and never raises.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

JSON = "application/json"
HTML = "text/html"
MARKDOWN = "text/markdown"
GRAPHQL = "application/graphql-response+json"
NDJSON = "application/x-ndjson"
JSON_LINES: Final = {
    *(NDJSON, "application/ndjson", "application/jsonl"),
    *("application/x-jsonl", "application/jsonlines", "application/x-jsonlines"),
}
"""Names of JSON lines in use; none is registered."""

UTF8 = {"utf-8", "utf8"}

MAX_CACHED: Final = 64
"""Values of a header whose meaning is kept: clients send few. A head has 32 kB at most, so these have two megabytes."""

# A name of a parameter with `*` belongs to an encoding (RFC 8187) that no media type of ours has.
_TYPE = re.compile(r"[ \t]*([!#$%&'*+.^_`|~\w-]+/[!#$%&'*+.^_`|~\w-]+)", re.ASCII)
_PARAMETER = re.compile(
    r"""[ \t]*;[ \t]*(?:([!#$%&'+.^_`|~\w-]+)=([!#$%&'*+.^_`|~\w-]+|"(?:[^"\\]|\\.)*"))?""", re.ASCII | re.DOTALL
)
_QUALITY = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII)


class Codings(NamedTuple):
    """The codings in which a caller accepts a response: compressed by gzip, as it is, both or neither."""

    gzip: bool
    identity: bool


@lru_cache(MAX_CACHED)
def negotiate(accept: str | None) -> str | None:
    """Return the media type of the response to a GraphQL request, or None where the caller accepts neither.

    It is GraphQL's own where the header names both with equal quality, and plain JSON for `*/*`, as older clients expect.
    """
    if accept is None or not accept.strip():
        return JSON
    ranges = dict(_qualities(accept))
    ratings = {offer: _rating(offer, ranges) for offer in (GRAPHQL, JSON)}
    best = max(ratings, key=lambda offer: (*ratings[offer], (offer == GRAPHQL) == (ratings[offer][1] == 2)))
    return best if ratings[best][0] > 0 else None


def prefers_html(accept: str | None) -> bool:
    """Return whether the caller prefers HTML to JSON, as browsers do."""
    qualities = dict(_qualities(accept or ""))
    return qualities.get(HTML, 0) > qualities.get(JSON, 0)


def prefers_markdown(accept: str | None) -> bool:
    """Return whether the caller prefers Markdown to HTML."""
    qualities = dict(_qualities(accept or ""))
    return qualities.get(MARKDOWN, 0) > qualities.get(HTML, 0)


@lru_cache(MAX_CACHED)
def codings(accept_encoding: str | None) -> Codings:
    """Return the codings that the caller accepts. gzip counts only with at least the quality of the uncompressed response."""
    if not accept_encoding:
        return Codings(gzip=False, identity=True)
    qualities = dict(_qualities(accept_encoding))
    others = qualities.get("*", 0.0)
    gzip = max(qualities.get("gzip", others), qualities.get("x-gzip", 0.0))  # RFC 9110, 8.4.1.3: one coding, two names
    identity = qualities.get("identity")
    if identity is None:
        return Codings(gzip=gzip > 0, identity="*" not in qualities or others > 0)
    return Codings(gzip=gzip > 0 and gzip >= identity, identity=identity > 0)


@lru_cache(MAX_CACHED)
def is_json(content_type: str | None) -> bool:
    """Return whether a body of this content type is JSON in UTF-8."""
    return _text_type(content_type) == JSON


def is_ndjson(content_type: str | None) -> bool:
    """Return whether a body of this content type is a stream of JSON lines in UTF-8."""
    return _text_type(content_type) in JSON_LINES


def _text_type(content_type: str | None) -> str | None:
    """Return the media type in lower case; None where the header is malformed or names another charset than UTF-8."""
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
    """Return the quality of an offer by the most specific range that covers it, and how specific that range is."""
    covers = (offer, "application/*", "*/*")
    return next(((ranges[name], 2 - place) for place, name in enumerate(covers) if name in ranges), (0, 0))


def _qualities(header: str) -> Iterator[tuple[str, float]]:
    """Yield the names of a list in lower case, with their qualities from 0 to 1; a malformed quality counts as 0."""
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((one[2:].strip() for one in parameters if one.startswith("q=")), "1")
        yield name, float(quality) if _QUALITY.fullmatch(quality) else 0
