"""`/projections/{configuration}/{namespace}/{value}` and `/projections/{configuration}`: look-ups by GET and HEAD, and of many by POST."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

import orjson
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.api.execution.errors import single_error_entries
from gateway.domain.edges.projections import Found
from gateway.errors import BadInput, GatewayError, LimitExceeded
from gateway.runtime.deadlines import Deadlines
from gateway.server.edge.lookups import MAX_IDENTITIES, Identity, Result
from gateway.server.edge.services import EdgeServices
from gateway.server.http.admission import address, body_units
from gateway.server.http.compression import PACKED
from gateway.server.http.negotiation import is_json
from gateway.server.http.request_body import announced_size, check_size, read_body
from gateway.server.http.responses import Headers, encoded, error_response, method_refused, status_of

PREFIX: Final = "/projections/"
MAX_BODY_BYTES: Final = 8_000_000
"""Of a request: 1,000 identities of the longest values."""

PRIVATE: Final = (b"cache-control", b"private")
VARY: Final = (b"vary", b"Authorization, x-api-key, x-gw-ims-org-id, x-sandbox-name")
"""What is answered depends on who asks: a browser's cache keeps the answers to several callers apart."""

_ETAG = re.compile(r'(?:W/)?"([^"]*)"')


class Projections:
    """The ASGI application behind both addresses. Callers have `seconds` to send their body."""

    def __init__(self, seconds: float) -> None:
        self._bodies = Deadlines(seconds)
        self._one = Route(f"{PREFIX}{{configuration}}/{{namespace}}/{{value}}", self)
        self._many = Route(f"{PREFIX}{{configuration}}", self)

    def find(self, path: str) -> Route | None:
        """Return the route of a path, by which requests are counted; None for other paths."""
        if not path.startswith(PREFIX):
            return None
        return self._one if "/" in path[len(PREFIX) :] else self._many

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = scope["raw_path"].partition(b"?")[0].split(b"/")[2:]
        methods = ("GET", "HEAD") if len(parts) == 3 else ("POST",)
        if len(parts) not in (1, 3):
            error = BadInput(
                f"The address is {PREFIX}{{configuration}} or {PREFIX}{{configuration}}/{{namespace}}/{{value}}."
            )
            response = error_response(error, HTTPStatus.NOT_FOUND)
        elif scope["method"] not in methods:
            response = method_refused(scope["method"], ", ".join(methods))
        else:
            try:
                response = await self._respond(scope, receive, [_decoded(part) for part in parts])
            except GatewayError as refused:
                response = error_response(refused)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, parts: Sequence[str]) -> Response:
        here: EdgeServices = scope["app"].state.services
        headers, client = scope["read_headers"], address(scope)
        if len(parts) == 3:
            (found,) = await here.lookups.find(headers, client, parts[0], [Identity(*parts[1:])])
            return _response_to_one(headers, found)
        if not is_json(headers.get("content-type")):
            error = BadInput("Send `content-type: application/json`, in UTF-8.")
            return error_response(error, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        identities = await self._read(here, scope, receive)
        return _response_to_many(await here.lookups.find(headers, client, parts[0], identities))

    async def _read(self, here: EdgeServices, scope: Scope, receive: Receive) -> list[Identity]:
        """Return the identities in the body of a request whose caller is known. Raises what `Lookups.caller` raises; BadInput, LimitExceeded."""
        headers, size = scope["read_headers"], announced_size(scope["read_headers"])
        check_size(size, MAX_BODY_BYTES)
        caller = await here.lookups.caller(headers, address(scope))
        units = body_units(MAX_BODY_BYTES if size is None else size)
        async with here.admission.bodies.place(caller.settings.sandbox_id, units):
            return identities_of(await read_body(receive, MAX_BODY_BYTES, self._bodies))


def identities_of(body: bytes) -> list[Identity]:
    """Return the identities that a body of JSON lists. Raises BadInput, LimitExceeded."""
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from error
    listed = read.get("identities") if isinstance(read, dict) else None
    if not isinstance(listed, list):
        raise BadInput('The body is `{"identities": [{"namespace": …, "value": …}]}`.')
    return checked_identities(listed)


def checked_identities(listed: Sequence[Any]) -> list[Identity]:
    """Return identities that are objects of JSON. Raises BadInput, LimitExceeded."""
    if len(listed) > MAX_IDENTITIES:
        raise LimitExceeded(f"A request names at most {MAX_IDENTITIES:,} identities.")
    identities = []
    for place, each in enumerate(listed):
        namespace, value = (each.get("namespace"), each.get("value")) if isinstance(each, dict) else (None, None)
        if not isinstance(namespace, str) or not isinstance(value, str):
            raise BadInput(f"`identities[{place}]` is no object with the texts `namespace` and `value`.")
        identities.append(Identity(namespace, value))
    return identities


def _decoded(part: bytes) -> str:
    try:
        return unquote(part.decode("ascii"), errors="strict") if b"%" in part else part.decode("ascii")
    except UnicodeDecodeError as error:
        raise BadInput("The address is not in UTF-8, percent-encoded.") from error


def _response_to_one(headers: Mapping[str, str], found: Result) -> Response:
    if not isinstance(found, Found):
        return error_response(found)
    known = _known(headers.get("if-none-match"), found.etag)
    etag = f'"{known or found.etag}"'.encode()
    about: Headers = (PRIVATE, VARY, (b"etag", etag), (b"age", b"%d" % found.age))
    if known:
        return encoded(None, HTTPStatus.NOT_MODIFIED, about)
    return encoded(f"{{{found.text}}}".encode(), HTTPStatus.OK, about)


def _known(if_none_match: str | None, etag: str) -> str | None:
    """Return which ETag of a projection the header If-None-Match names: the plain one, or that of its compressed form. None: none of them."""
    if if_none_match is None:
        return None
    if if_none_match.strip() == "*":
        return etag
    return next((each for each in _ETAG.findall(if_none_match) if each.removesuffix(PACKED) == etag), None)


def _response_to_many(results: Sequence[Result]) -> Response:
    told = b",".join(map(_told, results))
    return encoded(b'{"results":[%b]}' % told, HTTPStatus.OK, (PRIVATE, VARY))


def _told(result: Result) -> bytes:
    if isinstance(result, Found):
        return f'{{"status":200,"etag":"{result.etag}","age":{result.age},{result.text}}}'.encode()
    return orjson.dumps({"status": status_of(result), "errors": single_error_entries(result)})
