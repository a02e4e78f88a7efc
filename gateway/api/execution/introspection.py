"""Introspection: the fields `__schema` and `__type` of a query.

The answer about a schema with thousands of fields takes a good part of a second, and a query may select parts of it many times. So it is
made in a thread, has a limit of values, and is kept with the plan as JSON text.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson
from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    Undefined,
    execute,
)

from gateway.api.execution.columns import FAILED, Fault, Resolver, Run
from gateway.errors import LimitExceeded
from gateway.runtime.cache import WeightedCache
from gateway.runtime.threads import COMPUTATIONS, Once

FIELDS: Final = ("__schema", "__type")

MAX_INTROSPECTION_VALUES: Final = 500_000
"""The most values of one answer: fifty times those of a whole schema of standard field groups, and two seconds of work."""

MAX_CACHED_ANSWERS: Final = 4
"""The most answers kept of one field, for different values of its variables."""


class _Answer(NamedTuple):
    """The field's value as JSON, None where there is none; and the errors."""

    text: bytes | None
    errors: Sequence[GraphQLError]


class Introspection(Resolver):
    """A field of introspection at the root of a query. `nodes` are its selections under one key of the answer."""

    waits = True

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        key: str,
        nodes: Sequence[FieldNode],
    ) -> None:
        self._schema = schema
        self._key = key
        selected = OperationDefinitionNode(
            operation=operation.operation,
            variable_definitions=operation.variable_definitions,
            directives=(),
            selection_set=SelectionSetNode(selections=tuple(nodes)),
        )
        self._document = DocumentNode(definitions=(selected, *fragments.values()))
        self._kept: WeightedCache[bytes, _Answer] = WeightedCache(MAX_CACHED_ANSWERS)
        self._making: Once[bytes, _Answer] = Once()

    @property
    def kept_bytes(self) -> int:
        """Bytes of the kept answers."""
        return sum(len(answer.text or b"") for answer in self._kept.values())

    async def values(self, run: Run, parents: list[Any], fail: Callable[[Exception, int], Any]) -> list[Any]:  # noqa: ARG002
        """Return a list with the one value as JSON text. Raises LimitExceeded, Unavailable."""
        sources = run.variables.sources
        given = {name: source.value for name, source in sources.items() if source.value is not Undefined}
        answer = await self._answer(given)
        run.faults += [Fault(error, stays=answer.text is not None) for error in answer.errors]
        run.weigh(len(answer.text or b""))
        return [FAILED if answer.text is None else orjson.Fragment(answer.text)]

    async def _answer(self, given: dict[str, Any]) -> _Answer:
        key = orjson.dumps(given, option=orjson.OPT_SORT_KEYS)
        answer = self._kept.get(key)
        if answer is None:
            answer = await self._making.do(key, lambda: COMPUTATIONS.run(self._made, given))
            if not answer.errors:
                self._kept.put(key, answer)
        return answer

    def _made(self, given: dict[str, Any]) -> _Answer:
        try:
            result = execute(
                self._schema, self._document, variable_values=given, middleware=[_Budget()], hide_suggestions=True
            )
        except _Spent:
            raise LimitExceeded(
                f"The introspection has more than {MAX_INTROSPECTION_VALUES:,} values. Ask for each part of the schema once."
            ) from None
        if not isinstance(result, ExecutionResult):
            raise TypeError("introspection has no resolver that waits")
        errors = result.errors or ()
        return _Answer(None if result.data is None else orjson.dumps(result.data[self._key]), errors)


class _Budget:
    """Middleware that ends an execution when it has resolved too many values."""

    def __init__(self) -> None:
        self._left = MAX_INTROSPECTION_VALUES

    def resolve(self, resolve: Callable[..., Any], parent: Any, info: GraphQLResolveInfo[Any], **given: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _Spent
        return resolve(parent, info, **given)


class _Spent(BaseException):
    """The budget of values is used up. No `Exception`, which would become an error of each remaining field."""
