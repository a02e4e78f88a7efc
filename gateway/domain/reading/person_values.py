"""Values of computed attributes in a statement that reads people: of partials, of events where there are none, and of what it reads of the person.

All values of a person are of one moment, which is the same for all people of the statement.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

from gateway.domain.config.attribute_programs import Program, in_order
from gateway.domain.config.configuration import Configuration, KeptPartial
from gateway.domain.reading.attribute_times import costs_of
from gateway.domain.reading.computed_partials import Windows, begin_of, folded, windows_of
from gateway.domain.reading.conditions import PERSON
from gateway.domain.rules.durations import Duration
from gateway.pql.aggregates import AT, COUNTED, VALUE
from gateway.pql.columns import as_columns
from gateway.pql.partials import values_of
from gateway.pql.ranges import BEYOND_DOUBLE
from gateway.pql.sql import Compiled, compiled
from gateway.pql.types import NUMBERS, Scalar, Type
from gateway.pql.values import quoted
from gateway.projection.sql import COMPUTED, Source
from gateway.storage.queries import fill, part
from gateway.telemetry import Costs

VALUES = part("person_values.values")
MOMENT, BEFORE = part("person_values.moment"), part("person_values.before")
FOLDED, LEVEL, NAMED = part("person_values.folded"), part("person_values.level"), part("person_values.named")
STORED, IS_SMALL = part("person_values.stored"), part("person_values.is_small")

MAX_CHARACTERS_INLINE: Final = 6_000
"""Of a value that such a statement gives, if it is no single one; a map with more keys than are told has more."""


@dataclass(frozen=True, slots=True)
class Computable:
    """The attributes of these names, and what computes their values in a statement, at a version of a sandbox's configuration.

    `programs`: theirs and those of all that they read, each behind what it reads. Of those of events, `partials` are there to be folded, and
    `lookbacks` says how far back each of them looks; `has_others`: there may be partials of other sizes than theirs. `costs`: of the programs.
    """

    sandbox_id: int
    version: int
    names: tuple[str, ...]
    programs: tuple[Program, ...] = field(hash=False)  # the others tell most of them apart, and sooner
    partials: tuple[KeptPartial, ...] = field(hash=False)
    lookbacks: Mapping[str, Duration | None] = field(hash=False)
    costs: Costs = field(hash=False)
    has_others: bool = True

    @property
    def windows(self) -> Windows:
        """The windows of those of events."""
        return windows_of(self.lookbacks.values())


@lru_cache(maxsize=256)
def computable(config: Configuration, names: tuple[str, ...]) -> Computable:
    """Return how the values of published attributes are computed in a statement."""
    programs = tuple(in_order(config.programs.programs, names))
    of_events = {each.name for each in programs if each.is_of_events}
    kept = tuple(each for each in config.partials if each.is_complete and each.name in of_events)
    found = (each for each in config.attributes.values() if each.name in of_events)
    lookbacks = {each.name: each.settings.lookback for each in found}
    has_others = {each.seconds for each in kept} != {each.seconds for each in config.partials}
    return Computable(
        config.sandbox_id, config.version, names, programs, kept, lookbacks, costs_of(programs), has_others
    )


def sources_of(computable: Computable) -> dict[str, Source]:
    """Return where a statement that joins `values_part` has what is known of each value, by the names of attributes."""
    windows = computable.windows
    found = dict[str, Source]()
    for each in _values(computable):
        lookback = computable.lookbacks.get(each.name)
        known = {
            "value": each.sql,
            "value_at": each.at,
            "as_of": "moment.at",
            "window_start": "null::timestamptz" if lookback is None else begin_of(windows[lookback]),
            "window_end": "moment.at",
            "events_counted": each.counted,
            "is_complete": "true",
        }
        found[each.name] = Source("", derived=known)
    return found


def values_part(computable: Computable, parameters: int, looked_at: str) -> Compiled:
    """Return SQL to join that gives the values of a person, as `sources_of` and `projection.sql.COMPUTED` name them, and as `checked.is_computed`
    whether they may be given so. What of them is `looked_at` by SQL is worked out. And the values of its parameters, which come behind those of
    the statement."""
    windows, found = computable.windows, list[Compiled]()

    def joined(made: Compiled) -> str:
        nonlocal parameters
        parameters += len(made.values)
        found.append(made)
        return made.sql

    def is_wanted(name: str) -> bool:
        return f"folded.{name}" in looked_at

    folding = ""
    if computable.partials:
        given = partial(values_of, is_wanted=is_wanted)
        fold = partial(folded, xids=PERSON.xids, has_others=computable.has_others)
        made = fold(computable.partials, windows, given, parameters=parameters)
        folding = fill(FOLDED, folded=joined(made))
    levels = [
        fill(LEVEL, level=name, columns=joined(as_columns(columns, parameters)))
        for name, columns in _levels(computable)
    ]
    values = list(_values(computable))
    named = ", ".join(f'{each.stored} as "{each.name}"' for each in values)
    sql = fill(
        VALUES,
        moment=fill(MOMENT, since="".join(f", {_before(each)} as since{number}" for each, number in windows.items())),
        folded=folding,
        levels=" ".join(levels),
        named=fill(NAMED, values=named) if COMPUTED in looked_at else "",
        is_computed=" and ".join([*(["not folded.is_unknown"] if folding else ()), *_checks(values)]) or "true",
    )
    return Compiled(sql, tuple(value for made in found for value in made.values))


# ------------------------------------------------------------------------------------------------ values


class _Value(NamedTuple):
    """A value in SQL, which is NULL or JSON null where it is missing, and its type; beside it the time of the event that it is from, and how many
    events it is of, in jsonb. `is_json`: it is jsonb, else a number. `has_items`: it is NULL alone where something was left out of it.
    """

    name: str
    type: Type
    sql: str
    at: str
    counted: str
    is_json: bool
    has_items: bool = False

    @property
    def stored(self) -> str:
        """The value as a document would have it, in jsonb."""
        if not self.is_json:
            return f"to_jsonb({self.sql})"
        return f"nullif({self.sql if isinstance(self.type, Scalar) else fill(STORED, value=self.sql)}, 'null')"


def _values(computable: Computable) -> Iterator[_Value]:
    """Yield the values of all programs, each behind those that it reads."""
    slots, places = {each.name: each for each in computable.partials}, dict[int, int]()
    for program in computable.programs:
        name, kind = program.name, program.return_type
        if kept := slots.get(name):
            value, at, counted = (f"folded.{letter}{kept.slot}" for letter in "van")
            has_items = kept.partial.items is not None
            yield _Value(name, kind, value, at, counted, has_items or kind not in NUMBERS, has_items)
            continue
        places[program.level] = place = places.get(program.level, 0) + 1
        value = f"level{program.level}.e{place}"
        if program.is_of_events:
            value, at, counted = (f"({value} -> {quoted(key)})" for key in (VALUE, AT, COUNTED))
            yield _Value(name, kind, value, at, counted, is_json=True)
        else:
            yield _Value(name, kind, value, "null", "0", is_json=True)


def _levels(computable: Computable) -> Iterator[tuple[str, Iterable[Callable[[int], Compiled]]]]:
    """Yield the tables of what is not folded, one for all attributes of a level, with their columns."""
    windows, kept = computable.windows, {each.name for each in computable.partials}
    values = {each.name: each for each in _values(computable)}

    def column(place: int, program: Program, parameters: int) -> Compiled:
        known = {name: values[name].stored for name in program.needs}
        inputs = replace(PERSON, now="moment.at", parameters=parameters, computed=known)
        if program.is_of_events:
            since = begin_of(windows[computable.lookbacks[program.name]])
            made = compiled(program.expression, replace(inputs, since=since))
        else:
            made = compiled(program.value, inputs)
        return Compiled(f"{made.sql} as e{place}", made.values)

    rest = (each for each in computable.programs if each.name not in kept)
    for level, programs in groupby(rest, attrgetter("level")):
        yield f"level{level}", [partial(column, place, each) for place, each in enumerate(programs, start=1)]


def _checks(values: Iterable[_Value]) -> Iterator[str]:
    """Yield what holds where JSON can tell values as they are: nothing was left out, no number is beyond any double, and no list has a null."""
    numbers = list[str]()
    for each in values:
        if each.has_items:
            yield f"{each.sql} is not null"
        if each.type in NUMBERS:
            numbers.append(f"abs(({each.sql} #>> '{{}}')::numeric)" if each.is_json else f"abs({each.sql})")
        elif not isinstance(each.type, Scalar):
            yield fill(IS_SMALL, value=each.stored, most=str(MAX_CHARACTERS_INLINE), beyond=str(BEYOND_DOUBLE))
    if numbers:
        yield f"(greatest({', '.join(numbers)}) < {BEYOND_DOUBLE}) is not false"


def _before(lookback: Duration | None) -> str:
    """Return when a window begins that looks back so far."""
    if lookback is None:
        return "'-infinity'::timestamptz"
    months, seconds = lookback.parts
    return fill(BEFORE, months=str(months), seconds=str(seconds))
