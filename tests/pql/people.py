"""People of the sample: with gaps, empty arrays, equal values, and times that are equal, at edges of units, or near those."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

NOW = datetime(2026, 3, 1, 0, 30, 15, 250_000, tzinfo=UTC)
"""The instant of evaluation: a Sunday, just after midnight in UTC, and still February elsewhere."""

TEXTS = ["", "a", "A", "ab", "b%", "x_y", "a\nb", "Ünal", "zoë", "S1", "S2", "\\"]


def people(count: int) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Documents and events of people, as the store has them: times in UTC, nothing null. The same ones every time."""
    random = Random(15)
    return [({}, [])] + [
        (_profile(random), [_event(random) for _ in range(random.choice([0, 1, 2, 3, 6]))]) for _ in range(count - 1)
    ]


def _some(random: Random, **made: Any) -> dict[str, Any]:
    """An object that lacks some of its fields."""
    return {key: make() for key, make in made.items() if random.random() < 0.7}


def _time(random: Random) -> str:
    """A time near the instant of evaluation, or at an edge near it; often the same as another."""
    at = NOW + random.choice(
        [
            timedelta(0),
            timedelta(days=-1),
            timedelta(days=-7),
            timedelta(minutes=-31),
            timedelta(days=-30),
            timedelta(days=2),
            timedelta(seconds=random.randint(-(10**7), 10**6)),
        ]
    )
    at = random.choice([at, at.replace(hour=0, minute=0, second=0, microsecond=0)])
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _profile(random: Random) -> dict[str, Any]:
    def text() -> str:
        return random.choice(TEXTS)

    def number() -> Any:
        return random.choice([0, 1, 2, -3, 2.5, 0.1, 7, 1_000_000, 3.0])

    def line() -> dict[str, Any]:
        return _some(random, SKU=text, quantity=lambda: random.choice([0, 1, 2, -3]))

    def order() -> dict[str, Any]:
        several = {
            "storeId": lambda: random.choice(["S1", "S2", ""]),
            "price": number,
            "placedAt": lambda: _time(random),
        }
        return _some(random, **several, lines=lambda: [line() for _ in range(random.choice([0, 1, 2, 3]))])

    def several(make: Any) -> Any:
        return lambda: [make() for _ in range(random.choice([0, 1, 2, 4]))]

    custom = _some(
        random,
        orders=several(order),
        colors=several(text),
        favorites=several(text),
        scores=several(number),
        points=lambda: random.choice([0, 1, -3, 7, 1_000_000]),
        ratio=number,
        isMember=lambda: random.random() < 0.5,
        joinedAt=lambda: _time(random),
        leftAt=lambda: _time(random),
        born=lambda: random.choice(["2026-03-01", "2024-02-29", "1999-12-31", "2026-02-28"]),
        tags=lambda: {text(): text() for _ in range(random.choice([0, 1, 3]))},
        **{"in": text, "with-hyphen": text},
    )
    return _some(
        random,
        _acme=lambda: custom,
        person=lambda: {"name": _some(random, lastName=text)},
        homeAddress=lambda: _some(random, city=text),
    )


def _event(random: Random) -> dict[str, Any]:
    def item() -> dict[str, Any]:
        return _some(
            random,
            SKU=lambda: random.choice(TEXTS),
            quantity=lambda: random.choice([0, 1, 2]),
            priceTotal=lambda: random.choice([0.5, 2, 2.5]),
        )

    own = _some(
        random,
        amount=lambda: random.choice([0, 1, 2.5, -3]),
        note=lambda: random.choice(TEXTS),
        seenAt=lambda: _time(random),
    )
    rest = _some(
        random,
        eventType=lambda: random.choice(["a", "ab", "S1"]),
        _acme=lambda: own,
        productListItems=lambda: [item() for _ in range(random.choice([0, 1, 2]))],
    )
    return {"timestamp": _time(random), **rest}
