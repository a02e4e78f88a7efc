"""Documents that are sent, and removed again: who did what."""

from collections.abc import Callable, Iterator
from typing import Any

from world import event

PER_CALL = 1_000
EVENTS_OF_ONE = 50

Identity = tuple[str, str]
Names = Callable[[int, int], tuple[Identity, ...]]
"""Who did the event of this number, of so many."""


def device(number: int) -> Identity:
    return "ECID", f"{number + 1:038d}"


def address(number: int) -> Identity:
    return "Email", f"p{number}@example.com"


KINDS: dict[str, tuple[str, Names]] = {
    "people": ("50 events each of new people", lambda n, of: (device(n % (of // EVENTS_OF_ONE)),)),
    "visitors": ("one event each of new visitors", lambda n, _: (device(n),)),
    "tied": (
        "50 events each of new people who log in",
        lambda n, of: (device(n % (of // EVENTS_OF_ONE)), address(n % (of // EVENTS_OF_ONE))),
    ),
    "devices": ("50 events each of customers' devices", lambda n, of: (device(n % (of // EVENTS_OF_ONE)),)),
    "known": (
        "50 events each of customers who log in",
        lambda n, of: (device(n % (of // EVENTS_OF_ONE)), address(n % (of // EVENTS_OF_ONE))),
    ),
}


def calls(names: Names, events: int) -> Iterator[list[dict[str, Any]]]:
    """Return the documents of each call: page views in the order of time, so that everybody's are spread over the batch."""
    page = {"webPageDetails": {"name": "Home", "URL": "https://shop.example/", "pageViews": {"value": 1}}}
    for first in range(0, events, PER_CALL):
        yield [
            event(
                f"e{n}",
                f"2026-01-{n % 28 + 1:02d}T12:00:00Z",
                *names(n, events),
                eventType="web.webpagedetails.pageViews",
                web=page,
            )
            for n in range(first, min(first + PER_CALL, events))
        ]
