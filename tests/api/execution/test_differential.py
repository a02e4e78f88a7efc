"""Compiled operations answer as the stock executor does: over generated operations and variables, and over all that the project shows.

`OPERATIONS=100000 pytest --hypothesis-profile explore tests/api/execution/test_differential.py` asks more, and other ones each time.
"""

import asyncio
import gc
import os
import re
from collections import Counter
from dataclasses import replace
from itertools import islice
from random import Random

import pytest
from corpus import OPERATIONS
from generation.comparison import Pair, difference
from generation.query_generator import QueryGenerator, with_sandbox_values
from generation.query_reducer import reduce_operation
from generation.query_rewriter import QueryRewriter
from generation.sandboxes import CUSTOM, SCALARS, customize, sandboxes
from graphql import TypeInfo, TypeInfoVisitor, Visitor, is_object_type, parse, print_ast, validate, visit
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import queries
from world import World

from gateway.api.execution.operations import Outcome, Request, Response
from gateway.api.schema import build_schema
from gateway.domain.config import registry
from gateway.domain.config.configuration import Configurations

COUNT = int(os.environ.get("OPERATIONS", "1200"))
VALUES = 3
"""How many sets of values the variables of an operation have."""

# Where a field fails at once, graphql-core's executor leaves what it had begun beside it: it is noticed whenever garbage is collected,
# in places where Python can import nothing, so that not even the warning can be made.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine '(GraphQLCoreConverter|Executor).*' was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <coroutine object Executor:pytest.PytestUnraisableExceptionWarning"
    ),
]

seeds = st.integers(0, 2**63)


