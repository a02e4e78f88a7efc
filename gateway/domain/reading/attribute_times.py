"""The time that computed attributes take, told for each of them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter

from gateway.domain.config.attribute_programs import Program
from gateway.domain.rules.scope import Scope
from gateway.telemetry import AttributesComputed, Costs, observe


def costs_of(programs: Iterable[Program]) -> Costs:
    """Return the names of attributes, each with what its expression costs."""
    return tuple((program.name, program.expression.cost) for program in programs)


@contextmanager
def timed(scope: Scope, costs: Costs, records: int) -> Iterator[None]:
    """Observe the time of the block, which computes attributes with these `costs` of so many records together."""
    start = perf_counter()
    yield
    observe(AttributesComputed(scope.organization.code, scope.sandbox.name, costs, perf_counter() - start, records))
