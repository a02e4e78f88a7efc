"""Two ways to run an operation, and whether they answer the same.

Answers are equal as JSON: numbers by their values, objects in the order of their keys, but for what is inside of JSON scalars. Errors are
equal as they are told, in any order, with one exception: where a null takes its parents along, several errors may be met below what
becomes null in the end, and which of them are still told depends on who fails first. There both must tell at least one.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from client import Client
from generation.known import Known, known
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
from world import World

from gateway.api.execution.limits import Limits
from gateway.api.execution.operations import Operations, Outcome, Request, Response
from gateway.api.schema import build_schema
from gateway.telemetry import Observation, OperationRan, listen


@dataclass
class Told:
    """What operations were answered, to see that comparing them is worth the time."""

    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)

    def note(self, outcome: Outcome, body: dict[str, Any]) -> None:
        errors, data = body.get("errors", ()), body.get("data")
        whole = "with errors" if errors else "whole" if _has_content(data) else "empty"
        self.outcomes[f"{outcome.name} {whole}" if outcome is Outcome.ANSWERED else outcome.name] += 1
        self.codes.update({error["extensions"]["code"] for error in errors})

    @contextmanager
    def ways_noted(self) -> Iterator[None]:
        """Count how operations run meanwhile: compiled, or why not."""

        def note(seen: Observation) -> None:
            if isinstance(seen, OperationRan):
                self.ways[seen.reason or seen.way] += 1

        end = listen(note)
        try:
            yield
        finally:
            end()


class Pair:
    """A sandbox, asked by compiled operations and by the stock executor. They share what is no matter of executing: parsed documents."""

    def __init__(self, world: World, compiled: Operations, stock: Operations) -> None:
        compiled._schemas, compiled._documents = stock._schemas, stock._documents
        self.compiled, self.stock = Client(world, compiled), Client(world, stock)
        self.told = Told()
        self.names: dict[str, str] = {}  # what operations call its parts by
        self.known: Known
        self.schema: GraphQLSchema

    def __repr__(self) -> str:
        return f"Pair of {self.stock.world.scope.organization.code}"

    @classmethod
    async def of(cls, world: World) -> "Pair":
        given = (world.db, world.configurations, build_schema(), Limits())
        pair = cls(world, Operations(*given), Operations(*given, compiles=False))
        pair.known = await known(pair.stock)
        pair.schema = (await pair.stock.operations._schemas.read(await world.config())).graphql
        return pair

    async def difference(self, request: Request, scopes: list[str] | None = None) -> str | None:
        """How the two answers to a request differ, None where they do not."""
        scope = await self.stock.scope(scopes)
        with self.told.ways_noted():
            one = await self.compiled.operations.run(scope, request)
        self.told.note(one.outcome, one.body)
        other = await self.stock.operations.run(scope, request)
        return difference(self.schema, request.query, one, other)


def _has_content(value: Any) -> bool:
    """Whether there is a value in it, however deep."""
    match value:
        case dict():
            return any(map(_has_content, value.values()))
        case list():
            return any(map(_has_content, value))
    return value is not None


def difference(schema: GraphQLSchema, text: str, one: Response, other: Response) -> str | None:
    """How two answers to an operation differ, None where they do not."""
    if one.outcome is not other.outcome:
        return f"{one.outcome} is not {other.outcome}: {one.body} {other.body}"
    bodies = [orjson.loads(orjson.dumps(each.body)) for each in (one, other)]
    if any(error["extensions"]["code"] == "INTERNAL" for body in bodies for error in body.get("errors", ())):
        return f"something broke: {bodies}"
    data = [body.get("data", "absent") for body in bodies]
    if orjson.dumps(data[0]) != orjson.dumps(data[1]) and not _same(*data, json_keys(schema, text)):
        return f"data differ:\n{orjson.dumps(data[0]).decode()}\n{orjson.dumps(data[1]).decode()}"
    told = [_told(body) for body in bodies]
    if told[0] != told[1]:
        return f"errors differ:\n{bodies[0].get('errors')}\n{bodies[1].get('errors')}"
    return None if list(bodies[0]) == list(bodies[1]) else f"{list(bodies[0])} are not {list(bodies[1])}"


def _same(one: Any, other: Any, free: set[str], *, is_free: bool = False) -> bool:
    """Equal as JSON. Keys of an object are in the same order, but under a key that is `free`."""
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


def _told(body: dict[str, Any]) -> tuple[Counter[bytes], set[tuple[Any, ...]]]:
    """The errors of places that are null themselves, and where nulls stand for errors further in."""
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
    """The keys in an operation's answer under which a JSON scalar stands."""
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
