"""Introspection, made in a thread and kept as finished JSON: of a schema with thousands of fields it takes a good part of a second."""

import asyncio
from collections import OrderedDict
from typing import Final

import orjson
from graphql import DocumentNode, ExecutionResult, FieldNode, OperationDefinitionNode, execute, print_ast

from gateway.api.execution.schemas import SandboxSchema

KEPT: Final = 16
"""Answers kept; a large one takes a megabyte."""


class Introspections:
    """Answers to operations that ask for the schema and nothing else, by document and schema."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[bytes, str], bytes] = OrderedDict()

    def covers(self, operation: OperationDefinitionNode) -> bool:
        """Whether the operation is such a one. With variables it would have to be kept for each of their values."""
        fields = operation.selection_set.selections
        return not operation.variable_definitions and all(
            isinstance(field, FieldNode) and field.name.value in {"__schema", "__type"} for field in fields
        )

    async def read(
        self, schema: SandboxSchema, document: DocumentNode, operation: OperationDefinitionNode
    ) -> orjson.Fragment:
        """The operation's `data`."""
        key = (schema.digest, f"{print_ast(document)} {_name(operation)}")
        if key not in self._kept:
            self._kept[key] = await asyncio.to_thread(_answer, schema, document, operation)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return orjson.Fragment(self._kept[key])


def _answer(schema: SandboxSchema, document: DocumentNode, operation: OperationDefinitionNode) -> bytes:
    result = execute(schema.graphql, document, operation_name=_name(operation))
    if not isinstance(result, ExecutionResult) or result.errors:
        raise TypeError("introspection has no resolver that waits or fails")
    return orjson.dumps(result.data)


def _name(operation: OperationDefinitionNode) -> str | None:
    return operation.name.value if operation.name else None
