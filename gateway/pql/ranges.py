"""How large numbers may become: an expression is refused if Postgres could not compute it for some document, and no value is beyond a double.

Times need no such bound: those of documents lie in the years 1000 to 9999, and `occurs` leads some thousand years away from them.
"""

from decimal import Decimal
from typing import Final

from gateway.pql.rows import Source
from gateway.pql.typed import Aggregated, Applied, Computed, Constant, Read, Typed, Variable, below, children
from gateway.pql.values import Value, limited

BEYOND_DOUBLE: Final = Decimal(2**1024 - 2**970)
"""The least number, either way, that no double holds: it would be rounded to infinity."""

MAX_DIGITS: Final = 100_000
"""Digits that a number of an expression may have, taken at the worst: Postgres has room for 131,072."""

_DOUBLE_DIGITS: Final = 350


def excess_of(body: Typed) -> str | None:
    """Return in what numbers of an expression may leave the range of Postgres for some document; None if they stay within."""
    digits = _Digits().of(body)
    if digits > MAX_DIGITS:
        return (
            f"A number in the expression may have {digits:,} digits, should the fields that it is made of have their largest values; "
            f"at most {MAX_DIGITS:,} are allowed. Multiply and divide less."
        )
    return None


def as_double(source: Source, body: Typed) -> Value:
    """Return the value of a computed field: it is missing where no double holds it, or a number in it."""
    found = source.value(body)
    if not _may_exceed_double(body):
        return found
    return limited(found, source.parameter(BEYOND_DOUBLE, "numeric"), source.alias())


def _may_exceed_double(body: Typed) -> bool:
    return any(
        (isinstance(node, Applied) and node.function in ("+", "-", "*", "/"))
        or (isinstance(node, Aggregated) and node.function == "sum")
        for node in _all(body)
    )


def _all(body: Typed) -> list[Typed]:
    """Return the nodes of an expression, each once; not those that a computed field is made of, whose values are doubles."""
    seen, open_ = dict[int, Typed](), [body]
    while open_:
        node = open_.pop()
        if id(node) not in seen:
            seen[id(node)] = node
            open_ += [node.of] if isinstance(node, Computed) else children(node)
    return list(seen.values())


class _Digits:
    """How many digits the numbers in an expression may have at most, each node looked at once."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def of(self, node: Typed) -> int:
        if id(node) not in self._known:
            self._known[id(node)] = self._of(node)
        return self._known[id(node)]

    def _of(self, node: Typed) -> int:
        match node:
            case Constant(value=Decimal() | int() as value):
                number = Decimal(value)
                return len(number.as_tuple().digits) + abs(number.adjusted())
            case Variable() | Computed():
                return _DOUBLE_DIGITS
            case Applied(function="*" | "/", arguments=arguments):
                return sum(map(self.of, arguments))
        item = getattr(node, "item", None)
        if isinstance(item, Variable):
            self._known[id(item)] = self.of(node.of)  # type: ignore[attr-defined]
        most = max(map(self.of, below(node)), default=_DOUBLE_DIGITS)
        return most if isinstance(node, Read) else 1 + most
