"""Plans beside graphql-core's executor, over a small schema in which everything can fail: the same data, the same errors in the same places."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import pytest
import strawberry
from graphql import execute, parse, validate

from gateway.api.context import Info, for_all, resolved_by
from gateway.api.execution.columns import Run
from gateway.api.execution.errors import VariablesRefused
from gateway.api.execution.paths import root
from gateway.api.execution.prepared import Prepared
from gateway.api.execution.stages import Stages
from gateway.api.finished import too_large
from gateway.api.schema import finish_schema
from gateway.errors import AnswerTooLarge, BadInput


class Colour(StrEnum):
    RED = "RED"
    BLUE = "BLUE"


strawberry.enum(Colour)


@dataclass(frozen=True)
class Leaf:
    name: Any
    colour: Any = Colour.RED


@dataclass(frozen=True)
class Fruit:
    name: str


@strawberry.interface
class Thing:
    name: str

    @classmethod
    def is_type_of(cls, obj: object, _info: object) -> bool:
        return isinstance(obj, {"LeafType": Leaf, "FruitType": Fruit}[cls.__name__])


def _fails(leaf: strawberry.Parent[Leaf], *, when: str = "bad") -> str | None:
    if leaf.name == when:
        raise BadInput(f"{leaf.name} has failed")
    return leaf.name


async def _slowly(leaf: strawberry.Parent[Leaf], info: Info, *, when: str = "bad") -> str | None:
    assert info.context is None
    return _fails(leaf, when=when)


async def _joined_of_all(leaves: list[Leaf], *, by: str = "-") -> list[str]:
    if by == "":
        raise BadInput("by nothing")
    return [f"{leaf.name}{by}{len(leaf.name)}" for leaf in leaves]


@for_all(_joined_of_all)
async def _joined(leaf: strawberry.Parent[Leaf], *, by: str = "-") -> str:
    return (await _joined_of_all([leaf], by=by))[0]


@strawberry.type
class LeafType(Thing):
    name: str
    colour: Colour
    loose: str | None = resolved_by(_fails, "May be null.")
    tight: str = resolved_by(_fails, "May not.")
    slow: str | None = resolved_by(_slowly, "May be null, and waits.")
    slow_tight: str = resolved_by(_slowly, "May not, and waits.")
    joined: str = resolved_by(_joined, "Made for all at once.")


@strawberry.type
class FruitType(Thing):
    name: str


@strawberry.input
class Pick:
    name: str = "any"
    colours: list[Colour] | None = None
    at: datetime | None = None


@strawberry.input(one_of=True)
class Either:
    text: strawberry.ID | None = strawberry.UNSET
    number: int | None = strawberry.UNSET
    best_pick: Pick | None = strawberry.UNSET
    picks: list[Pick | None] | None = strawberry.UNSET


def _leaves(names: list[str | None]) -> Any:
    return [None if name is None else Leaf(name) for name in names]


def _leaf(name: str | None = "good") -> Any:
    return (
        None
        if name is None
        else Leaf(name, Colour.BLUE if name == "blue" else "mauve" if name == "mauve" else Colour.RED)
    )


def _shown(pick: Annotated[Pick, strawberry.argument(name="pick")], *, either: str | None = None) -> str:
    return repr((pick.name, pick.colours, pick.at, either))


def _picked(given: Annotated[list[Either | None], strawberry.argument(name="given")]) -> str:
    return repr([each and (each.text, each.number, each.best_pick, each.picks and list(each.picks)) for each in given])


@strawberry.type
class Query:
    leaf: LeafType | None = resolved_by(_leaf, "One.")
    tight_leaf: LeafType = resolved_by(_leaf, "One.")
    leaves: list[LeafType] | None = resolved_by(_leaves, "Some, none of them null.")
    gaps: list[LeafType | None] = resolved_by(_leaves, "Some, with gaps.")
    nested: list[list[LeafType]] | None = resolved_by(lambda: [[Leaf("a")], [], [Leaf("bad")]], "Lists of lists.")
    things: list[Thing | None] = resolved_by(lambda: [Leaf("a"), None, Fruit("b"), Leaf("bad")], "Of two types.")
    shown: str = resolved_by(_shown, "What was given.")
    picked: str = resolved_by(_picked, "What was given, of which there may be much.")
    numbers: list[int] | None = resolved_by(lambda: [1, 2**40, 3], "One is too large.")


DONE = list[str]()


async def _done(name: str) -> Leaf:
    await asyncio.sleep(0)  # whatever runs beside it comes first
    DONE.append(name)
    if name == "refused":
        raise BadInput(f"{name} was not done")
    if name == "large":
        raise too_large(10)
    return Leaf(name)


@strawberry.type
class Mutation:
    loose: LeafType | None = resolved_by(_done, "May be null.")
    tight: LeafType = resolved_by(_done, "May not.")


SCHEMA = finish_schema(strawberry.Schema(Query, Mutation, types=[LeafType, FruitType]))

ALL = "name colour loose tight slow slowTight joined __typename"

QUERIES = [
    f"{{ leaf {{ {ALL} }} }}",
    f'{{ leaf(name: "bad") {{ {ALL} }} }}',
    '{ leaf(name: "bad") { loose slow joined } }',
    '{ leaf(name: "bad") { loose(when: "other") slow(when: "bad") } }',
    "{ leaf(name: null) { name } tightLeaf { name } }",
    "{ tightLeaf(name: null) { name } leaf { name } }",
    '{ tightLeaf(name: "bad") { tight } leaf { name } }',
    '{ leaf(name: "mauve") { name colour } other: leaf(name: "blue") { colour } }',
    '{ leaves(names: ["a", "bad", "c"]) { name loose } }',
    '{ leaves(names: ["a", "bad", "c"]) { name tight } }',
    '{ leaves(names: ["a", "bad", "bad"]) { name slowTight } }',
    '{ leaves(names: ["a", null]) { name } }',
    '{ gaps(names: ["a", null, "bad"]) { name tight } }',
    "{ gaps(names: []) { name } }",
    '{ gaps(names: ["a", "bb"]) { joined(by: "+") } more: gaps(names: ["a"]) { joined(by: "") } }',
    "{ nested { name loose } }",
    "{ nested { name tight } }",
    "{ things { name __typename ... on LeafType { loose } ... on FruitType { fruit: name } } }",
    "{ things { ... on LeafType { tight } } }",
    "{ things { ...F } } fragment F on Thing { name ...G } fragment G on LeafType { slowTight name }",
    "{ numbers }",
    '{ a: leaf { name } a: leaf { colour } ...R } fragment R on Query { a: leaf { joined(by: "x") } __typename }',
    "{ shown(pick: {}) }",
    '{ shown(pick: {name: "x", colours: [RED, BLUE], at: "2026-01-02T03:04:05Z"}, either: "e") }',
    "{ shown(pick: {colours: RED}) }",
    "{ leaf @skip(if: true) { name } }",
]


async def both(query, variables=None, name=None):
    """The answers of the plan and of graphql-core, each as data and errors."""
    document = parse(query)
    assert validate(SCHEMA, document) == []
    operation = Prepared(SCHEMA, document, document.definitions[0], 5)
    values = operation.variables.read(variables or {})
    run = await operation.compile(values, Stages()).run(None, values, 1_000_000)
    result = execute(SCHEMA, document, variable_values=variables, operation_name=name)
    result = await result if hasattr(result, "__await__") else result
    return (run.data, told(run.errors)), (result.data, told(result.errors or []))


def told(errors):
    return sorted(([error.formatted for error in errors]), key=repr)


@pytest.mark.parametrize("query", QUERIES)
async def test_a_plan_gives_what_the_stock_executor_gives(query):
    compiled, stock = await both(query)
    assert compiled == stock


def told_once_for_each_null(errors):
    """Of two siblings that may not be null, which one is told depends on who failed first."""
    return {tuple(error["path"][:-1]) for error in errors}


async def test_where_siblings_fail_together_one_error_is_reported():
    compiled, stock = await both('{ leaf(name: "bad") { tight slowTight } }')
    assert compiled[0] == stock[0] == {"leaf": None}
    assert len(compiled[1]) == len(stock[1]) == 1
    assert told_once_for_each_null(compiled[1]) == told_once_for_each_null(stock[1])


VARIABLES = """query ($name: String = "given", $pick: Pick! = {name: "default"}, $yes: Boolean = true, $colours: [Colour!]) {
  leaf(name: $name) { name colour @include(if: $yes) loose @skip(if: $yes) }
  shown(pick: $pick)
  inside: shown(pick: {name: "in", colours: $colours}, either: $name)
}"""


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"name": None},
        {"name": "bad", "yes": False},
        {"pick": {}},
        {"pick": {"colours": ["RED"], "at": None}},
        {"pick": {"colours": "BLUE", "name": "one is a list of one"}},
        {"colours": ["RED", "BLUE"]},
        {"colours": None},
        {"unknown": 1},
    ],
)
async def test_variables_go_where_they_belong(variables):
    compiled, stock = await both(VARIABLES, variables)
    assert compiled == stock


@pytest.mark.parametrize(
    "variables",
    [
        {"name": 1},
        {"pick": None},
        {"pick": {"colours": ["GREEN", "RED"], "name": 3}},
        {"pick": {"other": 1}},
        {"pick": "x"},
        {"yes": "no"},
        {"colours": [None]},
        {"pick": {"at": "yesterday"}},
    ],
)
async def test_variables_that_do_not_fit_are_refused_in_graphql_cores_words(variables):
    document = parse(VARIABLES)
    with pytest.raises(VariablesRefused) as refused:
        Prepared(SCHEMA, document, document.definitions[0], 5).variables.read(variables)
    result = execute(SCHEMA, document, variable_values=variables, max_coercion_errors=5, hide_suggestions=True)
    assert told(refused.value.errors) == told(result.errors)


LISTS = "query ($given: [Either]!) { picked(given: $given) }"


@pytest.mark.parametrize(
    "given",
    [
        [],
        {"text": "one is a list of one"},
        [{"text": "a"}, {"text": "b"}],
        [{"text": "a"}, {"text": 7}],
        [{"text": "a"}, None, {"number": 1}],
        [{"number": 1}, {"number": 2}],
        [{"bestPick": {}}, {"bestPick": {}}],
        [{"bestPick": {"name": "a", "colours": "RED"}}, {"bestPick": {"colours": ["BLUE", "RED"], "name": "b"}}],
        [{"bestPick": {"name": "a"}}, {"bestPick": {"at": "2026-01-02T03:04:05Z"}}],
        [{"picks": [{"name": "a"}, {"name": "b"}]}, {"picks": [None, {"name": "c"}]}, {"picks": {}}],
    ],
)
async def test_lists_of_objects_are_taken_alike_whatever_they_name(given):
    compiled, stock = await both(LISTS, {"given": given})
    assert compiled == stock
    assert compiled[1] == []


@pytest.mark.parametrize(
    "given",
    [
        [{"text": "a"}, {"text": None}],
        [{"number": 1}, {"number": "2"}],
        [{"number": 1}, {"number": None}],
        [{"text": "a"}, {}],
        [{}, {}],
        [{"text": "a", "number": 1}, {"text": "b", "number": 2}],
        [{"other": "a"}, {"other": "b"}],
        [{"text": "a"}, {"other": "b"}],
        [{"text": "a"}, "b"],
        [{"bestPick": {"name": "a"}}, {"bestPick": {"name": 1}}],
        [{"bestPick": {"name": None}}, {"bestPick": {"name": "a"}}],
        [{"bestPick": {"name": "a", "other": 1}}, {"bestPick": {"name": "b", "other": 2}}],
    ],
)
async def test_lists_of_objects_of_which_one_does_not_fit_are_refused_in_graphql_cores_words(given):
    document = parse(LISTS)
    with pytest.raises(VariablesRefused) as refused:
        Prepared(SCHEMA, document, document.definitions[0], 5).variables.read({"given": given})
    result = execute(SCHEMA, document, variable_values={"given": given}, max_coercion_errors=5, hide_suggestions=True)
    assert told(refused.value.errors) == told(result.errors)


@pytest.mark.parametrize(
    "mutation",
    [
        'mutation { b: loose(name: "b") { name slow slowTight } a: tight(name: "a") { tight } __typename }',
        'mutation { loose(name: "refused") { name } tight(name: "next") { slow } }',
        'mutation { loose(name: "large") { name } tight(name: "next") { slow } }',
        'mutation { tight(name: "refused") { name } loose(name: "never") { name } }',
        'mutation { loose(name: "bad") { slowTight } tight(name: "next") { name loose } }',
        'mutation { a: loose(name: "a") { name } b: tight(name: "bad") { slowTight } c: loose(name: "never") { name } }',
        'mutation ($name: String = "given") { tight(name: $name) { name } ...F } fragment F on Mutation { more: loose(name: "x") { slow } }',
    ],
)
async def test_fields_of_a_mutation_are_done_in_turn_until_one_fails_that_may_not(mutation):
    DONE.clear()
    compiled, stock = await both(mutation)
    assert compiled == stock
    assert DONE[: len(DONE) // 2] == DONE[len(DONE) // 2 :] != []
    assert "never" not in DONE


async def test_a_mutation_goes_on_to_its_end_however_large_its_answer_is():
    document = parse('mutation { a: loose(name: "a") { name } b: loose(name: "b") { name } }')
    operation = Prepared(SCHEMA, document, document.definitions[0], 5)
    values = operation.variables.read({})
    plan = operation.compile(values, Stages())
    DONE.clear()
    with pytest.raises(AnswerTooLarge, match="What was to be changed is changed"):
        await plan.run(None, values, 10)
    assert DONE == ["a", "b"]
    held = await plan.selection.finish(Run(None, values, 10, changes=True), [None], root)
    assert held == [{"a": None, "b": None}]  # what is not shown is not kept meanwhile


def test_a_plan_is_kept_for_each_choice_that_directives_make():
    document = parse("query ($a: Boolean!, $b: String) { leaf(name: $b) { name @skip(if: $a) colour } }")
    operation = Prepared(SCHEMA, document, document.definitions[0], 5)
    chosen, same, other = (
        operation.variables.read(each) for each in ({"a": True, "b": "x"}, {"a": True, "b": "y"}, {"a": False})
    )
    first = operation.keep(chosen, operation.compile(chosen, Stages()))
    assert operation.kept_plan(same) is first
    assert operation.kept_plan(other) is None
    assert operation.keep(other, operation.compile(other, Stages())) is not first
    assert operation.plans == 2
