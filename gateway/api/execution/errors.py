"""Whatever went wrong, as the caller may know it: a message, a place, and a code of a closed list in `extensions.code`.

What nobody meant to show comes out as INTERNAL with the request's correlation id, and is observed for the operator's log.
"""

from typing import Any

from graphql import GraphQLError

from gateway.errors import (
    BadInput,
    BadSelector,
    Forbidden,
    GatewayError,
    Timeout,
    Unauthenticated,
    Unavailable,
    UserFault,
)
from gateway.telemetry import FaultMasked, correlation_id, observe


def formatted(error: GraphQLError, code: str | None = None) -> dict[str, Any]:
    """The error as JSON. `code` says what stage it comes from; without it the error was met while running."""
    told = error.formatted
    extensions = {"code": code} if code else _extensions(error)
    if extensions["code"] == "INTERNAL":
        told["message"] = "Something broke inside; the operator finds it under the correlation id."
    return {**told, "extensions": extensions}


def formatted_fault(error: Exception) -> dict[str, Any]:
    """The error of a request that never came to run."""
    return formatted(GraphQLError(str(error), original_error=error))


def _extensions(error: GraphQLError) -> dict[str, Any]:
    match error.original_error:
        case BadSelector(code=code, line=line, column=column):
            return {"code": code, "line": line, "column": column}
        case Unauthenticated(code=code, error_code=str(number)):
            return {"code": code, "errorCode": number}
        case BadInput() | Forbidden() | Timeout() | Unauthenticated() | Unavailable() as shown:
            return {"code": shown.code}
        case UserFault():
            return {"code": BadInput.code}  # a query asked for something by a name or id that means nothing
        case GraphQLError(nodes=[_, *_]):
            return {"code": BadInput.code}  # an argument that does not fit its type, found while running
    observe(FaultMasked(error.original_error or error))
    return {"code": GatewayError.code, "correlationId": correlation_id.get()}
