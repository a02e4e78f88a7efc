"""What an index serves: which conditions lead to one, that it never finds too few people, and that Postgres walks it."""

import json
import os
from collections import Counter
from datetime import datetime
from pathlib import Path

import asyncpg
import pytest
from citus import CLUSTER_URL
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pql.generator import expressions
from pql.indexes import PEOPLE, POLICY, SANDBOX, SCOPE, fill, policy, profile_id, xids
from pql.people import NOW
from pql.sample import PROFILE, checked

from gateway.domain.config.policies import IdentityGraphType
from gateway.domain.reading.search_candidates import statement_of
from gateway.pql.indexes import accesses, index_columns, leaf_of, presence
from gateway.pql.inputs import Inputs
from gateway.pql.sql import compiled
from gateway.storage.connections import SETTINGS, SETTINGS_ON_A_CLUSTER

MORE = f"""
    insert into gateway.profile (sandbox_id, policy_id, profile_id, document, sources, modified_at)
    select {SANDBOX}, '{POLICY}', gen_random_uuid(), '{{}}', '{{}}', now() from generate_series(1, 4000);
    insert into gateway.event (sandbox_id, xid, dataset_id, event_id, timestamp, document, batch_id, ingested_at)
    select {SANDBOX}, gen_random_uuid(), '{POLICY}', n, '1999-01-01', '{{}}', '{POLICY}', now() from generate_series(1, 4000) n;
"""
"""People and events that no condition is about, so that an index is worth its while."""
PLANS = Path(__file__).parent / "plans"
REWRITE = os.environ.get("GOLDEN") == "write"
ALL = 10_000
OWNERS = {xid: profile_id(number) for number in range(len(PEOPLE)) for xid in xids(number)}
"""The people of the sample by their identities."""
CONDITIONS = [
    'person.name.lastName = "a"',
    'person.name.lastName.equals("a", "ab")',
    'homeAddress.city in ["a", "S1"] and _acme.ratio > 1',
    '"a" < _acme.in',
    "_acme.points = 7",
    "_acme.points >= 0 and _acme.points < 7",
    "_acme.born = date(2024, 2, 29)",
    "_acme.born occurs < 2 years before now",
    "_acme.born > _acme.joinedAt or _acme.born = _acme.born",
    "_acme.joinedAt occurs last week",
    "_acme.joinedAt occurs on date(2026, 2, 22)",
    "_acme.joinedAt occurs > 900 years before now",
    "_acme.joinedAt < date(9999, 12, 31)",
    'xEvent[eventType = "a"]',
    'exists E from xEvent where E.eventType = "S1" and E.timestamp occurs < 30 days before now',
    "xEvent[timestamp occurs < 7 days before now]",
    "xEvent[_acme.amount > 1].count() > 0",
    'xEvent[eventType = "a"][timestamp occurs < 30 days before now].count() >= 2',
    'xEvent[eventType in ["a", "ab"]].count() = 1',
    'let E = (xEvent[_acme.note = "a"]) in (E.count() > 0 and _acme.isMember)',
    '(P) => P.homeAddress.city = "a"',
]
NONE = """
    _acme.isMember
    person.name.lastName != "a"
    person.name.lastName = homeAddress.city
    _acme.colors.includes("a")
    xEvent.count() >= 0
    xEvent[eventType = "a"].count() < 2
    not (homeAddress.city = "a")
    homeAddress.city = "a" or _acme.points = 1
    _acme.tags.get("a") = "b"
    xEvent[eventType = _acme.note]
    xEvent[productListItems[SKU = "S1"]]
    forall E from xEvent where E.eventType = "a"
"""


def expression_of(text):
    found = checked(text)
    assert found.expression, found.errors
    return found.expression


@pytest.fixture(scope="module")
async def store(module_dsn):
    settings = (SETTINGS_ON_A_CLUSTER if CLUSTER_URL else SETTINGS) | {"timezone": "Asia/Kathmandu"}
    connection = await asyncpg.connect(module_dsn, server_settings=settings)
    await fill(connection)
    await connection.execute(MORE)
    yield connection
    await connection.close()


@pytest.fixture
async def empty(dsn):
    """A database of one test's own, whose tables grow for no other and are analysed by nobody."""
    connection = await asyncpg.connect(dsn, server_settings={**SETTINGS, "timezone": "Asia/Kathmandu"})
    yield connection
    await connection.close()


GIVEN = """(
    select * from (select d ->> 'eventType' as event_type, (d ->> 'timestamp')::timestamptz as timestamp, d as document, '' as event_id, 1 as xid, 1 as dataset_id
                     from jsonb_array_elements(p.events) d) e)"""
INPUTS = Inputs("p.document", "$2::timestamptz", 4, events=GIVEN)
"""The events are those of the sample: no table is read, as a cluster cannot plan any expression over one."""


async def matching(store, expression):
    """The numbers of the people for which an expression holds, by the whole of it."""
    found = compiled(expression, INPUTS)
    rows = await store.fetch(
        f"""select p.n, ({found.sql}) as value from (
              select n - 1 as n, d::jsonb as document, e::jsonb as events
                from rows from (unnest($3::text[]), unnest($4::text[])) with ordinality as t (d, e, n)) p
            where $1::bigint = {SANDBOX} and $2::timestamptz is not null""",
        SANDBOX, NOW, *([json.dumps(each) for each in of] for of in zip(*PEOPLE, strict=True)), *found.values,
    )  # fmt: skip
    return {row["n"] for row in rows if row["value"] is not None and json.loads(row["value"]) not in (False, [])}


