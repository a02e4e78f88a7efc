"""How a column of values becomes a column of finished ones.

A field of a selection is run for all objects of its level at once: it takes the column of the objects, resolves a column of values, and
completes it as the specification wants it (section 6.4.3): leaves are serialized, the items of all lists go on as one column, and objects
become the parents of the next level. What has gone wrong stands as FAILED where a null must not, until it meets a place that may be null.

Here and there a value is `Finished`: the store has written it, and it passes as it is. What is finished is weighed, so that an answer that
is too large is given up before its text is put together.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain, islice
from typing import Any, Final

import orjson
from graphql import FieldNode, GraphQLError, located_error
from graphql.execution.values import VariableValues

from gateway.api.context import Context
from gateway.api.execution.paths import Path, Places, places_of_field, places_of_items, places_of_subset
from gateway.api.finished import Finished, too_large
from gateway.api.loading import together
from gateway.errors import AnswerTooLarge, Vanished

SMALL: Final = 10
"""Bytes of a number, a word or a null in an answer, with the quotes and commas around it and its key."""


class _Failed(Enum):
    FAILED = "no value can stand here"


FAILED: Final = _Failed.FAILED
"""Stands where an error was and no null may be: it takes the object or list around it along."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An error, and whether a null stands in its own place; else what is around it goes, too."""

    error: GraphQLError
    stays: bool


@dataclass(slots=True)
class Run:
    """One operation that is being run: its context, the values of its variables, what came of it, and what went wrong so far; how large
    the answer may be and how large it is by now, in about as many bytes. `changes`: it is a mutation, which goes on whatever its answer is."""

    context: Context
    variables: VariableValues
    answer_bytes: int
    changes: bool = False
    data: dict[str, Any] | None = None
    faults: list[Fault] = field(default_factory=list)
    size: int = 0

    @property
    def errors(self) -> list[GraphQLError]:
        """The errors that the caller gets."""
        return [fault.error for fault in self.faults]

    @property
    def has_vanished(self) -> bool:
        """Whether statements saw different moments, and one of them missed what another had found."""
        return any(isinstance(fault.error.original_error, Vanished) for fault in self.faults)

    def weigh(self, size: int) -> None:
        """Add to the answer. Raises LimitExceeded when it is too large, unless the operation `changes` something."""
        self.size += size
        if self.size > self.answer_bytes and not self.changes:
            self.check_size()

    @property
    def is_too_large(self) -> bool:
        """Whether the answer is too large by now."""
        return self.size > self.answer_bytes

    def check_size(self) -> None:
        """Raise LimitExceeded if the answer is too large."""
        if self.is_too_large:
            raise too_large(self.answer_bytes, is_done=self.changes)

    def splice(self, finished: Finished) -> orjson.Fragment:
        """Add a text to the answer, and return it as a part of that. Raises LimitExceeded."""
        self.weigh(finished.size)
        return orjson.Fragment(finished.written())

    def fail(self, error: Exception, nodes: Sequence[FieldNode], path: Path, *, stays: bool) -> None:
        """Note an error."""
        self.faults.append(Fault(located_error(error, list(nodes), path), stays))

    def absorb(self, paths: Sequence[Path]) -> None:
        """Keep only the first error below each of these paths, equally deep, which have become null because of it."""
        depth, has_fallen = len(paths[0]), {tuple(path): False for path in paths}
        told = []
        for fault in self.faults:
            place = tuple((fault.error.path or [])[:depth])
            if has_fallen.get(place):
                continue
            told.append(fault)
            if place in has_fallen and not fault.stays:
                has_fallen[place] = True
        self.faults = told


@dataclass(frozen=True, slots=True)
class Asked:
    """A field as a document asks for it: the nodes that do so together, and its name in the schema for messages."""

    nodes: tuple[FieldNode, ...]
    coordinate: str


