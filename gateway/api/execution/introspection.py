"""Introspection, made in a thread and kept as finished JSON: of a schema with thousands of fields it takes a good part of a second."""

import asyncio
from collections import OrderedDict
from typing import Final

import orjson
from graphql import ExecutionResult, execute, print_ast

from gateway.api.execution.prepared import Prepared
from gateway.api.execution.schemas import SandboxSchema

KEPT: Final = 16
"""Answers kept; a large one takes a megabyte."""


class Introspections:
    """Answers to operations that ask for the schema and nothing else, by document and schema."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[bytes, str], bytes] = OrderedDict()

    async def read(self, schema: SandboxSchema, operation: Prepared) -> orjson.Fragment:
        """The operation's `data`. It has no variables: the answer would have to be kept for each of their values."""
        key = (schema.digest, f"{print_ast(operation.document)} {operation.name}")
        if key not in self._kept:
            self._kept[key] = await asyncio.to_thread(_answer, operation)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return orjson.Fragment(self._kept[key])


def _answer(operation: Prepared) -> bytes:
    result = execute(operation.schema, operation.document, operation_name=operation.name)
    if not isinstance(result, ExecutionResult) or result.errors:
        raise TypeError("introspection has no resolver that waits or fails")
    return orjson.dumps(result.data)
