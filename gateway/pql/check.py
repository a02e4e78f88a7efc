"""Checking: a syntax tree against the schema of its input. Names are resolved, types found, and every mistake is told with its place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

from gateway.pql import ast
from gateway.pql.cost import MAX_EXPRESSION_COST, MAX_EXPRESSION_SIZE, cost_of, depth_of, reads, size_of
from gateway.pql.methods import AGGREGATIONS, aggregate, call, is_method, method
from gateway.pql.names import MISSING, Names, field_of, has_field, item_of, meaning
from gateway.pql.occurrences import moment, occurs
from gateway.pql.parser import MAX_EXPRESSION_DEPTH, parse
from gateway.pql.patterns import like_fault
from gateway.pql.problems import MAX_EXPRESSION_PROBLEMS, Problem, Refused, problem_at
from gateway.pql.ranges import excess_of
from gateway.pql.typed import (
    Applied,
    Chained,
    Constant,
    Every,
    Expression,
    Filtered,
    MadeList,
    MadeObject,
    Matched,
    Member,
    Pair,
    Some,
    Typed,
    Variable,
)
from gateway.pql.types import (
    EVENTS,
    NUMBERS,
    TIMES,
    ArrayOf,
    ObjectOf,
    Scalar,
    Type,
    are_comparable,
    common,
    described,
)
from gateway.xdm.fields import Field

MANY_AGGREGATIONS: Final = 3
"""Aggregations of an expression beyond which there is a warning."""
MANY_LOOPS: Final = 2
"""Arrays and maps in each other beyond which there is a warning."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of a text: the expression, None where there are errors; its type as far as that is known; errors and warnings by place."""

    expression: Expression | None
    type: Type | None
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()


def profile_type(profile: Field, event: ObjectOf) -> ObjectOf:
    """Return the type of a profile, which has its events beside the fields of the schema."""
    return ObjectOf(profile["properties"], {EVENTS: ArrayOf(event)})


def event_type(event: Field, more: Mapping[str, Type] | None = None) -> ObjectOf:
    """Return the type of an event, with more fields than its schema has."""
    return ObjectOf(event["properties"], more or {})


def check(text: str, input_type: ObjectOf, *, is_condition: bool = False) -> Checked:
    """Return what is known of an expression over an input of this type, which is a condition where it has to be one.

    Nothing is raised: mistakes are errors of the result.
    """
    try:
        tree = parse(text)
    except Refused as error:
        return Checked(None, None, (problem_at(text, error.message, error.at, error.suggestions),))
    checker = _Checker(text)
    root = Variable(input_type, ())
    body = checker.root(tree, root, checker.condition if is_condition else checker.value)
    found = cost_of(body)
    if not checker.errors and (message := _excess(body, found)):
        checker.refuse(message, 0)
    read = reads(body)
    if read.has_all_computed:
        checker.refuse("Name the computed attribute that is read: all of them together are no value.", 0)
    errors, warnings = _sorted(checker.errors), _sorted(checker.warnings)
    if errors:
        return Checked(None, body.type if body is not MISSING else None, errors, warnings)
    has_events = any(path == EVENTS or path.startswith(f"{EVENTS}.") for path in read.paths)
    expression = Expression(
        text, root, body, read.paths, found, has_events and EVENTS in input_type.more, read.has_time
    )
    return Checked(expression, body.type, (), warnings)


def _excess(body: Typed, cost: int) -> str | None:
    """Return in what an expression is too large; None if it is not."""
    if cost > MAX_EXPRESSION_COST:
        return (
            f"The expression may compute {cost:,} values for one person, counting 100 events and 10 items of other arrays; "
            f"at most {MAX_EXPRESSION_COST:,} are allowed. Fewer arrays in each other cost less."
        )
    if size_of(body) > MAX_EXPRESSION_SIZE:
        return f"With what its names stand for, the expression has more than {MAX_EXPRESSION_SIZE:,} names, values, operators and calls."
    return excess_of(body)


