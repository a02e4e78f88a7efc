"""Which media type a caller wants, and which one it sends (RFC 9110, 8.3 and 12.5.1)."""

from email.message import Message

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
UTF8 = {"utf-8", "utf8"}


def wanted(accept: str | None) -> str | None:
    """The media type to answer a GraphQL request with, or None where the caller takes neither.

    Who names both as equally good gets GraphQL's own; who takes anything gets plain JSON, as older clients expect it.
    """
    if accept is None or not accept.strip():
        return JSON
    ranges = dict(_range(part) for part in accept.split(",") if part.strip())
    ratings = {offer: _rating(offer, ranges) for offer in (GRAPHQL, JSON)}
    best = max(ratings, key=lambda offer: (*ratings[offer], (offer == GRAPHQL) == (ratings[offer][1] == 2)))
    return best if ratings[best][0] > 0 else None


def is_json(content_type: str | None) -> bool:
    """Whether a body of this content type is JSON in UTF-8."""
    return _is(content_type, JSON)


def is_ndjson(content_type: str | None) -> bool:
    """Whether a body of this content type is a stream of JSON lines in UTF-8."""
    return _is(content_type, "application/x-ndjson")


def _is(content_type: str | None, kind: str) -> bool:
    parsed = _parsed(content_type or "")
    charset = parsed.get_param("charset", "utf-8")
    return parsed.get_content_type() == kind and isinstance(charset, str) and charset.lower() in UTF8


def _rating(offer: str, ranges: dict[str, float]) -> tuple[float, int]:
    """How good the most specific range that covers the offer makes it, and how specific that is."""
    covers = (offer, "application/*", "*/*")
    return next(((ranges[name], 2 - place) for place, name in enumerate(covers) if name in ranges), (0, 0))


def _range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    given = next((one[2:] for one in parameters if one.startswith("q=")), "1")
    try:
        return name, min(max(float(given), 0), 1)
    except ValueError:
        return name, 0


def _parsed(content_type: str) -> Message:
    message = Message()
    message["content-type"] = content_type
    return message