async def found_by(store, expression, way, graph=IdentityGraphType.PDG):
    by_identity = bool(CLUSTER_URL) and graph is IdentityGraphType.PDG and way.leaf.is_of_events
    statement, values = statement_of(SCOPE, policy(graph), expression, way, by_identity=by_identity)
    rows = await store.fetch(statement.sql, SANDBOX, NOW, ALL, *values)
    if not way.leaf.is_of_events:
        return {row["profile_id"] for row in rows}
    events = Counter()
    for subject, count, _ in rows:
        events[OWNERS[subject] if by_identity and subject in OWNERS else subject] += count
    return {subject for subject, count in events.items() if count >= way.least}


async def compare(store, text):
    expression = expression_of(text)
    expected = await matching(store, expression)
    for way in accesses(expression):
        found = await found_by(store, expression, way)
        assert found >= {profile_id(n) for n in expected}, (text, way.leaf.name)
        if way.leaf.is_of_events and way.least == 1:
            of_each = await found_by(store, expression, way, IdentityGraphType.NONE)
            assert all(of_each & set(xids(n)) for n in expected), text
    return expected


@pytest.mark.parametrize("text", CONDITIONS)
async def test_an_index_finds_everybody_that_meets_the_condition(store, text):
    await compare(store, text)


@settings(max_examples=150)
@given(st.lists(st.sampled_from(CONDITIONS[:-2]), min_size=2, max_size=3))
async def test_conditions_together_find_everybody_too(store, texts):
    await compare(store, " and ".join(f"({text})" for text in texts))


@settings(max_examples=300)
@given(expressions())
@example('(person.name.lastName = "a")')
async def test_no_expression_leads_to_too_few_people(store, text):
    if (expression := checked(text).expression) is not None and accesses(expression):
        await compare(store, text)


@pytest.mark.parametrize("text", NONE.strip().splitlines())
def test_conditions_that_no_index_serves(text):
    assert accesses(expression_of(text)) == ()


def test_equal_values_come_before_ranges_and_a_condition_on_events_tells_how_many():
    ways = accesses(
        expression_of('_acme.points > 1 and xEvent[eventType = "a"].count() > 2 and homeAddress.city = "a"')
    )
    assert [(way.leaf.name, way.least) for way in ways] == [
        ("homeAddress.city", 1),
        ("xEvent.eventType", 3),
        ("_acme.points", 1),
    ]


@pytest.mark.parametrize(
    "path",
    ["homeAddress", "xEvent", "xEvent.productListItems.SKU", "_acme.isMember", "_acme.colors", "_acme.tags.a", "", "x"],
)
def test_what_has_no_index(path):
    assert leaf_of(PROFILE, path) is None


GOLDEN = {
    "equal": 'person.name.lastName = "a"',
    "one_of": 'person.name.lastName.equals("a", "ab")',
    "range": "_acme.points >= 0",
    "between": "_acme.points >= 0 and _acme.points < 7",
    "day": "_acme.born occurs < 2 years before now",
    "event": 'xEvent[eventType = "a"]',
    "event_in_a_window": 'xEvent[eventType = "a" and timestamp occurs < 30 days before now]',
    "any_event_in_a_window": "xEvent[timestamp occurs < 30 days before now]",
    "count_of_events_in_a_window": 'xEvent[eventType = "a" and timestamp occurs < 30 days before now].count() >= 3',
    "range_of_events": "xEvent[_acme.amount > 1]",
    "event_without_graphs": 'xEvent[eventType = "a"]',
    "count_of_events_in_a_window_without_graphs": 'xEvent[eventType = "a" and timestamp occurs < 30 days before now].count() >= 3',
}
"""Conditions by the names of their plans; `without_graphs`, under a policy that has none."""


@pytest.mark.one_postgres("each worker has a plan of its own for its shards")
@pytest.mark.parametrize("name", GOLDEN)
async def test_postgres_walks_the_index_by_the_plan_that_it_settles_on(empty, name):
    """Without statistics, beside two other indexes of the sandbox and one of another, with the settings of every connection."""
    expression = expression_of(GOLDEN[name])
    way = accesses(expression)[0]
    table = "event" if way.leaf.is_of_events else "profile"
    of = f"sandbox_id = {SANDBOX}" + ("" if way.leaf.is_of_events else f" and policy_id = '{POLICY}'")
    others = (
        ["xEvent._acme.note", "xEvent._acme.seenAt"] if way.leaf.is_of_events else ["homeAddress.city", "_acme.ratio"]
    )
    made = [("mine", way.leaf, of), *((f"other{n}", leaf_of(PROFILE, path), of) for n, path in enumerate(others))]
    for index, leaf, owner in [*made, ("others", way.leaf, "sandbox_id = 16")]:
        await empty.execute(
            f"create index {index} on gateway.{table} ({index_columns(leaf)}) where {owner} and {presence(leaf)}"
        )
    graph = IdentityGraphType.NONE if name.endswith("without_graphs") else IdentityGraphType.PDG
    statement, values = statement_of(SCOPE, policy(graph), expression, way)
    await empty.execute(f"prepare examined as {statement.sql}")
    given = ", ".join(["15", f"'{NOW}'", "5001", *map(literal, values)])
    rows = await empty.fetch(f"explain (costs off) execute examined ({given})")
    plan = "\n".join(row[0] for row in rows).replace(str(POLICY), "POLICY") + "\n"
    golden = PLANS / f"{name}.txt"
    if REWRITE:
        golden.write_text(plan, "utf-8")
    assert plan == golden.read_text("utf-8")
    assert plan.count("using mine ") == 1


def literal(value):
    return f"'{value.isoformat()}'" if isinstance(value, datetime) else f"'{value}'"


def test_every_plan_belongs_to_a_condition():
    assert {path.stem for path in PLANS.iterdir()} == GOLDEN.keys()
