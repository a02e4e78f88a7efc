"""Sums that depend on a document and the values of its variables: built once for the document, evaluated for each request.

A sum refers to earlier sums by their places in a list, so that a part of several sums is evaluated once.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from graphql import DirectiveNode, OperationDefinitionNode, ValueNode, VariableNode, value_from_ast_untyped

from gateway.domain.rules.keyset import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE

Variables: TypeAlias = Mapping[str, Any]


class Given(NamedTuple):
    """What sums depend on: the values of the variables, and what the conditions of the operation cost, each by what it is over and its text."""

    variables: Variables
    costs: Mapping[tuple[Any, Any], int]


Count: TypeAlias = int | Callable[[Given], int]
"""A number of times: fixed, or a function of what is given."""


@dataclass(frozen=True, slots=True)
class VariableTerm:
    """An amount that depends on variables: the place of its sum in the list."""

    place: int


Amount: TypeAlias = int | VariableTerm


@dataclass(frozen=True, slots=True)
class Sum:
    """A constant and multiples of earlier sums, each a count and the place of a sum."""

    constant: int
    parts: tuple[tuple[Callable[[Given], int], int], ...] = ()


class CostTerms:
    """Builds the list of sums, in which each refers to earlier ones only."""

    def __init__(self) -> None:
        self._noted: list[Sum] = []

    def total(self, amounts: Iterable[Amount]) -> Amount:
        """Return the sum of the amounts."""
        constant, later = 0, list[VariableTerm]()
        for amount in amounts:
            if isinstance(amount, int):
                constant += amount
            else:
                later.append(amount)
        return self._note(Sum(constant, tuple((_ONCE, each.place) for each in later))) if later else constant

    def product(self, count: Count, amount: Amount) -> Amount:
        """Return a multiple of an amount."""
        if isinstance(count, int) and isinstance(amount, int):
            return count * amount
        if amount == 0 or count == 0:
            return 0
        if count == 1:
            return amount
        counted = _always(count) if isinstance(count, int) else count
        return self._note(Sum(0, ((counted, self._placed(amount).place),)))

    def finish(self, amount: Amount) -> tuple[Sum, ...]:
        """Return all sums, with that of this amount last."""
        if isinstance(amount, int):
            return (Sum(amount),)  # the others are no part of it
        self._note(Sum(0, ((_ONCE, amount.place),)))
        return tuple(self._noted)

    def _placed(self, amount: Amount) -> VariableTerm:
        return amount if isinstance(amount, VariableTerm) else self._note(Sum(amount))

    def _note(self, new: Sum) -> VariableTerm:
        self._noted.append(new)
        return VariableTerm(len(self._noted) - 1)


def evaluate(sums: Iterable[Sum], given: Given) -> int:
    """Return the value of the last sum."""
    values: list[int] = []
    for each in sums:
        value = each.constant
        for count, place in each.parts:
            value += count(given) * values[place]
        values.append(value)
    return values[-1]


def _nothing(_: Variables) -> None:
    return None


def _always(number: int) -> Callable[[Given], int]:
    return lambda _: number


_ONCE = _always(1)


# ------------------------------------------------------------------------------------------------ counts


class ArgumentReader:
    """Reads counts from arguments: a literal gives a number, a variable of the operation a function of the variables' values.

    A value that does not fit its type counts as an absent one: it is refused elsewhere.
    """

    def __init__(self, operation: OperationDefinitionNode) -> None:
        self._defaults = {
            each.variable.name.value: value_from_ast_untyped(each.default_value) if each.default_value else None
            for each in operation.variable_definitions or ()
        }

    def value(self, node: ValueNode | None) -> Callable[[Variables], Any]:
        """Return a function of the variables' values that returns the value of an argument, None for an absent one."""
        return _nothing if node is None else self._reader(node)

    def page(self, *sizes: ValueNode | None) -> Count:
        """Return how many items a page has at most: the first of the sizes that is present, else the default."""
        return self._count(_page, sizes)

    def items(self, many: ValueNode | None) -> Count:
        """Return how many items a list has, at most the size of the largest page."""
        return self._count(_items, [many])

    def condition(self, directive: DirectiveNode) -> Count:
        """Return 0 where `@skip` or `@include` leaves its field out, else 1."""
        count = {"skip": _not_skipped, "include": _included}.get(directive.name.value, _counted)
        return self._count(count, [argument.value for argument in directive.arguments or ()])

    def _count(self, count: Callable[..., int], nodes: Iterable[ValueNode | None]) -> Count:
        readers = [self._reader(node) for node in nodes if node is not None]
        if any(isinstance(node, VariableNode) for node in nodes):
            return lambda given: count(*[read(given.variables) for read in readers])
        return count(*[read({}) for read in readers])

    def _reader(self, node: ValueNode) -> Callable[[Variables], Any]:
        if isinstance(node, VariableNode):
            name = node.name.value
            default = self._defaults.get(name)
            return lambda variables: variables.get(name, default)
        value = value_from_ast_untyped(node)
        return lambda _: value


def _page(*sizes: Any) -> int:
    for size in sizes:
        if type(size) is int or (isinstance(size, float) and size.is_integer()):
            return max(0, min(int(size), MAX_PAGE_SIZE))  # a larger page is refused where it is read
    return DEFAULT_PAGE_SIZE


def _items(many: Any = None) -> int:
    if isinstance(many, list):
        return min(len(many), MAX_PAGE_SIZE)
    return 0 if many is None else 1


def _not_skipped(value: Any = None) -> int:
    return 0 if value is True else 1


def _included(value: Any = None) -> int:
    return 0 if value is False else 1


def _counted(*_: Any) -> int:
    return 1
