"""Admission: bounded work at once, a bounded queue, and an order that is fair between tenants.

A tenant is a sandbox, or the address of a client that is not authenticated yet. No tenant may take all places, so that requests of others
find a free one. Waiting requests are admitted round-robin by tenant, however many requests one of them has. A request for which the queue
has no room is refused at once: UNAVAILABLE, with the time after which to retry.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from gateway.errors import Unavailable
from gateway.settings import Settings
from gateway.telemetry import AdmissionRefused, QueueChanged, observe

MAX_CHUNKS: Final = 8
"""Chunks of streams that are ingested at once."""

BODY_UNIT_BYTES: Final = 1 << 16
"""The unit in which large bodies are counted; a body of at most one unit is not counted."""

MAX_BODY_UNITS: Final = 384
"""Of all large bodies that are held at once: 24 MB."""

MAX_BODY_UNITS_SHARE: Final = MAX_BODY_UNITS * 2 // 3
"""Of the large bodies of one tenant."""

MAX_PROBES: Final = 2
"""Probes that are answered at once."""

Tenant = Hashable


@dataclass(slots=True)
class _Waiter:
    turn: "asyncio.Future[None]"
    weight: int


class Admission:
    """The places for one kind of work, which metrics call `name`.

    At most `places` are taken at once, `share` of them by one tenant. At most `waiting` requests wait, `waiting_share` of them of one tenant,
    each for at most `seconds`.
    """

    def __init__(
        self, name: str, *, places: int, share: int, waiting: int = 0, waiting_share: int = 0, seconds: float = 30
    ) -> None:
        self._name = name
        self._free = places
        self._share = share
        self._room = waiting
        self._room_share = waiting_share
        self._seconds = seconds
        self._held: dict[Tenant, int] = {}
        self._queues = OrderedDict[Tenant, deque[_Waiter]]()
        self._waiting = 0

    def enter(self, tenant: Tenant, weight: int = 1) -> "asyncio.Future[None] | None":
        """Take `weight` places and return None, or queue for them and return a future for `wait`. Raises Unavailable when the queue is full.

        Call `leave` later, unless this or `wait` has raised.
        """
        held = self._held.get(tenant, 0)
        if weight <= self._free and held + weight <= self._share and not (self._queues and tenant in self._queues):
            self._free -= weight
            self._held[tenant] = held + weight
            return None
        return self._queue(tenant, weight)

    async def wait(self, turn: "asyncio.Future[None]", tenant: Tenant, weight: int = 1) -> None:
        """Wait for the places that `enter` queued for. Raises Unavailable after too long, or when a tenant with fewer requests waiting came."""
        try:
            async with asyncio.timeout(self._seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave(tenant, weight)  # the places were given at the same moment
            elif self._queues:
                self._let_in()
            if isinstance(error, TimeoutError):
                raise self._refusal() from None
            raise

    def leave(self, tenant: Tenant, weight: int = 1) -> None:
        """Give places back, to the next tenants that wait."""
        held = self._held[tenant] - weight
        if held:
            self._held[tenant] = held
        else:
            del self._held[tenant]
        self._free += weight
        if self._queues:
            self._let_in()

    async def admit(self, tenant: Tenant) -> Callable[[], None]:
        """Take a place and return the function that gives it back. Raises Unavailable."""
        if (turn := self.enter(tenant)) is not None:
            await self.wait(turn, tenant)
        return partial(self.leave, tenant)

    def place(self, tenant: Tenant, weight: int = 1) -> "Place":
        """Return a context manager that holds `weight` places as long as its block runs."""
        return Place(self, tenant, weight)

    def _queue(self, tenant: Tenant, weight: int) -> "asyncio.Future[None]":
        queue = self._queues.get(tenant, ())
        if len(queue) >= self._room_share:
            raise self._refusal()
        if self._waiting >= self._room:
            self._evict(len(queue))
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(tenant, deque()).append(_Waiter(turn, weight))
        self._count(1)
        return turn

    def _evict(self, less: int) -> None:
        """Refuse the last request of the tenant with most waiting. Raises Unavailable if no tenant has more than this one, which has `less`."""
        tenant, longest = max(self._queues.items(), key=lambda each: len(each[1]))
        if len(longest) <= less + 1:
            raise self._refusal()
        last = longest.pop()
        self._count(-1)
        if not longest:
            del self._queues[tenant]
        if not last.turn.done():
            last.turn.set_exception(self._refusal())

    def _let_in(self) -> None:
        """Give free places to waiting requests, one of each tenant in each round, until no more can be given."""
        is_more = True
        while self._free and is_more:
            let_in = [tenant for tenant in list(self._queues) if self._let_in_one(tenant)]
            is_more = bool(let_in)

    def _let_in_one(self, tenant: Tenant) -> bool:
        """Admit the first waiting request of a tenant, if places and its share allow, and return whether that was done."""
        queue, held = self._queues[tenant], self._held.get(tenant, 0)
        first = queue[0]
        is_in = first.turn.done() or (first.weight <= self._free and held + first.weight <= self._share)
        if is_in:
            queue.popleft()
            self._count(-1)
            self._queues.move_to_end(tenant)
            if not queue:
                del self._queues[tenant]
            if not first.turn.done():  # else it was cancelled
                self._free -= first.weight
                self._held[tenant] = held + first.weight
                first.turn.set_result(None)
        return is_in

    def _count(self, more: int) -> None:
        self._waiting += more
        observe(QueueChanged(self._name, self._waiting))

    def _refusal(self) -> Unavailable:
        observe(AdmissionRefused(self._name))
        return Unavailable("Too many requests are at work or waiting; try again.")


class Place:
    """A place, or several, or none, for the block of `async with`. To enter it raises Unavailable."""

    __slots__ = ("_admission", "_tenant", "_weight")

    def __init__(self, admission: Admission, tenant: Tenant, weight: int) -> None:
        self._admission = admission
        self._tenant = tenant
        self._weight = weight

    async def __aenter__(self) -> None:
        if self._weight and (turn := self._admission.enter(self._tenant, self._weight)) is not None:
            await self._admission.wait(turn, self._tenant, self._weight)

    async def __aexit__(self, *_: object) -> None:
        if self._weight:
            self._admission.leave(self._tenant, self._weight)


class Admissions:
    """The kinds of work of one process.

    operations   GraphQL operations
    schemas      schemas that are printed
    strangers    callers to be authenticated, by their address
    requests     requests of authenticated callers, including those that wait
    bodies       large bodies, in units of BODY_UNIT_BYTES
    streams      streams of documents
    chunks       chunks of streams
    probes       requests of probes and scrapers, by their address
    """

    def __init__(self, settings: Settings) -> None:
        at_once, waiting, streams = settings.requests_at_once, settings.requests_waiting, settings.streams
        half, quarter = _most(waiting, 1, 2), _most(waiting, 1, 4)
        queue = partial(Admission, seconds=settings.request_seconds)
        self.operations = queue(
            "operations", places=at_once, share=_most(at_once, 3, 4), waiting=waiting, waiting_share=half
        )
        self.strangers = queue(
            "strangers", places=_most(at_once, 1, 4), share=_most(at_once, 1, 8), waiting=quarter, waiting_share=quarter
        )
        connections = settings.connections
        self.requests = queue("requests", places=connections, share=_most(connections, 3, 4))
        self.bodies = queue(
            "bodies", places=MAX_BODY_UNITS, share=MAX_BODY_UNITS_SHARE, waiting=waiting, waiting_share=half
        )
        self.schemas = queue("schemas", places=1, share=1, waiting=quarter, waiting_share=_most(quarter, 1, 2))
        self.streams = queue("streams", places=streams, share=_most(streams, 1, 2))
        self.chunks = queue(
            "chunks", places=MAX_CHUNKS, share=_most(MAX_CHUNKS, 3, 4), waiting=streams, waiting_share=streams
        )
        self.probes = queue("probes", places=MAX_PROBES, share=MAX_PROBES, waiting=quarter, waiting_share=quarter)


def body_units(size: int) -> int:
    """Return how many places a body of at most `size` bytes takes among large bodies, none if it is small."""
    return min(size // BODY_UNIT_BYTES + 1, MAX_BODY_UNITS_SHARE) if size > BODY_UNIT_BYTES else 0


def admitted(probe: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Return a route that calls the probe once it is admitted. It raises Unavailable where too many wait."""

    async def answer(request: Request) -> Response:
        admission: Admissions = request.app.state.services.admission
        async with admission.probes.place(address(request.scope)):
            return await probe(request)

    return answer


def address(scope: Scope) -> Tenant:
    """Return the address of the client of a request, its tenant before it is authenticated."""
    client = scope.get("client")
    return client[0] if client else None


def _most(count: int, numerator: int, denominator: int) -> int:
    return max(count * numerator // denominator, 1)