def _sorted(problems: list[Problem]) -> tuple[Problem, ...]:
    once = dict.fromkeys(sorted(problems, key=lambda each: (each.line, each.column)))
    return tuple(once)[:MAX_EXPRESSION_PROBLEMS]


class _Checker:
    """The check of one text; see `names.Checking`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self.aggregations = 0

    def root(self, tree: ast.Node, root: Variable, meaning: "Callable[[ast.Node, Names], Typed]") -> Typed:
        """Return what the whole expression means over its input, as a value or as a condition."""
        names = Names((root,))
        if isinstance(tree, ast.Lambda):
            for name in tree.parameters[1:]:
                self.refuse(f"There is one input here; `{name}` would be another.", tree.at)
            names, tree = names.with_value(tree.parameters[0], root), tree.body
        if isinstance(tree, ast.ObjectLiteral) and "nodeType" in dict(tree.entries):
            self.refuse("This is written in the format pql/json. Write it as text, pql/text.", tree.at)
            return MISSING
        body = meaning(tree, names)
        if isinstance(body, Pair):
            self.refuse("`mapEntry` makes an entry of a map, and stands in the lambda of `map` alone.", tree.at)
            return MISSING
        return body

    # -------------------------------------------------------------------------------------------- what functions use

    def refuse(self, message: str, at: int, suggestions: tuple[str, ...] = ()) -> None:
        """Note a mistake."""
        self.errors.append(problem_at(self.text, message, at, suggestions))

    def value(self, node: ast.Node, names: Names) -> Typed:
        """Return what a node means; MISSING, once its mistake is noted."""
        try:
            return self._value(node, names)
        except Refused as error:
            self.refuse(error.message, error.at, error.suggestions)
            return MISSING

    def condition(self, node: ast.Node, names: Names) -> Typed:
        """Return what a node means as a condition."""
        found = self.value(node, names)
        if isinstance(found, Filtered):
            return Some(Scalar.BOOLEAN, found.of, found.item, found.condition)
        if found.type not in (Scalar.BOOLEAN, Scalar.UNKNOWN):
            hint = (
                " Ask whether it has items by a filter, or by `.count() > 0`."
                if isinstance(found.type, ArrayOf)
                else ""
            )
            self.refuse(f"A condition is expected here; this is {described(found.type)}.{hint}", node.at)
            return MISSING
        return found

    def each(self, node: ast.Node, of: Typed, names: Names, *, is_condition: bool = False) -> tuple[Variable, Typed]:
        """Return the item of an array, and what a node means for it."""
        item = item_of(of)
        if isinstance(node, ast.Lambda):
            if len(node.parameters) != 1:
                raise Refused("The lambda over an array has one parameter, as in `(X) => …`.", node.at)
            inner, body = names.with_item(node.parameters[0], item), node.body
        else:
            inner, body = names.inside(item), node
        self.note_loops(inner, node.at)
        return item, self.condition(body, inner) if is_condition else self.value(body, inner)

    def note_loops(self, names: Names, at: int) -> None:
        """Warn where more arrays stand in each other than is good."""
        if names.loops > MANY_LOOPS:
            message = f"Here {names.loops} arrays or maps are gone through in each other; more than {MANY_LOOPS} are slow over many people."
            self.warnings.append(problem_at(self.text, message, at))

    def note_aggregation(self, at: int) -> None:
        """Warn where an expression has more aggregations than is good."""
        self.aggregations += 1
        if self.aggregations == MANY_AGGREGATIONS + 1:
            message = f"The expression has more than {MANY_AGGREGATIONS} aggregations; this one and those behind it may make it slow over many people."
            self.warnings.append(problem_at(self.text, message, at))

    # -------------------------------------------------------------------------------------------- constructs

    def _value(self, node: ast.Node, names: Names) -> Typed:
        """Return what a node means. Raises Refused for a mistake."""
        return _MEANINGS[type(node)](self, node, names)

    def member(self, node: ast.Member, names: Names) -> Typed:
        of = self.value(node.of, names)
        if is_method(node.name) and not has_field(of.type, node.name):
            raise Refused(f"`{node.name}` is a function: its parentheses are missing, as in `.{node.name}()`.", node.at)
        return field_of(of, node.name, node.at)

    def logic(self, node: ast.Logic, names: Names) -> Typed:
        return Applied(Scalar.BOOLEAN, node.operator, tuple(self.condition(each, names) for each in node.operands))

    def negation(self, node: ast.Not, names: Names) -> Typed:
        return Applied(Scalar.BOOLEAN, "not", (self.condition(node.of, names),))

    def negative(self, node: ast.Negative, names: Names) -> Typed:
        number = self._number(node.of, names)
        return Applied(number.type, "negative", (number,))

    def arithmetic(self, node: ast.Arithmetic, names: Names) -> Typed:
        left, right = self._number(node.left, names), self._number(node.right, names)
        is_long = node.sign != "/" and left.type is right.type is Scalar.LONG
        return Applied(Scalar.LONG if is_long else Scalar.DOUBLE, node.sign, (left, right))

    def method(self, node: ast.Method, names: Names) -> Typed:
        if node.name.lower() in AGGREGATIONS:
            self.note_aggregation(node.at)
        return method(self, node, self.value(node.of, names), names)

    def filter(self, node: ast.Filter, names: Names) -> Typed:
        array = self._array(node.of, names)
        item, holds = self.each(node.condition, array, names, is_condition=True)
        return Filtered(array.type, array, item, holds)

    def outer(self, node: ast.Outer, names: Names) -> Typed:
        if node.levels >= len(names.items):
            raise Refused(
                f"`^` leads out of the expression; levels to leave: {node.levels:,}, around this place: {len(names.items) - 1:,}.",
                node.at,
            )
        return field_of(names.items[-1 - node.levels], node.name, node.at)

    def position(self, node: ast.Position, names: Names) -> Typed:
        if node.number != 1:
            raise Refused("There is one input here, `$1`.", node.at)
        return names.items[0]

    def occurs(self, node: ast.Occurs, names: Names) -> Typed:
        return occurs(self, self.value(node.of, names), node.occurrence, names, node.at)

    def let(self, node: ast.Let, names: Names) -> Typed:
        value = self.value(node.value, names)
        if depth_of(value) > MAX_EXPRESSION_DEPTH:
            raise Refused(
                f"With what it is made of, the value has more than {MAX_EXPRESSION_DEPTH} parts in each other.",
                node.value.at,
            )
        return self.value(node.body, names.with_value(node.name, value))

    def listed(self, node: ast.ListLiteral, names: Names) -> Typed:
        values = tuple(self.value(each, names) for each in node.items)
        kind = common(each.type for each in values)
        if kind is None or any(isinstance(each, Pair) for each in values):
            found = ", ".join(dict.fromkeys(described(each.type) for each in values))
            raise Refused(f"The items of an array have one type; here are {found}.", node.at)
        return MadeList(ArrayOf(kind), values)

    def object(self, node: ast.ObjectLiteral, names: Names) -> Typed:
        made = tuple((key, self.value(each, names)) for key, each in node.entries)
        if len(dict(made)) < len(made):
            raise Refused("An object has each key once.", node.at)
        return MadeObject(ObjectOf({}, {key: each.type for key, each in made}), made)

    def misplaced(self, node: ast.Node, _: Names) -> Typed:
        raise Refused(_MISPLACED[type(node)], node.at)

    def _array(self, node: ast.Node, names: Names) -> Typed:
        found = self.value(node, names)
        if not isinstance(found.type, ArrayOf) and found.type is not Scalar.UNKNOWN:
            raise Refused(f"An array is expected here; this is {described(found.type)}.", node.at)
        return found

    def _number(self, node: ast.Node, names: Names) -> Typed:
        found = self.value(node, names)
        if found.type not in (*NUMBERS, Scalar.UNKNOWN):
            raise Refused(
                f"A number is expected here; this is {described(found.type)}.{_arithmetic_hint(found.type)}", node.at
            )
        return found

    def compared(self, node: ast.Compared, names: Names) -> Typed:
        left, right = self.value(node.left, names), self.value(node.right, names)
        sign = node.operator
        if sign in ("in", "notin"):
            found = member(left, right, node.at)
            return found if sign == "in" else Applied(Scalar.BOOLEAN, "not", (found,))
        if sign == "like":
            return _like(node, left, right)
        if not are_comparable(left.type, right.type):
            raise Refused(
                f"`{sign}` compares {described(left.type)} with {described(right.type)}, {'which are never equal' if sign in ('=', '!=') else 'of which none is greater'}.{_comparison_hint(left.type, right.type)}",
                node.at,
            )
        if sign not in ("=", "!=") and not (_is_ordered(left.type) and _is_ordered(right.type)):
            odd = right.type if _is_ordered(left.type) else left.type
            raise Refused(f"`{sign}` compares numbers, strings and times; {described(odd)} is none of them.", node.at)
        return Applied(Scalar.BOOLEAN, sign, (left, right))

    def quantified(self, node: ast.Quantified, names: Names) -> Typed:
        return self._quantified(node.kind, node.sources, names)

    def _quantified(self, kind: str, sources: tuple[ast.Source, ...], names: Names) -> Typed:
        """Return a quantifier over the first source, with the quantifier over the others in its condition."""
        source, rest = sources[0], sources[1:]
        array = self._array(source.of, names)
        item = item_of(array)
        inner = names.with_item(source.name, item)
        self.note_loops(inner, source.at)
        conditions = [] if source.condition is None else [self.condition(source.condition, inner)]
        if rest:
            conditions.append(self._quantified("forall" if kind == "forall" else "exists", rest, inner))
        holds = reduce(lambda a, b: Applied(Scalar.BOOLEAN, "and", (a, b)), conditions)
        if kind == "select":
            return Filtered(array.type, array, item, holds)
        return (Every if kind == "forall" else Some)(Scalar.BOOLEAN, array, item, holds)

    def aggregated(self, node: ast.Aggregated, names: Names) -> Typed:
        self.note_aggregation(node.at)
        array = self._array(node.source.of, names)
        item = item_of(array)
        inner = names.with_item(node.source.name, item)
        self.note_loops(inner, node.source.at)
        if node.source.condition is not None:
            array = Filtered(array.type, array, item, self.condition(node.source.condition, inner))
        value = self.value(node.value, inner)
        return aggregate(node.function, array, item, None if node.function == "count" else value, node.at)

    def chain(self, node: ast.Chain, names: Names) -> Typed:
        array = self._array(node.of, names)
        item = item_of(array)
        inner = names.inside(item)
        self.note_loops(inner, node.at)
        order = self.value(node.order, inner)
        if order.type not in (*TIMES, Scalar.UNKNOWN):
            raise Refused(
                f"A chain is ordered by a date or a date-time of the items, such as `timestamp`; this is {described(order.type)}.",
                node.order.at,
            )
        if len({step.label for step in node.steps}) < len(node.steps):
            raise Refused("The steps of a chain have different labels.", node.at)
        return Chained(Scalar.BOOLEAN, array, item, order, tuple(self._step(step, order, inner) for step in node.steps))

    def _step(self, step: ast.Step, order: Typed, names: Names) -> Typed:
        holds = self.condition(step.condition, names)
        if step.occurrence is None:
            return holds
        try:
            when = occurs(self, order, step.occurrence, names, step.at)
        except Refused as error:
            self.refuse(error.message, error.at, error.suggestions)
            return MISSING
        return Applied(Scalar.BOOLEAN, "and", (holds, when))


def member(value: Typed, of: Typed, at: int) -> Typed:
    """Return whether an array has a value. Raises Refused for what is no array, and for a value that no item equals."""
    if of.type is Scalar.UNKNOWN:
        return MISSING
    if not isinstance(of.type, ArrayOf):
        raise Refused(f"An array is expected on the right, as in `[1, 4]`; this is {described(of.type)}.", at)
    if not are_comparable(value.type, of.type.item):
        raise Refused(
            f"{described(value.type).capitalize()} is looked for among items of which each is {described(of.type.item)}.",
            at,
        )
    return Member(Scalar.BOOLEAN, value, of)


def _like(node: ast.Compared, left: Typed, right: Typed) -> Typed:
    if left.type not in (Scalar.STRING, Scalar.UNKNOWN):
        raise Refused(f"`like` looks at a string; this is {described(left.type)}.", node.at)
    if not isinstance(right, Constant) or not isinstance(right.value, str):
        raise Refused('The pattern of `like` is a string that is written there, as in `"Li%"`.', node.right.at)
    if fault := like_fault(right.value):
        raise Refused(fault, node.right.at)
    return Matched(Scalar.BOOLEAN, left, right.value, is_regular=False)


def _type_of_constant(value: object) -> Scalar:
    kinds = {str: Scalar.STRING, bool: Scalar.BOOLEAN, int: Scalar.LONG}
    return kinds.get(type(value), Scalar.DOUBLE)


def _is_ordered(kind: Type) -> bool:
    return kind in (*NUMBERS, *TIMES, Scalar.STRING, Scalar.UNKNOWN)


def _comparison_hint(left: Type, right: Type) -> str:
    if isinstance(left, ArrayOf) != isinstance(right, ArrayOf):
        return " Ask for an item by `.includes(…)`, by a filter, or by `exists X from … where …`."
    if Scalar.STRING in (left, right) and (left in TIMES or right in TIMES):
        return " A day is written `date(2026, 1, 31)`; distances and periods are asked by `occurs`."
    return ""


def _arithmetic_hint(kind: Type) -> str:
    if kind in TIMES:
        return " Times are compared by `occurs`, as in `occurs < 7 days before now`."
    if isinstance(kind, ArrayOf):
        return " Of an array, take `.sum(…)`, `.count()` and the like."
    return ""


_MISPLACED: Final[Mapping[type[ast.Node], str]] = {
    ast.Period: "`this week`, `last month` and the like stand behind `occurs` alone.",
    ast.Lambda: "A lambda stands in the parentheses of `map`, `filter` and the like, or around the whole expression.",
}
_MEANINGS: Final[Mapping[type[ast.Node], Callable[[_Checker, Any, Names], Typed]]] = {
    ast.Name: lambda _, node, names: meaning(node, names),
    ast.Constant: lambda _, node, _names: Constant(_type_of_constant(node.value), node.value),
    ast.This: lambda _, _node, names: names.items[-1],
    ast.Moment: lambda _, node, _names: moment(node.word),
    ast.Call: call,
    ast.Member: _Checker.member,
    ast.Compared: _Checker.compared,
    ast.Logic: _Checker.logic,
    ast.Not: _Checker.negation,
    ast.Negative: _Checker.negative,
    ast.Arithmetic: _Checker.arithmetic,
    ast.Method: _Checker.method,
    ast.Filter: _Checker.filter,
    ast.Outer: _Checker.outer,
    ast.Position: _Checker.position,
    ast.Occurs: _Checker.occurs,
    ast.Quantified: _Checker.quantified,
    ast.Let: _Checker.let,
    ast.Aggregated: _Checker.aggregated,
    ast.Chain: _Checker.chain,
    ast.ListLiteral: _Checker.listed,
    ast.ObjectLiteral: _Checker.object,
    ast.Period: _Checker.misplaced,
    ast.Lambda: _Checker.misplaced,
}
"""For each construct: what a node of it means."""