class Completion:
    """Makes finished values of what a field gave, for one type with its modifiers; this one of what is JSON text already."""

    def __init__(self, asked: Asked, *, nullable: bool, waits: bool = False) -> None:
        self.asked = asked
        self.nullable = nullable
        self.waits = waits

    async def finish(self, run: Run, values: list[Any], places: Places) -> list[Any]:
        """Return as many finished values as were given; None only where the type allows it."""
        if {*map(type, values)} == {Finished}:
            return list(map(run.splice, values))
        numbers = [number for number, value in enumerate(values) if not _is_finished(value)]
        if len(numbers) == len(values):
            return self._absorbed(run, await self.complete(run, values, places), places)
        finished = [self._whole(run, value, places, index) for index, value in enumerate(values)]
        if numbers:
            some = [values[number] for number in numbers]
            fill_in(finished, numbers, await self.complete(run, some, places_of_subset(places, numbers)))
        return self._absorbed(run, finished, places)

    async def complete(self, run: Run, values: list[Any], places: Places) -> list[Any]:  # noqa: ARG002
        """Return the finished values of a column in which nothing is missing or JSON text, FAILED where something inside has failed."""
        return values

    def fail(self, run: Run, error: Exception, path: Path) -> Any:
        """Note an error, and return what takes the value's place."""
        run.fail(error, self.asked.nodes, path, stays=self.nullable)
        return None if self.nullable else FAILED

    def nothing(self, run: Run, places: Places, index: int) -> Any:
        """Return what takes the place of a value that is missing."""
        if self.nullable:
            return None
        message = f"Cannot return null for non-nullable field {self.asked.coordinate}."
        return self.fail(run, TypeError(message), places(index))

    def _whole(self, run: Run, value: Any, places: Places, index: int) -> Any:
        """Return what is left of a value to be finished, or what takes its place."""
        if type(value) is Finished:
            return run.splice(value)
        return self.nothing(run, places, index) if value is None else value

    def _absorbed(self, run: Run, finished: list[Any], places: Places) -> list[Any]:
        """Return the column when something inside its values has failed."""
        if not self.nullable or not run.faults:
            return finished
        fallen = [index for index, value in enumerate(finished) if value is FAILED]
        if fallen:
            run.absorb([places(index) for index in fallen])
        return [None if value is FAILED else value for value in finished]


class Leaf(Completion):
    """Scalars and enums."""

    def __init__(self, asked: Asked, serialize: Callable[[Any], Any], *, nullable: bool) -> None:
        super().__init__(asked, nullable=nullable)
        self._serialize = serialize

    async def finish(self, run: Run, values: list[Any], places: Places) -> list[Any]:
        """Serialize the values."""
        finished = None if run.faults else self._all(values)
        if finished is None or (not self.nullable and None in finished):
            return [self._one(run, value, places, index) for index, value in enumerate(values)]
        return finished

    def _all(self, values: list[Any]) -> list[Any] | None:
        serialize = self._serialize
        try:
            return [None if value is None else serialize(value) for value in values]
        except Exception:  # noqa: BLE001 (which of them it is shows when each is looked at alone)
            return None

    def _one(self, run: Run, value: Any, places: Places, index: int) -> Any:
        if value is FAILED:
            return FAILED
        if value is None:
            return self.nothing(run, places, index)
        try:
            return self._serialize(value)
        except Exception as error:  # noqa: BLE001 (whatever it is, it concerns this one value)
            return self.fail(run, error, places(index))


class Text(Leaf):
    """Scalars whose values are texts of any length."""

    async def finish(self, run: Run, values: list[Any], places: Places) -> list[Any]:
        """Serialize the values, and weigh them."""
        finished = await super().finish(run, values, places)
        run.weigh(sum([len(value) for value in finished if type(value) is str]))
        return finished


class Json(Leaf):
    """Documents and parts of them, written as text at once; one that stands in several places, once."""

    async def finish(self, run: Run, values: list[Any], places: Places) -> list[Any]:
        """Write the values as JSON."""
        finished = await super().finish(run, values, places)
        texts: dict[int, bytes] = {}
        for index, value in enumerate(finished):
            if value is None or value is FAILED:
                continue
            text = texts.get(id(value))
            if text is None:
                text = texts[id(value)] = orjson.dumps(value)
            run.weigh(len(text))
            finished[index] = orjson.Fragment(text)
        return finished


class Listed(Completion):
    """Lists: all items of all of them are one column."""

    def __init__(self, asked: Asked, item: Completion, *, nullable: bool) -> None:
        super().__init__(asked, nullable=nullable, waits=item.waits)
        self._item = item

    async def complete(self, run: Run, values: list[Any], places: Places) -> list[Any]:
        """Finish the items of all lists together."""
        items = list(chain.from_iterable(values))
        rest = iter(await self._item.finish(run, items, places_of_items(places, values)) if items else ())
        finished = [list(islice(rest, len(value))) for value in values]
        return [FAILED if _has_failed(each) else each for each in finished] if run.faults else finished


class Objects(Completion):
    """Objects of one type: the parents of the next level."""

    def __init__(self, asked: Asked, selection: "Selection", *, nullable: bool, part: int | None = None) -> None:
        super().__init__(asked, nullable=nullable, waits=selection.waits)
        self._selection = selection
        self._part = part

    async def finish(self, run: Run, values: list[Any], places: Places) -> list[Any]:
        """Finish the objects; what was read of a record as one text is finished."""
        if self._part is not None:
            values = [value if _is_finished(value) else self._read(value, self._part) for value in values]
        return await super().finish(run, values, places)

    async def complete(self, run: Run, values: list[Any], places: Places) -> list[Any]:
        """Finish the objects that are not JSON text yet."""
        return await self._selection.finish(run, values, places)

    @staticmethod
    def _read(record: Any, part: int) -> Any:
        """What was read of a record, if it is one text; else the record."""
        parts = parts_of(record)
        return record if parts is None else Finished(parts[part])


