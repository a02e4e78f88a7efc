"""The compiled SQL and an evaluator that shares no line with it agree: generated expressions over generated people."""

import json
import os
from decimal import Decimal
from uuid import UUID

import asyncpg
import pytest
from citus import CLUSTER_URL, WAYS
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pql import evaluator
from pql.examples import EXAMPLES
from pql.generator import conditions, expressions
from pql.people import NOW, people
from pql.sample import EVENT, checked, schema
from pql.values import load, told

from gateway.domain.reading import conditions as reading
from gateway.pql.check import check
from gateway.pql.inputs import Inputs
from gateway.pql.parser import parse
from gateway.pql.sql import NOW as INSTANT
from gateway.pql.sql import compiled, condition
from gateway.projection.predicates import Predicate, Values
from gateway.storage.queries import fill, part
from gateway.xdm.classes import XdmClass
from gateway.xdm.leaves import instant

PEOPLE = people(25)
EXPRESSIONS = int(os.environ.get("PQL_EXPRESSIONS", "800"))
"""How many expressions are generated; each is evaluated for all people."""

UNNESTED = 2
"""So many times a statement has `select` that a cluster can plan, whatever it says: its own, and one list."""

SANDBOX = 15
STORED = Inputs("p.document", "$2::timestamptz", 2, xids="p.xids")
GIVEN = Inputs("p.document", "$2::timestamptz", 2, events=fill(part("search.given_events"), events="p.events"))
INPUTS = (GIVEN,) if CLUSTER_URL else (STORED, GIVEN)
"""Events of the store, and such as are given to a statement, as a cluster has to."""
LOADED = [
    (
        load(document, schema(XdmClass.INDIVIDUAL_PROFILE)),
        [load(each, schema(XdmClass.EXPERIENCE_EVENT)) for each in sorted(events, key=lambda each: each["timestamp"])],
    )
    for document, events in PEOPLE
]


@pytest.fixture(scope="module")
async def store(module_dsn):
    """People in the store: each with two identities, which share the events. The session is in a zone far from UTC."""
    connection = await asyncpg.connect(module_dsn, server_settings={"timezone": "Asia/Kathmandu"})
    await connection.execute("create temporary table people (number int, document jsonb, xids uuid[], events jsonb)")
    for number, (document, had) in enumerate(PEOPLE):
        xids = [UUID(int=2 * number + 1), UUID(int=2 * number + 2)]
        events = sorted(had, key=lambda each: each["timestamp"])
        rows = [
            {
                "xid": str(xids[place % 2]),
                "dataset_id": str(UUID(int=9)),
                "event_id": f"{place:02}",
                "timestamp": event["timestamp"],
            }
            | {"event_type": event.get("eventType"), "document": event}
            for place, event in enumerate(events)
        ]
        person = (number, json.dumps(document), xids, json.dumps(rows))
        await connection.execute("insert into people values ($1, $2, $3, $4)", *person)
        for place, event in enumerate(events):
            values = [
                xids[place % 2],
                UUID(int=9),
                f"{place:02}",
                instant(event["timestamp"]),
                event.get("eventType"),
                json.dumps(event),
            ]
            await connection.execute(
                f"""insert into gateway.event (sandbox_id, xid, dataset_id, event_id, timestamp, event_type, document, batch_id, ingested_at)
                values ({SANDBOX}, $1, $2, $3, $4, $5, $6, $2, $4)""",
                *values,
            )
    yield connection
    await connection.close()


async def by_sql(store, expression, inputs):
    found = compiled(expression, inputs)
    rows = await store.fetch(
        f"select ({found.sql})::text as value from people p where $1::bigint = {SANDBOX} and $2::timestamptz is not null order by number",
        SANDBOX, NOW, *found.values,
    )  # fmt: skip
    return [
        None if row["value"] is None else json.loads(row["value"], parse_float=Decimal, parse_int=Decimal)
        for row in rows
    ]


def by_hand(text):
    tree = parse(text)
    return [told(evaluator.evaluate(tree, document, events, NOW)) for document, events in LOADED]


async def compare(store, text, inputs):
    found = checked(text)
    assert found.errors == (), text
    expected, actual = by_hand(text), await by_sql(store, found.expression, inputs)
    for place, (one, other) in enumerate(zip(actual, expected, strict=True)):
        assert one == other, f"{text}\nfor person {place}: {PEOPLE[place]}"
    return actual


@pytest.mark.parametrize("text", EXAMPLES)
async def test_every_construct_gives_what_it_says(store, text):
    for inputs in INPUTS:
        await compare(store, text, inputs)


@settings(max_examples=EXPRESSIONS)
@given(expressions(), st.sampled_from(INPUTS))
async def test_both_agree_on_any_expression(store, text, inputs):
    found = checked(text)
    if any("at most" in each.message or "more than" in each.message for each in found.errors):
        return  # too large
    await compare(store, text, inputs)


@settings(max_examples=EXPRESSIONS // 2)
@given(conditions("event"), st.sampled_from(WAYS))
async def test_both_agree_on_the_events_for_which_a_condition_holds(store, text, is_distributed):
    found = check(text, EVENT, is_condition=True)
    assume(found.expression is not None)
    made = condition(found.expression, reading.EVENT_ON_NODES if is_distributed else reading.EVENT)
    where = Predicate(made.sql, tuple(NOW if value is INSTANT else value for value in made.values))
    values = Values(SANDBOX)
    sql = f"select e.xid, e.event_id from gateway.event e where e.sandbox_id = $1{values.conditions([where])}"
    tree = parse(text)
    expected = {
        (UUID(int=2 * number + 1 + place % 2), f"{place:02}")
        for number, (_, events) in enumerate(LOADED)
        for place, event in enumerate(events)
        if evaluator.evaluate(tree, event, [], NOW) not in (None, False, [])
    }
    try:
        rows = await store.fetch(sql, *values.given)
    except asyncpg.FeatureNotSupportedError:
        assert sql.count("select") > UNNESTED, text
        return
    assert {tuple(row) for row in rows} == expected, text
