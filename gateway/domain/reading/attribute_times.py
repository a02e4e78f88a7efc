"""The time that computed attributes take, told for each of them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

from gateway.domain.rules.scope import Scope
from gateway.telemetry import AttributesComputed, observe


@contextmanager
def timed(scope: Scope, costs: Mapping[str, int], records: int) -> Iterator[None]:
    """Observe the time of the block, which computes some attributes of so many records together; `costs` are those of their expressions.

    What attributes are computed together is divided by these costs.
    """
    start = perf_counter()
    yield
    seconds, total = perf_counter() - start, sum(costs.values())
    shares = {name: seconds * cost / total for name, cost in costs.items()}
    observe(AttributesComputed(scope.organization.code, scope.sandbox.name, shares, records))
