"""Values of PQL in plain Python: how documents are loaded, and what comparisons, numbers and times are.

Numbers are Decimal and divide as Postgres's `numeric` does, times are datetime, days date; None is a missing value.
"""

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

EXACT = Context(prec=2_000)


class NoArray(list[Any]):
    """An array that is missing: it is told apart from an empty one, and has no items for what goes through it."""


class Record(dict[str, Any]):
    """An object of a document, which knows what fields it lacks; one that is missing lacks all of them."""

    def __init__(self, schema: dict[str, Any], values: dict[str, Any] | None) -> None:
        super().__init__({key: load(each, schema["properties"][key]) for key, each in (values or {}).items()})
        self.schema, self.is_missing = schema, values is None


class Groups(dict[str, Any]):
    """A map of arrays."""

    def __missing__(self, key: str) -> Any:
        return NoArray()


def is_missing(value: Any) -> bool:
    return value is None or isinstance(value, NoArray) or (isinstance(value, Record) and value.is_missing)


def load(value: Any, field: dict[str, Any]) -> Any:
    """A value of a document as Python has it, by the field that it is of."""
    match field["meta:xdmType"]:
        case "object":
            return Record(field, value)
        case "array" if value is None:
            return NoArray()
    if value is None:
        return None
    match field["meta:xdmType"]:
        case "map":
            return {key: load(each, field["additionalProperties"]) for key, each in value.items()}
        case "array":
            return [load(each, field["items"]) for each in value]
        case "date-time":
            return datetime.fromisoformat(value)
        case "date":
            return date.fromisoformat(value)
        case "string" | "uri" | "boolean":
            return value
    return Decimal(str(value))


def told(value: Any) -> Any:
    """A value as JSON has it, numbers as Decimal."""
    if is_missing(value):
        return None
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case list():
            return [told(each) for each in value]
        case dict():
            return {key: told(each) for key, each in value.items()}
    return value


# ------------------------------------------------------------------------------------------------ logic and comparisons


def negated(one: bool | None) -> bool | None:
    return None if one is None else not one


def conjunction(*many: bool | None) -> bool | None:
    return False if False in many else None if None in many else True


def disjunction(*many: bool | None) -> bool | None:
    return negated(conjunction(*map(negated, many)))


def lifted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, missing where an argument is."""
    return lambda *arguments: None if any(map(is_missing, arguments)) else function(*arguments)


def equal(left: Any, right: Any) -> bool:
    return not is_missing(right) and instant(left) == instant(right)


def like(text: str, pattern: str) -> bool:
    signs = re.findall(r"\\.|[^\\]", pattern, re.DOTALL)
    form = "".join({"%": ".*", "_": "."}.get(sign, re.escape(sign[-1])) for sign in signs)
    return bool(re.fullmatch(form, text, re.DOTALL))


def name_of(key: Any) -> str:
    match key:
        case bool():
            return str(key).lower()
        case Decimal():
            return format(key.normalize(EXACT), "f") if key else "0"
    return str(key)


# ------------------------------------------------------------------------------------------------ numbers


def divide(one: Decimal, other: Decimal) -> Decimal | None:
    """Division as `numeric` does it: at least sixteen digits that count, and as many places as either side has."""
    if not other:
        return None

    def places(number: Decimal) -> int:
        return max(0, -number.as_tuple().exponent)

    def weight(number: Decimal) -> tuple[int, int]:
        """The place of the first group of four digits, and that group."""
        if not number:
            return 0, 0
        group = number.adjusted() // 4
        return group, int(EXACT.scaleb(abs(number), -4 * group))

    (first, high), (second, low) = weight(one), weight(other)
    quotient = first - second - (high <= low)
    scale = max(16 - 4 * quotient, places(one), places(other), 0)
    exact = EXACT.divide(one, other)
    return exact.quantize(Decimal(1).scaleb(-min(scale, 1_000)), rounding="ROUND_HALF_UP", context=EXACT)


ARITHMETIC = {
    "+": EXACT.add,
    "-": EXACT.subtract,
    "*": EXACT.multiply,
    "/": divide,
    "%": lambda a, b: EXACT.remainder(a, b) if b else None,
}
ORDER = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def aggregate(function: str, values: list[Any]) -> Any:
    there = [each for each in values if not is_missing(each)]
    match function:
        case "count":
            return Decimal(len(values))
        case "sum":
            total = Decimal(0)
            for each in there:
                total = EXACT.add(total, each)
            return total
        case "average":
            return divide(aggregate("sum", there), Decimal(len(there))) if there else None
    return (min if function == "min" else max)(there) if there else None


# ------------------------------------------------------------------------------------------------ times

DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
SHIFTS = {"last": -1, "this": 0, "next": 1}
MONTHS = {"month": 1, "year": 12, "decade": 120, "century": 1_200, "millennium": 12_000}
SECONDS = {"millisecond": 0.001, "second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}


def instant(at: Any) -> Any:
    """A day as its start in UTC; anything else as it is."""
    return (
        datetime(at.year, at.month, at.day, tzinfo=UTC) if isinstance(at, date) and not isinstance(at, datetime) else at
    )


def day(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def shifted(at: datetime, count: int, unit: str) -> datetime:
    if unit in SECONDS:
        return at + timedelta(seconds=SECONDS[unit]) * count
    year, month = divmod(at.year * 12 + at.month - 1 + count * MONTHS[unit], 12)
    return at.replace(year=year, month=month + 1, day=min(at.day, monthrange(year, month + 1)[1]))


def start(at: datetime, unit: str) -> datetime:
    """The start of the unit that a time lies in; weeks begin on Sunday, decades in years that end with 0, centuries with 1."""
    match unit:
        case "millisecond":
            return at.replace(microsecond=at.microsecond // 1_000 * 1_000)
        case "second":
            return at.replace(microsecond=0)
        case "minute":
            return at.replace(second=0, microsecond=0)
        case "hour":
            return at.replace(minute=0, second=0, microsecond=0)
        case "day":
            return day(at)
        case "week":
            return day(at) - timedelta(days=(at.weekday() + 1) % 7)
        case "month":
            return day(at).replace(day=1)
    years = {"year": 1, "decade": 10, "century": 100, "millennium": 1_000}[unit]
    offset = 1 if years >= 100 else 0
    return day(at).replace(year=(at.year - offset) // years * years + offset, month=1, day=1)
