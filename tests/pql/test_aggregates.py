"""Which expressions are one function of a person's events, and which function that is."""

import pytest

from gateway.pql.aggregates import AT, COUNTED, VALUE, aggregate_of, explained
from gateway.pql.check import check, event_type, profile_type
from gateway.xdm.classes import XdmClass, compose

PROFILE, EVENT = (
    compose(each, None, None, "acme") for each in (XdmClass.INDIVIDUAL_PROFILE, XdmClass.EXPERIENCE_EVENT)
)
FUNCTIONS = {
    "xEvent.count()": "COUNT",
    'xEvent[eventType = "a"][producedBy = "self"].count()': "COUNT",
    "let E = (xEvent) in E.count()": "COUNT",
    'xEvent[eventType = "a"].sum(commerce.order.priceTotal)': "SUM",
    "xEvent.commerce.order.priceTotal.sum()": "SUM",
    "xEvent.productListItems[quantity > 1].priceTotal.sum()": "SUM",
    "xEvent.min(timestamp)": "MIN",
    "xEvent.map(timestamp).max()": "MAX",
    "xEvent.average(commerce.order.priceTotal)": "AVERAGE",
    "xEvent.topN(timestamp, 1).head().eventType": "MOST_RECENT",
    'xEvent[eventType = "a"].topN(timestamp, 1).map(commerce.order).head()': "MOST_RECENT",
    "xEvent.topN(timestamp, 5).map(eventType)": "LIST",
    "xEvent.topN(timestamp, 5).eventType": "LIST",
    "xEvent.eventType.distinct().count()": "DISTINCT",
    "xEvent.map(eventType).distinct().count()": "DISTINCT",
    'xEvent.groupBy(eventType).map((K, G) => {"key": K, "n": G.count()}).topN(n, 1).head().key': "MOST_FREQUENT",
    "xEvent.groupBy(eventType).map((K, G) => mapEntry(K, G.count()))": "GROUPBY",
    "xEvent.groupBy(eventType).map((K, G) => mapEntry(K, G.sum(commerce.order.priceTotal)))": "GROUPBY",
}
OTHERS = [
    "homeAddress.city",
    "xEvent",
    "xEvent.topN(timestamp, 1).head()",
    "xEvent.count() + 1",
    "xEvent.count() / xEvent.count()",
    "xEvent[^homeAddress.countryCode.isNull()].count()",
    "xEvent[^xEvent.count() > 1].count()",
    "xEvent[$1.isNotNull()].count()",
    "xEvent.sum(commerce.order.priceTotal + ^xEvent.count())",
    "xEvent.topN(commerce.order.priceTotal, 1).head().eventType",
    "xEvent.bottomN(timestamp, 1).head().eventType",
    "xEvent.map(eventType).head()",
    "xEvent.topN(timestamp, 2).map(eventType).head()",
    "identityMap.keys().count()",
    'xEvent.groupBy(eventType).map((K, G) => {"key": K, "n": G.count()}).topN(key, 1).head().key',
    'xEvent.groupBy(eventType).map((K, G) => {"key": K, "n": G.count()}).bottomN(n, 1).head().key',
    "xEvent.groupBy(eventType).map((K, G) => mapEntry(K, G.eventType))",
    "xEvent.groupBy(eventType).map((K, G) => mapEntry(K, xEvent.count()))",
    'chain(xEvent, timestamp, [A: WHAT(eventType = "a")])',
]


def checked(text):
    found = check(text, profile_type(PROFILE, event_type(EVENT)))
    assert found.errors == (), text
    return found.expression


@pytest.mark.parametrize("text", FUNCTIONS)
def test_a_function_of_events_is_known_by_how_it_is_written(text):
    expression = checked(text)
    aggregate = aggregate_of(expression)
    assert aggregate is not None
    assert aggregate.function == FUNCTIONS[text]
    assert aggregate.events.type.item == event_type(EVENT)
    parts = dict(explained(expression, aggregate).body.entries)
    assert list(parts) == [VALUE, COUNTED, *([AT] if aggregate.function == "MOST_RECENT" else [])]


@pytest.mark.parametrize("text", OTHERS)
def test_an_expression_that_is_more_than_one_function_of_events_is_none(text):
    assert aggregate_of(checked(text)) is None