class Written(Completion):
    """Leaves that are JSON text already, or are finished as others are where the records around them were read whole."""

    def __init__(self, otherwise: Leaf) -> None:
        super().__init__(otherwise.asked, nullable=otherwise.nullable)
        self.complete = otherwise.finish  # type: ignore[method-assign]


class Abstract(Completion):
    """Objects of several types, which differ by what the domain has for them."""

    def __init__(self, asked: Asked, of: Callable[[Any], Completion], *, nullable: bool) -> None:
        super().__init__(asked, nullable=nullable, waits=True)
        self._of = of

    async def complete(self, run: Run, values: list[Any], places: Places) -> list[Any]:
        """Finish the objects of each type together."""
        groups: dict[Completion, list[int]] = {}
        for number, value in enumerate(values):
            groups.setdefault(self._of(value), []).append(number)
        columns = await together(
            [
                completion.finish(run, [values[number] for number in numbers], places_of_subset(places, numbers))
                for completion, numbers in groups.items()
            ]
        )
        finished: list[Any] = [None] * len(values)
        for numbers, column in zip(groups.values(), columns, strict=True):
            fill_in(finished, numbers, column)
        return finished


class Resolver(ABC):
    """Where a field's values come from."""

    waits: bool
    """Whether it may have to wait for the store: fields that do, do so together."""

    @abstractmethod
    async def values(self, run: Run, parents: list[Any], fail: Callable[[Exception, int], Any]) -> list[Any]:
        """Return a value for each parent; `fail` gives what takes a value's place when there is an error."""


@dataclass(frozen=True, slots=True)
class Column:
    """A field of a selection."""

    key: str
    resolver: Resolver
    completion: Completion

    @property
    def waits(self) -> bool:
        """Whether anything in it does."""
        return self.resolver.waits or self.completion.waits

    async def finish(self, run: Run, parents: list[Any], places: Places) -> list[Any]:
        """Return the field's finished value under each parent."""
        below, completion = places_of_field(places, self.key), self.completion

        def fail(error: Exception, index: int) -> Any:
            if isinstance(error, AnswerTooLarge) and not run.changes:
                raise error
            return completion.fail(run, error, below(index))

        values = await self.resolver.values(run, parents, fail)
        return await completion.finish(run, values, below)


class Selection:
    """What an operation wants of the objects of one type. `in_turn`: of one object, each field once the one before it is finished."""

    def __init__(self, columns: Sequence[Column], *, in_turn: bool = False) -> None:
        self._in_turn = in_turn
        self._keys = tuple(column.key for column in columns)
        self._row_size = sum(len(key) + SMALL for key in self._keys)
        self._ready = [(place, column) for place, column in enumerate(columns) if not column.waits]
        self._waiting = [(place, column) for place, column in enumerate(columns) if column.waits]
        self.waits = bool(self._waiting)  # whether any of its fields does
        if len(self._waiting) == 1:  # it waits for nothing that others wait for, too
            self._ready, self._waiting = self._ready + self._waiting, []

    async def finish(self, run: Run, parents: list[Any], places: Places) -> list[Any]:
        """Return the finished object for each parent, FAILED where a field of it has failed that must not be null."""
        run.weigh(len(parents) * self._row_size)
        columns: list[list[Any]] = [[]] * len(self._keys)
        for place, column in self._ready:
            columns[place] = await column.finish(run, parents, places)
        if self._waiting:
            found = await self._waited(run, parents, places)
            for (place, _), values in zip(self._waiting, found, strict=True):
                columns[place] = values
        keys = self._keys
        if not keys:
            return [{} for _ in parents]  # all of them were skipped
        rows: list[Any] = [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]
        if run.faults:
            rows = [FAILED if _has_failed(row.values()) else row for row in rows]
        return rows

    async def _waited(self, run: Run, parents: list[Any], places: Places) -> list[list[Any]]:
        if not self._in_turn:
            return await together([column.finish(run, parents, places) for _, column in self._waiting])
        found: list[list[Any]] = []
        for _, column in self._waiting:
            has_failed = bool(found) and _has_failed(found[-1])  # then nothing is left of the object
            finished = [FAILED] if has_failed else await column.finish(run, parents, places)
            is_dropped = run.is_too_large and not _has_failed(finished)  # none of it will be shown
            found.append([None] if is_dropped else finished)
        return found


def fill_in(finished: list[Any], numbers: Sequence[int], rows: Sequence[Any]) -> None:
    """Put rows in the places of these numbers."""
    for number, row in zip(numbers, rows, strict=True):
        finished[number] = row


def parts_of(record: Any) -> Any:
    """Return the parts of a projection that were read of a record, as JSON texts; None of one that was read whole, as some always are."""
    return getattr(record, "parts", None)


def _is_finished(value: Any) -> bool:
    return value is None or value is FAILED or type(value) is Finished


def _has_failed(values: Any) -> bool:
    return any(value is FAILED for value in values)
