"""Functions: what each takes, and what it means. Names of functions are read in any case."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gateway.pql import ast
from gateway.pql.names import MISSING, Checking, Names, field_of, functions_like, item_of, item_type, value_type
from gateway.pql.occurrences import NOW, day
from gateway.pql.patterns import PatternRefused, regex
from gateway.pql.problems import Refused
from gateway.pql.typed import (
    Aggregated,
    Applied,
    Distinct,
    Entries,
    Every,
    Filtered,
    First,
    Grouped,
    LookUp,
    MapMade,
    Mapped,
    Matched,
    Member,
    Pair,
    Some,
    Top,
    Typed,
    Variable,
)
from gateway.pql.types import (
    NUMBERS,
    TIMES,
    ArrayOf,
    Entry,
    MapOf,
    ObjectOf,
    Scalar,
    are_comparable,
    common,
    described,
)
from gateway.xdm.names import similar_names

AGGREGATIONS: Final = ("count", "sum", "average", "min", "max")
MAX_TOP: Final = 1_000
"""Items that `topN` and `bottomN` give."""


class _Given:
    """A call of a function as its handler sees it: the receiver, if it has one, the arguments, and the check that it is part of."""

    def __init__(self, checking: Checking, node: ast.Method | ast.Call, of: Typed, names: Names) -> None:
        self.checking, self.node, self.of, self.names = checking, node, of, names

    @property
    def arguments(self) -> tuple[ast.Node, ...]:
        return self.node.arguments

    def value(self, place: int) -> Typed:
        """Return what an argument means."""
        return self.checking.value(self.arguments[place], self.names)

    def refused(self, message: str, place: int | None = None) -> Refused:
        """Return a mistake at an argument, or at the function's name."""
        return Refused(message, self.node.at if place is None else self.arguments[place].at)

    def constant(self, place: int, kind: type, what: str) -> Any:
        """Return the value of an argument that is written there."""
        node = self.arguments[place]
        if not isinstance(node, ast.Constant) or type(node.value) is not kind:
            raise self.refused(f"`{self.node.name}` takes {what} here that is written there.", place)
        return node.value

    def string(self, place: int) -> Typed:
        """Return what an argument means that is a string."""
        found = self.value(place)
        if found.type not in (Scalar.STRING, Scalar.UNKNOWN):
            raise self.refused(f"`{self.node.name}` takes a string; this is {described(found.type)}.", place)
        return found

    def array(self, place: int) -> Typed:
        """Return what an argument means that is an array whose items may equal those of the receiver."""
        found = self.value(place)
        if found.type is Scalar.UNKNOWN:
            return found
        if not isinstance(found.type, ArrayOf):
            raise self.refused(f"`{self.node.name}` takes an array; this is {described(found.type)}.", place)
        if isinstance(self.of.type, ArrayOf) and not are_comparable(item_type(self.of), found.type.item):
            raise self.refused(
                f"An item of the one array is {described(item_type(self.of))}, of the other {described(found.type.item)}.",
                place,
            )
        return found


_Handler = Callable[[_Given], Typed]


def is_method(name: str) -> bool:
    """Return whether there is a function of a value with this name."""
    return name.lower() in _METHODS


def method(checking: Checking, node: ast.Method, of: Typed, names: Names) -> Typed:
    """Return what a function of a value means. Raises Refused for an unknown function, and for wrong arguments."""
    handler = _METHODS.get(node.name.lower())
    if handler is None:
        raise Refused(f"There is no function `{node.name}`.", node.at, functions_like(node.name, _SPELLINGS))
    receivers, counts, handle = handler
    if receivers and of.type is Scalar.UNKNOWN:
        for each in node.arguments:
            if not isinstance(each, ast.Lambda):
                checking.value(each, names)
        return MISSING
    if receivers and not any(_is_of(of, each) for each in receivers):
        raise Refused(
            f"`{node.name}` is a function of {' or '.join(receivers)}; this is {described(of.type)}.", node.at
        )
    if len(node.arguments) not in counts:
        raise Refused(f"`{node.name}` takes {_counted(counts)}.", node.at)
    return handle(_Given(checking, node, of, names))


def call(checking: Checking, node: ast.Call, names: Names) -> Typed:
    """Return what a function without a receiver means. Raises Refused."""
    handler = _CALLS.get(node.name.lower())
    if handler is None:
        is_method = node.name.lower() in _METHODS
        hint = f" It is a function of a value, as in `x.{node.name}(…)`." if is_method else ""
        raise Refused(
            f"There is no function `{node.name}` on its own.{hint}",
            node.at,
            () if is_method else tuple(similar_names(node.name, _CALL_SPELLINGS)),
        )
    counts, handle = handler
    if len(node.arguments) not in counts:
        raise Refused(f"`{node.name}` takes {_counted(counts)}.", node.at)
    return handle(_Given(checking, node, MISSING, names))


