"""The people that are asked for: a CRM and a loyalty programme know them, and a shop saw what they did.

Each has an e-mail address and a browser's id, and every other one a telephone. Two in three are in the loyalty programme, which
spells the name differently and is older, so that their profiles are merged from two records. One event in eight was sent under
the e-mail address, the others under the browser's id. The first few are the busy ones, whose events fill a page of 1,000.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

BUSY, BUSY_EVENTS = 8, 1_200
START = datetime(2026, 1, 1, tzinfo=UTC)
CITIES = ("Cincinnati", "Columbus", "Dayton", "Toledo", "Akron")
PAGES = ("Home", "Offers", "Search", "Basket", "Account")
DEVICES = ("mobile", "desktop", "tablet")

Identity = tuple[str, str]
"""The code of a namespace, and a value."""


@dataclass(frozen=True, slots=True)
class Population:
    """So many people with so many events each, the busy ones apart."""

    people: int
    events: int

    def records(self) -> Iterator[bytes]:
        """Yield the records of the CRM, for all people."""
        for n in range(self.people):
            yield orjson.dumps(_record(n))

    def memberships(self) -> Iterator[bytes]:
        """Yield the records of the loyalty programme, for two people in three."""
        for n in range(self.people):
            if n % 3:
                yield orjson.dumps(_membership(n))

    def visits(self) -> Iterator[bytes]:
        """Yield the events of all people; no two of one person have the same time."""
        for n in range(self.people):
            for k in range(BUSY_EVENTS if n < BUSY and self.events else self.events):
                yield orjson.dumps(_visit(n, k))

    def pick(self, dice: random.Random, count: int, *, busy: bool = False) -> list[Identity]:
        """Identities of so many different people, by e-mail address or by browser."""
        chosen = dice.sample(range(min(BUSY, self.people)) if busy else range(self.people), count)
        return [("Email", address(n)) if dice.random() < 0.5 else ("ECID", browser(n)) for n in chosen]


def address(n: int) -> str:
    return f"person{n}@example.com"


def browser(n: int) -> str:
    return f"{n + 1:038d}"


def _record(n: int) -> dict[str, Any]:
    identities = {"Email": [{"id": address(n), "primary": True}], "ECID": [{"id": browser(n)}]}
    return {
        "extSourceSystemAudit": {"lastUpdatedDate": "2026-01-01T00:00:00Z"},
        "person": {
            "name": {"firstName": f"Given{n}", "lastName": f"Family{n % 977}", "fullName": f"Given{n} Family{n % 977}"},
            "birthDate": f"{1950 + n % 50}-0{n % 9 + 1}-1{n % 10}",
            "gender": ("female", "male")[n % 2],
        },
        "personalEmail": {"address": address(n), "primary": True, "status": "active"},
        "mobilePhone": {"number": f"+1 513 {n:07d}", "primary": True},
        "homeAddress": {
            "street1": f"{n} Main Street",
            "city": CITIES[n % len(CITIES)],
            "postalCode": f"45{n % 1000:03d}",
            "state": "Ohio",
            "countryCode": "US",
        },
        "identityMap": identities | ({"Phone": [{"id": f"+1 513 {n:07d}"}]} if n % 2 else {}),
    }


def _membership(n: int) -> dict[str, Any]:
    return {
        "extSourceSystemAudit": {"lastUpdatedDate": "2025-06-01T00:00:00Z"},
        "person": {"name": {"firstName": f"G{n}", "lastName": f"Family{n % 977}"}},
        "loyalty": {
            "loyaltyID": [f"L{n:08d}"],
            "program": "Ohio Club",
            "tier": ("bronze", "silver", "gold")[n % 7 % 3],
            "points": n % 1000 + 0.5,
            "joinDate": "2020-02-03T00:00:00Z",
        },
        "identityMap": {"Email": [{"id": address(n), "primary": True}]},
    }


def _visit(n: int, k: int) -> dict[str, Any]:
    primary = (
        {"Email": [{"id": address(n), "primary": True}]}
        if k % 8 == 7
        else {"ECID": [{"id": browser(n), "primary": True}]}
    )
    buys = k % 5 == 4
    page, at = PAGES[(n + k) % len(PAGES)], START + timedelta(minutes=97 * k, seconds=n % 60)
    return {
        "_id": f"{n}-{k}",
        "timestamp": at.isoformat(),
        "eventType": "commerce.purchases" if buys else "web.webpagedetails.pageViews",
        "web": {
            "webPageDetails": {
                "name": page,
                "URL": f"https://shop.example/{page.lower()}/{k}",
                "pageViews": {"value": 1},
            },
            "webReferrer": {"URL": "https://search.example/?q=groceries", "type": "search_engine"},
        },
        "device": {
            "type": DEVICES[(n + k) % len(DEVICES)],
            "manufacturer": "Acme",
            "model": f"A{n % 40}",
            "screenWidth": 1080,
        },
        "environment": {
            "type": "browser",
            "operatingSystem": "Android",
            "browserDetails": {
                "name": "Firefox",
                "acceptLanguage": "en-US",
                "userAgent": "Mozilla/5.0 (Android 16; Mobile; rv:149.0)",
            },
        },
        **({"commerce": _purchase(n, k)} if buys else {}),
        "identityMap": primary,
    }


def _purchase(n: int, k: int) -> dict[str, Any]:
    order = {"purchaseID": f"O{n}-{k}", "priceTotal": (n * 7 + k) % 200 + 0.25, "currencyCode": "USD"}
    return {"purchases": {"value": 1}, "order": order}
