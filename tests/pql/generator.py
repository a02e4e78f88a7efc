"""Well-typed expressions over the sample, as text."""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from pql.people import TEXTS

UNITS = ["millisecond", "seconds", "minutes", "hour", "days", "weeks", "months", "years", "decade", "century"]
SMALL = {"order": ["storeId", "price", "placedAt"], "line": ["SKU", "quantity"]}

FIELDS: dict[str, dict[str, list[str]]] = {
    "profile": {
        "number": ["_acme.points", "_acme.ratio"],
        "string": ["_acme.in", "person.name.lastName", "_acme.`with-hyphen`", "homeAddress.city"],
        "boolean": ["_acme.isMember"],
        "time": ["_acme.joinedAt", "_acme.leftAt"],
        "date": ["_acme.born"],
        "strings": ["_acme.colors", "_acme.favorites"],
        "numbers": ["_acme.scores"],
        "order": ["_acme.orders"],
        "event": ["xEvent"],
        "map": ["_acme.tags"],
        "object": ["homeAddress", "person"],
    },
    "event": {
        "number": ["_acme.amount"],
        "string": ["eventType", "_acme.note"],
        "time": ["timestamp", "_acme.seenAt"],
        "item": ["productListItems"],
        "object": ["_acme"],
    },
    "order": {"number": ["price"], "string": ["storeId"], "time": ["placedAt"], "line": ["lines"]},
    "line": {"number": ["quantity"], "string": ["SKU"]},
    "item": {"number": ["quantity", "priceTotal"], "string": ["SKU"]},
    "strings": {},
    "numbers": {},
}
"""Fields by what they belong to and what they are: a single value, an array of single values, or an array of objects of this kind."""

OBJECTS = ("order", "event", "line", "item")


@dataclass(frozen=True)
class Scope:
    """What can be named: kinds of items around, the innermost last; named items; named numbers. `fuel` is how far it may still grow."""

    items: tuple[str, ...] = ("profile",)
    named: tuple[tuple[str, str], ...] = ()
    numbers: tuple[str, ...] = ()
    fuel: int = 4

    def inside(self, kind: str) -> "Scope":
        return replace(self, items=(*self.items, kind), fuel=self.fuel - 1)

    def less(self) -> "Scope":
        return replace(self, fuel=self.fuel - 1)


