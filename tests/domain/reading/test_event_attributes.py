"""Attributes of events: what is computed of one event, wherever expressions read it."""

import pytest
from world import event, record

from gateway.domain.reading.computed_attributes import compute_values, published_attributes
from gateway.domain.reading.expressions import check_expression, evaluate_expression
from gateway.domain.reading.profiles import read_profiles
from gateway.xdm.classes import XdmClass

ADA = ("Email", "ada@example.com")
FORMULAS = {
    "spent": "productListItems.sum(priceTotal * quantity)",
    "isDear": "commerce.order.priceTotal > 15 or productListItems[priceTotal > 9].count() > 0",
    "skus": "productListItems.map(SKU).distinct()",
    "basket": '{"size": productListItems.count(), "at": timestamp}',
    "kind": 'if(eventType.isNull(), "none", eventType)',
}
SAME = [
    "xEvent[({isDear})].count()",
    "xEvent[not ({isDear})].sum({spent} + 1)",
    "xEvent.map({spent})",
    "xEvent.map({basket})",
    "xEvent.topN({spent}, 2).map({kind})",
    "xEvent.map((E) => E.{spent} * E.{skus}.count()).max()",
    "xEvent.groupBy({kind}).map((K, G) => mapEntry(K, G.sum({spent})))",
    "xEvent.topN({spent}, 1).head().{spent}",
    'xEvent.topN(timestamp, 3).head().{skus}.includes("b")',
    "xEvent[productListItems.count() > 0].bottomN({spent}, 1).head().{skus}.count() + xEvent.count()",
    'exists E from xEvent where (E.{skus}.includes("b") and E.{spent} > 3)',
    "forall E from xEvent where (E.{spent} >= 3)",
    'chain(xEvent, timestamp, [A: WHAT(({kind}) = "none"), B: WHAT(({isDear}))])',
    "let E = (xEvent.topN(timestamp, 1).head()) in E.{spent} + E.{spent}",
    '{{"e": xEvent.topN(timestamp, 1).head()}}.e.{spent}',
]
"""Expressions that mean the same with attributes and with what they compute in their places."""
ALIKE = [
    ("xEvent.{spent}.sum()", "xEvent.map({spent}).sum()"),
    ("xEvent.{skus}", "xEvent.productListItems.map(SKU)"),
    ("xEvent[{skus}.count() > 1].{kind}", "xEvent[{skus}.count() > 1].map({kind})"),
    ("xEvent.{basket}.size.sum()", "xEvent.productListItems.count()"),
    ("xEvent.topN(timestamp, 1).head().{basket}.at", "xEvent.topN(timestamp, 1).head().timestamp"),
]
EVENTS = [
    {"eventType": "buy", "commerce": {"order": {"priceTotal": 20}}, "productListItems": [{"SKU": "a", "priceTotal": 10, "quantity": 2}]},
    {"productListItems": [{"SKU": "b", "priceTotal": 9.5, "quantity": 1}, {"SKU": "a", "priceTotal": 1, "quantity": 3}]},
    {"eventType": "look"},
    {"eventType": "buy", "commerce": {"order": {"priceTotal": 3}}, "productListItems": [{"SKU": "c", "priceTotal": 3, "quantity": 1}]},
]  # fmt: skip


async def profile_of(world, identity):
    config = await world.config()
    (found,) = await read_profiles(world.db, world.scope, config, config.default_policy, [await world.xid(*identity)])
    return found.profile


@pytest.fixture
async def at(world):
    """The path of an attribute, in a sandbox with some events and all attributes of FORMULAS."""
    await world.records(record(ADA, first_name="Ada"))
    await world.events(
        *(event(str(day), f"2026-01-0{day}T00:00:00Z", ADA, **each) for day, each in enumerate(EVENTS, 1))
    )
    for name, text in FORMULAS.items():
        await world.publish(name, text, xdm_class=XdmClass.EXPERIENCE_EVENT)
    return f"_{world.scope.organization.code}.ComputedAttributes.{{}}".format


async def test_an_attribute_of_events_is_its_expression_wherever_it_is_read(world, at):
    config, xid = await world.config(), await world.xid(*ADA)
    paths, found = {name: at(name) for name in FORMULAS}, set()

    async def value(text):
        told = await evaluate_expression(world.db, world.scope, config, config.default_policy, text=text, xid=xid)
        return told.value

    for mine, plain in [*((each, each) for each in SAME), *ALIKE]:
        told = await value(mine.format(**paths))
        assert told == await value(plain.format(**FORMULAS)), mine
        found.add(str(told))
    assert len(found) > 12  # they differ from each other, and are no nulls


async def test_conditions_on_events_and_attributes_of_people_read_attributes_of_events(world, at):
    await world.publish("dear", f"xEvent[{at('isDear')}].count()")
    await world.publish("spentOnDear", f"xEvent[{at('isDear')}].sum({at('spent')})")
    await world.publish("lastSkus", f"xEvent.topN(timestamp, 3).{at('skus')}")
    config, people = await world.config(), [await profile_of(world, ADA)]
    attributes = published_attributes(config, ["dear", "spentOnDear", "lastSkus"])
    ((dear, spent, skus),) = await compute_values(world.db, world.scope, config, attributes, people)
    assert (dear.value, dear.events_counted, spent.value, skus.value) == (2, 2, 32.5, ["c", "b", "a"])
    assert spent.attribute.derived.dependencies == (f"xEvent.{at('isDear')}", f"xEvent.{at('spent')}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("xEvent[{all}.isNull()].count()", "Name the computed attribute"),
        ("xEvent.map({own})[ComputedAttributes.spent > 1].count()", "is read of the event"),
        ('{{"a": {{"{own}": xEvent.map({own}).head()}}}}.a.{own}.ComputedAttributes.spent', "is read of the event"),
        ("xEvent.{all}.spend.sum()", "no field `spend`"),
        ("{all}.spent", "no field"),
    ],
)
async def test_what_is_no_attribute_of_an_event_is_refused(world, at, text, message):
    own = f"_{world.scope.organization.code}"
    found = await check_expression(
        world.scope, await world.config(), text.format(all=at("").rstrip("."), own=own), XdmClass.INDIVIDUAL_PROFILE
    )
    assert [message in each.message for each in found.errors] == [True]