def _is_of(of: Typed, receiver: str) -> bool:
    match receiver:
        case "an array":
            return isinstance(of.type, ArrayOf)
        case "a map":
            return isinstance(of.type, MapOf)
        case "a string":
            return of.type is Scalar.STRING
        case "a date or a date-time":
            return of.type in TIMES
    raise AssertionError(receiver)


def _counted(counts: Sequence[int]) -> str:
    most = counts[-1]
    if counts[0] == most:
        return {0: "no arguments", 1: "one argument"}.get(most, f"{most} arguments")
    return f"{counts[0]} to {most} arguments"


# ------------------------------------------------------------------------------------------------ arrays


def aggregate(function: str, of: Typed, item: Variable, value: Typed | None, at: int) -> Typed:
    """Return an aggregation of the values of an expression for the items of an array. Raises Refused for values that have none."""
    name: Any = function
    if value is None:
        return Aggregated(Scalar.LONG, name, of, item)
    allowed = (*NUMBERS, *TIMES) if function in ("min", "max") else NUMBERS
    if value.type not in (*allowed, Scalar.UNKNOWN):
        kinds = "numbers or times" if function in ("min", "max") else "numbers"
        hint = f" It is given the field, as in `.{function}(price)`." if isinstance(value.type, ObjectOf) else ""
        raise Refused(f"`{function}` is of {kinds}; each value is {described(value.type)}.{hint}", at)
    kind = Scalar.DOUBLE if function == "average" else value.type
    return Aggregated(Scalar.LONG if kind is Scalar.UNKNOWN else kind, name, of, item, value)


def _aggregation(given: _Given) -> Typed:
    name, arguments = given.node.name.lower(), given.arguments
    if name == "count":
        if arguments:
            raise given.refused(
                "`count` takes no arguments. To count some of the items, filter them first: `arr[condition].count()`."
            )
        return aggregate(name, given.of, item_of(given.of), None, given.node.at)
    if arguments:
        item, value = given.checking.each(arguments[0], given.of, given.names)
    else:
        item = item_of(given.of)
        value = item
    return aggregate(name, given.of, item, value, given.node.at)


def _filter(given: _Given) -> Typed:
    if isinstance(given.of.type, MapOf):
        entries, item, holds = _entries(given, is_condition=True)
        kept = Filtered(entries.type, entries, item, holds)
        return _remade(given.of, kept)
    item, holds = given.checking.each(given.arguments[0], given.of, given.names, is_condition=True)
    return Filtered(given.of.type, given.of, item, holds)


def _map(given: _Given) -> Typed:
    if isinstance(given.of.type, MapOf):
        array, item, value = _entries(given)
    else:
        array = given.of
        item, value = given.checking.each(given.arguments[0], given.of, given.names)
    if isinstance(value, Pair):
        return MapMade(MapOf(value.value.type), array, item, value.key, value.value)
    return Mapped(ArrayOf(value.type), array, item, value)


def _entries(given: _Given, *, is_condition: bool = False) -> tuple[Typed, Variable, Typed]:
    """Return the entries of a map, a variable for them, and what a lambda of key and value means for each."""
    node = given.arguments[0]
    if not isinstance(node, ast.Lambda) or len(node.parameters) != 2:
        raise given.refused("Over a map goes a lambda of key and value, as in `(K, V) => …`.", 0)
    entries, item = _entries_of(given.of)
    names = given.names.with_item(node.parameters[0], _part(item, "key")).with_value(
        node.parameters[1], _part(item, "value")
    )
    check = given.checking.condition if is_condition else given.checking.value
    return entries, item, check(node.body, names)


def _entries_of(of: Typed) -> tuple[Typed, Variable]:
    """Return the entries of a map, and a variable for them."""
    entries = Entries(ArrayOf(ObjectOf({}, {"key": Scalar.STRING, "value": value_type(of)})), of)
    return entries, item_of(entries)


def _part(item: Variable, name: str) -> Typed:
    return field_of(item, name, 0)


def _remade(of: Typed, entries: Typed) -> Typed:
    """Return the map that entries of a map make."""
    item = item_of(entries)
    return MapMade(of.type, entries, item, _part(item, "key"), _part(item, "value"))


def _keys_or_values(given: _Given) -> Typed:
    entries, item = _entries_of(given.of)
    value = _part(item, "key" if given.node.name.lower() == "keys" else "value")
    return Mapped(ArrayOf(value.type), entries, item, value)