class Generator:
    """Draws expressions; each method gives the text of one that is of a kind."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.count = 0

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def name(self) -> str:
        self.count += 1
        return f"V{self.count}"

    def fields(self, scope: Scope, kind: str) -> list[str]:
        """All fields of a kind that can be named here, and values under names."""
        found = []
        for levels, item in enumerate(reversed(scope.items)):
            found += ["^" * levels + path for path in FIELDS[item].get(kind, ())]
            if levels == 0 and item == kind + "s":
                found.append("this")
        for name, item in scope.named:
            found += [f"{name}.{path}" for path in FIELDS[item].get(kind, ())]
            found += [name] if item == kind + "s" else []
        found += ["$1." + path for path in FIELDS[scope.items[0]].get(kind, ()) if len(scope.items) > 1]
        return found + (list(scope.numbers) if kind == "number" else [])

    def field(self, scope: Scope, kind: str, otherwise: str) -> str:
        found = self.fields(scope, kind)
        return self.pick(*found) if found else otherwise

    # -------------------------------------------------------------------------------------------- single values

    def any(self, scope: Scope) -> str:
        kinds = (
            self.boolean,
            self.number,
            self.string,
            self.time,
            self.date,
            self.array,
            self.a_map,
            self.object,
            self.values,
        )
        return self.pick(*kinds)(scope)

    def number(self, scope: Scope) -> str:
        if scope.fuel <= 0:
            return self.pick(self.field(scope, "number", "2"), self.pick("0", "1", "-3", "2.5", "1000000"))
        less = scope.less()
        match self.pick(*range(12)):
            case 0 | 1:
                return self.field(scope, "number", "7")
            case 2:
                return f"({self.number(less)} {self.pick(*'+-*/%')} {self.number(less)})"
            case 3:
                return f"(-{self.number(less)})"
            case 4:
                return f"if({self.boolean(less)}, {self.number(less)}, {self.number(less)})"
            case 5:
                return f"{self.array(less)}.count()"
            case 6 | 7 | 8:
                return self.aggregation(less)
            case 9:
                return f"{self.pick(self.time, self.date)(less)}.{self.pick('getMonth', 'getYear', 'getDayOfMonth')}()"
            case 10:
                name = self.name()
                inner = replace(less, numbers=(*less.numbers, name))
                return f"(let {name} = ({self.number(less)}) in ({self.number(inner)}))"
        return f"{self.numbers(less)}.{self.pick('sum()', 'average()', 'min()', 'max()', 'head()')}"

    def aggregation(self, scope: Scope) -> str:
        array, kind = self.objects(scope)
        if self.pick(True, True, False):
            return f"{array}.{self.pick('sum', 'average', 'min', 'max')}({self.number(scope.inside(kind))})"
        name = self.name()
        inner = replace(scope, named=(*scope.named, (name, kind)))
        where = f" where {self.boolean(inner)}" if self.pick(True, False) else ""
        number = self.pick(*FIELDS[kind]["number"])
        return f"({self.pick('sum', 'max')} {name}.{number} * 2 over {name} from {array}{where})"

    def string(self, scope: Scope) -> str:
        if scope.fuel <= 0 or self.pick(True, True, False):
            return self.pick(self.field(scope, "string", self.text()), self.text())
        less = scope.less()
        match self.pick(*range(4)):
            case 0:
                return f"if({self.boolean(less)}, {self.string(less)}, {self.string(less)})"
            case 1:
                return f"{self.strings(less)}.head()"
            case 2:
                return f"{self.string(less)}.regexGroup({self.pick(*GROUPS)})"
            case _:
                return f"{self.a_map(less)}.get({self.string(less)})"

    def text(self) -> str:
        return quoted(self.pick(*TEXTS))

    def time(self, scope: Scope) -> str:
        return self.pick(
            self.field(scope, "time", "now"), self.field(scope, "time", "now"), "now", "today", "yesterday", "tomorrow"
        )

    def date(self, scope: Scope) -> str:
        return self.pick(self.field(scope, "date", "date(2025, 12, 31)"), "date(2026, 2, 28)", "date(2024, 2, 29)")

    def object(self, scope: Scope) -> str:
        return self.pick(
            f'{{"a": {self.number(scope.less())}, "b": {self.string(scope.less())}}}'
            if scope.fuel > 0
            else '{"c": true}',
            self.field(scope, "object", '{"d": 1}'),
        )

    # -------------------------------------------------------------------------------------------- conditions

    def boolean(self, scope: Scope) -> str:
        if scope.fuel <= 0:
            return self.pick(
                self.field(scope, "boolean", "true"), "true", "false", f"{self.field(scope, 'number', '3')} > 1"
            )
        less = scope.less()
        return self.pick(
            self.logic,
            self.comparison,
            self.comparison,
            self.membership,
            self.texts,
            self.occurs,
            self.occurs,
            self.quantified,
            self.nullness,
            self.chain,
        )(less)

    def logic(self, scope: Scope) -> str:
        one, other = self.boolean(scope), self.boolean(scope)
        return self.pick(
            f"({one} and {other})",
            f"({one} or {other})",
            f"not ({one})",
            f"!({one}) OR {other}",
            f"{one} and not {other} or {one}",
        )

    def truth(self, scope: Scope) -> str:
        """A condition that is no array."""
        return f"({self.boolean(scope)}) and true"

    def comparison(self, scope: Scope) -> str:
        kind = self.pick(self.number, self.string, self.time, self.date, self.mixed_time)
        sign = self.pick("=", "!=", "<", "<=", ">", ">=")
        match self.pick(*range(6)):
            case 0:
                sign, kind = (
                    self.pick("=", "!="),
                    self.pick(self.truth, self.strings, self.numbers, self.object, self.a_map),
                )
                return f"({kind(scope)}) {sign} ({kind(scope)})"
        return f"{kind(scope)} {sign} {kind(scope)}"

    def mixed_time(self, scope: Scope) -> str:
        return self.pick(self.time, self.date)(scope)

    def membership(self, scope: Scope) -> str:
        one, arrays = self.pick((self.number, self.numbers), (self.string, self.strings))
        less = scope
        match self.pick(*range(4)):
            case 0:
                return f"{one(less)} {self.pick('in', 'notIn')} {arrays(less)}"
            case 1:
                return f"{arrays(less)}.includes({one(less)})"
            case _:
                return f"{arrays(less)}.{self.pick('intersects', 'subsetOf', 'supersetOf')}({arrays(less)})"

    def texts(self, scope: Scope) -> str:
        one = self.string(scope)
        case = self.pick("", ", true", ", false")
        function = self.pick(
            "startsWith",
            "doesNotStartWith",
            "endsWith",
            "doesNotEndWith",
            "contains",
            "doesNotContain",
            "equals",
            "notEqualTo",
        )
        match self.pick(*range(5)):
            case 0:
                return f"{one} like {quoted(self.pick(*LIKES))}"
            case 1:
                return f"{one}.matches({self.pick(*PATTERNS)})"
            case 2:
                return f"{one}.equals({self.string(scope)}, {self.string(scope)})"
        if function in ("equals", "notEqualTo") or case == ", false":
            return f"{ascii_only(one)}.{function}({ascii_only(self.text())}{case})"
        return f"{one}.{function}({self.string(scope)}{case})"

    def nullness(self, scope: Scope) -> str:
        kind = self.pick(self.number, self.string, self.time, self.strings, self.object, self.a_map)
        return f"({kind(scope)}).{self.pick('isNull', 'isNotNull')}()"

    def occurs(self, scope: Scope) -> str:
        return f"{self.mixed_time(scope)} occurs {self.occurrence(scope)}"

    def occurrence(self, scope: Scope) -> str:
        match self.pick(*range(5)):
            case 0 | 1:
                count = self.pick(0, 1, 2, 7, 30)
                sign = self.pick("<", "<=", ">", ">=", "=", "!=")
                return f"{sign} {count} {self.pick(*UNITS)} {self.pick('before', 'after', 'from')} {self.moment(scope)}"
            case 2:
                return f"{self.pick('before', 'after', 'from')} {self.moment(scope)}"
            case 3:
                return f"{self.pick('', 'on ')}{self.moment(scope)}"
            case _:
                return f"between {self.moment(scope)} and {self.moment(scope)}"

    def moment(self, scope: Scope) -> str:
        unit = self.pick("day", "week", "month", "year", "hour", "decade", "century", "millennium", "minute")
        return self.pick(f"{self.pick('this', 'last', 'next')} {unit}", self.mixed_time(scope), self.mixed_time(scope))

    def quantified(self, scope: Scope) -> str:
        array, kind = self.objects(scope)
        match self.pick(*range(4)):
            case 0:
                return (
                    f"{array}[{self.boolean(scope.inside(kind))}]"
                    if not array.endswith("]")
                    else f"({array}.count() > 1)"
                )
            case 1:
                first, second = self.name(), self.name()
                inner = replace(scope, named=(*scope.named, (first, kind)))
                below = {"order": "lines", "event": "productListItems"}.get(kind)
                if below:
                    deep = replace(
                        inner, named=(*inner.named, (second, {"lines": "line", "productListItems": "item"}[below]))
                    )
                    middle = f" where {self.boolean(inner)}" if self.pick(True, False) else ""
                    return f"({self.pick('exists', 'forall')} {first} from {array}{middle}, {second} from {first}.{below} where {self.boolean(deep)})"
        name = self.name()
        inner = replace(scope, named=(*scope.named, (name, kind)))
        return f"({self.pick('exists', 'forall', 'select')} {name} from {array} {self.pick('where', ':')} {self.boolean(inner)})"

    def chain(self, scope: Scope) -> str:
        timed = [kind for kind in ("event", "order") if self.fields(scope, kind)]
        array, kind = self.objects(scope, self.pick(*timed)) if timed else ("[this]", "event")
        inside = scope.inside(kind)
        order = self.pick(*FIELDS[kind]["time"])
        steps = []
        for label in range(self.pick(1, 2, 2, 3)):
            when = f" WHEN({self.occurrence(inside)})" if self.pick(True, False, False) else ""
            steps.append(f"S{label}: WHAT({self.boolean(inside)}){when}")
        return f"chain({array}, {order}, [{', '.join(steps)}])"

    # -------------------------------------------------------------------------------------------- arrays and maps

    def array(self, scope: Scope) -> str:
        return self.pick(self.strings, self.numbers, lambda scope: self.objects(scope)[0])(scope)

    def objects(self, scope: Scope, kind: str | None = None) -> tuple[str, str]:
        """An array of objects, and their kind."""
        there = [each for each in OBJECTS if self.fields(scope, each)]
        kind = kind or self.pick(*there)
        array = self.pick(*self.fields(scope, kind))
        if scope.fuel > 0:
            less = scope.less()
            match self.pick(*range(7)):
                case 0 | 1:
                    array = f"{array}[{self.boolean(less.inside(kind))}]"
                case 2:
                    array = (
                        f"{array}.{self.pick('topN', 'bottomN')}({self.pick(*self.keys(kind))}, {self.pick(1, 2, 3)})"
                    )
                case 3:
                    array = f"{array}.distinct()"
                case 4:
                    array = f"{array}.filter({self.boolean(less.inside(kind))})"
                case 5 if kind == "order":
                    array = f"{array}.groupBy(storeId).get({self.pick(quoted('S1'), quoted(''))})"
        return array, kind

    def keys(self, kind: str) -> list[str]:
        return [path for each in ("number", "string", "time") for path in FIELDS[kind].get(each, ())]

    def strings(self, scope: Scope) -> str:
        return self.singles(scope, "string", self.string, ["[]", f"[{self.text()}, {self.text()}]"])

    def numbers(self, scope: Scope) -> str:
        return self.singles(scope, "number", self.number, ["[]", "[1, 2.5, 1]", "[-3]"])

    def singles(self, scope: Scope, kind: str, one: Any, literals: list[str]) -> str:
        """An array of single values."""
        there = self.fields(scope, kind + "s")
        plain = self.pick(*there) if there else self.pick(*literals)
        if scope.fuel <= 0:
            return self.pick(plain, *literals)
        less = scope.less()
        match self.pick(*range(9)):
            case 0 | 1:
                array, of = self.objects(less)
                return f"{array}.map({one(less.inside(of))})"
            case 2:
                array, of = self.objects(less)
                return f"{array}.{self.pick(*FIELDS[of][kind])}"
            case 3:
                return f"{self.singles(less, kind, one, literals)}.distinct()"
            case 4:
                return (
                    f"{self.singles(less, kind, one, literals)}.intersection({self.singles(less, kind, one, literals)})"
                )
            case 5:
                return f"[{one(less)}, {one(less)}, {one(less)}]"
            case 6:
                return f"{plain}[{self.boolean(less.inside(kind + 's'))}]" if plain != "[]" else plain
            case 7 if kind == "string":
                return f"{self.a_map(less)}.{self.pick('keys', 'values')}()"
        return plain

    def a_map(self, scope: Scope) -> str:
        """A map of strings."""
        plain = self.field(scope, "map", "_acme.tags") if scope.items == ("profile",) else "$1._acme.tags"
        if scope.fuel <= 0:
            return plain
        key, item, less = self.name(), self.name(), scope.less()
        match self.pick(*range(4)):
            case 0:
                return f"{plain}.filter(({key}, {item}) => {key} {self.pick('=', '!=', '<')} {self.text()} or {item}.isNull())"
            case 1:
                return f"{plain}.map(({key}, {item}) => mapEntry({self.pick(key, item, self.text())}, {self.pick(key, item, self.string(less))}))"
            case 2:
                return f"$1._acme.orders.map(({item}) => mapEntry({item}.storeId, {self.pick(item + '.storeId', self.string(less))}))"
        return plain

    def values(self, _: Scope) -> str:
        """Maps of other things, and what needs no more kinds."""
        return self.pick(
            f"$1._acme.orders.groupBy({self.pick('storeId', 'price', 'price > 2')})",
            "xEvent.groupBy(eventType).map((K, G) => mapEntry(K, G.count()))",
            "$1._acme.orders.groupBy(storeId).map((K, G) => mapEntry(K, G.sum(price)))",
            "$1._acme.orders.groupBy(storeId).map((K, G) => G.topN(price, 1))",
            "xEvent.productListItems.SKU.distinct()",
            "xEvent.head()",
            "$1._acme.orders.topN(placedAt, 1).head()",
            "[$1._acme.orders.head(), $1._acme.orders.head()]",
            "xEvent.max(timestamp)",
        )


PATTERNS = [
    '"a"',
    '"^a"',
    '"b$"',
    '"(?i)^A.?B?$"',
    '"[a-c]+"',
    '"\\\\d"',
    '"^(a|S)\\\\w*$"',
    '"^$"',
    '"a(?!b)"',
    '"(?s)a.b"',
    '"a.b"',
    '"^[^a]"',
    '"(.)\\\\1"',
]
LIKES = ["%", "_", "a%", "%b", "x__y", "x\\_y", "b\\%", "%\n%", ""]
GROUPS = ['"([a-z])([0-9a-z]?)", 2', '"(S)([12])", 1', '"[ab]+", 0', '"(?i)^(a)", 1']


def quoted(text: str) -> str:
    """A string as the language writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def ascii_only(text: str) -> str:
    """The text, or another one where ignoring case depends on the database's locale."""
    return text if text.isascii() else '"ab"'


@st.composite
def expressions(draw: Any) -> str:
    """Expressions of any type."""
    return Generator(draw).any(Scope())


@st.composite
def conditions(draw: Any, over: str) -> str:
    """Conditions over a `profile` or an `event`; some over events ask for what only profiles have."""
    return Generator(draw).boolean(Scope((over,)))
