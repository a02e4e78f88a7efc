"""Errors of an answer: a message, a place, and a code of a closed list in `extensions.code`.

An unexpected exception becomes INTERNAL with the request's correlation id, and is observed for the operator's log.
"""

from collections.abc import Iterable
from typing import Any

from graphql import GraphQLError

from gateway.errors import (
    BadInput,
    BadPql,
    BadSelector,
    Forbidden,
    GatewayError,
    Misconfigured,
    Timeout,
    Unauthenticated,
    Unavailable,
    UserFault,
)
from gateway.telemetry import FaultMasked, correlation_id, observe

MASKED = "Something broke inside; the operator finds it under the correlation id."


class OperationRefused(Exception):
    """An operation is not run, because of errors; `code` is that of all of them, None where each has its own."""

    code: str | None = None

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


class ParseFailed(OperationRefused):
    """The text is not GraphQL."""

    code = "GRAPHQL_PARSE_FAILED"


class ValidationFailed(OperationRefused):
    """The document is not valid for the schema."""

    code = "GRAPHQL_VALIDATION_FAILED"


class VariablesRefused(OperationRefused):
    """The values do not fit the types of the operation's variables."""

    code = BadInput.code


class ConditionsRefused(OperationRefused):
    """A condition has mistakes."""


def error_entries(errors: Iterable[GraphQLError], code: str | None = None) -> list[dict[str, Any]]:
    """Return the errors as entries of an answer. `code` is that of all; without it each gets the code of its own cause.

    Errors without a public code are masked and observed; a cause that several fields share is observed once.
    """
    answers, causes = [], dict[int, Exception]()
    for error in errors:
        extensions = {"code": code} if code else _extensions(error)
        answer = {**error.formatted, "extensions": extensions}
        if extensions["code"] == GatewayError.code:
            answer["message"] = MASKED
            cause = error.original_error or error
            causes[id(cause)] = cause
        answers.append(answer)
    for cause in causes.values():
        observe(FaultMasked(cause))
    return answers


def single_error_entries(error: Exception) -> list[dict[str, Any]]:
    """Return the list with the one error of a request whose operation did not run."""
    return error_entries([GraphQLError(str(error), original_error=error)])


def _extensions(error: GraphQLError) -> dict[str, Any]:
    match error.original_error:
        case BadSelector(code=code, line=line, column=column) | BadPql(code=code, line=line, column=column):
            return {"code": code, "line": line, "column": column}
        case Unauthenticated(code=code, error_code=str(number)):
            return {"code": code, "errorCode": number}
        case BadInput() | Forbidden() | Misconfigured() | Timeout() | Unauthenticated() | Unavailable() as shown:
            return {"code": shown.code}
        case UserFault():
            return {"code": BadInput.code}  # a query asked for something by a name or id that means nothing
        case GraphQLError(nodes=[_, *_]):
            return {"code": BadInput.code}  # an argument that does not fit its type, found while running
    return {"code": GatewayError.code, "correlationId": correlation_id.get()}
