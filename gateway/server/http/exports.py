"""`GET /exports/{exportId}/{path}`: a file of an export, whole or a range of its bytes, for callers with the headers of any request.

A file never changes: its ETag is its SHA-256. Credentials are checked again as it is read, so that a download ends with them.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from gateway.api.ids import input_id
from gateway.domain.operations.export_downloads import OpenFile, open_export_file
from gateway.errors import BadInput, GatewayError
from gateway.server.http.responses import NOT_SNIFFED, error_response
from gateway.server.http.services import services

PIECE_BYTES: Final = 1_000_000
"""Of a file that are read at once, before credentials are checked again."""

TYPES: Final = {
    "parquet": "application/vnd.apache.parquet",
    "gz": "application/gzip",
    "json": "application/octet-stream",
}
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


async def export_file(request: Request) -> Response:
    """Respond with a file."""
    return _Download(request)


class _Download(Response):
    """A file, as one of the streams that a process gives at once."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        here, request = services(self._request), self._request
        try:
            caller = await here.scope(request)
            async with here.admission.streams.place(caller.sandbox_id):
                job_id = input_id(request.path_params["export_id"], "ExportJob", "exportId")
                path, locations = request.path_params["path"], here.operations.locations
                file = await open_export_file(here.db, caller, locations, job_id, path)
                try:
                    await self._answer(file, path)(scope, receive, send)
                finally:
                    await asyncio.to_thread(file.content.close)
        except GatewayError as error:
            await error_response(error)(scope, receive, send)

    def _answer(self, file: OpenFile, path: str) -> Response:
        tag, headers = f'"{file.sha256}"', self._request.headers
        about = {"etag": tag, "accept-ranges": "bytes", "cache-control": "private, no-cache"}
        about |= {name.decode(): value.decode() for name, value in (NOT_SNIFFED,)}
        if headers.get("if-none-match") == tag:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=about)
        asked = headers.get("range") if headers.get("if-range", tag) == tag else None
        found = None if asked is None else range_of(asked, file.size)
        if found is not None and not found:
            beyond = BadInput(f"The file has {file.size:,} bytes, and none in this range.")
            told = [(b"content-range", f"bytes */{file.size}".encode())]
            return error_response(beyond, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, told)
        wanted = range(file.size) if found is None else found
        about["content-length"] = f"{len(wanted)}"
        if found is not None:
            about["content-range"] = f"bytes {found.start}-{found.stop - 1}/{file.size}"
        status = HTTPStatus.OK if found is None else HTTPStatus.PARTIAL_CONTENT
        if self._request.method == "HEAD":
            wanted = range(0)
        kind = TYPES[path.rpartition(".")[2]]
        return StreamingResponse(self._pieces(file, wanted), status, about, kind)

    async def _pieces(self, file: OpenFile, wanted: range) -> AsyncIterator[bytes]:
        """Yield the bytes of a range. Raises Unauthenticated, Forbidden once the caller may not read any more, which breaks the response off."""
        for begin in range(wanted.start, wanted.stop, PIECE_BYTES):
            if begin > wanted.start:
                await services(self._request).scope(self._request)
            size = min(PIECE_BYTES, wanted.stop - begin)
            yield await asyncio.to_thread(partial(_read, file, begin, size))


def _read(file: OpenFile, begin: int, size: int) -> bytes:
    file.content.seek(begin)
    return file.content.read(size)


def range_of(text: str, size: int) -> range | None:
    """Return the one range of bytes that a header asks for, empty where the file has none of it; None for what is to be ignored (RFC 9110)."""
    matched = _RANGE.fullmatch(text.strip())
    if matched is None or matched.groups() == ("", ""):
        return None
    first, last = matched.groups()
    if not first:
        return range(max(size - int(last), 0), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)
