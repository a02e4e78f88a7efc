"""The limits of requests and streams that no setting changes, which `serviceLimits` lists with those of the settings."""

from typing import Final

from gateway.domain.rules.limits import ServiceLimit
from gateway.server.http.admission import MAX_CHUNKS
from gateway.server.http.connections import MAX_HEAD_BYTES, MAX_HEADERS, MAX_PIPELINED
from gateway.server.http.graphql_request import MAX_JSON_VALUES
from gateway.server.streams.ndjson import MAX_BLANK_LINES, MAX_LINE_BYTES
from gateway.server.streams.outcomes import MAX_LISTED

PROCESS_LIMITS: Final = tuple(
    ServiceLimit(*row)
    for row in (
        ("requestHead", MAX_HEAD_BYTES, "bytes", "The request line and the headers of a request."),
        ("requestHeaders", MAX_HEADERS, "headers", "Headers of a request."),
        ("requestsAhead", MAX_PIPELINED, "requests", "Requests that a client sends ahead of their answers."),
        ("requestValues", MAX_JSON_VALUES, "values", "Values in the JSON of a request, those of documents included."),
        ("streamLine", MAX_LINE_BYTES, "bytes", "One line of a stream of documents."),
        ("streamBlankLines", MAX_BLANK_LINES, "lines", "Blank lines of a stream that follow each other."),
        ("streamFailuresTold", MAX_LISTED, "documents", "Failed documents that the answer to a stream lists."),
        ("streamChunks", MAX_CHUNKS, "chunks", "Chunks of all streams that one process works on at once."),
    )
)
