"""Cuts large documents into parts, so that the search for faults can end once it has found enough."""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import islice, zip_longest
from typing import Any, NamedTuple

from gateway.xdm.violations import path_of


class Part(NamedTuple):
    """Some values of a document, inside the objects and lists around them.

    `shifts`: for each of those, the place in the document of the first value of a list; 0 for an object.
    """

    value: Any
    shifts: tuple[int, ...] = ()

    def place(self, steps: Iterable[str | int]) -> list[str | int]:
        """Return the steps that lead to a place of the part, as steps in the document."""
        shifted = zip_longest(steps, self.shifts)
        return [step + (shift or 0) if isinstance(step, int) else step for step, shift in shifted if step is not None]


def parts_of(document: Any, size: int, faulty: AbstractSet[str]) -> Iterator[Part]:
    """Cut a document into parts of at most `size` values, those around them left out, in its order; a small document is one part.

    Every rule of a schema is about one value, or about one child of it, except which fields are required: so the faults of the parts are
    those of the document, and fields that only the part lacks. A value whose path is `faulty` meanwhile is not cut further.
    """
    if count_values(document, size + 1) <= size:
        yield Part(document)
    else:
        yield from _cut(document, size, faulty, _Around(lambda root: root, (), ("$",)))


class _Around(NamedTuple):
    """What is around a value: a function that puts a part of the value into it, its shifts, and the paths of all around and of the value."""

    wrap: Callable[[Any], Any]
    shifts: tuple[int, ...]
    paths: tuple[str, ...]


def _cut(value: Any, size: int, faulty: AbstractSet[str], outside: _Around) -> Iterator[Part]:
    """Cut a large value."""
    is_object, held, room = isinstance(value, dict), list[tuple[Any, Any]](), size

    def part(*children: tuple[Any, Any]) -> Any:
        return outside.wrap(dict(children) if is_object else [child for _, child in children])

    def part_of_one(key: Any, child: Any) -> Any:
        return part((key, child))

    def shifts(place: Any) -> tuple[int, ...]:
        return (*outside.shifts, 0 if is_object else place)

    for key, child in value.items() if is_object else enumerate(value):
        count = count_values(child, size + 1) if isinstance(child, dict | list) else 1
        if held and count > room:
            yield Part(part(*held), shifts(held[0][0]))
            held, room = [], size
            if not faulty.isdisjoint(outside.paths):
                return
        if count <= size:
            held.append((key, child))
            room -= count
            continue
        paths = (*outside.paths, outside.paths[-1] + path_of([key]).removeprefix("$"))
        yield from _cut(child, size, faulty, _Around(partial(part_of_one, key), shifts(key), paths))
        if not faulty.isdisjoint(outside.paths):
            return
    if held:
        yield Part(part(*held), shifts(held[0][0]))


def count_values(document: Any, most: int) -> int:
    """Return how many values a document has, itself included, counted no further than `most`."""
    level, count = [document], 0
    while level and count < most:
        value = level.pop()
        count += 1
        if isinstance(value, dict | list):
            level += islice(value.values() if isinstance(value, dict) else value, most - count)
    return count
