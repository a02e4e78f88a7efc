"""`occurs`: when something happened, as comparisons of times.

A day (`today`, a date) and a unit (`last week`) are periods: from their start up to the start of the next. All else is an instant.
"""

from datetime import date
from typing import Final

from gateway.pql import ast
from gateway.pql.names import Checking, Names
from gateway.pql.problems import Refused
from gateway.pql.typed import Applied, Day, Now, Truncated, Typed
from gateway.pql.types import TIMES, Scalar, described

MAX_DISTANCE_YEARS: Final = 1_000
"""Years between two times that `occurs` compares."""

_UNIT_YEARS: Final = {
    "millisecond": 1 / 31_536_000_000,
    "second": 1 / 31_536_000,
    "minute": 1 / 525_600,
    "hour": 1 / 8_760,
    "day": 1 / 365,
    "week": 7 / 365,
    "month": 1 / 12,
    "year": 1,
    "decade": 10,
    "century": 100,
    "millennium": 1_000,
}
_SHIFTS: Final = {"yesterday": -1, "today": 0, "tomorrow": 1, "last": -1, "this": 0, "next": 1}

NOW: Final = Now(Scalar.DATE_TIME)


def moment(word: str) -> Typed:
    """Return `now`, or the start of the day that another word means."""
    return NOW if word == "now" else _start(NOW, "day", _SHIFTS[word])


def day(node: ast.Call) -> Typed:
    """Return the day of `date(year, month, day)`. Raises Refused for another number of arguments, and for a day that there is not."""
    numbers = [each.value for each in node.arguments if isinstance(each, ast.Constant) and type(each.value) is int]
    if len(numbers) != len(node.arguments) or len(numbers) != 3:
        raise Refused("A date is three whole numbers, as in `date(2026, 1, 31)`: year, month, day.", node.at)
    year, month, number = numbers
    try:
        date(year, month, number)
    except (ValueError, OverflowError):
        raise Refused(f"There is no day {year}-{month}-{number} in the years 1 to 9999.", node.at) from None
    return Day(Scalar.DATE, year, month, number)


def occurs(checking: Checking, of: Typed, occurrence: ast.Occurrence, names: Names, at: int) -> Typed:
    """Return whether a time lies where an occurrence says. Raises Refused unless all are times."""
    if of.type not in (*TIMES, Scalar.UNKNOWN):
        raise Refused(f"What `occurs` is a date or a date-time; this is {described(of.type)}.", at)
    match occurrence:
        case ast.Distance():
            return _at_distance(of, occurrence, _period(checking, occurrence.time, names)[0])
        case ast.Order(direction=direction, time=time):
            start, end = _period(checking, time, names)
            if direction == "after":
                return _is(">", of, start) if end is None else _is(">=", of, end)
            return _is("<" if direction == "before" else ">=", of, start)
        case ast.Within(time=time):
            start, end = _period(checking, time, names)
            if end is None:
                return _is("=", _start(of, "day"), _start(start, "day"))
            return _both(_is(">=", of, start), _is("<", of, end))
        case ast.Between(start=start_node, end=end_node):
            first, last = (_period(checking, node, names)[0] for node in (start_node, end_node))
            return _both(_is(">=", of, first), _is("<", of, last))


def _at_distance(of: Typed, occurrence: ast.Distance, start: Typed) -> Typed:
    """Return whether a time lies so far before or after a start. Less far includes the start; exactly so far means in the same unit."""
    unit, count, sign = occurrence.unit, occurrence.count, occurrence.comparison
    if count * _UNIT_YEARS[unit] > MAX_DISTANCE_YEARS:
        raise Refused(f"A distance is at most {MAX_DISTANCE_YEARS:,} years.", occurrence.at)
    is_before = occurrence.direction == "before"
    edge = Truncated(Scalar.DATE_TIME, start, unit, -count if is_before else count, starts=False)
    if sign in ("=", "!="):
        return _is(sign, _start(of, unit), _start(edge, unit))
    reverse = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
    far = _is(reverse[sign] if is_before else sign, of, edge)
    return far if sign in (">", ">=") else _both(far, _is("<=" if is_before else ">=", of, start))


def _period(checking: Checking, node: ast.Node, names: Names) -> tuple[Typed, Typed | None]:
    """Return the start of a time, and the start of what comes behind it; None for an instant."""
    match node:
        case ast.Period(which=which, unit=unit):
            shift = _SHIFTS[which]
            return _start(NOW, unit, shift), _start(NOW, unit, shift + 1)
        case ast.Moment(word=word) if word != "now":
            return _start(NOW, "day", _SHIFTS[word]), _start(NOW, "day", _SHIFTS[word] + 1)
    time = checking.value(node, names)
    match time.type:
        case Scalar.DATE:
            return _start(time, "day"), _start(time, "day", 1)
        case Scalar.DATE_TIME | Scalar.UNKNOWN:
            return time, None
    raise Refused(
        f"A time is expected here, such as `now`, `last week` or `date(2026, 1, 31)`; this is {described(time.type)}.",
        node.at,
    )


def _start(of: Typed, unit: ast.Unit, shift: int = 0) -> Typed:
    return Truncated(Scalar.DATE_TIME, of, unit, shift)


def _is(sign: str, left: Typed, right: Typed) -> Typed:
    return Applied(Scalar.BOOLEAN, sign, (left, right))


def _both(left: Typed, right: Typed) -> Typed:
    return Applied(Scalar.BOOLEAN, "and", (left, right))