def about(count):
    return settings(
        deadline=None,
        max_examples=max(count, 1),
        phases=[Phase.explicit, Phase.generate],  # what is found is made smaller here
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.fixture(scope="module")
async def pairs(module_dsn):
    async with sandboxes(module_dsn) as made:
        yield made


@pytest.fixture(autouse=True)
def _swept():
    """What the executor left is collected here, where nobody minds, and not in the middle of another test."""
    yield
    gc.collect()


def generated(pair, random, document=None):
    """An operation, and sets of values for its variables."""
    document = document or QueryGenerator(pair.schema, pair.known, random).document()
    rewritten = QueryRewriter(pair.schema, pair.known, random).rewritten(document)
    text = print_ast(rewritten.document)
    name = "Asked" if "query Other" in text else None
    several = [
        rewritten.values(random, pair.known, first=number == 0)
        for number in range(VALUES if rewritten.variables else 1)
    ]
    return [Request(text, values, name) for values in several]


async def compare(pair, request, scopes=None):
    """Fail with the smallest operation that still differs."""
    if await pair.difference(request, scopes) is None:
        return

    async def differs(smaller):
        return await pair.difference(request._replace(query=smaller), scopes) is not None

    smallest = request._replace(query=await reduce_operation(request.query, differs))
    told = await pair.difference(smallest, scopes)
    pytest.fail(f"{smallest.query}\n{smallest.variables} {smallest.operation_name} {scopes}\n{told}", pytrace=False)


# ------------------------------------------------------------------------------------------------ generated


@about(COUNT // 2)
@given(seed=seeds)
async def test_generated_operations_are_answered_alike_by_both_executors(pairs, seed):
    random = Random(seed)
    pair = random.choice(pairs)
    for request in generated(pair, random):
        await compare(pair, request)


@about(COUNT // 60)
@given(data=st.data())
async def test_operations_of_hypothesis_graphql_are_answered_alike_by_both_executors(pairs, data):
    pair = pairs[data.draw(st.integers(0, 1))]
    document = parse(data.draw(queries(pair.schema, custom_scalars=SCALARS)))
    random = Random(data.draw(seeds))
    for request in generated(pair, random, with_sandbox_values(document, pair.schema, pair.known, random)):
        await compare(pair, request)


async def test_generated_operations_are_worth_comparing(pairs):
    """They are valid, use all that the language has, ask for all that the schema has, and mostly run compiled and find something."""
    uses, asked = Counter(), set()
    for seed in range(800):
        random = Random(seed)
        pair = random.choice(pairs)
        text = generated(pair, random)[0].query
        uses.update(feature for feature, pattern in FEATURES.items() if re.search(pattern, text))
        document = parse(text)
        uses["valid"] += not validate(pair.schema, document)
        asked |= fields_of(pair.schema, document)
    assert min(uses[feature] for feature in FEATURES) >= 5, uses
    assert uses["valid"] >= 720
    ours = {
        f"{named.name}.{name}" for named in build_schema().type_map.values() if is_ours(named) for name in named.fields
    }
    assert len(ours - asked) <= len(ours) / 50, ours - asked
    outcomes = sum((pair.counts.outcomes for pair in pairs), Counter())
    assert outcomes["ANSWERED whole"] >= outcomes.total() * 0.4, outcomes


# ------------------------------------------------------------------------------------------------ all that the project shows


@pytest.mark.parametrize("scopes", [None, ["profile:read"], ["config:write"], []], ids=str)
async def test_operations_of_the_project_are_answered_alike_by_both_executors(pairs, scopes):
    names = pairs[0].names
    for text in OPERATIONS.values():
        if "mutation" not in text or scopes in (["profile:read"], []):  # none that changes anything
            variables = {name: names[name] for name in re.findall(r"\$(\w+):", text) if name in names}
            for pair in pairs:
                await compare(pair, Request(text, variables), scopes)


@about(COUNT // 40)
@given(seed=seeds, scopes=st.sampled_from([["profile:read"], ["config:write"], ["jobs:write"], []]))
async def test_operations_of_callers_without_all_scopes_are_answered_alike_by_both_executors(pairs, seed, scopes):
    random = Random(seed)
    for request in generated(pairs[0], random):
        await compare(pairs[0], request, scopes)


# ------------------------------------------------------------------------------------------------ many at once


def many(pair, count, unlike=" "):
    """Operations that do not match, each with the values of its variables."""
    found = (request for seed in range(10 * count) for request in generated(pair, Random(seed))[:1])
    return list(islice((request for request in found if not re.search(unlike, request.query)), count))


async def at_once(pair, requests, scope=None):
    """What they are answered when they come at the same moment, of one caller or each of its own."""
    scopes = [scope or await pair.compiled.scope() for _ in requests]
    return await asyncio.gather(*map(pair.compiled.operations.run, scopes, requests))


def agree(pair, requests, answers, expected):
    for request, one, other in zip(requests, answers, expected, strict=True):
        if told := difference(pair.schema, request.query, one, other):
            pytest.fail(f"{request.query}\n{request.variables}\n{told}", pytrace=False)


@pytest.mark.parametrize("is_one_caller", [True, False])
async def test_operations_at_once_are_answered_as_one_by_one(pairs, is_one_caller):
    for pair in pairs:
        scope = await pair.stock.scope()
        requests = many(pair, 120, "diffMergePolicies|profilePreview")
        expected = [await pair.stock.operations.run(scope, request) for request in requests]
        answers = await at_once(pair, requests, scope if is_one_caller else None)
        agree(pair, requests, answers, expected)


async def test_callers_at_once_see_each_what_they_may(pairs):
    pair = pairs[0]
    request = Request("{ searchProfiles(first: 3) { nodes { id entity { __typename } events { nodes { id } } } } }")
    scopes = [await pair.compiled.scope(granted) for granted in (None, [], ["profile:read"], ["config:write"])]
    answers = await asyncio.gather(*[pair.compiled.operations.run(scope, request) for scope in scopes * 3])
    codes = [[error["extensions"]["code"] for error in answer.body.get("errors", ())] for answer in answers]
    assert codes == [[], ["FORBIDDEN"], [], ["FORBIDDEN"]] * 3


async def test_the_schema_may_change_while_operations_run(db):
    world = await World.create(db, "custom")
    await customize(world)
    pair = await Pair.of(replace(world, configurations=Configurations()))
    requests = many(
        pair, 60, "diffMergePolicies|profilePreview|[sS]chema|sdl|auditLog"
    )  # which tell of the change or of the moment
    expected = [await pair.stock.operations.run(await pair.stock.scope(), request) for request in requests]
    for number in range(4):
        fields = CUSTOM | {f"new{each}": {"type": "string"} for each in range(number + 1)}
        change = registry.update_schema(db, world.scope, world.crm.schema_id, custom_fields=fields)
        answers, _ = await asyncio.gather(at_once(pair, requests), change)
        agree(pair, requests, answers, expected)
        new = f"{{ searchProfiles {{ nodes {{ entity {{ _custom {{ new{number} score }} }} }} }} }}"
        assert await pair.difference(Request(new)) is None
        assert pair.counts.outcomes["ANSWERED whole"] == number + 1


# ------------------------------------------------------------------------------------------------ the comparison itself

ASKED = '{ a: viewer { organization } profile(identity: {xid: "x"}) { entityJson fragments { document } identities { value } } }'


def told(data, *paths):
    errors = [{"message": "m", "path": path, "extensions": {"code": "BAD_INPUT"}} for path in paths]
    return Response(Outcome.ANSWERED, {"data": data} | ({"errors": errors} if errors else {}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (told({"a": None, "profile": None}), told({"profile": None, "a": None})),
        (told({"profile": {"entityJson": {"a": 1}}}), told({"profile": {"entityJson": {"a": True}}})),
        (told({"profile": {"identities": [1, 2]}}), told({"profile": {"identities": [2, 1]}})),
        (told({"profile": None}, ["profile"]), told({"profile": None})),
        (told({"profile": None}, ["profile"]), told({"profile": None}, ["profile"], ["profile"])),
        (told({"profile": None}, ["profile"]), told({"profile": None}, ["profile", "entityJson"])),
        (told({"profile": None}, ["profile", "entityJson"]), told({"profile": None})),
        (told(None, ["a"]), told(None, ["a"])._replace(outcome=Outcome.REFUSED)),
    ],
)
def test_a_difference_is_seen(pairs, one, other):
    assert difference(pairs[0].schema, ASKED, one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (told({"profile": {"entityJson": {"a": 1}}}), told({"profile": {"entityJson": {"a": 1.0}}})),
        (
            told({"profile": {"entityJson": {"b": {"d": 1, "c": 2}, "a": 1}}}),
            told({"profile": {"entityJson": {"a": 1, "b": {"c": 2, "d": 1}}}}),
        ),
        (
            told({"a": None, "profile": None}, ["a"], ["profile"]),
            told({"a": None, "profile": None}, ["profile"], ["a"]),
        ),
        (
            told({"profile": None}, ["profile", "entityJson"]),
            told({"profile": None}, ["profile", "fragments", 0, "document"], ["profile", "entityJson"]),
        ),
    ],
)
def test_what_may_differ_is_none(pairs, one, other):
    assert difference(pairs[0].schema, ASKED, one, other) is None


async def test_what_differs_is_made_smaller():
    async def differs(text):
        return "code" in text

    text = "query ($id: ID!) { batch(id: $id) { ...F status } viewer { scopes } } fragment F on Batch { id errors(first: 3) { nodes { code index } } }"
    assert (await reduce_operation(text, differs)).split() == [
        "{",
        "batch",
        "{",
        "...F",
        "}",
        "}",
        "fragment",
        "F",
        "on",
        "Batch",
        "{",
        "errors",
        "{",
        "nodes",
        "{",
        "code",
        "}",
        "}",
        "}",
    ]


# ------------------------------------------------------------------------------------------------ what operations are made of

FEATURES = {
    "fragment": r"fragment ", "inline fragment": r"\.\.\. (on|\{|@)", "variable": r"\$\w", "default": r"\$\w+: \S+ = ", "skip": "@skip",
    "include": "@include", "alias": r"\w: \w+( \{|\()", "typename": "__typename", "several operations": "query Other",
    "interface": r"\.\.\. on Node", "object with a variable": r"\w+: \{[^{}$]*: \$\w+",
}  # fmt: skip


def is_ours(named):
    """Whether it is a type with fields that is in every sandbox, and that a query can reach."""
    is_of_mutations = named.name == "Mutation" or named.name.endswith("Payload") or named.name == "UserError"
    return is_object_type(named) and "strawberry-definition" in named.extensions and not is_of_mutations


def fields_of(schema, document):
    """The coordinates of the fields that a document asks for."""
    finder = Fields(TypeInfo(schema))
    visit(document, TypeInfoVisitor(finder.types, finder))
    return finder.found


class Fields(Visitor):
    def __init__(self, types):
        super().__init__()
        self.types, self.found = types, set()

    def enter_field(self, node, *_):
        parent = self.types.get_parent_type()
        if parent is not None:
            self.found.add(f"{parent.name}.{node.name.value}")