def _group_by(given: _Given) -> Typed:
    item, key = given.checking.each(given.arguments[0], given.of, given.names)
    if key.type not in (Scalar.STRING, Scalar.BOOLEAN, Scalar.LONG, Scalar.DOUBLE, Scalar.DATE, Scalar.UNKNOWN):
        raise given.refused(
            f"Items are grouped by a string, a number, a boolean or a date; this is {described(key.type)}.", 0
        )
    return Grouped(MapOf(given.of.type), given.of, item, key)


def _top(given: _Given) -> Typed:
    item, key = given.checking.each(given.arguments[0], given.of, given.names)
    if key.type not in (*NUMBERS, *TIMES, Scalar.STRING, Scalar.UNKNOWN):
        raise given.refused(
            f"Items are put in order by a number, a string or a time; this is {described(key.type)}.", 0
        )
    size = given.constant(1, int, "a whole number")
    if not 1 <= size <= MAX_TOP:
        raise given.refused(f"`{given.node.name}` gives 1 to {MAX_TOP:,} items.", 1)
    return Top(given.of.type, given.of, item, key, size, given.node.name.lower() == "topn")


def _with_array(make: Callable[[Typed, Typed], Typed]) -> _Handler:
    return lambda given: MISSING if (other := given.array(0)) is MISSING else make(given.of, other)


def _intersects(one: Typed, other: Typed) -> Typed:
    item = item_of(one)
    return Some(Scalar.BOOLEAN, one, item, Member(Scalar.BOOLEAN, item, other))


def _intersection(one: Typed, other: Typed) -> Typed:
    item = item_of(one)
    return Distinct(one.type, Filtered(one.type, one, item, Member(Scalar.BOOLEAN, item, other)))


def _subset(one: Typed, other: Typed) -> Typed:
    item = item_of(one)
    return Every(Scalar.BOOLEAN, one, item, Member(Scalar.BOOLEAN, item, other))


def _includes(given: _Given) -> Typed:
    value = given.value(0)
    if not are_comparable(value.type, item_type(given.of)):
        raise given.refused(
            f"{described(value.type).capitalize()} is looked for among items of which each is {described(item_type(given.of))}.",
            0,
        )
    return Member(Scalar.BOOLEAN, value, given.of)


def _head(given: _Given) -> Typed:
    return First(item_type(given.of), given.of)


def _get(given: _Given) -> Typed:
    return LookUp(value_type(given.of), given.of, given.string(0))


# ------------------------------------------------------------------------------------------------ strings and times


def _compare_texts(function: str, *, is_negative: bool = False) -> _Handler:
    """Return the handler of a function of two strings, which ignores case where its last argument is `false`."""

    def handle(given: _Given) -> Typed:
        other = given.string(0)
        is_exact = given.constant(1, bool, "`true` or `false`") if len(given.arguments) > 1 else True
        texts = tuple(_in_case(each, is_exact=is_exact) for each in (given.of, other))
        found = Applied(Scalar.BOOLEAN, function, texts)
        return Applied(Scalar.BOOLEAN, "not", (found,)) if is_negative else found

    return handle


def _in_case(text: Typed, *, is_exact: bool) -> Typed:
    return text if is_exact else Applied(Scalar.STRING, "lower", (text,))


def _equals(given: _Given) -> Typed:
    """Return whether a value equals one of the arguments; a string ignores case where the last argument is `false`."""
    last = given.arguments[-1]
    has_case = (
        len(given.arguments) > 1
        and isinstance(last, ast.Constant)
        and isinstance(last.value, bool)
        and given.of.type is Scalar.STRING
    )
    is_exact = not has_case or last.value is True  # type: ignore[attr-defined]
    others = [given.value(place) for place in range(len(given.arguments) - has_case)]
    for place, other in enumerate(others):
        if not are_comparable(given.of.type, other.type):
            raise given.refused(f"{described(given.of.type).capitalize()} never equals {described(other.type)}.", place)
    equal = [
        Applied(Scalar.BOOLEAN, "=", (_in_case(given.of, is_exact=is_exact), _in_case(other, is_exact=is_exact)))
        for other in others
    ]
    found: Typed = equal[0] if len(equal) == 1 else Applied(Scalar.BOOLEAN, "or", tuple(equal))
    return Applied(Scalar.BOOLEAN, "not", (found,)) if given.node.name.lower() == "notequalto" else found


def _matches(given: _Given) -> Typed:
    pattern = given.constant(0, str, "a regular expression in a string")
    try:
        found = regex(pattern)
    except PatternRefused as error:
        raise given.refused(str(error), 0) from None
    if given.node.name.lower() == "matches":
        return Matched(Scalar.BOOLEAN, given.of, found.pattern)
    group = given.constant(1, int, "the number of a group")
    if not 0 <= group <= found.groups:
        raise given.refused(f"Its groups are 0 to {found.groups}; group 0 is all that it matches.", 1)
    if not found.is_settled:
        raise given.refused(
            "What a group holds is not the same everywhere where there is `|`, or a lazy repetition such as `*?`; write the pattern without.",
            0,
        )
    return Matched(Scalar.STRING, given.of, found.pattern, group=group)


