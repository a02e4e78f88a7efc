"""Explanations of computed values: which events a value is of, in which window."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import orjson

from gateway.domain.config.attribute_programs import Program
from gateway.domain.config.configuration import Configuration, KeptPartial
from gateway.domain.reading.computed_attributes import ComputedValue, published_attributes, values_in
from gateway.domain.reading.events import EventKey, slices
from gateway.domain.reading.over_events import compute_over_events, over_events
from gateway.domain.reading.profiles import Profile
from gateway.domain.rules.buckets import ALL_TIMES
from gateway.domain.rules.durations import EARLIEST
from gateway.domain.rules.merge import Candidate, MergeRule, Path
from gateway.domain.rules.scope import Permission, Scope
from gateway.pql.aggregates import events_of
from gateway.pql.inputs import Inputs
from gateway.pql.partials import count_place
from gateway.pql.rows import newest_keys
from gateway.pql.sql import Compiled, written
from gateway.pql.typed import Expression
from gateway.storage.database import Database, Session
from gateway.storage.queries import query

LIST_BUCKETS = query("computed_partials.list_buckets")

EVENTS_TOLD: Final = 20
"""Events that are told of those that a value is of."""


@dataclass(frozen=True, slots=True)
class ComputedProvenance:
    """Why a computed attribute has its value: the value, with its window, and the keys of the newest EVENTS_TOLD events that it is of.

    It stands beside the provenances of leaves: `path` is that of the attribute, and records decided nothing.
    """

    path: Path
    computed: ComputedValue
    xids: tuple[UUID, ...]
    events: tuple[EventKey, ...]

    rule = MergeRule.COMPUTED
    winner: Candidate | None = None
    candidates: tuple[Candidate, ...] = ()

    @property
    def value(self) -> Any:
        return self.computed.value


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is kept of an identity's events in a span of time, and a value is folded of. Without bounds, it is of all times.

    `is_whole`: all of its events lie in the window; of another one those that do are read again.
    """

    xid: UUID
    start: datetime | None
    end: datetime | None
    events_counted: int
    is_whole: bool


async def explain_values(
    db: Database, scope: Scope, config: Configuration, names: Sequence[str], profiles: Sequence[Profile]
) -> list[list[ComputedProvenance]]:
    """Explain the values that each profile has of published attributes of people: all at one instant, in the order of their names.

    Needs `profile:read`. Raises Forbidden, BadInput.
    """
    scope.require(Permission.PROFILE_READ)
    attributes = published_attributes(config, names)
    if not attributes or not profiles:
        return [[] for _ in profiles]
    async with db.snapshot() as tx:
        values = await values_in(tx, scope, config, attributes, profiles)
        programs = [config.programs.programs[each.name] for each in attributes]
        of_events = [program for program in programs if program.is_of_events]
        keys = await _keys(tx, scope, of_events, values, profiles)
    return [
        [
            ComputedProvenance(
                tuple(each.attribute.path.split(".")), each, profile.person.xids, found.get(each.attribute.name, ())
            )
            for each in told
        ]
        for profile, told, found in zip(profiles, values, keys, strict=True)
    ]


async def read_buckets(
    db: Database, scope: Scope, config: Configuration, explained: Sequence[ComputedProvenance]
) -> list[list[Bucket]]:
    """Read the buckets that each value is folded of, the newest first, at most 100; none of a value that is computed from events, and none if the
    configuration is not the present one, as values are not folded then.

    Needs `profile:read`; raises Forbidden.
    """
    scope.require(Permission.PROFILE_READ)
    kept = {each.name: each for each in config.partials if each.is_complete}
    found: list[list[Bucket]] = [[] for _ in explained]
    told = [each.computed for each in explained]
    folded = [place for place, each in enumerate(told) if each.is_folded and each.attribute.name in kept]
    if not folded:
        return found
    values = [told[place] for place in folded]
    partials = [kept[value.attribute.name] for value in values]
    given = (
        [partial.seconds for partial in partials],
        [count_place(partial.slot) for partial in partials],
        [value.window_start or EARLIEST for value in values],
        [value.as_of for value in values],
    )
    people = slices([explained[place].xids for place in folded])
    for row in await db.rows(LIST_BUCKETS, scope.sandbox_id, *people, *given, config.version):
        number = row["number"] - 1
        found[folded[number]].append(_bucket(partials[number], row))
    return found


def _bucket(partial: KeptPartial, row: Any) -> Bucket:
    is_of_all = partial.seconds == ALL_TIMES
    start = None if is_of_all else row["bucket"]
    end = None if is_of_all else row["bucket"] + timedelta(seconds=partial.seconds)
    return Bucket(row["xid"], start, end, row["counted"], row["is_whole"])


async def _keys(
    tx: Session,
    scope: Scope,
    programs: Sequence[Program],
    values: Sequence[Sequence[ComputedValue]],
    profiles: Sequence[Profile],
) -> list[dict[str, tuple[EventKey, ...]]]:
    """Return the keys of the newest events that each program's value is of, by its name, for each profile."""
    if not programs:
        return [{} for _ in profiles]
    windows = {each.attribute.name: each.window_start or EARLIEST for each in values[0]}

    def newest(expression: Expression, inputs: Inputs) -> Compiled:
        return written(expression, inputs, partial(newest_keys, of=events_of(expression), most=EVENTS_TOLD))

    columns = [partial(newest, program.expression) for program in programs]
    statement = over_events(columns, are_given=tx.is_distributed)
    people = [profile.person.xids for profile in profiles]
    since, at = [windows[program.name] for program in programs], values[0][0].as_of
    found = await compute_over_events(tx, scope, statement, people, at=at, since=since)
    none = ["[]"] * len(programs)
    return [
        {
            program.name: tuple(map(_key, orjson.loads(text)))
            for program, text in zip(programs, none if row is None else row, strict=True)
        }
        for row in found
    ]


def _key(found: Sequence[str]) -> EventKey:
    event_id, xid, dataset_id = found
    return UUID(xid), UUID(dataset_id), event_id
