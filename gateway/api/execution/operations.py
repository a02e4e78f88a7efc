"""The way of an operation: text → document → the sandbox's schema → a plan → a body for orjson.

Queries are compiled, and run level by level. What the compiler does not cover, and what is no query, goes to graphql-core's executor
with the very same resolvers: it is slower, and the oracle that compiled operations are tested against.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from graphql import ExecutionResult, GraphQLError, GraphQLSchema, execute

from gateway.api.context import Context
from gateway.api.execution.compiler import NotCompiled
from gateway.api.execution.costs import check_cost
from gateway.api.execution.documents import Documents, ParseFailed, ValidationFailed
from gateway.api.execution.errors import told, told_fault
from gateway.api.execution.inputs import VariablesRefused
from gateway.api.execution.introspection import Introspections
from gateway.api.execution.limits import Limits
from gateway.api.execution.prepared import Prepared
from gateway.api.execution.schemas import Schemas
from gateway.api.execution.stages import Stages
from gateway.api.loaders import SharedLoaders
from gateway.domain.configuration import Configuration, Configurations
from gateway.domain.tenants import Scope
from gateway.errors import BadInput, Timeout
from gateway.storage.database import Database

CALLERS: Final = 1_000
"""Callers whose requests share statements; of another one each request has its own."""


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
    """Runs operations of any sandbox; made once per process. Without `compiles` all of them run on the stock executor."""

    def __init__(
        self,
        db: Database,
        configurations: Configurations,
        base: GraphQLSchema,
        limits: Limits,
        *,
        compiles: bool = True,
    ) -> None:
        self._db = db
        self._configurations = configurations
        self._limits = limits
        self._compiles = compiles
        self._schemas = Schemas(base)
        self._documents = Documents(limits)
        self._introspections = Introspections()
        self._shared_by_scope: OrderedDict[int, SharedLoaders] = OrderedDict()

    async def run(self, scope: Scope, request: Request, *, only_queries: bool = False) -> Response:
        """The answer; never raises for what a request can bring about."""
        try:
            deadline = asyncio.get_running_loop().time() + self._limits.seconds
            async with asyncio.timeout_at(deadline):
                return await self._run(scope, request, deadline, only_queries=only_queries)
        except Exception as error:  # noqa: BLE001 (whatever it is, the caller gets an answer and the operator the error)
            return _refused(error)

    async def _run(self, scope: Scope, request: Request, deadline: float, *, only_queries: bool) -> Response:
        stages = Stages()
        config = await self._configurations.read(self._db, scope)
        schema = await self._schemas.read(config)
        operation = self._documents.read(request.query, schema, stages).operation(request.operation_name)
        if operation is None:
            raise BadInput("`operationName` must say which of the document's operations to run.")
        if only_queries and not operation.is_query:
            return Response(Outcome.NOT_A_QUERY, {"errors": told_fault(BadInput("Only a query can be run here."))})
        if operation.is_introspection:
            return Response(Outcome.ANSWERED, {"data": await self._introspections.read(schema, operation)})
        given = request.variables or {}
        check_cost(operation.cost(given), self._limits)
        context = Context(
            self._db, scope, config, self._configurations, schema.graphql, deadline, self._shared(scope, config)
        )
        if self._compiles and operation.is_query:
            try:
                return await self._run_compiled(operation, context, given, stages)
            except NotCompiled:
                pass
        return await self._run_stock(operation, context, given, stages)

    def _shared(self, scope: Scope, config: Configuration) -> SharedLoaders:
        """Those of the caller: the same scope, not just an equal one, and the same configuration."""
        shared = self._shared_by_scope.get(id(scope))
        if shared is None or shared.scope is not scope or shared.config is not config:
            shared = self._shared_by_scope[id(scope)] = SharedLoaders(self._db, scope, config)
            if len(self._shared_by_scope) > CALLERS:
                self._shared_by_scope.popitem(last=False)
        return shared

    async def _run_compiled(
        self, operation: Prepared, context: Context, given: Mapping[str, Any], stages: Stages
    ) -> Response:
        variables = operation.variables.read(given)
        if operation.is_planned(variables):
            plan = operation.plan(variables)
        else:
            with stages.stage("compile"):
                plan = operation.plan(variables)
        with stages.stage("run"):
            run = await plan.run(context, variables)
        return _answered(run.data, run.errors)

    async def _run_stock(
        self, operation: Prepared, context: Context, given: Mapping[str, Any], stages: Stages
    ) -> Response:
        with stages.stage("run"):
            result = execute(
                operation.schema,
                operation.document,
                context_value=context,
                variable_values=dict(given),
                operation_name=operation.name,
                max_coercion_errors=self._limits.errors,
                hide_suggestions=True,
            )
            result = result if isinstance(result, ExecutionResult) else await result
        if result.data is None and result.errors and not any(error.path for error in result.errors):
            raise VariablesRefused(result.errors)
        return _answered(result.data, result.errors)


def _answered(data: dict[str, Any] | None, errors: list[GraphQLError] | None) -> Response:
    body: dict[str, Any] = {"data": data}
    if errors:
        body["errors"] = told(errors)
    return Response(Outcome.ANSWERED, body)


def _refused(error: Exception) -> Response:
    match error:
        case ParseFailed():
            return Response(Outcome.NOT_PARSED, {"errors": told(error.errors, "GRAPHQL_PARSE_FAILED")})
        case ValidationFailed():
            return Response(Outcome.NOT_VALID, {"errors": told(error.errors, "GRAPHQL_VALIDATION_FAILED")})
        case VariablesRefused():
            return Response(Outcome.REFUSED, {"errors": told(error.errors, BadInput.code)})
        case BadInput():
            return Response(Outcome.REFUSED, {"errors": told_fault(error)})
        case TimeoutError():
            return Response(Outcome.FAILED, {"errors": told_fault(Timeout())})
    return Response(Outcome.FAILED, {"errors": told_fault(error)})
