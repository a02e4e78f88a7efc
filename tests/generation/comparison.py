"""Comparison of the responses of two executors to one operation.

Data are equal as JSON: numbers by value, keys of objects in the same order, except inside JSON scalars. Errors are equal in any order,
with one exception: where several errors below a place make it null, executors may report different ones of them, as that depends on which
fails first. Both must report at least one.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson
from client import Client
from generation.sandbox_values import SandboxValues, read_sandbox_values
from graphql import (
    FieldNode,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    parse,
    visit,
)
from reference import Reference
from world import World

from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Operations, Outcome, Request, Response
from gateway.api.pagination import _unpacked
from gateway.api.schema import build_schema
from gateway.domain.rules.changes import position_of
from gateway.errors import BadCursor

MIN_CURSOR_LENGTH = 40  # of a position in the journal


@dataclass
class ResponseCounts:
    """Counts of outcomes and error codes: they show whether the compared operations are worth the time."""

    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)

    def note(self, outcome: Outcome, body: dict[str, Any]) -> None:
        errors, data = body.get("errors", ()), body.get("data")
        whole = "with errors" if errors else "whole" if _has_content(data) else "empty"
        self.outcomes[f"{outcome.name} {whole}" if outcome is Outcome.ANSWERED else outcome.name] += 1
        self.codes.update({error["extensions"]["code"] for error in errors})


class Pair:
    """A sandbox whose operations are compiled, or executed by graphql-core. Both share parsed documents and schemas."""

    def __init__(self, world: World, compiled: Operations, stock: Operations) -> None:
        compiled._schemas, compiled._documents = stock._schemas, stock._documents
        self.compiled, self.stock = Client(world, compiled), Client(world, stock)
        self.counts = ResponseCounts()
        self.names: dict[str, str] = {}  # what operations call its parts by
        self.known: SandboxValues
        self.schema: GraphQLSchema

    def __repr__(self) -> str:
        return f"Pair of {self.stock.world.scope.organization.code}"

    @classmethod
    async def of(cls, world: World) -> "Pair":
        given = (world.db, world.configurations, build_schema(), Limits())
        pair = cls(world, Operations(*given), Reference(*given))
        pair.known = await read_sandbox_values(pair.stock)
        pair.schema = (await pair.stock.operations._schemas.read(await world.config())).graphql
        return pair

    async def difference(self, request: Request, scopes: list[str] | None = None) -> str | None:
        """Describe how the two responses to a request differ; None if they are equal."""
        scope = await self.stock.scope(scopes)
        one = await self.compiled.operations.run(scope, request)
        self.counts.note(one.outcome, one.body)
        other = await self.stock.operations.run(scope, request)
        return difference(self.schema, request.query, one, other)


def _has_content(value: Any) -> bool:
    """Tell whether a JSON value contains anything but null."""
    match value:
        case dict():
            return any(map(_has_content, value.values()))
        case list():
            return any(map(_has_content, value))
    return value is not None


def difference(schema: GraphQLSchema, text: str, one: Response, other: Response) -> str | None:
    """Describe how two responses to an operation differ; None if they are equal."""
    if one.outcome is not other.outcome:
        return f"{one.outcome} is not {other.outcome}: {one.body} {other.body}"
    bodies = [orjson.loads(orjson.dumps(each.body)) for each in (one, other)]
    if any(error["extensions"]["code"] == "INTERNAL" for body in bodies for error in body.get("errors", ())):
        return f"something broke: {bodies}"
    data = [_without_snapshots(body.get("data", "absent")) for body in bodies]
    if orjson.dumps(data[0]) != orjson.dumps(data[1]) and not _same(*data, json_keys(schema, text)):
        return f"data differ:\n{orjson.dumps(data[0]).decode()}\n{orjson.dumps(data[1]).decode()}"
    errors = [_errors_by_place(body) for body in bodies]
    if errors[0] != errors[1]:
        return f"errors differ:\n{bodies[0].get('errors')}\n{bodies[1].get('errors')}"
    return None if list(bodies[0]) == list(bodies[1]) else f"{list(bodies[0])} are not {list(bodies[1])}"


def _without_snapshots(value: Any) -> Any:
    """Return a JSON value with the row of each cursor of changes in place of the cursor, which also tells the moment of the request."""
    match value:
        case dict():
            return {key: _without_snapshots(each) for key, each in value.items()}
        case list():
            return [_without_snapshots(each) for each in value]
        case str() if len(value) > MIN_CURSOR_LENGTH:
            try:
                return list(position_of(_unpacked(value)[1]).row)
            except BadCursor:
                return value
    return value


def _same(one: Any, other: Any, free: set[str], *, is_free: bool = False) -> bool:
    """Tell whether two JSON values are equal. The order of keys counts, except below a key in `free`."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [sorted(one), sorted(other)] if is_free else [list(one), list(other)]
        return keys[0] == keys[1] and all(
            _same(one[key], other[key], free, is_free=is_free or key in free) for key in keys[0]
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            _same(a, b, free, is_free=is_free) for a, b in zip(one, other, strict=True)
        )
    return one == other and isinstance(one, bool) is isinstance(other, bool)


def _errors_by_place(body: dict[str, Any]) -> tuple[Counter[bytes], set[tuple[Any, ...]]]:
    """Return the errors at places that are null themselves, and the places that are null because of errors below."""
    own: Counter[bytes] = Counter()
    taken_along: set[tuple[Any, ...]] = set()
    for error in body.get("errors", ()):
        path = tuple(error.get("path", ()))
        place = _null_on_the_way(body.get("data"), path)
        if place == path:
            own[orjson.dumps(error, option=orjson.OPT_SORT_KEYS)] += 1
        else:
            taken_along.add(place)
    return own, taken_along


def _null_on_the_way(data: Any, path: tuple[Any, ...]) -> tuple[Any, ...]:
    for depth, step in enumerate(path):
        if data is None:
            return path[:depth]
        data = data[step]
    return path


def json_keys(schema: GraphQLSchema, text: str) -> set[str]:
    """Return the keys of an operation's response that hold a JSON scalar."""
    types, finder = TypeInfo(schema), _JsonFields()
    finder.types = types
    visit(parse(text), TypeInfoVisitor(types, finder))
    return finder.keys


class _JsonFields(Visitor):
    types: TypeInfo

    def __init__(self) -> None:
        super().__init__()
        self.keys: set[str] = set()

    def enter_field(self, node: FieldNode, *_: object) -> None:
        output_type = self.types.get_type()
        if output_type is not None and get_named_type(output_type).name == "JSON":
            self.keys.add(node.alias.value if node.alias else node.name.value)
