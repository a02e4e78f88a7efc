"""Values of computed attributes, right at the moment of reading: folded of partials where these are complete, else computed from events."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import orjson

from gateway.domain.config.attribute_programs import ATTRIBUTES_FIELD, Program, in_order
from gateway.domain.config.computed_attributes import ComputedAttribute
from gateway.domain.config.configuration import Configuration, KeptPartial
from gateway.domain.reading.attribute_results import (
    IS_BEYOND,
    UNTOLD,
    Result,
    as_fields,
    bounded_value,
    exact_values,
    result_of,
)
from gateway.domain.reading.attribute_times import costs_of, timed
from gateway.domain.reading.computed_partials import fold
from gateway.domain.reading.conditions import read_instant, within_range
from gateway.domain.reading.events import slices
from gateway.domain.reading.over_events import compute_over_events, over_events, person_inputs
from gateway.domain.reading.profiles import Profile
from gateway.domain.rules.durations import EARLIEST
from gateway.domain.rules.merge import Document
from gateway.domain.rules.names import did_you_mean
from gateway.domain.rules.scope import Permission, Scope
from gateway.errors import BadInput
from gateway.pql.aggregates import AT, COUNTED
from gateway.pql.columns import as_columns
from gateway.pql.partials import FOLDED
from gateway.pql.sql import Compiled, compiled
from gateway.storage.database import Database, Session
from gateway.storage.queries import Query, template

OF_DOCUMENTS = template("computed_attributes.compute_of_documents")

PEOPLE_AT_ONCE: Final = 100
"""People whose values one statement computes; each has up to some thousand events."""


@dataclass(frozen=True, slots=True)
class ComputedValue:
    """The value of an attribute for a person at `as_of`, the end of its window; `window_start` is None where it has no beginning.

    `value` is a value of JSON, None where it is missing. `value_at` is the time of the event that it is from, if it is from one.
    `events_counted`: how many events it is of. `is_complete`: nothing of it, or of what it reads, was left out, as keys beyond MAX_KEYS are,
    numbers beyond any double, and on a cluster the events of a person with very many (`over_events`). `is_folded`: it is of partials, and was not computed from events.
    """

    attribute: ComputedAttribute
    value: Any
    value_at: str | None
    as_of: datetime
    window_start: datetime | None
    events_counted: int
    is_complete: bool
    is_folded: bool

    @property
    def window_end(self) -> datetime:
        return self.as_of


def published_attributes(config: Configuration, names: Sequence[str] | None) -> list[ComputedAttribute]:
    """Return the published attributes of people of these names, in their order, each once; without names all, by name. Raises BadInput, Misconfigured."""
    published = {each.name: each for each in config.attributes.values() if each.is_published and each.is_of_people}
    if names is None:
        return sorted(published.values(), key=lambda attribute: attribute.name)
    for name in names:
        if name not in published:
            found = config.attributes.named(name, lambda attribute: attribute.name)
            raise BadInput(f"There is no published computed attribute {name[:40]!r}.{_why_not(found, name, published)}")
    return [published[name] for name in dict.fromkeys(names)]


def _why_not(found: ComputedAttribute | None, name: str, published: Iterable[str]) -> str:
    """Return why an attribute is none of the published ones of people, or which of these may have been meant."""
    if found is None:
        return did_you_mean(name, published)
    return f" It is {found.status}." if found.is_of_people else " Events have it, not people."


async def compute_values(
    db: Database,
    scope: Scope,
    config: Configuration,
    attributes: Sequence[ComputedAttribute],
    profiles: Sequence[Profile],
) -> list[list[ComputedValue]]:
    """Compute these attributes, which are published, for each profile: all at one instant, from what is there then.

    Needs `profile:read`. Raises Forbidden.
    """
    scope.require(Permission.PROFILE_READ)
    if not attributes or not profiles:
        return [[] for _ in profiles]
    async with db.snapshot() as tx:
        return await values_in(tx, scope, config, attributes, profiles)


async def values_in(
    tx: Session,
    scope: Scope,
    config: Configuration,
    attributes: Sequence[ComputedAttribute],
    profiles: Sequence[Profile],
) -> list[list[ComputedValue]]:
    """Compute these attributes for each profile, as `compute_values` does, in a session that sees one moment."""
    programs = in_order(config.programs.programs, [attribute.name for attribute in attributes])
    moment = Moment.of(tx, scope, config, await read_instant(tx))
    found = await results_in(moment, programs, profiles)
    at, windows = moment.at, moment.windows
    return [[_value(each, told[each.name], at, windows[each.name]) for each in attributes] for told in found]


async def results_in(
    moment: "Moment", programs: Sequence[Program], profiles: Sequence[Profile]
) -> list[dict[str, Result]]:
    """Compute programs, each behind those that it reads, for each profile: what each gives, by its name."""
    found: list[dict[str, Result]] = [{} for _ in profiles]
    costs = costs_of(programs)
    for start in range(0, len(profiles), PEOPLE_AT_ONCE):
        some = slice(start, start + PEOPLE_AT_ONCE)
        with timed(moment.scope, costs, len(profiles[some])), within_range("a computed attribute has"):
            await _compute(moment, programs, profiles[some], found[some])
    return found


async def values_of_events(
    tx: Session,
    scope: Scope,
    config: Configuration,
    attributes: Sequence[ComputedAttribute],
    *,
    people: Sequence[tuple[UUID, ...]],
    at: datetime,
) -> list[dict[str, str]]:
    """Return the values of published attributes of events by name in JSON, for each person, given as xids; a missing one is left out. Needs no permission."""
    moment, programs = Moment.of(tx, scope, config, at), [config.programs.programs[each.name] for each in attributes]
    found: list[dict[str, Result]] = [{} for _ in people]
    for start in range(0, len(people), PEOPLE_AT_ONCE):
        some = slice(start, start + PEOPLE_AT_ONCE)
        with within_range("a computed attribute has"):
            await _compute_of_events(moment, programs, people[some], found[some])
    return [exact_values(told) for told in found]


# ------------------------------------------------------------------------------------------------ computing


@dataclass(frozen=True, slots=True)
class Moment:
    """Where and when values are computed: the beginnings of windows by attribute, and their end."""

    tx: Session
    scope: Scope
    config: Configuration
    at: datetime
    windows: Mapping[str, datetime | None]

    @classmethod
    def of(
        cls,
        tx: Session,
        scope: Scope,
        config: Configuration,
        at: datetime,
        others: Mapping[str, datetime | None] | None = None,
    ) -> "Moment":
        """Return the moment for the attributes of the configuration, and others, whose windows are given."""
        windows = {each.name: _since(each, at) for each in config.attributes.values()}
        return cls(tx, scope, config, at, {**windows, **(others or {})})


async def _compute(
    moment: Moment, programs: Sequence[Program], profiles: Sequence[Profile], found: Sequence[dict[str, Result]]
) -> None:
    """Compute programs for some profiles, and add to what was found of each. One statement for aggregations, and one for each level above."""
    await _compute_of_events(moment, programs, [profile.person.event_xids for profile in profiles], found)
    above = [program for program in programs if not program.is_of_events]
    for _, level in groupby(above, lambda program: program.level):
        chosen = tuple(level)
        documents = [_document(moment.config, profile, told) for profile, told in zip(profiles, found, strict=True)]
        statement, values = _of_documents(moment.config.tenant_code, chosen)
        _add(found, chosen, await moment.tx.rows(statement, moment.scope.sandbox_id, documents, moment.at, *values))
        for told in found:
            for program in chosen:
                if any(told[name].get(IS_BEYOND) for name in program.needs):
                    told[program.name][IS_BEYOND] = True


async def _compute_of_events(
    moment: Moment, programs: Sequence[Program], members: Sequence[tuple[UUID, ...]], found: Sequence[dict[str, Result]]
) -> None:
    """Compute those of the programs that are of events for people, given by their members, and add to what was found of each."""
    folded = {program.partial for program in programs}
    kept = tuple(each for each in moment.config.partials if each.is_complete and each.partial in folded)
    asked = moment.tx, moment.scope, moment.config
    rows = await fold(*asked, kept, people=slices(members), at=moment.at) if kept else ()
    if rows:
        _add(found, kept, rows)
    of_events = [program for program in programs if program.is_of_events]
    lacking = [place for place, told in enumerate(found) if any(program.name not in told for program in of_events)]
    left = tuple(program for program in of_events if any(program.name not in found[place] for place in lacking))
    if left:
        times = [moment.windows[program.name] or EARLIEST for program in left]
        statement = _of_events(left, are_given=moment.tx.is_distributed)
        people = [members[place] for place in lacking]
        made = await compute_over_events(moment.tx, moment.scope, statement, people, at=moment.at, since=times)
        untold = [UNTOLD] * len(left)
        _add([found[place] for place in lacking], left, [untold if row is None else row for row in made])


def _add(
    found: Sequence[dict[str, Result]], programs: Iterable[Program | KeptPartial], rows: Sequence[Sequence[str | None]]
) -> None:
    for told, row in zip(found, rows, strict=True):
        texts = zip(programs, row, strict=True)
        told.update((program.name, result_of(text)) for program, text in texts if text is not None)


@lru_cache(maxsize=64)
def _of_events(programs: tuple[Program, ...], *, are_given: bool) -> tuple[Query, tuple[Any, ...]]:
    """Return the statement that computes programs of events, and the values of its parameters, as `over_events` does."""
    return over_events([partial(compiled, program.expression) for program in programs], are_given=are_given)


@lru_cache(maxsize=64)
def _of_documents(tenant_code: str, programs: tuple[Program, ...]) -> tuple[Query, tuple[Any, ...]]:
    """Return the statement that computes programs of documents, one column for each, and the values of the parameters behind its own."""

    def column(place: int, program: Program, parameters: int) -> Compiled:
        known = {name: f"(person.document #> '{{_{tenant_code},{ATTRIBUTES_FIELD},{name}}}')" for name in program.needs}
        return compiled(program.expression, replace(person_inputs(place, parameters), computed=known))

    parts = (partial(column, place, program) for place, program in enumerate(programs, start=1))
    made = as_columns(parts, len(OF_DOCUMENTS.parameters))
    return OF_DOCUMENTS.filled(columns=made.sql), made.values


def _document(config: Configuration, profile: Profile, told: Mapping[str, Result]) -> str:
    """Return the document of a profile as JSON text, with the values of attributes that are known by now."""
    return orjson.dumps(with_values(config, profile.document, as_fields(exact_values(told)))).decode()


def with_values(config: Configuration, document: Document, values: Mapping[str, Any]) -> Document:
    """Return a document with values of attributes, by their names, where these stand."""
    tenant = f"_{config.tenant_code}"
    return {**document, tenant: {**document.get(tenant, {}), ATTRIBUTES_FIELD: values}}


# ------------------------------------------------------------------------------------------------ values


def _since(attribute: ComputedAttribute, at: datetime) -> datetime | None:
    lookback = attribute.settings.lookback
    return None if lookback is None else lookback.before(at)


def _value(attribute: ComputedAttribute, told: Result, at: datetime, since: datetime | None) -> ComputedValue:
    value, is_complete = bounded_value(told)
    counted, is_folded = told.get(COUNTED, 0), told.get(FOLDED, False)
    return ComputedValue(attribute, value, told.get(AT), at, since, counted, is_complete, is_folded)


def size_of(values: Iterable[ComputedValue]) -> int:
    """Return the bytes of values in an answer, about."""
    return sum(len(orjson.dumps(each.value)) for each in values)
