"""Two sandboxes of one database for generated operations: one with the story and a generated history, one with custom fields."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

from generation.comparison import Pair
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import nodes
from properties.histories import Replay, histories
from story import FIX_SECRET, Story
from world import World, event, record

from gateway.domain.config import registry
from gateway.domain.config.configuration import Configurations
from gateway.domain.config.projection_configurations import EventWindow
from gateway.domain.rules.durations import Duration

NOW = "2026-04-01T00:00:00Z"

CUSTOM: dict[str, Any] = {
    "score": {"type": "integer"}, "total": {"type": "integer", "meta:xdmType": "long"}, "rating": {"type": "number"},
    "lastCall": {"type": "string", "format": "date-time"}, "day": {"type": "string", "format": "date"}, "id": {"type": "string"},
    "by-shop": {"type": "object", "additionalProperties": {"type": "number"}}, "open": {"type": "boolean"}, "@type": {"type": "string"},
    "cards": {"type": "array", "items": {"type": "object", "properties": {
        "card-no": {"type": "string"}, "until": {"type": "string", "format": "date-time"}, "tags": {"type": "array", "items": {"type": "string"}},
        "visits": {"type": "array", "items": {"type": "object", "properties": {"at": {"type": "string", "format": "date-time"}, "paid": {"type": "number"}}}},
    }}},
    "grid": {"type": "array", "items": {"type": "array", "items": {"type": "integer", "meta:xdmType": "long"}}},
    "deep": {"type": "object", "properties": {"er": {"type": "object", "properties": {"still": {"type": "string"}}}}},
}  # fmt: skip
"""Custom fields of every type, some with names that differ in GraphQL."""

FULL = {
    "score": 7, "total": 2**53 - 1, "rating": 4, "lastCall": "2026-01-02T03:04:05+02:00", "day": "2026-01-02", "id": "x-1",
    "by-shop": {"z": 1.5, "a": 2}, "open": False, "@type": "gold",
    "cards": [
        {"card-no": "1", "until": "2027-01-01T00:00:00Z", "tags": ["a", "b"], "visits": [{"at": "2026-01-01T00:00:00Z", "paid": 0.1}, {"paid": 2}]},
        {"card-no": "2"}, {"visits": [{"at": "2026-01-01T00:00:00.123Z"}]},
    ],
    "grid": [[1, 2], [3]], "deep": {"er": {"still": "water"}},
}  # fmt: skip
SPARSE = {"score": 0, "rating": 0.5, "cards": [{"tags": ["c"]}]}

SCALARS = {
    "JSON": st.sampled_from([nodes.Null, nodes.String("x"), nodes.Int(1)]),
    "Long": st.integers(0, 9).map(nodes.Int),
    "DateTime": st.just(nodes.String("2026-01-02T03:04:05Z")),
    "Duration": st.just(nodes.String("P30D")),
    "Date": st.just(nodes.String("2026-01-02")),
}
"""Values of the gateway's own scalars, for hypothesis-graphql."""

T = TypeVar("T")


def examples(strategy: st.SearchStrategy[T], count: int) -> list[T]:
    """Draw examples from a strategy, always the same ones."""
    found: list[T] = []

    @settings(max_examples=count, derandomize=True, database=None, phases=[Phase.generate])
    @given(strategy)
    def note(example: T) -> None:
        found.append(example)

    note()
    return found


async def run_histories(world: World, dsn: str) -> None:
    """Run generated histories in the sandbox."""
    steps = [step for history in examples(histories(), 8) for step in history]
    async with Replay.of(world, dsn) as replay:
        await replay.run(replace(step, number=number) for number, step in enumerate(steps))


async def customize(world: World) -> None:
    """Give the sandbox custom fields in both unions, and data that uses them."""
    for dataset in (world.crm, world.shop):
        await registry.update_schema(world.db, world.scope, dataset.schema_id, custom_fields=CUSTOM)
    world = replace(world, scope=replace(world.scope, sandbox=await world.fresh_sandbox()))
    own = f"_{world.scope.organization.code}"
    await world.project(
        "site", "person.name,identityMap", EventWindow("eventType,timestamp", last=3, within=Duration(30, "D"))
    )
    people = [
        [("Email", f"{name}@example.com"), ("Phone", f"+{number}")]
        for number, name in enumerate(["ana", "bob", "cleo"])
    ]
    documents = [
        record(*people[0], first_name="Ana", **{own: FULL}),
        record(*people[1], **{own: SPARSE}),
        record(*people[2], first_name="Cleo"),
    ]
    taken = [
        await world.records(*documents),
        await world.records(record(people[0][1], **{own: SPARSE | {"open": True}}), dataset=world.loyalty),
    ]
    taken += [await world.events(
        event("c1", "2026-01-01T00:00:00Z", people[0][0], **{own: FULL}), event("c2", "2026-01-02T00:00:00Z", people[0][1], **{own: SPARSE}),
        event("c3", "2026-01-03T00:00:00Z", people[1][0]),
    )]  # fmt: skip
    assert [each.failed for each in taken] == [[]] * 3


@asynccontextmanager
async def sandboxes(dsn: str) -> AsyncIterator[list[Pair]]:
    """Make both sandboxes in an empty database, and yield them with their executors. They are only read."""
    story = await Story.create(dsn)
    async with story.at(NOW) as world:
        await run_histories(world, dsn)
        custom = await World.create(world.db, "custom")
        async with world.db.transaction() as tx:
            await tx.execute(FIX_SECRET)
        custom = replace(custom, scope=replace(custom.scope, sandbox=await custom.fresh_sandbox()))
        await customize(custom)
        pairs = [await Pair.of(world), await Pair.of(replace(custom, configurations=Configurations()))]
        pairs[0].names = story.names
        yield pairs
