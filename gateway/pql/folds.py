"""Folds: how what is taken of single events becomes what all of them come to, a part at a time and in any order."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway.pql.aggregates import AggregateFunction
from gateway.pql.types import TIMES, Scalar, Type
from gateway.pql.values import Value, as_json, as_time


class Fold(NamedTuple):
    """How numbers become one: the aggregate of Postgres over many, and the operation on two."""

    many: str
    two: str


SUM: Final = Fold("sum({})", "coalesce({}, 0) + coalesce({}, 0)")
FOLDS: Final[Mapping[AggregateFunction, tuple[Fold | None, Fold | None]]] = {
    AggregateFunction.COUNT: (SUM, None),
    AggregateFunction.SUM: (None, SUM),
    AggregateFunction.AVERAGE: (SUM, SUM),
    AggregateFunction.MIN: (None, Fold("min({})", "least({}, {})")),
    AggregateFunction.MAX: (None, Fold("max({})", "greatest({}, {})")),
}
"""For each function of numbers or times, how these two are folded: how many values there are, and their sum, the least or the largest of them."""


def number_of(value: Value) -> str:
    """Return SQL of a value as a number; of a time, its seconds."""
    return f"extract(epoch from {as_time(value)})" if value.type in TIMES else value.sql


def folded(function: AggregateFunction, kind: Type, count: str, value: str) -> str:
    """Return SQL of what a function gives, whose values have this type, of its two numbers; NULL where it gives none."""
    match function:
        case AggregateFunction.COUNT:
            return f"coalesce({count}, 0)"
        case AggregateFunction.SUM:
            return f"coalesce({value}, 0)"
        case AggregateFunction.AVERAGE:
            return f"{value} / nullif({count}, 0)"
    return as_json(Value(kind, _time(value, kind))) if kind in TIMES else value


def time_of(seconds: str) -> str:
    """Return SQL of a time of its seconds. Whole seconds and their parts are added one after the other, as one float has not room for both."""
    parts = (f"floor({seconds})", f"({seconds} - floor({seconds}))")
    whole, rest = (f"{part}::float8 * interval '1 second'" for part in parts)
    return f"('epoch'::timestamptz + {whole} + {rest})"


def _time(seconds: str, kind: Type) -> str:
    time = time_of(seconds)
    return f"({time} at time zone 'UTC')::date" if kind is Scalar.DATE else time
