"""The requests to each subject, and how their responses are compared.

Ours and the handler give the same JSON: the same values under the same names in the same order. PostGraphile names
things after its tables, so of its answers the leaves are compared, in the order in which both select them.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reading.people import Identity, Population

PERSON = (
    "entity { person { name { firstName lastName } } personalEmail { address } homeAddress { city } loyalty { tier } }"
)
EVENTS = """events(first: %d, orderBy: { field: TIMESTAMP, direction: DESC }) {
  nodes { timestamp eventType entity { web { webPageDetails { name } } commerce { order { priceTotal } } device { type } } }
}"""
ONE = "query ($identity: IdentityInput!) { profile(identity: $identity) { %s } }"
MANY = "query ($identities: [IdentityInput!]!) { profiles(identities: $identities) { status profile { %s } } }"

COLUMNS = "firstName lastName email city tier"
ROWS = "eventsByPersonId(first: %d, orderBy: TIMESTAMP_DESC) { nodes { timestamp eventType page priceTotal device } }"
ONE_ROW = "query ($namespace: String!, $value: String!) { personOf(namespace: $namespace, value: $value) { %s } }"
MANY_ROWS = "query ($namespaces: [String!]!, $values: [String!]!) { peopleOfList(namespaces: $namespaces, values: $values) { %s } }"

TEN, TEN_ROWS = EVENTS % 10, ROWS % 10


@dataclass(frozen=True, slots=True)
class Scenario:
    """A question about `people` people at random, one of the busy ones if so; `requests` different ones are asked in turn.

    `least`: so many values that are not null each answer has, or it was not about anybody.
    """

    name: str
    title: str
    query: str
    rows: str
    least: int
    people: int = 1
    busy: bool = False
    requests: int = 2_000

    def picks(self, population: Population, seed: int = 1) -> Iterator[list[Identity]]:
        """Yield the identities that requests read, equal for all subjects."""
        dice = random.Random(seed)
        for _ in range(self.requests):
            yield population.pick(dice, self.people, busy=self.busy)

    def variables(self, picked: list[Identity]) -> dict[str, Any]:
        """Return the variables for the gateway."""
        keys = [{"key": {"namespace": namespace, "value": value}} for namespace, value in picked]
        return {"identity": keys[0]} if self.people == 1 else {"identities": keys}

    def row_variables(self, picked: list[Identity]) -> dict[str, Any]:
        """Return the variables for PostGraphile."""
        namespaces, values = map(list, zip(*picked, strict=True))
        if self.people == 1:
            return {"namespace": namespaces[0], "value": values[0]}
        return {"namespaces": namespaces, "values": values}


SCENARIOS = (
    Scenario("lookup", "key look-up", ONE % PERSON, ONE_ROW % COLUMNS, least=4),
    Scenario("newest", "profile + 10 events", ONE % f"{PERSON} {TEN}", ONE_ROW % f"{COLUMNS} {TEN_ROWS}", least=34),
    Scenario(
        "list",
        "50 profiles with 10 events each",
        MANY % f"{PERSON} {TEN}",
        MANY_ROWS % f"{COLUMNS} {TEN_ROWS}",
        people=50,
        requests=300,
        least=1_700,
    ),
    Scenario("many", "200 identities", MANY % PERSON, MANY_ROWS % COLUMNS, people=200, requests=200, least=800),
    Scenario(
        "page",
        "1,000 events page",
        ONE % (EVENTS % 1_000),
        ONE_ROW % (ROWS % 1_000),
        busy=True,
        requests=100,
        least=3_000,
    ),
)


def leaves(value: Any) -> list[Any]:
    """Return what a response contains, whatever its names: its leaves in their order, those of a list together. A status is said by a row."""
    if isinstance(value, dict):
        return [leaf for name, inner in value.items() if name != "status" for leaf in leaves(inner)]
    if isinstance(value, list):
        return [[leaf for inner in value for leaf in leaves(inner)]]
    return [_moment(value)]


def count(found: list[Any]) -> int:
    """Return how many of these leaves are not null."""
    return sum(count(leaf) if isinstance(leaf, list) else leaf is not None for leaf in found)


def _moment(value: Any) -> Any:
    """A time as such, however it is written."""
    if isinstance(value, str) and value[4:5] == "-" and "T" in value:
        return datetime.fromisoformat(value)
    return value
