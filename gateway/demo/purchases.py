"""Purchases of the demo: one event per basket, small enough for the limits of events, adding up to the true totals.

An event carries at most ten lines, the guardrail for arrays in events of Adobe's Real-Time Customer Profile. The first event of a basket has
the basket's id, `commerce.purchases`, and the order with the true total of all lines, so that counts and sums are right
whether or not the rest is loaded. `full` adds the further lines as events of the type `commerce.purchaseLines`, and the
older baskets of the busiest households; it changes no event of the default load.
"""

from collections import Counter
from collections.abc import Iterator
from sys import intern

from gateway.demo import synthetic
from gateway.demo.source import Basket, Document, Journey, Line

LINES_PER_EVENT = 10
NEWEST_BASKETS = 100  # of each household in the default load: the whole year for four households of five
CURRENCY = "USD"


def count(journey: Journey, *, full: bool) -> int:
    """Return how many events `purchases` yields."""
    if full:
        return sum(-(-size.line_count // LINES_PER_EVENT) for size in journey.basket_sizes)
    per_household = Counter(size.household_id for size in journey.basket_sizes)
    return sum(min(baskets, NEWEST_BASKETS) for baskets in per_household.values())


def purchases(journey: Journey, tenant: str, *, full: bool) -> Iterator[Document]:
    """Yield the events in the order of purchase. They share equal parts: do not change them."""
    writer = _Writer(journey, tenant)
    if full:
        for basket in journey.baskets():
            yield writer.first(basket)
            yield from writer.further(basket)
    else:
        for basket in _newest(journey):
            yield writer.first(basket)


def _newest(journey: Journey) -> Iterator[Basket]:
    left = Counter(size.household_id for size in journey.basket_sizes)
    for basket in journey.baskets():
        if left[basket.household_id] <= NEWEST_BASKETS:
            yield basket
        left[basket.household_id] -= 1


class _Writer:
    """Makes events of baskets; parts that repeat are made once."""

    def __init__(self, journey: Journey, tenant: str) -> None:
        self._custom = f"_{tenant}"
        self._products = _products(journey)
        self._identities = {household: _identity_map(household) for household in journey.households}
        self._devices = {household: _with_device(household) for household in journey.households}

    def first(self, basket: Basket) -> Document:
        """Return the first event of a basket: with its total and its first lines."""
        lines = basket.lines
        order: Document = {
            "purchaseID": str(basket.basket_id),
            "priceTotal": round(sum([line[2] for line in lines]), 2),
            "currencyCode": CURRENCY,
        }
        discount = round(sum([line[3] for line in lines]), 2)
        if discount:
            order["discountAmount"] = discount
        commerce = {"purchases": {"value": 1}, "order": order}
        return self._event(basket, str(basket.basket_id), "commerce.purchases", commerce, lines[:LINES_PER_EVENT])

    def further(self, basket: Basket) -> Iterator[Document]:
        """Yield the further events of a basket, with the lines that the first one has no room for. None has a total, so that sums stay true."""
        for start in range(LINES_PER_EVENT, len(basket.lines), LINES_PER_EVENT):
            lines = basket.lines[start : start + LINES_PER_EVENT]
            event_id = f"{basket.basket_id}-{start // LINES_PER_EVENT + 1}"
            commerce = {"order": {"purchaseID": str(basket.basket_id)}}
            yield self._event(basket, event_id, "commerce.purchaseLines", commerce, lines)

    def _event(self, basket: Basket, event_id: str, kind: str, commerce: Document, lines: list[Line]) -> Document:
        custom: Document = {
            "store": {"storeID": str(basket.store_id), "week": basket.week},
            "basket": {"lineCount": len(basket.lines)},
        }
        identities = self._identities[basket.household_id]
        device = self._devices[basket.household_id]
        if device and basket.basket_id % 3 == 0:
            identities, custom["synthetic"] = device, ["identityMap.ECID"]
        return {
            "_id": event_id,
            "timestamp": basket.at,
            "eventType": kind,
            "identityMap": identities,
            "commerce": commerce,
            "productListItems": self._items(lines),
            self._custom: custom,
        }

    def _items(self, lines: list[Line]) -> list[Document]:
        items = []
        for product_id, quantity, price, discount in lines:
            # A few products that were bought are missing from the list of products: they have a number and no name.
            product = self._products.get(product_id) or {"SKU": str(product_id), "currencyCode": CURRENCY}
            item = {**product, "quantity": quantity, "priceTotal": price}
            if discount:
                item["discountAmount"] = discount
            items.append(item)
        return items


def _products(journey: Journey) -> dict[int, Document]:
    """Return by product the fields that all of its lines share."""
    categories: dict[str, list[Document]] = {}
    products = {}
    for row in journey.rows("products", ["product_id", "department", "product_category", "product_type"]):
        department = row["department"]
        products[row["product_id"]] = {
            "SKU": str(row["product_id"]),
            "name": intern(row.get("product_type") or row.get("product_category") or department),
            "productCategories": categories.setdefault(department, [{"categoryName": department}]),
            "currencyCode": CURRENCY,
        }
    return products


def _identity_map(household: int) -> Document:
    return {"Household": [{"id": str(household), "primary": True}]}


def _with_device(household: int) -> Document | None:
    device = synthetic.phone_app(household)
    return {**_identity_map(household), "ECID": [{"id": device}]} if device else None
