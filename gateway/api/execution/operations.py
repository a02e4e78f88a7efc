"""Execution of operations: text → document → the sandbox's schema → a plan → a body for orjson.

Operations are compiled and run level by level. graphql-core, with the same resolvers, is the reference that they are tested against.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

from graphql import GraphQLSchema
from graphql.execution.values import VariableValues

from gateway.api.conditions import NO_CONDITIONS
from gateway.api.context import Context
from gateway.api.execution.compiler import Plan
from gateway.api.execution.costs import check_cost
from gateway.api.execution.documents import Document, Documents
from gateway.api.execution.errors import (
    OperationRefused,
    ParseFailed,
    ValidationFailed,
    error_entries,
    single_error_entries,
)
from gateway.api.execution.limits import Limits
from gateway.api.execution.prepared import Prepared
from gateway.api.execution.schemas import Schemas
from gateway.api.execution.stages import Stages
from gateway.api.execution.unreadable import are_arguments_readable
from gateway.api.limits import SERVICE_LIMITS, operation_limits
from gateway.api.loaders import CoalescedLoaders
from gateway.domain.config.configuration import Configuration, Configurations
from gateway.domain.config.tokens import Sign, sign_nothing
from gateway.domain.operations.export_locations import NO_LOCATIONS, Locations
from gateway.domain.rules.limits import ATTRIBUTES, DAYS, ServiceLimit
from gateway.domain.rules.scope import Permission, Scope
from gateway.errors import BadInput, Timeout
from gateway.runtime.cache import WeightedCache
from gateway.runtime.deadlines import Deadlines
from gateway.runtime.threads import DOCUMENTS
from gateway.storage.database import Database
from gateway.telemetry import OperationRan, observe

MAX_SHARED_LOADERS: Final = 256
"""The most pairs of a sandbox and a set of permissions whose loaders are kept for concurrent requests to share."""


class Outcome(Enum):
    """How far an operation came, which decides the status of HTTP."""

    ANSWERED = "it ran: the body has `data`, and `errors` where fields failed"
    NOT_PARSED = "the text is not GraphQL"
    NOT_JSON = "it holds what nothing can store, elsewhere than in documents to be taken in"
    NOT_VALID = "the document asks for what the schema does not have"
    REFUSED = "the request is wrong otherwise: a limit, the operation's name, the variables"
    NOT_A_QUERY = "only a query was allowed here"
    FAILED = "it never came to an answer, through no fault of the caller"


REFUSALS: Final = {ParseFailed: Outcome.NOT_PARSED, ValidationFailed: Outcome.NOT_VALID}


class Request(NamedTuple):
    """A client's request. `unreadable`: the error of variables with texts or numbers that only ingested documents may have, else None."""

    query: str
    variables: Mapping[str, Any] | None = None
    operation_name: str | None = None
    unreadable: str | None = None


class Response(NamedTuple):
    """A response. `body` may hold fragments of JSON text, so orjson must write it."""

    outcome: Outcome
    body: dict[str, Any]


