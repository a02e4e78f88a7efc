"""What the SQL of an expression is like: no text of a caller in it, no event read but by its person, and as long as the expression."""

import re

import pytest
from pql.examples import EXAMPLES
from pql.sample import checked

from gateway.domain.reading.expressions import EVALUATE
from gateway.pql.inputs import Inputs
from gateway.pql.sql import compiled

INPUTS = Inputs("p.document", "p.at", len(EVALUATE.parameters), xids="p.xids", since="p.since")
LISTED = '_acme.orders[price > 3 and lines[SKU = "O\'Neil"]].count() + xEvent[eventType = "O\'Neil"].sum(_acme.amount)'
OF_EVENTS = [text for text in EXAMPLES if "xEvent" in text]

ALONE = pytest.mark.one_postgres("a cluster has no plan for an expression of any kind over rows of several nodes")


def statement_of(text):
    found = compiled(checked(text).expression, INPUTS)
    return EVALUATE.filled(value=found.sql, events="").sql, found.values


def test_what_a_caller_writes_is_a_parameter():
    sql, values = statement_of(LISTED)
    assert "Neil" not in sql
    assert values == (3, '[{"SKU": "O\'Neil"}]', "O'Neil")
    assert sorted(set(re.findall(r"\$(\d+)", sql)), key=int) == [str(place) for place in range(1, 9)]
    assert statement_of(LISTED.replace("O'Neil", "x").replace("3", "4"))[0] == sql


def test_equal_values_are_one_parameter_and_what_nothing_asks_for_is_none():
    assert statement_of('["a", "b", _acme.in, "a"]')[1] == ("a", "b")
    assert statement_of('_acme.orders.map("a").count()')[1] == ()


@ALONE
@pytest.mark.parametrize("text", OF_EVENTS)
async def test_events_are_found_by_person(generic_plan, text):
    """On a table without statistics, as after the first start."""
    sql, values = statement_of(text)
    plan = await generic_plan(sql, len(EVALUATE.parameters) + len(values))
    assert "Seq Scan on event" not in plan
    conditions = re.findall(r"Index Cond: (.*)", plan)
    assert conditions
    assert all("sandbox_id" in each and "xid" in each for each in conditions), plan


def test_sql_is_about_as_long_as_its_expression():
    """A part that stood in it twice would stand there a thousand times, ten levels further out."""

    def nested(levels):
        inner = nested(levels - 1) if levels else "_acme.in"
        return f'["x", [{inner}].head()].filter(this in [$1._acme.in].topN(this, 2)).head()'

    short, long = (len(statement_of(nested(levels))[0]) for levels in (1, 5))
    assert long < 4 * short


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ('xEvent[eventType = "a" and timestamp occurs last week].count() > 3', 0),
        ('xEvent[eventType = "a" and _acme.note = "b" and _acme.amount > 1].sum(_acme.amount)', 1),
        ("xEvent.productListItems.priceTotal.sum()", 1),
        ('exists A from xEvent where A._acme.note = "a" and not (exists B from xEvent where B._acme.amount > A._acme.amount)', 2),
    ],
)  # fmt: skip
def test_the_document_of_an_event_is_decompressed_once_and_only_where_it_is_read(text, documents):
    sql, _ = statement_of(text)
    assert sql.count("#> '{}'") == documents
    assert len(re.findall(r"t\d+\.document", sql)) == documents


def test_an_item_with_a_value_is_looked_for_without_a_row_for_each_item():
    sql, _ = statement_of('xEvent[productListItems[SKU = "a"]].count()')
    assert "@>" in sql
    assert "jsonb_array_elements" not in sql


@ALONE
async def test_conditions_on_a_document_are_tested_in_their_order(generic_plan):
    """Else Postgres looks for the other event beside each one, and not only beside those that have the item."""
    then = 'exists B from xEvent where B._acme.note = "b" and B.timestamp occurs <= 30 days after A.timestamp'
    sql, values = statement_of(f'exists A from xEvent where A.productListItems[SKU = "a"] and not ({then})')
    plan = await generic_plan(sql, len(EVALUATE.parameters) + len(values))
    filters = [line for line in plan.splitlines() if "Filter" in line and "EXISTS" in line]
    assert filters
    assert all(0 < line.find("@>") < line.find("EXISTS") for line in filters), plan
