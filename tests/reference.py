"""Operations as graphql-core executes them, with the same resolvers: what plans are compared with."""

import asyncio
from inspect import isawaitable
from typing import Any

from client import Client
from graphql import GraphQLError, execute, print_ast
from world import World

from gateway.api.attribute_documents import documents_with
from gateway.api.execution.errors import VariablesRefused, error_entries
from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Operations, Outcome, Response
from gateway.api.execution.sizes import check_values
from gateway.api.schema import build_schema
from gateway.domain.config.attribute_programs import ATTRIBUTES_FIELD
from gateway.domain.reading.profiles import Profile
from gateway.errors import Vanished


def reference(world: World) -> Client:
    """Return a caller in the world's sandbox whose operations graphql-core executes."""
    return Client(world, Reference(world.db, world.configurations, build_schema(), Limits()))


class Reference(Operations):
    """Reads requests as `Operations` does, and has graphql-core execute them."""

    async def _run_operation(self, _document, operation, context, given, _stages) -> Response:
        check_values(operation.schema, operation.node, given)
        if operation.preconditions or None in given.values():
            operation.read(given, context.config)
        data, errors = await self._executed(operation, context, given)
        if operation.is_query and any(isinstance(error.original_error, Vanished) for error in errors):
            async with self._db.at_one_moment() as db:
                data, errors = await self._executed(operation, context.reading_from(db), given)
        body: dict[str, Any] = {"data": data}
        if errors:
            body["errors"] = error_entries(errors)
        return Response(Outcome.ANSWERED, body)

    async def _executed(self, operation, context, given) -> tuple[dict[str, Any] | None, list[GraphQLError]]:
        result = execute(
            operation.schema,
            operation.document,
            context_value=context,
            variable_values=dict(given),
            operation_name=operation.name,
            middleware=[_with_attributes, _apart],
            max_coercion_errors=self._limits.errors,
            hide_suggestions=True,
        )
        result = await result if isawaitable(result) else result
        if result.data is None and result.errors and not any(error.path for error in result.errors):
            raise VariablesRefused(result.errors)
        return result.data, result.errors or []


def _with_attributes(resolve, parent, info, **given) -> Any:
    """Resolve a field; where any attribute is selected below the entity of a person or an event, all are computed, wanted or not."""
    if info.field_name != "entity" or not any(ATTRIBUTES_FIELD in print_ast(node) for node in info.field_nodes):
        return resolve(parent, info, **given)
    is_of_people, config = isinstance(parent, Profile), info.context.config
    names = [
        each.name for each in config.attributes.values() if each.is_published and each.is_of_people is is_of_people
    ]
    return _document_with(info.context, names, parent)


async def _document_with(context, names, record) -> Any:
    return (await documents_with(context, names, [record]))[0]


def _apart(resolve, parent, info, **given) -> Any:
    """Resolve a field, shielded from cancellation.

    Where a field fails, graphql-core cancels its siblings; without the shield that would cancel loads that other fields wait for, too.
    """
    value = resolve(parent, info, **given)
    return asyncio.shield(value) if info.path.prev is not None and isawaitable(value) else value
