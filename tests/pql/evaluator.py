"""PQL once more, slow and obvious: a syntax tree over documents in plain Python, without SQL, types or a checked tree."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from pql.values import (
    ARITHMETIC,
    DAYS,
    EXACT,
    ORDER,
    SHIFTS,
    Groups,
    Record,
    aggregate,
    conjunction,
    day,
    disjunction,
    equal,
    instant,
    is_missing,
    lifted,
    like,
    load,
    name_of,
    negated,
    shifted,
    start,
)

from gateway.pql import ast


@dataclass(frozen=True)
class Place:
    """What names mean somewhere: items around it, the innermost last, and variables."""

    items: tuple[Any, ...]
    known: dict[str, Any]
    now: datetime

    def inside(self, item: Any) -> "Place":
        return replace(self, items=(*self.items, item))

    def where(self, **known: Any) -> "Place":
        return replace(self, known=self.known | known)


def evaluate(tree: ast.Node, document: Record, events: list[Any], now: datetime) -> Any:
    """What an expression gives for a profile and its events, the oldest first."""
    profile = Record(document.schema, {})
    profile.update(document, xEvent=events)
    place = Place((profile,), {}, now)
    if isinstance(tree, ast.Lambda):
        place, tree = place.where(**{tree.parameters[0]: place.items[0]}), tree.body
    return value(tree, place)


# ------------------------------------------------------------------------------------------------ logic of three values


def holds(node: ast.Node, place: Place) -> bool | None:
    """What a node is as a condition: a list holds if it has items."""
    found = value(node, place)
    return bool(found) if isinstance(found, list) else found


# ------------------------------------------------------------------------------------------------ constructs


def value(node: ast.Node, place: Place) -> Any:
    return MEANINGS[type(node)](node, place)


def constant(node: ast.Constant, _: Place) -> Any:
    is_whole = isinstance(node.value, int) and not isinstance(node.value, bool)
    return Decimal(node.value) if is_whole else node.value


def named(node: ast.Name, place: Place) -> Any:
    return place.known[node.name] if node.name in place.known else field(place.items[-1], node.name)


def moment(node: ast.Moment, place: Place) -> datetime:
    return place.now if node.word == "now" else day(place.now) + timedelta(days=DAYS[node.word])


def filtered(node: ast.Filter, place: Place) -> list[Any]:
    return [each for each in value(node.of, place) or [] if holds(node.condition, place.inside(each))]


def logic(node: ast.Logic, place: Place) -> bool | None:
    join = conjunction if node.operator == "and" else disjunction
    return join(*(holds(each, place) for each in node.operands))


def aggregated(node: ast.Aggregated, place: Place) -> Any:
    source = node.source
    places = [place.where(**{source.name: item}) for item in value(source.of, place) or []]
    kept = [inner for inner in places if source.condition is None or holds(source.condition, inner)]
    return aggregate(node.function, [value(node.value, inner) for inner in kept])


MEANINGS: dict[type[ast.Node], Callable[[Any, Place], Any]] = {
    ast.Constant: constant,
    ast.ListLiteral: lambda node, place: [value(each, place) for each in node.items],
    ast.ObjectLiteral: lambda node, place: {key: value(each, place) for key, each in node.entries},
    ast.Name: named,
    ast.Position: lambda _, place: place.items[0],
    ast.Outer: lambda node, place: field(place.items[-1 - node.levels], node.name),
    ast.This: lambda _, place: place.items[-1],
    ast.Moment: moment,
    ast.Member: lambda node, place: field(value(node.of, place), node.name),
    ast.Filter: filtered,
    ast.Not: lambda node, place: negated(holds(node.of, place)),
    ast.Negative: lambda node, place: lifted(EXACT.minus)(value(node.of, place)),
    ast.Arithmetic: lambda node, place: lifted(ARITHMETIC[node.sign])(
        value(node.left, place), value(node.right, place)
    ),
    ast.Logic: logic,
    ast.Compared: lambda node, place: compared(node.operator, value(node.left, place), value(node.right, place)),
    ast.Occurs: lambda node, place: occurs(value(node.of, place), node.occurrence, place),
    ast.Quantified: lambda node, place: quantified(node.kind, node.sources, place),
    ast.Let: lambda node, place: value(node.body, place.where(**{node.name: value(node.value, place)})),
    ast.Aggregated: aggregated,
    ast.Chain: lambda node, place: chain(value(node.of, place) or [], node.order, node.steps, place),
    ast.Call: lambda node, place: call(node.name.lower(), node.arguments, place),
    ast.Method: lambda node, place: method(node.name.lower(), value(node.of, place), node.arguments, place),
}


def field(of: Any, name: str) -> Any:
    """The field of an object; of a list, of all items that have it, lists put together."""
    if isinstance(of, list):
        found = [field(each, name) for each in of]
        flat = [item for each in found for item in (each if isinstance(each, list) else [each])]
        return [each for each in flat if not is_missing(each)]
    if isinstance(of, Record) and name not in of:
        return load(None, of.schema["properties"][name])
    return None if of is None else of.get(name)


def compared(operator: str, left: Any, right: Any) -> bool | None:
    match operator:
        case "in":
            return lifted(lambda one, many: any(equal(one, each) for each in many))(left, right)
        case "notin":
            return negated(compared("in", left, right))
        case "like":
            return lifted(like)(left, right)
        case "=" | "!=":
            same = lifted(equal)(left, right)
            return same if operator == "=" else negated(same)
    return lifted(ORDER[operator])(*map(instant, (left, right)))


def quantified(kind: str, sources: tuple[ast.Source, ...], place: Place) -> Any:
    source, rest = sources[0], sources[1:]

    def is_met(item: Any) -> bool | None:
        inner = place.where(**{source.name: item})
        conditions = [] if source.condition is None else [holds(source.condition, inner)]
        if rest:
            conditions.append(quantified("forall" if kind == "forall" else "exists", rest, inner))
        return conjunction(*conditions)

    items = value(source.of, place) or []
    if kind == "select":
        return [item for item in items if is_met(item)]
    return any(map(is_met, items)) if kind == "exists" else all(map(is_met, items))


def chain(items: list[Any], order: ast.Node, steps: tuple[ast.Step, ...], place: Place) -> bool:
    """Whether some item is the first step, and some later one the next, and so on: by trying all."""

    def goes_on(steps: tuple[ast.Step, ...], after: datetime | None) -> bool:
        if not steps:
            return True
        for item in items:
            at = instant(value(order, place.inside(item)))
            step = steps[0]
            is_step = holds(step.condition, place.inside(item)) and (
                step.occurrence is None or occurs(at, step.occurrence, place.inside(item))
            )
            if at is not None and is_step and (after is None or at > after) and goes_on(steps[1:], at):
                return True
        return False

    return goes_on(steps, None)


def period(node: ast.Node, place: Place) -> tuple[Any, Any]:
    """The start of a time, and of what comes behind it; twice the same for an instant."""
    if isinstance(node, ast.Period):
        first = start(place.now, node.unit)
        return shifted(first, SHIFTS[node.which], node.unit), shifted(first, SHIFTS[node.which] + 1, node.unit)
    at = value(node, place)
    is_day = isinstance(node, ast.Moment) and node.word != "now"
    if at is not None and (is_day or not isinstance(at, datetime)):
        return instant(at), instant(at) + timedelta(days=1)
    return at, at


def occurs(at: Any, occurrence: ast.Occurrence, place: Place) -> bool | None:
    at = instant(at)
    if isinstance(occurrence, ast.Between):
        first, last = period(occurrence.start, place)[0], period(occurrence.end, place)[0]
        return conjunction(compared(">=", at, first), compared("<", at, last))
    first, last = period(occurrence.time, place)
    match occurrence:
        case ast.Order(direction="before"):
            return compared("<", at, first)
        case ast.Order(direction="from"):
            return compared(">=", at, first)
        case ast.Order(direction="after"):
            return compared(">", at, first) if first == last else compared(">=", at, last)
        case ast.Within():
            if first == last:
                return lifted(lambda a, b: day(a) == day(b))(at, first)
            return conjunction(compared(">=", at, first), compared("<", at, last))
    if at is None or first is None:
        return None
    is_before, sign, unit = occurrence.direction == "before", occurrence.comparison, occurrence.unit
    edge = shifted(first, -occurrence.count if is_before else occurrence.count, unit)
    if sign in ("=", "!="):
        return (start(at, unit) == start(edge, unit)) == (sign == "=")
    nearer = at > edge if is_before else at < edge
    answers = {"<": nearer, "<=": nearer or at == edge, ">": not nearer and at != edge, ">=": not nearer}
    is_on_this_side = sign in (">", ">=") or (at <= first if is_before else at >= first)
    return answers[sign] and is_on_this_side


# ------------------------------------------------------------------------------------------------ functions


def each_of(node: ast.Node, items: list[Any], place: Place) -> list[Any]:
    """What a lambda, or an expression over the fields of an item, gives for each item."""
    if isinstance(node, ast.Lambda):
        return [value(node.body, place.where(**{node.parameters[0]: item})) for item in items]
    return [value(node, place.inside(item)) for item in items]


def call(name: str, arguments: tuple[ast.Node, ...], place: Place) -> Any:
    match name:
        case "if":
            return value(arguments[1] if holds(arguments[0], place) else arguments[2], place)
        case "date":
            return date(*(int(value(each, place)) for each in arguments))
        case "mapentry":
            return tuple(value(each, place) for each in arguments)
    return method(
        {"currentmonth": "getmonth", "currentyear": "getyear", "currentdayofmonth": "getdayofmonth"}[name],
        place.now,
        (),
        place,
    )


def method(name: str, of: Any, arguments: tuple[ast.Node, ...], place: Place) -> Any:
    if name in ("isnull", "isnotnull"):
        return is_missing(of) == (name == "isnull")
    if name in ARRAYS:
        is_map = bool(arguments) and isinstance(arguments[0], ast.Lambda) and len(arguments[0].parameters) == 2
        return ARRAYS[name](of or ({} if is_map else []), arguments, place)
    if name == "includes":
        return compared("in", value(arguments[0], place), of)
    if name in ("keys", "values"):
        return [key if name == "keys" else (of or {})[key] for key in sorted(of or {})]
    given = [value(each, place) for each in arguments]
    if name == "get":
        return lifted(lambda of, key: of[key] if isinstance(of, Groups) else of.get(key))(of, *given)
    if name in ("getmonth", "getyear", "getdayofmonth"):
        unit = {"getmonth": "month", "getyear": "year", "getdayofmonth": "day"}[name]
        return lifted(lambda at: Decimal(getattr(instant(at).astimezone(UTC), unit)))(of)
    if name == "matches":
        return lifted(lambda text, form: bool(re.search(form, text, re.ASCII)))(of, *given)
    if name == "regexgroup":
        found = None if of is None else re.search(given[0], of, re.ASCII)
        return found and found[int(given[1])]
    return texts(name, of, given)


def texts(name: str, of: Any, given: list[Any]) -> bool | None:
    has_case = len(given) > 1 and isinstance(given[-1], bool) and isinstance(of, str | None)
    if has_case and given.pop() is False:
        of, *given = (each and each.lower() for each in (of, *given))
    match name:
        case "equals" | "notequalto":
            same = disjunction(*(compared("=", of, each) for each in given))
            return same if name == "equals" else negated(same)
    function = {"start": str.startswith, "end": str.endswith, "contain": str.__contains__}
    word = next(each for each in function if each in name)
    found = lifted(function[word])(of, given[0])
    return negated(found) if name.startswith("doesnot") else found


def _filter(of: Any, arguments: tuple[ast.Node, ...], place: Place) -> Any:
    (node,) = arguments
    if isinstance(of, dict):
        key, item = node.parameters
        return {k: v for k, v in of.items() if holds(node.body, place.where(**{key: k, item: v}))}
    flags = [bool(each) for each in each_of(node, of, place)]
    return [item for item, flag in zip(of, flags, strict=True) if flag]


def _map(of: Any, arguments: tuple[ast.Node, ...], place: Place) -> Any:
    (node,) = arguments
    if isinstance(of, dict):
        key, item = node.parameters
        found = [value(node.body, place.where(**{key: k, item: of[k]})) for k in sorted(of)]
    else:
        found = each_of(node, of, place)
    body = node.body if isinstance(node, ast.Lambda) else node
    if isinstance(body, ast.Call) and body.name.lower() == "mapentry":
        return {key: item for key, item in found if key is not None and item is not None}
    return found


def _grouped(of: Any, arguments: tuple[ast.Node, ...], place: Place) -> dict[str, list[Any]]:
    groups = Groups()
    for item, key in zip(of, each_of(arguments[0], of, place), strict=True):
        if key is not None:
            groups.setdefault(name_of(key), []).append(item)
    return groups


def _top(of: Any, arguments: tuple[ast.Node, ...], place: Place, *, largest: bool) -> list[Any]:
    keyed = [
        (instant(key), item) for item, key in zip(of, each_of(arguments[0], of, place), strict=True) if key is not None
    ]
    keyed.sort(key=lambda each: each[0], reverse=largest)  # stable in both directions
    return [item for _, item in keyed][: int(value(arguments[1], place))]


def _distinct(of: Any, *_: Any) -> list[Any]:
    once: list[Any] = []
    for each in of:
        if each not in once:
            once.append(each)
    return once


def _has(items: Any, sought: Any) -> bool:
    return bool(compared("in", sought, items))


ARRAYS: dict[str, Callable[..., Any]] = {
    "filter": _filter,
    "map": _map,
    "groupby": _grouped,
    "topn": lambda of, arguments, place: _top(of, arguments, place, largest=True),
    "bottomn": lambda of, arguments, place: _top(of, arguments, place, largest=False),
    "distinct": _distinct,
    "head": lambda of, *_: of[0] if of else None,
    "intersects": lambda of, arguments, place: any(_has(value(arguments[0], place), each) for each in of),
    "intersection": lambda of, arguments, place: _distinct(
        [each for each in of if _has(value(arguments[0], place), each)]
    ),
    "subsetof": lambda of, arguments, place: all(_has(value(arguments[0], place), each) for each in of),
    "supersetof": lambda of, arguments, place: all(_has(of, each) for each in value(arguments[0], place) or []),
    **{
        function: lambda of, arguments, place, function=function: aggregate(
            function, each_of(arguments[0], of, place) if arguments else of
        )
        for function in ("count", "sum", "average", "min", "max")
    },
}
