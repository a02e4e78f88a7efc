"""Admission: a bounded amount of work at once, a bounded queue behind it, and turns that are fair between tenants.

A tenant is a sandbox, or the address of a client that is not known yet. None has all places, so that another one's request finds one free;
of those that wait, one of each tenant goes in turn, however many another has waiting. Whoever comes beyond the queue is refused at once:
UNAVAILABLE, with the time after which to ask again.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import Unavailable
from gateway.server.http.responses import refusal
from gateway.settings import Settings
from gateway.telemetry import AdmissionRefused, QueueChanged, observe

CHUNKS: Final = 8
"""Chunks of streams that are read and committed at once."""

BODY_UNIT: Final = 1 << 16
"""Bytes of a body that count as one; a body of no more counts as nothing."""

BODY_UNITS: Final = 384
"""Of all bodies that are read or worked on at once: 24 MB."""

PROBES: Final = 2
"""Probes that are answered at once."""

Tenant = Hashable


@dataclass(slots=True)
class _Waiter:
    """Who waits, and for how many places."""

    turn: "asyncio.Future[None]"
    weight: int


class Admission:
    """One kind of work. At most `places` are taken at once, `share` of them by one tenant; at most `waiting` wait, for at most `seconds`,
    `waiting_share` of them of one tenant. `name` is told to metrics."""

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
        """Take a place, or `weight` of them. None: it is taken; else what has to be waited for by `wait`. Leave it in any case but when
        one of the two raises: Unavailable, when too many wait already."""
        held = self._held.get(tenant, 0)
        if weight <= self._free and held + weight <= self._share and not (self._queues and tenant in self._queues):
            self._free -= weight
            self._held[tenant] = held + weight
            return None
        return self._queue(tenant, weight)

    async def wait(self, turn: "asyncio.Future[None]", tenant: Tenant, weight: int = 1) -> None:
        """Wait until the place is taken. Raises Unavailable when that takes too long, or when tenants that have fewer waiting came."""
        try:
            async with asyncio.timeout(self._seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave(tenant, weight)  # it was taken at the same moment
            elif self._queues:
                self._let_in()  # those behind
            if isinstance(error, TimeoutError):
                raise self._refusal() from None
            raise

    def leave(self, tenant: Tenant, weight: int = 1) -> None:
        """Give a place back, to the tenant whose turn it is."""
        held = self._held[tenant] - weight
        if held:
            self._held[tenant] = held
        else:
            del self._held[tenant]
        self._free += weight
        if self._queues:
            self._let_in()

    async def admit(self, tenant: Tenant) -> Callable[[], None]:
        """Take a place; what comes back gives it back. Raises Unavailable."""
        if (turn := self.enter(tenant)) is not None:
            await self.wait(turn, tenant)
        return partial(self.leave, tenant)

    @asynccontextmanager
    async def place(self, tenant: Tenant, weight: int = 1) -> AsyncIterator[None]:
        """A place, for as long as the block runs. Raises Unavailable."""
        if (turn := self.enter(tenant, weight)) is not None:
            await self.wait(turn, tenant, weight)
        try:
            yield
        finally:
            self.leave(tenant, weight)

    def _queue(self, tenant: Tenant, weight: int) -> "asyncio.Future[None]":
        queue = self._queues.get(tenant, ())
        if len(queue) >= self._room_share:
            raise self._refusal()
        if self._waiting >= self._room:
            self._push_out(len(queue))
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(tenant, deque()).append(_Waiter(turn, weight))
        self._count(1)
        return turn

    def _push_out(self, less: int) -> None:
        """Make room at the expense of the tenant that has most waiting. Raises Unavailable where that is nobody else."""
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
        """Give free places to those that wait: one of each tenant, and then again, until there are no more places or nobody may have one."""
        is_more = True
        while self._free and is_more:
            let_in = [tenant for tenant in list(self._queues) if self._let_in_one(tenant)]
            is_more = bool(let_in)

    def _let_in_one(self, tenant: Tenant) -> bool:
        """Let in who waits first of this tenant, if that may be; whether it is so."""
        queue, held = self._queues[tenant], self._held.get(tenant, 0)
        first = queue[0]
        is_in = first.turn.done() or (first.weight <= self._free and held + first.weight <= self._share)
        if is_in:
            queue.popleft()
            self._count(-1)
            self._queues.move_to_end(tenant)
            if not queue:
                del self._queues[tenant]
            if not first.turn.done():  # else it gave up
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


class Admissions:
    """The kinds of work of one process.

    operations   GraphQL operations
    schemas      schemas that are printed
    strangers    callers that are to be authenticated, by their address
    requests     requests of authenticated callers that are in hand, those that wait included
    bodies       large bodies, in units
    streams      streams of documents
    chunks       chunks of streams
    probes       what those who run the gateway ask, by their address
    """

    def __init__(self, settings: Settings) -> None:
        at_once, waiting, streams = settings.requests_at_once, settings.requests_waiting, settings.streams
        seconds = settings.request_seconds
        queue = partial(Admission, seconds=seconds)
        self.operations = queue(
            "operations",
            places=at_once,
            share=_most(at_once, 3, 4),
            waiting=waiting,
            waiting_share=_most(waiting, 1, 2),
        )
        quarter = _most(waiting, 1, 4)
        self.strangers = queue(
            "strangers", places=_most(at_once, 1, 4), share=_most(at_once, 1, 8), waiting=quarter, waiting_share=quarter
        )
        connections = settings.connections
        self.requests = queue("requests", places=connections, share=_most(connections, 3, 4))
        self.bodies = queue(
            "bodies",
            places=BODY_UNITS,
            share=_most(BODY_UNITS, 2, 3),
            waiting=waiting,
            waiting_share=_most(waiting, 1, 2),
        )
        self.schemas = queue("schemas", places=1, share=1, waiting=quarter, waiting_share=_most(quarter, 1, 2))
        self.streams = queue("streams", places=streams, share=_most(streams, 1, 2))
        self.chunks = queue("chunks", places=CHUNKS, share=_most(CHUNKS, 3, 4), waiting=streams, waiting_share=streams)
        self.probes = queue("probes", places=PROBES, share=PROBES, waiting=quarter, waiting_share=quarter)

    @asynccontextmanager
    async def body(self, tenant: Tenant, announced: int | None, limit: int) -> AsyncIterator[None]:
        """Room for a body of at most `limit` bytes, as long as the block reads it and works on it. Raises Unavailable."""
        size = limit if announced is None else min(announced, limit)
        if size <= BODY_UNIT:
            yield
            return
        async with self.bodies.place(tenant, min(size // BODY_UNIT + 1, _most(BODY_UNITS, 2, 3))):
            yield


def in_turn(probe: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """A probe that is answered when it is its turn."""

    async def answer(request: Request) -> Response:
        admission: Admissions = request.app.state.services.admission
        try:
            async with admission.probes.place(address(request)):
                return await probe(request)
        except Unavailable as error:
            return refusal(error)

    return answer


def address(request: Request) -> Tenant:
    """Who asks, as far as that is known of a stranger."""
    return request.client.host if request.client else None


def _most(count: int, numerator: int, denominator: int) -> int:
    """A part of the places, at least one."""
    return max(count * numerator // denominator, 1)