def _is_null(given: _Given) -> Typed:
    return Applied(Scalar.BOOLEAN, given.node.name.lower(), (given.of,))


def _part_of_time(unit: str) -> _Handler:
    return lambda given: Applied(Scalar.LONG, unit, (NOW if given.of is MISSING else given.of,))


# ------------------------------------------------------------------------------------------------ without a receiver


def _if(given: _Given) -> Typed:
    test = given.checking.condition(given.arguments[0], given.names)
    yes, no = given.value(1), given.value(2)
    kind = common([yes.type, no.type])
    if kind is None:
        raise given.refused(
            f"Both values of `if` have one type; here are {described(yes.type)} and {described(no.type)}.", 2
        )
    return Applied(kind, "if", (test, yes, no))


def _map_entry(given: _Given) -> Typed:
    key, value = given.string(0), given.value(1)
    return Pair(Entry(value.type), key, value)


def _in_segment(given: _Given) -> Typed:
    given.constant(0, str, "the id of a segment in a string")
    raise given.refused("`inSegment` is not valid yet: there are no segments.")


_ARRAY, _MAP, _STRING, _TIME = (("an array",), ("a map",), ("a string",), ("a date or a date-time",))
_ANY: tuple[str, ...] = ()
_MANY: Final = tuple(range(1, 101))

_NAMED: Final[Mapping[str, tuple[tuple[str, ...], Sequence[int], _Handler]]] = {
    **dict.fromkeys(AGGREGATIONS, (_ARRAY, (0, 1), _aggregation)),
    "filter": (("an array", "a map"), (1,), _filter),
    "map": (("an array", "a map"), (1,), _map),
    "groupBy": (_ARRAY, (1,), _group_by),
    "topN": (_ARRAY, (2,), _top),
    "bottomN": (_ARRAY, (2,), _top),
    "head": (_ARRAY, (0,), _head),
    "distinct": (_ARRAY, (0,), lambda given: Distinct(given.of.type, given.of)),
    "includes": (_ARRAY, (1,), _includes),
    "intersects": (_ARRAY, (1,), _with_array(_intersects)),
    "intersection": (_ARRAY, (1,), _with_array(_intersection)),
    "subsetOf": (_ARRAY, (1,), _with_array(_subset)),
    "supersetOf": (_ARRAY, (1,), _with_array(lambda one, other: _subset(other, one))),
    "get": (_MAP, (1,), _get),
    "keys": (_MAP, (0,), _keys_or_values),
    "values": (_MAP, (0,), _keys_or_values),
    "isNull": (_ANY, (0,), _is_null),
    "isNotNull": (_ANY, (0,), _is_null),
    "startsWith": (_STRING, (1, 2), _compare_texts("starts")),
    "doesNotStartWith": (_STRING, (1, 2), _compare_texts("starts", is_negative=True)),
    "endsWith": (_STRING, (1, 2), _compare_texts("ends")),
    "doesNotEndWith": (_STRING, (1, 2), _compare_texts("ends", is_negative=True)),
    "contains": (_STRING, (1, 2), _compare_texts("contains")),
    "doesNotContain": (_STRING, (1, 2), _compare_texts("contains", is_negative=True)),
    "equals": (_ANY, _MANY, _equals),
    "notEqualTo": (_ANY, (1, 2), _equals),
    "matches": (_STRING, (1,), _matches),
    "regexGroup": (_STRING, (2,), _matches),
    "getMonth": (_TIME, (0,), _part_of_time("month")),
    "getYear": (_TIME, (0,), _part_of_time("year")),
    "getDayOfMonth": (_TIME, (0,), _part_of_time("day")),
}
_NAMED_CALLS: Final[Mapping[str, tuple[Sequence[int], _Handler]]] = {
    "if": ((3,), _if),
    "date": (range(20), lambda given: day(given.node)),  # type: ignore[arg-type]
    "mapEntry": ((2,), _map_entry),
    "inSegment": ((1,), _in_segment),
    "currentMonth": ((0,), _part_of_time("month")),
    "currentYear": ((0,), _part_of_time("year")),
    "currentDayOfMonth": ((0,), _part_of_time("day")),
}
_SPELLINGS, _CALL_SPELLINGS = tuple(_NAMED), tuple(_NAMED_CALLS)
_METHODS: Final = {name.lower(): handler for name, handler in _NAMED.items()}
_CALLS: Final = {name.lower(): handler for name, handler in _NAMED_CALLS.items()}