class Operations:
    """Runs operations of any sandbox; made once per process.

    `serviceLimits` lists `process_limits` with those of the rules and of operations. `revert_days`: how long complete batches of records can
    be reverted; `most_attributes`: how many computed attributes of a sandbox may be published; `sign` signs tokens of ours; `locations`: where
    exports may be; `most_spooled`: how many bytes of people one may read before it writes.
    """

    def __init__(
        self,
        db: Database,
        configurations: Configurations,
        base: GraphQLSchema,
        limits: Limits,
        *,
        process_limits: Iterable[ServiceLimit] = (),
        revert_days: float = DAYS,
        most_attributes: int = ATTRIBUTES,
        sign: Sign = sign_nothing,
        locations: Locations = NO_LOCATIONS,
        most_spooled: int = sys.maxsize,
    ) -> None:
        self._db = db
        self._configurations = configurations
        self._limits = limits
        self._service_limits = (*SERVICE_LIMITS, *operation_limits(limits), *process_limits)
        self._revert_days, self._most_attributes, self.locations = revert_days, most_attributes, locations
        self._most_spooled = most_spooled
        self._sign = sign
        self._schemas = Schemas(base)
        self._documents = Documents(limits)
        self._deadlines = Deadlines(limits.seconds)
        self._shared_by_rights = WeightedCache[tuple[int, frozenset[Permission]], CoalescedLoaders](MAX_SHARED_LOADERS)

    async def run(
        self,
        scope: Scope,
        request: Request,
        stages: Stages | None = None,
        *,
        only_queries: bool = False,
        otherwise: Callable[[Callable[[], None]], None] | None = None,
    ) -> Response:
        """Run the operation of a request and return the response; note in `stages` how long what took.

        `otherwise` gets the function that gives the operation up. Raises nothing: errors are in the response.
        """
        try:
            with self._deadlines.begin() as deadline:
                if otherwise is not None:
                    otherwise(deadline.give_up)
                return await self._run(scope, request, stages or Stages(), only_queries, deadline.due)
        except Exception as error:  # noqa: BLE001 (whatever it is, the caller gets an answer and the operator the error)
            return _refused(error)

    async def _run(self, scope: Scope, request: Request, stages: Stages, only_queries: bool, due: float) -> Response:
        config = await self._configurations.read(self._db, scope)
        schema = await self._schemas.read(config)
        document = await self._documents.read(request.query, schema, stages)
        operation = document.operation(request.operation_name)
        if operation is None:
            raise BadInput("`operationName` must say which of the document's operations to run.")
        if only_queries and not operation.is_query:
            return Response(
                Outcome.NOT_A_QUERY, {"errors": single_error_entries(BadInput("Only a query can be run here."))}
            )
        given = request.variables or {}
        if request.unreadable and not are_arguments_readable(
            operation.schema, operation.document, operation.node, given
        ):
            return Response(Outcome.NOT_JSON, {"errors": single_error_entries(BadInput(request.unreadable))})
        conditions = (
            await operation.conditions.checked(self._db, config, given) if operation.conditions else NO_CONDITIONS
        )
        check_cost(operation.cost(given, conditions), self._limits)
        selectors = await operation.selectors.parsed(given, config) if operation.selectors else {}
        shared = self._shared(scope, config)
        answer_bytes = self._limits.answer_bytes
        context = Context(
            self._db,
            scope,
            config,
            self._configurations,
            schema.graphql,
            due,
            answer_bytes,
            shared,
            selectors,
            conditions,
            self._service_limits,
            self._revert_days,
            self._most_attributes,
            self._sign,
            self.locations,
            self._most_spooled,
        )
        try:
            return await self._run_operation(document, operation, context, given, stages)
        except BaseException:
            context.give_up()
            raise

    def _shared(self, scope: Scope, config: Configuration) -> CoalescedLoaders:
        """Return the loaders that requests with these permissions share in this sandbox while its configuration stays the same."""
        key = (scope.sandbox_id, scope.permissions)
        shared = self._shared_by_rights.get(key)
        if shared is None or shared.config is not config or not (shared.scope is scope or shared.scope == scope):
            shared = CoalescedLoaders(self._db, scope, config)
            self._shared_by_rights.put(key, shared)
        return shared

    async def _run_operation(
        self, document: Document, operation: Prepared, context: Context, given: Mapping[str, Any], stages: Stages
    ) -> Response:
        is_many = operation.variables.are_many(given)  # then it takes a while
        own = (given, context.config)
        variables = await DOCUMENTS.run(operation.read, *own) if is_many else operation.read(*own)
        plan = operation.kept_plan(variables) or await self._compiled(document, operation, variables, stages)
        stages.begin("execute")
        run = await plan.run(context, variables, self._limits.answer_bytes)
        if operation.is_query and run.has_vanished:
            async with self._db.at_one_moment() as db:
                still = context.reading_from(db)
                try:
                    run = await plan.run(still, variables, self._limits.answer_bytes)
                finally:
                    still.give_up()
        if plan.introspections:
            self._documents.keep(document)  # with the answers
        stages.end()
        observe(OperationRan(operation.kind, not stages.has("compile"), self._documents.plans))
        body: dict[str, Any] = {"data": run.data}
        if run.errors:
            body["errors"] = error_entries(run.errors)
        return Response(Outcome.ANSWERED, body)

    async def _compiled(
        self, document: Document, operation: Prepared, variables: VariableValues, stages: Stages
    ) -> Plan:
        """Return a new plan, made in a thread. Raises Unavailable."""
        try:
            return operation.keep(variables, await document.thread.run(operation.compile, variables, stages))
        finally:
            self._documents.keep(document)


def _refused(error: Exception) -> Response:
    match error:
        case OperationRefused():
            outcome = REFUSALS.get(type(error), Outcome.REFUSED)
            return Response(outcome, {"errors": error_entries(error.errors, error.code)})
        case BadInput():
            return Response(Outcome.REFUSED, {"errors": single_error_entries(error)})
        case TimeoutError():
            return Response(Outcome.FAILED, {"errors": single_error_entries(Timeout())})
    return Response(Outcome.FAILED, {"errors": single_error_entries(error)})
