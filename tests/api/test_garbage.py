"""Garbage in every input: each leaf of each argument in turn, and nothing breaks inside."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import orjson
import pytest
from graphql import GraphQLInputObjectType, get_named_type, is_enum_type, is_list_type
from graphql.type import get_nullable_type
from reflection import SCHEMA, arguments, furnished, operation, root_fields
from world import World

from gateway.api.ids import global_id
from gateway.api.pagination import Listing

NIL = UUID(int=0)
TEXTS = [
    "",
    " ",
    "\0",
    "a\0b",
    "\n",
    "\u202e",
    "💥" * 300,
    "x" * 70_000,
    "'; drop table gateway.batch; --",
    "${jndi:x}",
    "NaN",
    "-1",
]
CURSORS = [
    Listing(name, tuple).cursor(key)
    for name in ("datasets", "ingestionWarnings", "sandboxes", "x")
    for key in ((), (1,), ("a", NIL), (NIL, 1))
]
IDS = [
    *TEXTS, "dataset_", "profile_AA", "batch_" + "A" * 22, str(NIL), global_id("Sandbox", -1), global_id("Sandbox", 2**63 - 1),
    global_id("ExperienceEvent", NIL, NIL, "'"), global_id("IdentityNamespace", 2**40, 2**40), global_id("Profile", NIL, NIL),
]  # fmt: skip
GARBAGE: dict[str, list[Any]] = {
    "String": [*TEXTS, 1, True, [], {}],
    "cursor": [*TEXTS, *CURSORS, 1, True, [], {}],
    "ID": [*IDS, 1, 1.5, [], {}],
    "Int": [-(2**31), -1, 0, 2**31 - 1, 2**31, 1e99, "1", True],
    "Boolean": ["true", 1, []],
    "DateTime": ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-02-30T00:00:00Z", *TEXTS, 0],
    "Duration": ["P30D", "P0D", "-P1D", "P999999999999Y", "PT", *TEXTS, 0],
    "Date": ["0001-01-01", "9999-12-31", "2026-02-30", "2026-2-3", "2026-W01-1", *TEXTS, 0],
    "JSON": [{}, [], 0, -0.0, 1e308, 2**63, True, "", "\0", {"": ""}, {"\0": "\0"}, {"a": {"a": {"a": []}}}, [[[[[[None]]]]]], deep := {"a": 1}],
}  # fmt: skip
for _ in range(900):
    deep["a"] = {"a": deep["a"]}


def leaves(path: tuple[str, ...], input_type: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """Paths to all leaves below, with what is garbage for them: the names of their types, but for cursors."""
    named = get_named_type(input_type)
    if isinstance(named, GraphQLInputObjectType):
        for name, field in named.fields.items():
            yield from leaves((*path, name), field.type)
    elif not is_enum_type(named):
        yield path, "cursor" if path[-1] in {"after", "before"} else named.name


def put(values: dict[str, Any], path: tuple[str, ...], input_type: Any, garbage: Any) -> dict[str, Any]:
    """The arguments with garbage at the path."""
    return values | {path[0]: _put(values.get(path[0]), path[1:], input_type, garbage)}


def _put(value: Any, path: tuple[str, ...], input_type: Any, garbage: Any) -> Any:
    nullable = get_nullable_type(input_type)
    if is_list_type(nullable):
        first = value[0] if isinstance(value, list) and value else None
        return [_put(first, path, nullable.of_type, garbage)]
    if not path:
        return garbage
    beside = {} if nullable.is_one_of else value or {}
    return beside | {path[0]: _put(beside.get(path[0]), path[1:], nullable.fields[path[0]].type, garbage)}


@pytest.mark.parametrize("root", ["Query", "Mutation"])
async def test_whatever_is_sent_is_answered_with_a_reason(db, root):
    side = await furnished(await World.create(db), "own")
    tried = 0
    for name, field in root_fields(root):
        usual, text = (
            arguments(name, field, side.ids | {"any": side.ids["Dataset"]}),
            operation(root, name, field, depth=2),
        )
        for argument, given in field.args.items():
            for path, kind in leaves((argument,), given.type):
                for garbage in [*GARBAGE[kind], None]:
                    sent = put(usual, path, given.type, garbage)
                    _, body = await side.client.answer(text, sent)
                    assert "INTERNAL" not in orjson.dumps(body).decode(), (name, path, repr(garbage)[:80], body)
                    tried += 1
    assert tried > 700
    assert SCHEMA.query_type is not None
