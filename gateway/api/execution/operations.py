"""The way of an operation: text → document → the sandbox's schema → resolvers → a body for orjson."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from graphql import ExecutionResult, GraphQLError, GraphQLSchema, OperationType, execute, get_operation_ast

from gateway.api.context import Context
from gateway.api.execution.documents import Documents, ParseFailed, ValidationFailed
from gateway.api.execution.errors import told, told_fault
from gateway.api.execution.introspection import Introspections
from gateway.api.execution.limits import Limits
from gateway.api.execution.schemas import Schemas
from gateway.domain.configuration import Configurations
from gateway.domain.tenants import Scope
from gateway.errors import BadInput, Timeout
from gateway.storage.database import Database


class Outcome(Enum):
    """How far an operation came; HTTP tells it by a status."""

    ANSWERED = "it ran: the body has `data`, and `errors` where fields failed"
    NOT_PARSED = "the text is not GraphQL"
    NOT_VALID = "the document asks for what the schema does not have"
    REFUSED = "the request is wrong otherwise: a limit, the operation's name, the variables"
    NOT_A_QUERY = "only a query was allowed here"
    FAILED = "it never came to an answer, through no fault of the caller"


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sends."""

    query: str
    variables: Mapping[str, Any] | None = None
    operation_name: str | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What a client gets: `body` may hold fragments of finished JSON, so orjson must write it."""

    outcome: Outcome
    body: dict[str, Any]


class Operations:
    """Runs operations of any sandbox; made once per process."""

    def __init__(self, db: Database, configurations: Configurations, base: GraphQLSchema, limits: Limits) -> None:
        self._db = db
        self._configurations = configurations
        self._limits = limits
        self._schemas = Schemas(base)
        self._documents = Documents(limits)
        self._introspections = Introspections()

    async def run(self, scope: Scope, request: Request, *, only_queries: bool = False) -> Response:
        """The answer; never raises for what a request can bring about."""
        try:
            deadline = asyncio.get_running_loop().time() + self._limits.seconds
            async with asyncio.timeout_at(deadline):
                return await self._run(scope, request, deadline, only_queries=only_queries)
        except ParseFailed as error:
            return _request_error(Outcome.NOT_PARSED, error.errors, "GRAPHQL_PARSE_FAILED")
        except ValidationFailed as error:
            return _request_error(Outcome.NOT_VALID, error.errors, "GRAPHQL_VALIDATION_FAILED")
        except BadInput as error:
            return Response(Outcome.REFUSED, {"errors": told_fault(error)})
        except TimeoutError:
            return Response(Outcome.FAILED, {"errors": told_fault(Timeout())})
        except Exception as error:  # noqa: BLE001 (whatever it is, the caller gets an answer and the operator the error)
            return Response(Outcome.FAILED, {"errors": told_fault(error)})

    async def _run(self, scope: Scope, request: Request, deadline: float, *, only_queries: bool) -> Response:
        config = await self._configurations.read(self._db, scope)
        schema = await self._schemas.read(config)
        document = self._documents.read(request.query, schema)
        operation = get_operation_ast(document, request.operation_name)
        if operation is None:
            raise BadInput("`operationName` must say which of the document's operations to run.")
        if only_queries and operation.operation is not OperationType.QUERY:
            return Response(Outcome.NOT_A_QUERY, {"errors": told_fault(BadInput("Only a query can be run here."))})
        if self._introspections.covers(operation):
            return Response(Outcome.ANSWERED, {"data": await self._introspections.read(schema, document, operation)})
        result = execute(
            schema.graphql,
            document,
            context_value=Context(self._db, scope, config, self._configurations, deadline),
            variable_values=dict(request.variables or {}),
            operation_name=request.operation_name,
            max_coercion_errors=self._limits.errors,
            hide_suggestions=True,
        )
        return _response(result if isinstance(result, ExecutionResult) else await result)


def _response(result: ExecutionResult) -> Response:
    if result.data is None and result.errors and not any(error.path for error in result.errors):
        return _request_error(Outcome.REFUSED, result.errors, BadInput.code)  # variables that do not fit their types
    body: dict[str, Any] = {"data": result.data}
    if result.errors:
        body["errors"] = told(result.errors)
    return Response(Outcome.ANSWERED, body)


def _request_error(outcome: Outcome, errors: list[GraphQLError], code: str) -> Response:
    return Response(outcome, {"errors": told(errors, code)})
