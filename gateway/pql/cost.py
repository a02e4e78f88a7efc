"""What an expression will do, known before it is done: what it reads, and about how many values it computes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from gateway.pql.typed import (
    Aggregated,
    Applied,
    Chained,
    Computed,
    ComputedFields,
    Constant,
    Distinct,
    Every,
    Filtered,
    Grouped,
    MadeList,
    MapMade,
    Mapped,
    Member,
    Now,
    Read,
    Some,
    Top,
    Typed,
    children,
    path_of,
    value_sought,
)
from gateway.pql.types import EVENTS, ArrayOf, MapOf, ObjectOf

MAX_EXPRESSION_COST: Final = 1_000_000
"""Values that an expression may compute for one person, by `cost_of`."""

MAX_EXPRESSION_SIZE: Final = 5_000
"""Names, values, operators and calls of an expression once each name of a `let` is replaced by what it stands for."""

EVENTS_OF_A_PERSON: Final = 100
ITEMS_OF_AN_ARRAY: Final = 10
"""How long arrays are taken to be."""

FEW: Final = 10
"""One in so many items is taken to have a value that a condition names."""


def cost_of(expression: Typed) -> int:
    """Return about how many single values an expression computes for one input; what a `let` names counts wherever it is used."""
    return _folded(expression, _cost)


def size_of(expression: Typed) -> int:
    """Return how many nodes an expression has once each name of a `let` is replaced by what it stands for."""
    return _folded(expression, _size)


@dataclass(frozen=True, slots=True)
class Reads:
    """The fields that an expression reads, as dotted paths in their order; whether it depends on the time, or reads all computed fields of a record at once.

    An array of objects is left out where fields of its items are read. What a computed field is made of is not looked at.
    """

    paths: tuple[str, ...]
    has_time: bool
    has_all_computed: bool


def reads(expression: Typed) -> Reads:
    """Return what an expression reads."""
    seen: dict[int, Typed] = {}
    level = [expression]
    while level:
        fresh = {id(node): node for node in level if id(node) not in seen}
        seen |= fresh
        level = [child for node in fresh.values() for child in _of_text(node)]
    named = (node for node in seen.values() if isinstance(node, Read | Computed))
    found = {path: _is_of_objects(node) for node in named if (path := path_of(node))}
    whole = {path for path, is_only_gone_through in found.items() if not is_only_gone_through}
    outer = {
        path for path in found if not any(len(other) > len(path) and other[: len(path)] == path for other in found)
    }
    paths = tuple(sorted(".".join(path) for path in whole | outer))
    has_time = any(isinstance(node, Now) or (isinstance(node, Computed) and node.window) for node in seen.values())
    return Reads(paths, has_time, any(isinstance(node.type, ComputedFields) for node in seen.values()))


def depth_of(expression: Typed) -> int:
    """Return how many expressions stand in each other; found without recursion, since there may be too many for it."""
    depths: dict[int, int] = {}
    open_ = [expression]
    while open_:
        node = open_[-1]
        below = children(node)
        unknown = [child for child in below if id(child) not in depths]
        if unknown:
            open_ += unknown
        else:
            depths[id(node)] = 1 + max((depths[id(child)] for child in below), default=0)
            open_.pop()
    return depths[id(expression)]


def _of_text(node: Typed) -> list[Typed]:
    """Return the children of a node that stand in the text of the expression."""
    return [node.of] if isinstance(node, Computed) else children(node)


def _is_of_objects(node: Typed) -> bool:
    """Return whether a field is an array or a map whose items have fields of their own."""
    inner = node.type
    while isinstance(inner, ArrayOf | MapOf):
        inner = inner.item if isinstance(inner, ArrayOf) else inner.value
    return inner is not node.type and isinstance(inner, ObjectOf)


def _folded(expression: Typed, of: Callable[[Typed, Callable[[Typed], int]], int]) -> int:
    """Return a number of an expression that is made of the numbers of its parts; each part is looked at once."""
    known: dict[int, int] = {}

    def number(node: Typed) -> int:
        if id(node) not in known:
            known[id(node)] = of(node, number)
        return known[id(node)]

    return number(expression)


def _cost(node: Typed, cost: Callable[[Typed], int]) -> int:
    """Return the cost of a node; what is done for each item of an array counts as often as that is long."""
    match node:
        case Member(value=value, of=of):
            return cost(value) + cost(of) + _length(of)
        case Chained(of=of, order=order, steps=steps):  # goes through the array for each step
            return sum(cost(of) + _length(of) * (1 + cost(order) + cost(step)) for step in steps)
        case Applied(function="and", arguments=parts):
            return _cost_of_all(parts, cost)
        case Some(of=of) if value_sought(node):
            return cost(of) + _length(of)
        case Filtered() | Some() | Every() | Mapped() | Grouped() | Top() | MapMade() | Aggregated() | Distinct():
            of, *each = children(node)
            return cost(of) + _length(of) * (1 + sum(map(cost, each)))
    return 1 + sum(map(cost, children(node)))


def _cost_of_all(parts: Iterable[Typed], cost: Callable[[Typed], int]) -> int:
    """Return the cost of conditions in their order: behind one that names a value, few items are left."""
    found, share = 1, 1
    for part in parts:
        found += -(-cost(part) // share)
        if _names_value(part):
            share = FEW
    return found


def _names_value(condition: Typed) -> bool:
    """Return whether a condition only holds for what has a value, or one of several, that stands in the expression."""
    match condition:
        case Applied(function="=", arguments=arguments):
            return any(isinstance(each, Constant) and not isinstance(each.value, bool) for each in arguments)
        case Member(of=MadeList()):
            return True
    return isinstance(condition, Some) and value_sought(condition) is not None


def _size(node: Typed, size: Callable[[Typed], int]) -> int:
    """Return the size of a node; a chain goes through its array for each step."""
    if isinstance(node, Chained):
        return 1 + sum(size(node.of) + 2 * size(node.order) + size(step) for step in node.steps)
    return 1 + sum(map(size, children(node)))


def _length(node: Typed) -> int:
    """Return how many items an array is taken to have."""
    match node:
        case MadeList(items=items):
            return max(1, len(items))
        case Top(size=size, of=of):
            return min(size, _length(of))
        case Mapped(of=of, value=value, is_spread=is_spread):
            return _length(of) * (_length(value) if is_spread and isinstance(value.type, ArrayOf) else 1)
        case Filtered(of=of) | Distinct(of=of):
            return _length(of)
        case Read(path=(*_, name)):
            return EVENTS_OF_A_PERSON if name == EVENTS else ITEMS_OF_AN_ARRAY
    return ITEMS_OF_AN_ARRAY
