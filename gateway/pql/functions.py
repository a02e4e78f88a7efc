"""Functions of single values as SQL: comparisons, arithmetic, logic, and those of strings and times."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.pql.typed import Applied
from gateway.pql.types import TIMES, Scalar
from gateway.pql.values import Value, as_json, as_time, missing, sql_type


def equal(left: Value, right: Value) -> str:
    """Return SQL of a condition that two values are equal."""
    if left.type in TIMES or right.type in TIMES:
        return f"{as_time(left)} = {as_time(right)}"
    if sql_type(left.type) == "jsonb" or sql_type(right.type) == "jsonb":
        return f"{as_json(left)} = {as_json(right)}"
    return f"{of_type(left, right.type)} = {of_type(right, left.type)}"


def of_type(value: Value, other: Any) -> str:
    """Return SQL of a value; of a type that is not known, as a missing one of the other's type."""
    return missing(other) if value.type is Scalar.UNKNOWN else value.sql


def _ordered(sign: str) -> "_Function":
    def sql(_: Applied, sides: list[Value]) -> str:
        left, right = sides
        if left.type in TIMES or right.type in TIMES:
            return f"{as_time(left)} {sign} {as_time(right)}"
        collation = ' collate "C"' if Scalar.STRING in (left.type, right.type) else ""
        return f"{of_type(left, right.type)}{collation} {sign} {of_type(right, left.type)}{collation}"

    return sql


def _arithmetic(sign: str, right: str = "{}") -> "_Function":
    def sql(_: Applied, sides: list[Value]) -> str:
        numbers = [of_type(each, Scalar.DOUBLE) for each in sides]
        return f"{numbers[0]} {sign} {right.format(numbers[1])}"

    return sql


def _called(template: str) -> "_Function":
    return lambda _, sides: template.format(*(of_type(each, Scalar.STRING) for each in sides))


def _joined(operator: str) -> "_Function":
    return lambda _, sides: f" {operator} ".join(of_type(each, Scalar.BOOLEAN) for each in sides)


def _chosen(node: Applied, sides: list[Value]) -> str:
    test, *values = sides
    kind = sql_type(node.type)
    yes, no = (as_json(each) if kind == "jsonb" else f"({each.sql})::{kind}" for each in values)
    return f"case when {of_type(test, Scalar.BOOLEAN)} then {yes} else {no} end"


def _part(unit: str) -> "_Function":
    return lambda _, sides: f"extract({unit} from {as_time(sides[0])} at time zone 'UTC')"


_Function = Callable[[Applied, list[Value]], str]
FUNCTIONS: Final[Mapping[str, _Function]] = {
    "=": lambda _, sides: equal(*sides),
    "!=": lambda _, sides: f"not ({equal(*sides)})",
    **{sign: _ordered(sign) for sign in ("<", "<=", ">", ">=")},
    "+": _arithmetic("+"),
    "-": _arithmetic("-"),
    "*": _arithmetic("*"),
    "/": _arithmetic("/", "nullif({}, 0)"),
    "%": _arithmetic("%", "nullif({}, 0)"),
    "negative": lambda _, sides: f"- {of_type(sides[0], Scalar.DOUBLE)}",
    "and": _joined("and"),
    "or": _joined("or"),
    "not": lambda _, sides: f"not {of_type(sides[0], Scalar.BOOLEAN)}",
    "if": _chosen,
    "isnull": lambda _, sides: f"{sides[0].sql} is null",
    "isnotnull": lambda _, sides: f"{sides[0].sql} is not null",
    "lower": _called("lower({})"),
    "starts": _called("starts_with({}, {})"),
    "ends": _called("starts_with(reverse({}), reverse({}))"),
    "contains": _called("strpos({}, {}) > 0"),
    **{unit: _part(unit) for unit in ("year", "month", "day")},
}
"""For each function: SQL of what it gives for the values of its arguments."""
